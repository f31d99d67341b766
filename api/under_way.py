"""The answer to who asked for a run: the render as it stands, or, with `Prefer: wait`, as it is after waiting."""

from collections.abc import Mapping
from contextlib import suppress

from fastapi import Request
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from api import etags, intake, waiting
from api.auth import Caller
from api.bodies import RenderBody
from api.database import look
from api.lasting import OF_RENDERS, LastingKey
from api.problems import Problem
from api.views import render_body
from worker.renders.states import FINAL

LOOK_AGAIN_SECONDS = 5
"""`Retry-After` of a render under way: videos take minutes."""
HEADERS = ("Location", "ETag", "Preference-Applied", "Idempotent-Replayed")
"""What comes with such an answer, beside `Retry-After` while the render is not final."""


async def settled(request: Request, caller: Caller, body: RenderBody, patience: int | None) -> RenderBody:
    """The render, waited for as far as was asked. Whatever becomes of the wait, the run is taken on: another answer
    would have it asked for a second time."""
    if patience and body.status not in FINAL:
        with suppress(DBAPIError, PoolTimeout, Problem):
            return await wait(request, caller, body.id, patience)
    return body


async def wait(request: Request, caller: Caller, render_id: str, patience: int) -> RenderBody:
    """The render once it is final, or the time over. Raises Problem `auth.invalid` where the key did not last as
    long."""
    OF_RENDERS.demand(caller.key_id)
    key = LastingKey(request)
    feed = request.app.state.feed
    with OF_RENDERS.taken(caller.key_id):
        body = await waiting.until_final(feed, render_id, patience, lambda: read(caller, render_id))
    await key.demand()
    return body


def read(caller: Caller, render_id: str) -> RenderBody:
    """The caller's render as it stands. Raises Problem `render.unknown`."""
    return look(lambda session: render_body(session, intake.found(session, caller.owner_id, render_id)))


def headers(body: RenderBody, patience: int | None, *, replayed: bool) -> Mapping[str, str]:
    """What comes with the answer."""
    told = {"Location": f"/v1/renders/{body.id}", "ETag": etags.of(body), **waiting.applied(patience)}
    if body.status not in FINAL:
        told["Retry-After"] = str(LOOK_AGAIN_SECONDS)
    if replayed:
        told["Idempotent-Replayed"] = "true"
    return told


def status(body: RenderBody, patience: int | None) -> int:
    """200 where it was waited for and is final, else 202."""
    return 200 if body.status in FINAL and patience is not None else 202
