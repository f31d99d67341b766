"""Batches: taken on, shown, listed, steered, reported."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from api import cursors, limits
from api.auth import Caller, RendersReader, RendersWriter
from api.batches import asking, intake, manifest, rehearsal, rejected, retrying, steering
from api.batches.asking import Kind
from api.batches.bodies import BatchBody, BatchPage, ItemPage, RetriedBody, RowProblemPage
from api.batches.intake import Asked
from api.batches.manifest import MEDIA_TYPES, Format
from api.batches.schemas import BatchChange, BatchOptions
from api.batches.views import batch_body, found, item_body, problem_body, received
from api.database import look
from api.idempotency import Key, KeyHere
from api.json_body import JsonRoute
from api.routes.batch_documents import CREATED, MANIFEST, PROBLEMS, TAKEN
from api.routes.common import BatchId, Cursor, Limit, json_only, only_known
from api.routes.documented import IDEMPOTENT, JSON_BODY, answer, problems
from api.schemas import Priority, RetryRequest
from api.uploads.receive import Spool, spool
from worker.batches import store
from worker.renders.states import Status

LOOK_AGAIN_SECONDS = 10
"""`Retry-After` of a batch under way."""
_GOING = ("batch.unknown", "batch.receiving", "batch.finished", "batch.canceling")

router = APIRouter(prefix="/v1/batches", tags=["batches"], dependencies=[Depends(only_known)], route_class=JsonRoute)


def _options(
    name: Annotated[str | None, Query(description="For people.")] = None,
    priority: Annotated[Priority | None, Query(description="Of its renders.")] = None,
    first: Annotated[
        int | None, Query(ge=1, le=limits.LARGEST_NUMBER, description="Begin so many; the others wait for approval.")
    ] = None,
    max_credits: Annotated[float | None, Query(ge=1, le=1e12, description="Pause before more is spent.")] = None,
    max_failure_rate: Annotated[
        float | None, Query(ge=0, le=1, description="Pause when more than this share failed.")
    ] = None,
    template: Annotated[str | None, Query(max_length=200, description="That its rows fill; as in `defaults`.")] = None,
    defaults: Annotated[
        str | None, Query(description="A JSON object: fields that all items have unless they have their own.")
    ] = None,
) -> dict[str, Any]:
    common = asking.defaults(defaults) | ({"template": template} if template is not None else {})
    given = {
        "name": name,
        "priority": priority,
        "first": first,
        "max_credits": max_credits,
        "max_failure_rate": max_failure_rate,
        "defaults": common or None,
    }
    return {name: value for name, value in given.items() if value is not None}


@router.post(
    "",
    status_code=202,
    response_model=BatchBody,
    summary="Ask for many videos",
    openapi_extra=TAKEN,
    responses=problems(
        *JSON_BODY,
        *IDEMPOTENT,
        *("batch.empty", "batch.header", "batch.lost", "limit.in_flight", "limit.credits"),
        *("upload.empty", "upload.malformed", "upload.cut", "upload.too_large"),
    )
    | CREATED,
)
async def create(
    request: Request,
    caller: RendersWriter,
    key: KeyHere,
    options: Annotated[dict[str, Any], Depends(_options)],
    dry_run: Annotated[bool, Query(description="Only check all rows; nothing is kept or charged.")] = False,
) -> Response:
    """Ask for many videos: up to 500 items in a JSON body, or a file of any size, JSON Lines or CSV, as the body or as
    the one file of a multipart form. A file's options are parameters of the address.

    Rows that are not valid are listed among the batch's problems, with their lines; the others are made. From this
    answer on each of them ends in exactly one final status. Before it nothing is promised: repeat the call with its
    `Idempotency-Key`.
    """
    kind = asking.declared(request.headers.get("content-type", ""))
    if kind == "inline":
        if options:
            wrong = [{"type": "extra_forbidden", "loc": ("query", name)} for name in options]
            raise RequestValidationError([{**one, "msg": "for files; a JSON body has its own"} for one in wrong])
        asked = asking.inline(caller, await request.body())
        return await run_in_threadpool(_take_on, caller, key, asked, dry_run)
    checked = _checked(options)
    body = await run_in_threadpool(Spool, limits.BATCH_FILE_BYTES, "batch-")
    try:
        await spool(request, body)
        of_file: Kind = asking.by_name(body.name) if kind == "multipart" else kind
        asked = await run_in_threadpool(asking.from_file, caller, checked, of_file, body.path, body.sha256)
        return await run_in_threadpool(_take_on, caller, key, asked, dry_run)
    finally:
        await run_in_threadpool(body.close)


def _checked(options: dict[str, Any]) -> BatchOptions:
    try:
        return BatchOptions.model_validate(options)
    except ValidationError as wrong:
        raise RequestValidationError([{**one, "loc": ("query", *one["loc"])} for one in wrong.errors()]) from None


def _take_on(caller: Caller, key: Key, asked: Asked, dry_run: bool) -> Response:
    if dry_run:
        rehearsed = rehearsal.rehearse(caller, asked)
        return Response(rehearsed.model_dump_json(), media_type="application/json")
    made = intake.accept(caller, key, asked)
    headers = {"Location": f"/v1/batches/{made.body.id}", "Retry-After": str(LOOK_AGAIN_SECONDS)}
    if made.replayed:
        headers["Idempotent-Replayed"] = "true"
    return Response(made.body.model_dump_json(), status_code=202, headers=headers, media_type="application/json")


@router.get("", summary="List your batches", responses=problems("cursor.invalid") | {200: answer("A page.")})
def listed(caller: RendersReader, limit: Limit = limits.PAGE, cursor: Cursor = None) -> BatchPage:
    """Your batches, newest first, by pages that neither repeat nor hide any."""
    after = cursors.unpack_moment(cursor) if cursor else None

    def work(session: Session) -> BatchPage:
        rows = store.page(session, caller.owner_id, limit=limit + 1, after=after)
        shown, more = cursors.page(rows, limit, lambda last: cursors.pack_moment(last.created_at, last.id))
        return BatchPage(data=[batch_body(session, row) for row in shown], next_cursor=more)

    return look(work)


@router.get(
    "/{id}",
    response_model=BatchBody,
    summary="Look at a batch",
    responses=problems("batch.unknown") | {200: answer("The batch as it stands.", "Retry-After")},
)
def show(id: BatchId, caller: RendersReader) -> Response:
    """A batch as it stands: how many of its renders are where, what they cost, when it will be over."""
    body = look(lambda session: batch_body(session, found(session, caller.owner_id, id)))
    headers = {} if body.status == "finished" else {"Retry-After": str(LOOK_AGAIN_SECONDS)}
    return Response(body.model_dump_json(), headers=headers, media_type="application/json")


@router.patch(
    "/{id}",
    dependencies=[Depends(json_only)],
    summary="Change a batch",
    responses=problems(*JSON_BODY, "batch.unknown", "batch.receiving") | {200: answer("The batch as it is now.")},
)
def change(id: BatchId, given: BatchChange, caller: RendersWriter) -> BatchBody:
    """Change its name, metadata and limits, or the priority of those of its renders that are still queued."""
    return steering.change(caller, id, given)


@router.get(
    "/{id}/items",
    summary="List a batch's renders",
    responses=problems("batch.unknown", "batch.receiving", "cursor.invalid") | {200: answer("A page.")},
)
def items(
    id: BatchId,
    caller: RendersReader,
    status: Annotated[list[Status] | None, Query(description="One or more.")] = None,
    limit: Limit = limits.PAGE,
    cursor: Cursor = None,
) -> ItemPage:
    """A batch's renders in the order of its source, in short."""
    after = cursors.unpack_position(cursor) if cursor else 0
    statuses = [one.value for one in status or ()]

    def work(session: Session) -> ItemPage:
        batch = received(session, caller.owner_id, id)
        rows = store.items(session, batch.id, statuses=statuses, after=after, limit=limit + 1)
        shown, more = cursors.page(rows, limit, lambda last: cursors.pack_number(last.batch_position or 0))
        return ItemPage(data=[item_body(row) for row in shown], next_cursor=more)

    return look(work)


@router.get(
    "/{id}/problems",
    response_model=RowProblemPage,
    summary="List a batch's rejected rows",
    responses=problems("batch.unknown", "cursor.invalid") | PROBLEMS,
)
def problem_list(
    id: BatchId,
    caller: RendersReader,
    format: Annotated[
        Literal["json", "csv"], Query(description="`csv`: all of them as one file, to be mended and sent again.")
    ] = "json",
    limit: Limit = limits.PAGE,
    cursor: Cursor = None,
) -> Response:
    """The rows that became no render, with their lines and why."""
    after = cursors.unpack_line(cursor) if cursor else (0, 0)
    if format == "csv":
        batch = look(lambda session: found(session, caller.owner_id, id))
        return _file(rejected.lines(batch), MEDIA_TYPES["csv"], f"{id}-problems.csv")

    def work(session: Session) -> RowProblemPage:
        batch = found(session, caller.owner_id, id)
        rows = store.problems(session, batch.id, after=after, limit=limit + 1)
        shown, more = cursors.page(rows, limit, lambda last: cursors.pack_line(last.line, last.id))
        return RowProblemPage(data=[problem_body(row) for row in shown], next_cursor=more)

    return Response(look(work).model_dump_json(), media_type="application/json")


@router.get(
    "/{id}/manifest",
    response_class=StreamingResponse,
    summary="What became of each row",
    responses=problems("batch.unknown", "batch.receiving") | MANIFEST,
)
def manifest_of(
    id: BatchId,
    caller: RendersReader,
    request: Request,
    format: Annotated[Format, Query(description="JSON Lines or CSV.")] = "jsonl",
) -> Response:
    """A line for each of its renders, in the order of the source, streamed; it can be taken while the batch runs.

    `address` is the video's, `duration` in seconds, `credits` over all runs, `error` the code of what it failed with.
    """
    look(lambda session: received(session, caller.owner_id, id))
    base = str(request.base_url).rstrip("/")
    return _file(manifest.lines(id, format, base), MEDIA_TYPES[format], f"{id}.{format}")


def _file(pieces: Iterator[str], media_type: str, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(pieces, media_type=media_type, headers=headers)


@router.post(
    "/{id}/cancel",
    response_model=BatchBody,
    summary="Cancel a batch",
    responses=problems("batch.unknown", "batch.receiving")
    | {200: answer("It is finished."), 202: answer("It is being undone.", model=BatchBody)},
)
def cancel(id: BatchId, caller: RendersWriter) -> Response:
    """Cancel what is not final of a batch: nothing begins from now on, and each render is cancelled by the service.
    Harmless to repeat."""
    body = steering.cancel(caller, id)
    status = 200 if body.status == "finished" else 202
    return Response(body.model_dump_json(), status_code=status, media_type="application/json")


@router.post("/{id}/pause", summary="Pause a batch", responses=problems(*_GOING) | {200: answer("It is paused.")})
def pause(id: BatchId, caller: RendersWriter) -> BatchBody:
    """Begin nothing new of a batch; what is under way goes on. Harmless to repeat."""
    return steering.pause(caller, id)


@router.post(
    "/{id}/resume",
    summary="Resume a batch",
    responses=problems(*_GOING, "batch.max_credits") | {200: answer("It goes on.")},
)
def resume(id: BatchId, caller: RendersWriter) -> BatchBody:
    """Let a paused batch go on. One that paused itself for its failures counts them anew from here."""
    return steering.resume(caller, id)


@router.post(
    "/{id}/approve", summary="Approve a batch", responses=problems(*_GOING) | {200: answer("All of it may begin.")}
)
def approve(id: BatchId, caller: RendersWriter) -> BatchBody:
    """Let the renders begin that waited behind the `first` ones. Harmless to repeat."""
    return steering.approve(caller, id)


@router.post(
    "/{id}/retry-failed",
    response_model=RetriedBody,
    dependencies=[Depends(json_only)],
    summary="Begin a batch's failed renders anew",
    responses=problems(
        *JSON_BODY,
        *IDEMPOTENT,
        *("batch.unknown", "batch.receiving", "batch.canceling", "limit.in_flight", "limit.credits"),
    )
    | {200: answer("How many began, and how many are left.", "Idempotent-Replayed")},
)
def retry_failed(id: BatchId, caller: RendersWriter, key: KeyHere, given: RetryRequest | None = None) -> Response:
    """Start the next run of up to 1,000 renders that failed or expired. Those for which another message could be
    charged a second time are left out, unless `force` says so."""
    body, replayed = retrying.retry(caller, id, given or RetryRequest(), key)
    headers = {"Idempotent-Replayed": "true"} if replayed else {}
    return Response(body.model_dump_json(), headers=headers, media_type="application/json")
