"""Events: one render's as a stream or a page, and the owner's whole feed."""

from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from api import cursors, intake, limits, stream
from api.auth import Caller, RendersReader
from api.bodies import EventBody, EventPage, FeedPage
from api.database import transact
from api.examples import EVENTS
from api.lasting import OF_EVENTS, OF_RENDERS, LastingKey
from api.problems import FieldError, Problem
from api.routes.common import Moment, RenderId, only_known
from api.routes.documented import answer, problems
from api.views import feed_bodies
from api.waiting import Patience, applied, until_told
from worker.renders import events

router = APIRouter(prefix="/v1", tags=["events"], dependencies=[Depends(only_known)])

After = Annotated[int, Query(ge=0, le=limits.LARGEST_NUMBER, description="Only events with a greater number.")]


_STREAM = "".join(stream.sent(EventBody(**event)).decode() for event in EVENTS)


@router.get(
    "/renders/{id}/events",
    response_model=EventPage,
    summary="Follow a render",
    responses=problems("render.unknown")
    | {
        200: answer(
            "The events so far, or with `Accept: text/event-stream` as they happen.",
            content={"text/event-stream": {"schema": {"type": "string"}, "example": _STREAM}},
        ),
        204: answer("A stream was asked for, and nothing will come any more."),
    },
)
async def of_render(
    id: RenderId,
    caller: RendersReader,
    request: Request,
    after: After = 0,
    last_event_id: Annotated[
        int | None, Header(ge=0, le=limits.LARGEST_NUMBER, description="As `after`, which it outranks.")
    ] = None,
) -> Response:
    """One render's events. With `Accept: text/event-stream` they are sent as they happen, each with its number as id,
    until the final one; `Last-Event-ID` (or `after`) resumes. Without, a JSON page."""
    after = after if last_event_id is None else last_event_id
    page, over = await run_in_threadpool(lambda: transact(lambda session: _page(session, caller.owner_id, id, after)))
    if "text/event-stream" not in request.headers.get("accept", ""):
        return Response(page.model_dump_json(), media_type="application/json")
    if over and not page.data:
        # An EventSource connects again after every end; only this tells it to stop.
        return Response(status_code=204)
    OF_RENDERS.demand(caller.key_id)
    return StreamingResponse(
        _counted(caller.key_id, stream.follow(request.app.state.feed, id, after, LastingKey(request))),
        media_type="text/event-stream",
        headers={"X-Accel-Buffering": "no"},
    )


async def _counted(key_id: str, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    with OF_RENDERS.taken(key_id):
        async for piece in pieces:
            yield piece


def _page(session: Session, owner_id: str, render_id: str, after: int) -> tuple[EventPage, bool]:
    intake.found(session, owner_id, render_id)
    page, over = stream.history(session, render_id, after)
    return EventPage(data=page), over


NOW = "now"


@router.get(
    "/events",
    summary="Everything that happened",
    response_model=FeedPage,
    responses=problems("cursor.invalid") | {200: answer("A page.", "Preference-Applied")},
)
async def feed(
    caller: RendersReader,
    request: Request,
    patience: Patience,
    after: Annotated[
        str | None,
        Query(max_length=200, description="`next_cursor` of the last answer, or `now`: only what happens from now on."),
    ] = None,
    since: Annotated[
        Moment | None,
        Query(description="In the place of `after`: from this moment on, and perhaps a little before it."),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=limits.EVENTS_PAGE, description="Events in one answer.")] = limits.EVENTS_PAGE,
) -> Response:
    """Everything that happened to your renders, batches and endpoints, complete and in an order that never changes,
    from the beginning on. With `Prefer: wait` an answer without events comes only when the time is over."""
    if after is not None and since is not None:
        errors = [FieldError("?since", "give this or `after`")]
        raise Problem("request.invalid", "Not valid: ?since", errors=errors)
    begin = await run_in_threadpool(_begin, caller, after, since)

    def read() -> FeedPage:
        return transact(lambda session: _feed(session, caller, begin, limit))

    page = await run_in_threadpool(read)
    if patience and not page.data:
        page = await _awaited(request, caller, patience, read)
    return Response(page.model_dump_json(), headers=applied(patience), media_type="application/json")


async def _awaited(request: Request, caller: Caller, patience: int, read: Callable[[], FeedPage]) -> FeedPage:
    OF_EVENTS.demand(caller.key_id)
    key = LastingKey(request)
    with OF_EVENTS.taken(caller.key_id):
        page = await until_told(request.app.state.feed, caller.owner_id, patience, read)
    await key.demand()
    return page


def _begin(caller: Caller, after: str | None, since: datetime | None) -> events.Cursor:
    """Raises Problem `cursor.invalid`."""
    if after == NOW:
        return transact(events.feed_end)
    if after is not None:
        return cursors.unpack_feed(after)
    if since is not None:
        return transact(lambda session: events.feed_at(session, caller.owner_id, since))
    return events.Cursor()


def _feed(session: Session, caller: Caller, begin: events.Cursor, limit: int) -> FeedPage:
    found = events.feed(session, after=begin, owner_id=caller.owner_id, limit=limit)
    last = events.Cursor(found[-1].transaction, found[-1].id) if found else begin
    return FeedPage(data=feed_bodies(session, found), next_cursor=cursors.pack_feed(last))
