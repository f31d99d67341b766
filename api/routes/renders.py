"""Renders: taken on, shown, listed, changed, cancelled, begun anew, deleted."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from api import cursors, etags, files, intake, limits, under_way, waiting
from api.auth import Caller, RendersReader, RendersWriter
from api.bodies import DryRunBody, RenderBody, RenderPage
from api.database import look, transact
from api.idempotency import KeyHere
from api.json_body import JsonRoute
from api.routes.common import Cursor, Limit, Moment, RenderId, Words, json_only, only_known
from api.routes.documented import IDEMPOTENT, JSON_BODY, answer, problems, takes
from api.schemas import Priority, RenderChange, RenderRequest, RetryRequest
from api.views import render_bodies, render_body
from api.waiting import Patience
from worker.publishing import publications
from worker.renders import purge, store
from worker.renders.states import FINAL, Status
from worker.triggers import store as triggers

router = APIRouter(prefix="/v1/renders", tags=["renders"], dependencies=[Depends(only_known)], route_class=JsonRoute)

_RUNS = ("limit.in_flight", "limit.credits")


@router.post(
    "",
    status_code=202,
    dependencies=[Depends(json_only)],
    response_model=RenderBody,
    summary="Ask for a video",
    responses=problems(
        *JSON_BODY,
        *IDEMPOTENT,
        *_RUNS,
        "upload.unknown",
        "render.deleted",
        "render.stale_revision",
        "template.unknown",
        "template.variables",
        "template.archived",
        "webhook.too_many",
    )
    | {
        200: answer(
            "Final within the time of `Prefer: wait`; or, with `dry_run`, valid.",
            *under_way.HEADERS,
            model=RenderBody | DryRunBody,
        ),
        202: answer("Taken on.", *under_way.HEADERS, "Retry-After"),
    },
)
async def create(
    given: RenderRequest,
    request: Request,
    caller: RendersWriter,
    key: KeyHere,
    patience: Patience,
    dry_run: Annotated[bool, Query(description="Only check the request; nothing is kept or charged.")] = False,
) -> Response:
    """Ask for a video. From this answer on the render ends in exactly one final status, whatever dies in between.

    Send an `Idempotency-Key`: repeated with the same body it leads to the same render (`Idempotent-Replayed: true`).
    """
    if dry_run:
        rehearsed = await run_in_threadpool(intake.rehearse, caller, given)
        return Response(rehearsed.model_dump_json(), media_type="application/json")
    answer = await run_in_threadpool(intake.accept, caller, given, key)
    return await _under_way(request, caller, answer, patience)


@router.get("", summary="List your renders", responses=problems("cursor.invalid") | {200: answer("A page.")})
def listed(
    caller: RendersReader,
    status: Annotated[list[Status] | None, Query(description="One or more.")] = None,
    tag: Words = None,
    external_ref: Words = None,
    priority: Annotated[Priority | None, Query(description="Exactly this.")] = None,
    batch: Words = None,
    created_after: Annotated[Moment | None, Query(description="From this moment on, with its zone.")] = None,
    created_before: Annotated[Moment | None, Query(description="Before this moment, with its zone.")] = None,
    ids: Annotated[list[str] | None, Query(max_length=limits.LONGEST_PAGE, description="These alone.")] = None,
    limit: Limit = limits.PAGE,
    cursor: Cursor = None,
) -> RenderPage:
    """Your renders, newest first. Pages by key: rows that come meanwhile neither repeat nor hide any."""
    after = cursors.unpack_moment(cursor) if cursor else None
    wanted = store.Filter(
        status=[one.value for one in status or ()],
        tag=tag,
        external_ref=external_ref,
        priority=priority,
        batch=batch,
        created_after=created_after,
        created_before=created_before,
        ids=[one for one in ids or () if "\0" not in one],
    )
    if ids and not wanted.ids:
        return RenderPage(data=[], next_cursor=None)

    def work(session: Session) -> RenderPage:
        rows = store.page(session, caller.owner_id, wanted, limit=limit + 1, after=after)
        shown, more = cursors.page(rows, limit, lambda last: cursors.pack_moment(last.created_at, last.id))
        return RenderPage(data=render_bodies(session, shown), next_cursor=more)

    return look(work)


@router.get(
    "/{id}",
    response_model=RenderBody,
    summary="Look at a render",
    openapi_extra=takes("If-None-Match"),
    responses=problems("render.unknown")
    | {
        200: answer("The render as it stands.", "ETag", "Preference-Applied", "Retry-After"),
        304: answer("Nothing changed (`If-None-Match`).", "ETag", "Preference-Applied", "Retry-After"),
    },
)
async def show(id: RenderId, caller: RendersReader, request: Request, patience: Patience) -> Response:
    """A render as it stands, or, with `Prefer: wait`, once it is final; 304 with `If-None-Match` if nothing changed."""
    body = await run_in_threadpool(under_way.read, caller, id)
    if patience and body.status not in FINAL:
        body = await under_way.wait(request, caller, id, patience)
    tag = etags.of(body)
    headers = {"ETag": tag, "Cache-Control": "private, no-cache", **waiting.applied(patience)}
    if body.status not in FINAL:
        headers["Retry-After"] = str(under_way.LOOK_AGAIN_SECONDS)
    if etags.is_known(request, tag):
        return Response(status_code=304, headers=headers)
    return Response(body.model_dump_json(), headers=headers, media_type="application/json")


@router.patch(
    "/{id}",
    dependencies=[Depends(json_only)],
    response_model=RenderBody,
    summary="Change a queued render",
    openapi_extra=takes("If-Match"),
    responses=problems(*JSON_BODY, "render.unknown", "render.begun", "render.changed")
    | {200: answer("The render as it is now.", "ETag")},
)
def change(id: RenderId, given: RenderChange, caller: RendersWriter, request: Request) -> Response:
    """Change the priority or the metadata of a render that is still queued."""

    def work(session: Session) -> RenderBody:
        render = intake.held(session, caller.owner_id, id)
        etags.demand(request, etags.of(render_body(session, render)))
        store.amend(session, render, priority=given.priority, metadata=given.metadata)
        return render_body(session, render)

    body = transact(work)
    return Response(body.model_dump_json(), headers={"ETag": etags.of(body)}, media_type="application/json")


@router.delete(
    "/{id}",
    status_code=204,
    summary="Delete a render for good",
    openapi_extra=takes("If-Match"),
    responses=problems("render.unknown", "render.not_final", "render.changed") | {204: answer("It is gone.")},
)
def delete(id: RenderId, caller: RendersWriter, request: Request) -> Response:
    """Delete a final render for good: its words, its events, its files. A file that other renders use stays, and so
    does what was charged, in `/v1/usage`."""
    done = False

    def work(session: Session) -> None:
        nonlocal done
        render = store.locked(session, caller.owner_id, id)
        if render is None and done:
            return  # this call's own COMMIT, whose answer was lost
        if render is None:
            raise intake.unknown(id)
        etags.demand(request, etags.of(render_body(session, render)))
        purge.purge(session, render)
        triggers.scrub(session, render)
        publications.scrub(session, render)
        done = True

    transact(work)
    files.clear_doomed()
    return Response(status_code=204)


@router.post(
    "/{id}/cancel",
    response_model=RenderBody,
    summary="Cancel a render",
    responses=problems("render.unknown")
    | {200: answer("It is final."), 202: answer("It is being undone.", model=RenderBody)},
)
def cancel(id: RenderId, caller: RendersWriter) -> Response:
    """Cancel a render at any stage: 200 once it is final, 202 while it is being undone. Harmless to repeat."""

    def work(session: Session) -> RenderBody:
        render = store.cancel(session, caller.owner_id, id)
        if render is None:
            raise intake.unknown(id)
        return render_body(session, render)

    body = transact(work)
    return Response(
        body.model_dump_json(), status_code=200 if body.status in FINAL else 202, media_type="application/json"
    )


@router.post(
    "/{id}/retry",
    status_code=202,
    response_model=RenderBody,
    dependencies=[Depends(json_only)],
    summary="Start the next run of a render",
    responses=problems(
        *JSON_BODY,
        *IDEMPOTENT,
        *_RUNS,
        "render.unknown",
        "render.deleted",
        "render.not_final",
        "render.succeeded",
        "render.force_needed",
        "render.stale_revision",
        "session.lost",
        "session.closed",
    )
    | {
        200: answer("Final within the time of `Prefer: wait`.", *under_way.HEADERS, model=RenderBody),
        202: answer("Taken on.", *under_way.HEADERS, "Retry-After"),
    },
)
async def retry(
    id: RenderId,
    request: Request,
    caller: RendersWriter,
    key: KeyHere,
    patience: Patience,
    given: RetryRequest | None = None,
) -> Response:
    """Start the next run of a render that failed, was canceled or expired; it keeps its id.

    Where the draft of the run before is paid for and kept, only the export is made again, which is free. Otherwise a
    new message is sent, and where that could be a second charge, only with `force`.
    """
    answer = await run_in_threadpool(intake.retry, caller, id, given or RetryRequest(), key)
    return await _under_way(request, caller, answer, patience)


async def _under_way(request: Request, caller: Caller, answer: intake.Answer, patience: int | None) -> Response:
    body = await under_way.settled(request, caller, answer.body, patience)
    return Response(
        body.model_dump_json(),
        status_code=under_way.status(body, patience),
        headers=under_way.headers(body, patience, replayed=answer.replayed),
        media_type="application/json",
    )
