"""Sessions: begun, talked to, looked at, closed; and the edit of a render, which makes one."""

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from api import cursors, limits, timelines, under_way
from api.auth import Caller, RendersReader, RendersWriter
from api.bodies import RenderBody
from api.database import look
from api.idempotency import KeyHere
from api.json_body import JsonRoute
from api.routes.common import Cursor, Limit, RenderId, SessionId, json_only, only_known
from api.routes.documented import IDEMPOTENT, JSON_BODY, answer, problems
from api.sessions import intake, views
from api.sessions.bodies import MessageBody, SessionDetailBody, SessionPage, StateBody
from api.sessions.schemas import EditRequest, MessageRequest, SessionRequest
from api.waiting import Patience
from worker.renders import store as renders
from worker.sessions import store

router = APIRouter(prefix="/v1", tags=["sessions"], dependencies=[Depends(only_known)], route_class=JsonRoute)

_RUNS = ("limit.in_flight", "limit.credits", "upload.unknown")
_OPEN = ("session.lost", "session.closed")


@router.post(
    "/sessions",
    status_code=201,
    dependencies=[Depends(json_only)],
    response_model=SessionDetailBody,
    summary="Begin a session",
    responses=problems(*JSON_BODY, *IDEMPOTENT, *_RUNS)
    | {201: answer("Begun, with a render for each instruction.", "Location", "Idempotent-Replayed")},
)
def begin(given: SessionRequest, caller: RendersWriter, key: KeyHere) -> Response:
    """Begin a session: renders that go on with each other's timeline, one by one. With `messages` each instruction is a
    render of its own, in this order; more may follow."""
    session_id, replayed = intake.start(caller, given, key)
    body: SessionDetailBody = intake.read(caller, session_id, views.detail_body)
    headers = {"Location": f"/v1/sessions/{session_id}"} | ({"Idempotent-Replayed": "true"} if replayed else {})
    return Response(body.model_dump_json(), status_code=201, headers=headers, media_type="application/json")


@router.get("/sessions", summary="List your sessions", responses=problems("cursor.invalid") | {200: answer("A page.")})
def listed(caller: RendersReader, limit: Limit = limits.PAGE, cursor: Cursor = None) -> SessionPage:
    """Your sessions, newest first."""
    after = cursors.unpack_moment(cursor) if cursor else None

    def work(session: Session) -> SessionPage:
        rows = store.page(session, caller.owner_id, limit=limit + 1, after=after)
        shown, more = cursors.page(rows, limit, lambda last: cursors.pack_moment(last.created_at, last.id))
        return SessionPage(data=views.session_bodies(session, shown), next_cursor=more)

    return look(work)


@router.get(
    "/sessions/{id}",
    summary="Look at a session",
    responses=problems("session.unknown") | {200: answer("The session and its renders.")},
)
def show(id: SessionId, caller: RendersReader) -> SessionDetailBody:
    """A session with its renders, in order."""
    return intake.read(caller, id, views.detail_body)


@router.get(
    "/sessions/{id}/state",
    response_model=StateBody,
    summary="See a session's timeline",
    responses=problems("session.unknown")
    | {
        200: answer(
            "The state; as text the timeline alone.",
            content={"text/plain": {"schema": {"type": "string"}, "example": "Timeline (0 tracks): empty"}},
        )
    },
)
def state(id: SessionId, caller: RendersReader, request: Request) -> Response:
    """The timeline of the last draft that was kept, what its message changed, whose turn it is, which files wait.
    With `Accept: text/plain` the timeline alone, in one line."""
    body: StateBody = intake.read(caller, id, views.state_body)
    if timelines.wanted(request.headers.get("accept", "")) == "text":
        summary = body.timeline.summary if body.timeline else "Timeline (0 tracks): empty"
        return Response(f"{summary}\n", media_type="text/plain")
    return Response(body.model_dump_json(), media_type="application/json")


@router.post(
    "/sessions/{id}/messages",
    response_model=MessageBody,
    dependencies=[Depends(json_only)],
    summary="Say something in a session",
    responses=problems(*JSON_BODY, *IDEMPOTENT, *_RUNS, *_OPEN, "session.unknown", "session.no_draft", "render.deleted")
    | {
        200: answer("Answered; or final within the time of `Prefer: wait`.", *under_way.HEADERS),
        202: answer("Taken on.", *under_way.HEADERS, "Retry-After", model=MessageBody),
    },
)
async def say(
    id: SessionId, given: MessageRequest, request: Request, caller: RendersWriter, key: KeyHere, patience: Patience
) -> Response:
    """Say something in a session. An instruction makes a render, which waits for its turn: everything in a session
    happens in order. A message that is nothing but a request is answered without one: `export` (free), `credits`,
    `status`, `upload`, in English or Chinese.

    Send an `Idempotency-Key`: repeated with the same body, an instruction leads to the same render.
    """
    said = await run_in_threadpool(intake.say, caller, id, given, key)
    if said.render_id is None:
        told = {"Idempotent-Replayed": "true"} if said.replayed else {}
        body = await run_in_threadpool(_message, caller, id, said)
        return Response(body.model_dump_json(), headers=told, media_type="application/json")
    first = await run_in_threadpool(under_way.read, caller, said.render_id)
    render = await under_way.settled(request, caller, first, patience)
    body = await run_in_threadpool(_message, caller, id, said)
    body.render = render
    return Response(
        body.model_dump_json(),
        status_code=under_way.status(render, patience),
        headers=under_way.headers(render, patience, replayed=said.replayed),
        media_type="application/json",
    )


@router.post(
    "/sessions/{id}/close",
    status_code=204,
    summary="Close a session",
    responses=problems("session.unknown") | {204: answer("Nothing more is said in it.")},
)
def close(id: SessionId, caller: RendersWriter) -> Response:
    """Close a session: nothing more is said in it, files that wait in it expire. Its renders go on and stay.
    Harmless to repeat."""
    intake.close(caller, id)
    return Response(status_code=204)


@router.post(
    "/renders/{id}/edits",
    status_code=202,
    tags=["renders"],
    dependencies=[Depends(json_only)],
    response_model=RenderBody,
    summary="Edit a render's video",
    responses=problems(*JSON_BODY, *IDEMPOTENT, *_RUNS, *_OPEN, "render.unknown", "render.deleted", "render.no_session")
    | {
        200: answer("Final within the time of `Prefer: wait`.", *under_way.HEADERS, model=RenderBody),
        202: answer("Taken on.", *under_way.HEADERS, "Retry-After"),
    },
)
async def edit(
    id: RenderId, given: EditRequest, request: Request, caller: RendersWriter, key: KeyHere, patience: Patience
) -> Response:
    """Make a render that goes on with another one's timeline, at the end of its session; the earlier result stands,
    whatever becomes of the edit. A render without a session gets one."""
    made, replayed = await run_in_threadpool(intake.edit, caller, id, given, key)
    first = await run_in_threadpool(under_way.read, caller, made)
    render = await under_way.settled(request, caller, first, patience)
    return Response(
        render.model_dump_json(),
        status_code=under_way.status(render, patience),
        headers=under_way.headers(render, patience, replayed=replayed),
        media_type="application/json",
    )


def _message(caller: Caller, session_id: str, said: intake.Said) -> MessageBody:
    def work(session: Session) -> MessageBody:
        place = intake.found(session, caller.owner_id, session_id)
        render = renders.get(session, caller.owner_id, said.render_id) if said.render_id else None
        return views.message_body(session, place, said.action, render, said.answer, said.credits)

    return look(work)
