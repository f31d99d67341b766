"""Renders: taken on, shown, listed, cancelled."""

import hashlib
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from sqlalchemy.orm import Session
from starlette.responses import JSONResponse

from api import cursors, intake, limits
from api.auth import CallerHere
from api.bodies import RenderBody, RenderPage
from api.database import transact
from api.idempotency import KeyHere
from api.problems import Problem
from api.routes.common import Cursor, Limit, RenderId, Words, only_known, problems
from api.schemas import RenderRequest
from api.views import render_bodies, render_body
from worker.renders import store
from worker.renders.states import FINAL, Status

router = APIRouter(prefix="/v1/renders", tags=["renders"], dependencies=[Depends(only_known)])

LOOK_AGAIN_SECONDS = 5
"""`Retry-After` of a render under way: videos take minutes."""


def _json_only(request: Request) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise Problem("request.media_type", f"The body is declared as {kind[:80] or 'nothing'}.")


@router.post(
    "",
    status_code=202,
    dependencies=[Depends(_json_only)],
    responses=problems(
        "request.malformed",
        "request.media_type",
        "request.too_large",
        "idempotency.invalid",
        "idempotency.mismatch",
        "upload.unknown",
    ),
)
def create(request: RenderRequest, caller: CallerHere, key: KeyHere, response: Response) -> RenderBody:
    """Ask for a video. From this answer on the render ends in exactly one final status, whatever dies in between.

    Send an `Idempotency-Key`: repeated with the same body it leads to the same render (`Idempotent-Replayed: true`).
    """
    render_id, replayed = intake.accept(caller, request, key)
    response.headers["Location"] = f"/v1/renders/{render_id}"
    response.headers["Retry-After"] = str(LOOK_AGAIN_SECONDS)
    if replayed and key.given:
        response.headers["Idempotent-Replayed"] = "true"
    return transact(lambda session: render_body(session, intake.found(session, caller.owner_id, render_id)))


@router.get("", responses=problems("cursor.invalid"))
def listed(
    caller: CallerHere,
    status: Annotated[list[Status] | None, Query(description="One or more.")] = None,
    tag: Words = None,
    external_ref: Words = None,
    limit: Limit = limits.PAGE,
    cursor: Cursor = None,
) -> RenderPage:
    """Your renders, newest first. Pages by key: rows that come meanwhile neither repeat nor hide any."""
    after = cursors.unpack_moment(cursor) if cursor else None

    def work(session: Session) -> RenderPage:
        rows = store.page(
            session,
            caller.owner_id,
            limit=limit + 1,
            after=after,
            status=[one.value for one in status or ()],
            tag=tag,
            external_ref=external_ref,
        )
        shown = rows[:limit]
        more = cursors.pack_moment(shown[-1].created_at, shown[-1].id) if len(rows) > limit else None
        return RenderPage(data=render_bodies(session, shown), next_cursor=more)

    return transact(work)


@router.get("/{id}", response_model=RenderBody, responses=problems("render.unknown"))
def show(id: RenderId, caller: CallerHere, request: Request) -> Response:
    """A render as it stands; 304 with `If-None-Match` while nothing changed."""
    body = transact(lambda session: render_body(session, intake.found(session, caller.owner_id, id)))
    return _tagged(request, body, {} if body.status in FINAL else {"Retry-After": str(LOOK_AGAIN_SECONDS)})


@router.post(
    "/{id}/cancel", response_model=RenderBody, responses=problems("render.unknown") | {202: {"model": RenderBody}}
)
def cancel(id: RenderId, caller: CallerHere) -> Response:
    """Cancel a render at any stage: 200 once it is final, 202 while it is being undone. Harmless to repeat."""

    def work(session: Session) -> RenderBody:
        render = store.cancel(session, caller.owner_id, id)
        if render is None:
            raise intake.unknown(id)
        return render_body(session, render)

    body = transact(work)
    return JSONResponse(body.model_dump(mode="json"), status_code=200 if body.status in FINAL else 202)


def _tagged(request: Request, body: RenderBody, headers: dict[str, str]) -> Response:
    # An estimate moves with every look; what did not change otherwise is the same to who asks.
    text = body.model_dump_json()
    etag = f'W/"{hashlib.sha256(body.model_dump_json(exclude={"eta"}).encode()).hexdigest()[:32]}"'
    headers |= {"ETag": etag, "Cache-Control": "private, no-cache"}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    return Response(text, headers=headers, media_type="application/json")
