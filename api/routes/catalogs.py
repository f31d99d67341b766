"""Catalogs: taken on from a file or an address, read again, shown, changed, dropped."""

from pathlib import Path
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from api import cursors, json_body, limits
from api.auth import RendersReader, RendersWriter
from api.catalogs import intake
from api.catalogs.bodies import (
    CatalogBody,
    CatalogDryRunBody,
    CatalogPage,
    ChangePage,
    ProductProblemPage,
    ReadBody,
    ReadPage,
)
from api.catalogs.intake import Answer, Sent
from api.catalogs.schemas import CatalogChange, CatalogRequest, FileRequest, ReadRequest
from api.catalogs.views import catalog_body, change_body, problem_body, read_body
from api.database import look, transact
from api.idempotency import KeyHere
from api.json_body import JsonRoute
from api.problems import Problem
from api.publishers import check_publisher
from api.routes.common import CatalogId, Cursor, Limit, ReadId, json_only, only_known
from api.routes.documented import IDEMPOTENT, JSON_BODY, Entry, answer, problems
from api.schemas import Priority
from api.templating import resolved
from api.uploads.receive import Spool, spool
from worker.catalogs import store
from worker.catalogs.models import CatalogRead, Kind
from worker.catalogs.options import Include
from worker.catalogs.source import LARGEST

Model = TypeVar("Model", bound=BaseModel)

LOOK_AGAIN_SECONDS = 5
"""`Retry-After` of a reading: most take seconds."""

router = APIRouter(prefix="/v1/catalogs", tags=["catalogs"], dependencies=[Depends(only_known)], route_class=JsonRoute)

_BYTES: Entry = {"schema": {"type": "string", "format": "binary"}}
_FORM: Entry = {
    "schema": {
        "type": "object",
        "properties": {"file": {"type": "string", "format": "binary"}},
        "required": ["file"],
        "additionalProperties": False,
    }
}


def _taken(model: str, *, required: bool) -> Entry:
    body = {"application/json": {"schema": {"$ref": f"#/components/schemas/{model}"}}}
    return {
        "requestBody": {
            "required": required,
            "content": body | {"application/octet-stream": _BYTES, "multipart/form-data": _FORM},
        }
    }


_FILE = ("upload.empty", "upload.malformed", "upload.cut", "upload.too_large", "storage.unavailable")


def _options(
    template: Annotated[str | None, Query(description="With a file: `promo`, or `promo@3`.")] = None,
    name: Annotated[str | None, Query(description="For people.")] = None,
    include: Annotated[list[Include] | None, Query(description="Products that are left out otherwise.")] = None,
    ref_prefix: Annotated[str | None, Query(description="Before each product's ref in `external_ref`.")] = None,
    language: Annotated[str | None, Query(description="Of the videos.")] = None,
    priority: Annotated[Priority | None, Query(description="Of the renders.")] = None,
    tag: Annotated[list[str] | None, Query(description="Of the renders.")] = None,
    first: Annotated[int | None, Query(description="Begin so many; the others wait for approval.")] = None,
    max_credits: Annotated[float | None, Query(description="Pause before more is spent.")] = None,
    max_failure_rate: Annotated[float | None, Query(description="Pause when more than this share failed.")] = None,
    publisher_id: Annotated[str | None, Query(description="Brings the finished videos to their products.")] = None,
) -> dict[str, Any]:
    given = {
        "template": template,
        "name": name,
        "include": include,
        "ref_prefix": ref_prefix,
        "language": language,
        "priority": priority,
        "tags": tag,
        "first": first,
        "max_credits": max_credits,
        "max_failure_rate": max_failure_rate,
        "publisher_id": publisher_id,
    }
    return {name: value for name, value in given.items() if value is not None}


def _checked(model: type[Model], given: Any, source: str) -> Model:
    """Raises RequestValidationError."""
    try:
        return model.model_validate(given)
    except ValidationError as wrong:
        raise RequestValidationError([{**one, "loc": (source, *one["loc"])} for one in wrong.errors()]) from None


def _is_json(request: Request) -> bool:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"


@router.post(
    "",
    status_code=202,
    response_model=CatalogBody,
    summary="Take a catalog on",
    openapi_extra=_taken("CatalogRequest", required=True),
    responses=problems(
        *JSON_BODY,
        *IDEMPOTENT,
        *_FILE,
        *("template.unknown", "template.archived", "publisher.unknown"),
        *("catalog.refused", "catalog.unreachable", "catalog.unknown"),
    )
    | {
        200: answer("With `dry_run`: how it was understood.", model=CatalogDryRunBody),
        202: answer("Taken on; it is being read.", "Location", "Retry-After", "Idempotent-Replayed"),
    },
)
async def create(
    request: Request,
    caller: RendersWriter,
    key: KeyHere,
    options: Annotated[dict[str, Any], Depends(_options)],
    dry_run: Annotated[bool, Query(description="Only try it out; nothing is kept or charged.")] = False,
) -> Response:
    """Take a shop's catalog on: at an address (`url` in a JSON body), or the file itself as the body or as the one file
    of a multipart form, its options as parameters of the address. Its format is told by its content.

    Each product becomes a render of the template; what was rendered before and did not change costs nothing. From
    this answer on the reading ends in `done` or `failed`. A dry run fetches at most 64 MiB in 20 s.
    """
    if _is_json(request):
        asked = _checked(CatalogRequest, json_body.read(await request.body()), "body")
        if options:
            wrong = [{"type": "extra_forbidden", "loc": ("query", name)} for name in options]
            raise RequestValidationError([{**one, "msg": "for files; a JSON body has its own"} for one in wrong])
        if not dry_run:
            return _catalog(await run_in_threadpool(intake.accept, caller, key, asked, None))
        empty = await run_in_threadpool(Spool, LARGEST, "catalog-")
        try:
            return _shown(await run_in_threadpool(intake.rehearsed, caller, asked, empty.path, fetched=False))
        finally:
            await run_in_threadpool(empty.close)
    of_file = _checked(FileRequest, options, "query")
    body = await run_in_threadpool(Spool, LARGEST, "catalog-")
    try:
        await spool(request, body)
        if dry_run:
            return _shown(await run_in_threadpool(intake.rehearsed, caller, of_file, body.path, fetched=True))
        sent = Sent(body.path, Path(body.name).name, body.sha256)
        return _catalog(await run_in_threadpool(intake.accept, caller, key, of_file, sent))
    finally:
        await run_in_threadpool(body.close)


@router.get("", summary="List your catalogs", responses=problems("cursor.invalid") | {200: answer("A page.")})
def listed(caller: RendersReader, limit: Limit = limits.PAGE, cursor: Cursor = None) -> CatalogPage:
    """Your catalogs with their last readings, newest first."""
    after = cursors.unpack_moment(cursor) if cursor else None

    def work(session: Session) -> CatalogPage:
        rows = store.page(session, caller.owner_id, limit=limit + 1, after=after)
        shown, more = cursors.page(rows, limit, lambda last: cursors.pack_moment(last.created_at, last.id))
        last = store.last_reads(session, [row.id for row in shown])
        return CatalogPage(data=[catalog_body(row, last.get(row.id)) for row in shown], next_cursor=more)

    return look(work)


@router.get("/{id}", summary="Look at a catalog", responses=problems("catalog.unknown") | {200: answer("It.")})
def show(id: CatalogId, caller: RendersReader) -> CatalogBody:
    """A catalog with its last reading."""
    return look(lambda session: intake.shown(session, intake.found(session, caller, id)))


@router.patch(
    "/{id}",
    dependencies=[Depends(json_only)],
    summary="Change a catalog",
    responses=problems(
        *JSON_BODY, "catalog.unknown", "catalog.no_source", "template.unknown", "template.archived", "publisher.unknown"
    )
    | {200: answer("As it is now.")},
)
def change(id: CatalogId, given: CatalogChange, caller: RendersWriter) -> CatalogBody:
    """Change name, template, schedule, publisher or options. What is being read is read as it was asked for."""

    def work(session: Session) -> CatalogBody:
        row = intake.held(session, caller, id)
        changes = {name: getattr(given, name) for name in given.model_fields_set if name != "options"}
        if changes.get("schedule_seconds") is not None and row.url is None:
            raise Problem("catalog.no_source", "It has no address that could be read by a schedule.")
        if changes.get("template", "") is None:
            del changes["template"]
        if given.template is not None:
            resolved(session, caller.owner_id, given.template)
        check_publisher(session, caller.owner_id, given.publisher_id)
        options = given.options.options() if given.options is not None else None
        return intake.shown(session, store.amend(session, row, changes, options))

    return transact(work)


@router.delete(
    "/{id}",
    status_code=204,
    summary="Forget a catalog",
    responses=problems("catalog.unknown") | {204: answer("It is gone.")},
)
def delete(id: CatalogId, caller: RendersWriter) -> Response:
    """Forget a catalog and its readings. Its batches, renders and videos stay."""
    done = False

    def work(session: Session) -> None:
        nonlocal done
        row = store.locked(session, caller.owner_id, id)
        if row is None and done:
            return  # this call's own COMMIT, whose answer was lost
        if row is None:
            raise intake.unknown(id)
        store.drop(session, row)
        done = True

    transact(work)
    return Response(status_code=204)


@router.post(
    "/{id}/read",
    status_code=202,
    response_model=ReadBody,
    summary="Read a catalog now",
    openapi_extra=_taken("ReadRequest", required=False),
    responses=problems(*JSON_BODY, *IDEMPOTENT, *_FILE, "catalog.unknown", "catalog.reading", "catalog.no_source")
    | {202: answer("It is being read.", "Location", "Retry-After", "Idempotent-Replayed")},
)
async def read(
    id: CatalogId,
    request: Request,
    caller: RendersWriter,
    key: KeyHere,
    force: Annotated[bool, Query(description="With a file: render every product again.")] = False,
) -> Response:
    """Read a catalog again, now: at its address, or the file that is sent. `force` renders every product again."""
    if _is_json(request) or "content-type" not in request.headers:
        content = await request.body()
        given = _checked(ReadRequest, json_body.read(content) if content else {}, "body")
        forced = given.force or force
        return _read(await run_in_threadpool(intake.read_now, caller, id, key, force=forced, sent=None))
    body = await run_in_threadpool(Spool, LARGEST, "catalog-")
    try:
        await spool(request, body)
        sent = Sent(body.path, Path(body.name).name, body.sha256)
        return _read(await run_in_threadpool(intake.read_now, caller, id, key, force=force, sent=sent))
    finally:
        await run_in_threadpool(body.close)


@router.get(
    "/{id}/reads",
    summary="List a catalog's readings",
    responses=problems("catalog.unknown", "cursor.invalid") | {200: answer("A page.")},
)
def reads(id: CatalogId, caller: RendersReader, limit: Limit = limits.PAGE, cursor: Cursor = None) -> ReadPage:
    """Readings of a catalog, newest first."""
    before = cursors.unpack_id(cursor) if cursor else None

    def work(session: Session) -> ReadPage:
        rows = store.reads(session, intake.found(session, caller, id).id, limit=limit + 1, before=before)
        shown, more = cursors.page(rows, limit, lambda last: cursors.pack_id(last.id))
        return ReadPage(data=[read_body(row) for row in shown], next_cursor=more)

    return look(work)


@router.get(
    "/{id}/reads/{read_id}",
    summary="Look at a reading",
    responses=problems("catalog.unknown", "catalog.read_unknown") | {200: answer("It.")},
)
def reading(id: CatalogId, read_id: ReadId, caller: RendersReader) -> ReadBody:
    """One reading of a catalog: what was understood, what came of it."""
    return look(lambda session: read_body(_found(session, caller, id, read_id)))


@router.get(
    "/{id}/reads/{read_id}/problems",
    summary="What was wrong in a reading",
    responses=problems("catalog.unknown", "catalog.read_unknown", "cursor.invalid") | {200: answer("A page.")},
)
def wrong(
    id: CatalogId, read_id: ReadId, caller: RendersReader, limit: Limit = limits.PAGE, cursor: Cursor = None
) -> ProductProblemPage:
    """Rows that became no render, and remarks on others; the first 10,000 of a reading are kept."""
    after = cursors.unpack_number(cursor) if cursor else 0

    def work(session: Session) -> ProductProblemPage:
        rows = store.problems(session, _found(session, caller, id, read_id).id, limit=limit + 1, after=after)
        shown, more = cursors.page(rows, limit, lambda last: cursors.pack_number(last.id))
        return ProductProblemPage(data=[problem_body(row) for row in shown], next_cursor=more)

    return look(work)


@router.get(
    "/{id}/reads/{read_id}/changes",
    summary="What a reading changed",
    responses=problems("catalog.unknown", "catalog.read_unknown", "cursor.invalid") | {200: answer("A page.")},
)
def changes(
    id: CatalogId,
    read_id: ReadId,
    caller: RendersReader,
    kind: Annotated[list[Kind] | None, Query(description="These alone.")] = None,
    limit: Limit = limits.PAGE,
    cursor: Cursor = None,
) -> ChangePage:
    """Products that are new, changed, rendered again or gone since the reading before; nothing until it is done."""
    after = cursors.unpack_number(cursor) if cursor else 0
    kinds = [one.value for one in kind or ()]

    def work(session: Session) -> ChangePage:
        found = _found(session, caller, id, read_id)
        rows = store.changes(session, found, limit=limit + 1, after=after, kinds=kinds)
        shown, more = cursors.page(rows, limit, lambda last: cursors.pack_number(last.id))
        return ChangePage(data=[change_body(row) for row in shown], next_cursor=more)

    return look(work)


def _found(session: Session, caller: Any, catalog_id: str, read_id: str) -> CatalogRead:
    """Raises Problem `catalog.unknown`, `catalog.read_unknown`."""
    row = store.read(session, intake.found(session, caller, catalog_id).id, read_id)
    if row is None:
        raise Problem("catalog.read_unknown", f"The catalog has no reading {read_id}.")
    return row


def _shown(body: BaseModel) -> Response:
    return Response(body.model_dump_json(), media_type="application/json")


def _catalog(made: Answer[CatalogBody]) -> Response:
    return _accepted(made, made.body.links["self"])


def _read(made: Answer[ReadBody]) -> Response:
    return _accepted(made, made.body.links["self"])


def _accepted(made: Answer[Any], at: str) -> Response:
    headers = {"Location": at, "Retry-After": str(LOOK_AGAIN_SECONDS)}
    if made.replayed:
        headers["Idempotent-Replayed"] = "true"
    return Response(made.body.model_dump_json(), status_code=202, headers=headers, media_type="application/json")
