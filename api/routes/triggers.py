"""Triggers: taken on, shown, changed, dropped; what their shops send, and what became of it."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from api import cursors, limits
from api.auth import RendersReader, RendersWriter
from api.database import look
from api.idempotency import KeyHere
from api.json_body import JsonRoute
from api.routes.common import (
    Cursor,
    Limit,
    ShopsTriggerId,
    TriggerDeliveryId,
    TriggerId,
    Words,
    json_only,
    only_known,
)
from api.routes.documented import IDEMPOTENT, JSON_BODY, Entry, answer, problems
from api.triggers import intake, messages, owned, threads
from api.triggers.bodies import (
    TakenBody,
    TrialBody,
    TriggerBody,
    TriggerDeliveryDetailBody,
    TriggerDeliveryPage,
    TriggerPage,
    TriggerSecretBody,
)
from api.triggers.busy import for_change
from api.triggers.door import door
from api.triggers.schemas import ReplayRequest, RotationRequest, TriggerChange, TriggerRequest
from api.triggers.unverified import Body
from api.triggers.views import PONG, delivery_body, trigger_body
from worker.triggers import store
from worker.triggers.models import Verdict

router = APIRouter(prefix="/v1", tags=["triggers"], route_class=JsonRoute)
_ours = [Depends(only_known)]
_MESSAGE: Entry = {
    "requestBody": {
        "required": False,
        "description": "As the shop sends it, headers included; at most 4 MiB.",
        "content": {"application/json": {"schema": {}, "example": {"id": 632910392, "title": "Trail shoe"}}},
    }
}
_NO_KEY = "webhook.no_secret_key"
_REFERRED = ("template.unknown", "template.archived", "publisher.unknown")


@router.post(
    "/triggers",
    status_code=201,
    dependencies=[*_ours, Depends(json_only)],
    response_model=TriggerSecretBody,
    summary="Take a trigger on",
    responses=problems(*JSON_BODY, *IDEMPOTENT, *_REFERRED, "trigger.unknown", _NO_KEY)
    | {201: answer("Taken on, with its secret.", "Location", "Idempotent-Replayed")},
)
def create(given: TriggerRequest, caller: RendersWriter, key: KeyHere) -> Response:
    """Take a source of messages on: give the shop the address in `links.deliveries` and the `secret`, which is shown
    this once. Each message about a product is filled into the template; what did not change costs nothing."""
    made = intake.accept(caller, key, given)
    headers = {"Location": made.body.links["self"]}
    if made.replayed:
        headers["Idempotent-Replayed"] = "true"
    return _json(made.body, 201, headers)


@router.get(
    "/triggers",
    dependencies=_ours,
    summary="List your triggers",
    responses=problems("cursor.invalid") | {200: answer("A page.")},
)
def listed(caller: RendersReader, limit: Limit = limits.PAGE, cursor: Cursor = None) -> TriggerPage:
    """Your triggers, newest first."""
    after = cursors.unpack_moment(cursor) if cursor else None

    def work(session: Session) -> TriggerPage:
        rows = store.page(session, caller.owner_id, limit=limit + 1, after=after)
        shown, more = cursors.page(rows, limit, lambda last: cursors.pack_moment(last.created_at, last.id))
        return TriggerPage(data=[trigger_body(row) for row in shown], next_cursor=more)

    return look(work)


@router.get(
    "/triggers/{id}",
    dependencies=_ours,
    summary="Look at a trigger",
    responses=problems("trigger.unknown") | {200: answer("It.")},
)
def show(id: TriggerId, caller: RendersReader) -> TriggerBody:
    """A trigger, without its secret."""
    return look(lambda session: trigger_body(owned.found(session, caller, id)))


@router.patch(
    "/triggers/{id}",
    dependencies=[*_ours, Depends(json_only)],
    summary="Change a trigger",
    responses=problems(*JSON_BODY, *_REFERRED, "trigger.unknown", "trigger.busy") | {200: answer("As it is now.")},
)
def change(id: TriggerId, given: TriggerChange, caller: RendersWriter) -> TriggerBody:
    """Change name, template, options, topics, mapping, conditions or publisher; pause it, so that it keeps what comes,
    or let it go on, with what it kept first. Where its key was revoked or has expired, yours takes it over."""
    return intake.change(caller, id, given)


@router.delete(
    "/triggers/{id}",
    status_code=204,
    dependencies=_ours,
    summary="Forget a trigger",
    responses=problems("trigger.unknown", "trigger.busy") | {204: answer("It is gone.")},
)
def delete(id: TriggerId, caller: RendersWriter) -> Response:
    """Forget a trigger and its messages. Its renders and their videos stay; the shop is answered with 401."""
    done = False

    def work(session: Session) -> None:
        nonlocal done
        row = store.locked(session, caller.owner_id, id)
        if row is None and done:
            return  # this call's own COMMIT, whose answer was lost
        if row is None:
            raise owned.unknown(id)
        store.drop(session, row)
        done = True

    for_change(id, work)
    door.forget(id)
    return Response(status_code=204)


@router.post(
    "/triggers/{id}/rotate-secret",
    dependencies=[*_ours, Depends(json_only)],
    summary="Give a trigger another secret",
    responses=problems(*JSON_BODY, "trigger.unknown", "trigger.busy", _NO_KEY) | {200: answer("With its new secret.")},
)
def rotate(id: TriggerId, caller: RendersWriter, given: RotationRequest | None = None) -> TriggerSecretBody:
    """Give a trigger another secret, shown this once. Messages signed with the one before are taken for the overlap;
    after a rotation without one for some seconds still."""
    return intake.rotate(caller, id, given or RotationRequest())


@router.post(
    "/triggers/{id}/deliveries",
    summary="For the shop: send a message",
    openapi_extra=_MESSAGE,
    response_model=TakenBody,
    responses=problems(
        "trigger.unverified",
        "rate.limited",
        "trigger.crowded",
        "trigger.busy",
        "database.unavailable",
        _NO_KEY,
        keyed=False,
    )
    | {200: answer("It is on file; `verdict` says what became of it.")},
)
async def receive(id: ShopsTriggerId, request: Request) -> Response:
    """What a shop calls: without an API key, for its signature over the raw body says who it is. The answer is 200 for
    whatever is signed and can be kept, also where nothing is rendered: a shop that meets errors gives up its webhook.

    What is 401 says no more: whether the address, the signature or a header is wrong.
    """
    peer = request.client.host if request.client else ""
    body: Body = request.state.message
    by = threads.in_time()
    admitted = await threads.run(lambda: messages.admit(id, peer, request.headers, body.content), by)
    if admitted is None:
        return _json(PONG)
    body.verified()
    return _json(await threads.in_turn(id, lambda: messages.take(admitted), by, size=len(admitted.body)))


@router.post(
    "/triggers/{id}/test",
    dependencies=_ours,
    summary="Try a message out",
    openapi_extra=_MESSAGE,
    response_model=TrialBody,
    responses=problems("trigger.unknown") | {200: answer("What would become of it.")},
)
async def trial(id: TriggerId, request: Request, caller: RendersReader, topic: Words = None) -> Response:
    """What would become of a message with this body, headers and `topic`: the prompt, the pictures, or why there is no
    render; a pause, a key that has ended and its limits, for which one is `held`, are not looked at. No signature is
    asked for; nothing is kept or charged."""
    body = await request.body()
    return _json(await run_in_threadpool(messages.tried, caller, id, request.headers, body, topic))


@router.get(
    "/triggers/{id}/deliveries",
    dependencies=_ours,
    summary="List what came",
    responses=problems("trigger.unknown", "cursor.invalid") | {200: answer("A page.")},
)
def deliveries(
    id: TriggerId,
    caller: RendersReader,
    verdict: Annotated[Verdict | None, Query(description="This one alone.")] = None,
    limit: Limit = limits.PAGE,
    cursor: Cursor = None,
) -> TriggerDeliveryPage:
    """A trigger's messages of the last 30 days, newest first."""
    after = cursors.unpack_moment(cursor) if cursor else None

    def work(session: Session) -> TriggerDeliveryPage:
        row = owned.found(session, caller, id)
        rows = store.deliveries(session, row, limit=limit + 1, verdict=verdict, after=after)
        shown, more = cursors.page(rows, limit, lambda last: cursors.pack_moment(last.received_at, last.id))
        return TriggerDeliveryPage(data=[delivery_body(one, row) for one in shown], next_cursor=more)

    return look(work)


@router.get(
    "/trigger-deliveries/{id}",
    dependencies=_ours,
    summary="Look at a message",
    responses=problems("trigger.delivery_unknown") | {200: answer("It.")},
)
def delivery(id: TriggerDeliveryId, caller: RendersReader) -> TriggerDeliveryDetailBody:
    """A message with its headers, without secrets, its body, and what became of it."""
    return look(lambda session: owned.detail(session, caller, id))


@router.post(
    "/trigger-deliveries/{id}/replay",
    status_code=201,
    dependencies=[*_ours, Depends(json_only)],
    response_model=TriggerDeliveryDetailBody,
    summary="Decide a message anew",
    responses=problems(
        *JSON_BODY,
        *IDEMPOTENT,
        "trigger.delivery_unknown",
        "trigger.unknown",
        "trigger.delivery_emptied",
        "trigger.busy",
    )
    | {
        200: answer("With `dry_run`: what would become of it.", model=TrialBody),
        201: answer("Decided, as a message of its own.", "Location"),
    },
)
def replay(id: TriggerDeliveryId, caller: RendersWriter, key: KeyHere, given: ReplayRequest | None = None) -> Response:
    """Decide a message anew, as its trigger is now. `force` renders although the video is there already, and is paid
    for again."""
    asked = given or ReplayRequest()
    if asked.dry_run:
        return _json(messages.rehearsed(caller, id, force=asked.force))
    made = messages.replay(caller, id, key, force=asked.force)
    return _json(made, 201, {"Location": made.links["self"]})


def _json(body: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(body.model_dump_json(), status_code=status, headers=headers, media_type="application/json")
