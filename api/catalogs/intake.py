"""A catalog is taken on with its first reading, in one transaction with its key; a file lies in storage before that."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from sqlalchemy.orm import Session

from api import idempotency
from api.auth import Caller
from api.catalogs.bodies import CatalogBody, CatalogDryRunBody, ReadBody
from api.catalogs.schemas import CatalogRequest, FileRequest
from api.catalogs.views import catalog_body, dry_run_body, read_body
from api.database import transact
from api.files import storage
from api.idempotency import Earlier, Key
from api.problems import FieldError, Problem
from api.publishers import check_publisher
from api.templating import resolved
from worker.addresses.errors import AddressError
from worker.addresses.fetch import Limits
from worker.catalogs import reads, source, store
from worker.catalogs.feeds import NotAFeed
from worker.catalogs.models import Catalog
from worker.catalogs.rehearsal import rehearse
from worker.catalogs.requests import Recipe
from worker.catalogs.source import BadStatus, Validators
from worker.database import new_id
from worker.renders import purge

Body = TypeVar("Body", CatalogBody, ReadBody)

ROUTE = "POST /v1/catalogs"
TRIED = Limits(body_bytes=64 * 1024**2, total_seconds=20.0, redirects=5)
"""What a dry run fetches at most: somebody waits for it."""


@dataclass(frozen=True)
class Sent:
    """A file that came with the request, on this machine's disk."""

    path: Path
    name: str
    sha256: str


@dataclass(frozen=True)
class Answer(Generic[Body]):
    """What a request led to, and whether an earlier one with its key had."""

    body: Body
    replayed: bool


def accept(caller: Caller, key: Key, request: CatalogRequest | FileRequest, sent: Sent | None) -> Answer[CatalogBody]:
    """Take a catalog on and have it read.

    Raises Problem `template.unknown`, `publisher.unknown`, `idempotency.…`, Archived, StorageUnavailable.
    """
    without = {"publisher_id"} if request.publisher_id is None else set[str]()  # younger than keys that may come again
    given = request.model_dump(mode="json", exclude=without)
    hashed = idempotency.body_hash(given | {"sha256": sent.sha256 if sent else None})
    catalog_id, read_id = new_id("cat"), new_id("crd")
    url, schedule = (request.url, request.schedule_seconds) if isinstance(request, CatalogRequest) else (None, None)

    def make(session: Session, storage_key: str | None) -> None:
        resolved(session, caller.owner_id, request.template)
        check_publisher(session, caller.owner_id, request.publisher_id)
        row = store.create(
            session,
            caller.owner_id,
            catalog_id=catalog_id,
            api_key_id=caller.key_id,
            name=request.name,
            url=url,
            template=request.template,
            options=request.options(),
            schedule_seconds=schedule,
            publisher_id=request.publisher_id,
        )
        _ask(session, caller, row, read_id, storage_key, sent, force=False)

    def work(session: Session, storage_key: str | None) -> Answer[CatalogBody]:
        made = idempotency.once(
            session, caller.owner_id, ROUTE, key, hashed, catalog_id, lambda: make(session, storage_key)
        )
        leads_to = made.resource_id if isinstance(made, Earlier) else catalog_id
        return Answer(shown(session, found(session, caller, leads_to)), replayed=leads_to != catalog_id)

    return _with_file(sent, read_id, work)


def read_now(caller: Caller, catalog_id: str, key: Key, *, force: bool, sent: Sent | None) -> Answer[ReadBody]:
    """Have a catalog read.

    Raises Problem `catalog.unknown`, `catalog.reading`, `catalog.no_source`, `idempotency.…`, StorageUnavailable.
    """
    hashed = idempotency.body_hash({"force": force, "sha256": sent.sha256 if sent else None})
    read_id, route = new_id("crd"), f"POST /v1/catalogs/{catalog_id}/read"

    def make(session: Session, row: Catalog, storage_key: str | None) -> None:
        if (row.url is None) == (sent is None):
            why = "Send the file to be read." if sent is None else "It is read at its address: send no file."
            raise Problem("catalog.no_source", why)
        try:
            _ask(session, caller, row, read_id, storage_key, sent, force=force)
        except reads.UnderWay as error:
            raise Problem("catalog.reading", f"Its reading {error.read_id} is not over yet.") from None

    def work(session: Session, storage_key: str | None) -> Answer[ReadBody]:
        row = found(session, caller, catalog_id)
        made = idempotency.once(
            session, caller.owner_id, route, key, hashed, read_id, lambda: make(session, row, storage_key)
        )
        leads_to = made.resource_id if isinstance(made, Earlier) else read_id
        found_read = store.read(session, catalog_id, leads_to)
        assert found_read is not None, "readings go with their catalog, which is there"
        return Answer(read_body(found_read), replayed=leads_to != read_id)

    return _with_file(sent, read_id, work)


def _ask(
    session: Session,
    caller: Caller,
    row: Catalog,
    read_id: str,
    storage_key: str | None,
    sent: Sent | None,
    *,
    force: bool,
) -> None:
    name = sent.name[:200] if sent else None
    reads.ask(
        session,
        row,
        api_key_id=caller.key_id,
        storage_key=storage_key,
        file_name=name,
        read_id=read_id,
        force=force,
    )
    if storage_key is not None:
        purge.name(session, [storage_key])


def _with_file(sent: Sent | None, read_id: str, work: Callable[[Session, str | None], Answer[Body]]) -> Answer[Body]:
    """Run `work` with the file in storage; one that nothing names in the end is deleted by housekeeping."""
    storage_key = f"catalogs/{read_id}" if sent else None
    if sent is not None and storage_key is not None:
        transact(lambda session: purge.foretell(session, [storage_key]))
        storage().put_file(storage_key, sent.path)
    return transact(lambda session: work(session, storage_key))


def rehearsed(caller: Caller, request: CatalogRequest | FileRequest, path: Path, *, fetched: bool) -> CatalogDryRunBody:
    """How the file at `path`, or what the address gives, would be understood; nothing is kept.

    Raises Problem `template.unknown`, `catalog.refused`, `catalog.unreachable`, Archived.
    """
    template = transact(lambda session: resolved(session, caller.owner_id, request.template))
    if not fetched and isinstance(request, CatalogRequest):
        _fetch(request.url, path)
    try:
        return dry_run_body(rehearse(path, Recipe(template, request.options(), caller.key_id)))
    except NotAFeed as error:
        errors = [FieldError("/", error.code)]
        raise Problem("catalog.refused", f"{error.reason} {error.remedy}", errors=errors) from None


def _fetch(url: str, path: Path) -> None:
    try:
        source.fetch(url, path, Validators(), limits=TRIED)
    except (AddressError, BadStatus) as error:
        code, detail = source.explained(error)
        if code == "address.too_large":
            detail = "A dry run fetches at most 64 MiB: try it with the file's beginning."
        raise Problem("catalog.unreachable", detail, errors=[FieldError("/url", code)]) from None


def found(session: Session, caller: Caller, catalog_id: str) -> Catalog:
    """The owner's catalog. Raises Problem `catalog.unknown`."""
    row = store.get(session, caller.owner_id, catalog_id)
    if row is None:
        raise unknown(catalog_id)
    return row


def held(session: Session, caller: Caller, catalog_id: str) -> Catalog:
    """The owner's catalog, locked. Raises Problem `catalog.unknown`."""
    row = store.locked(session, caller.owner_id, catalog_id)
    if row is None:
        raise unknown(catalog_id)
    return row


def unknown(catalog_id: str) -> Problem:
    """The problem of a catalog that is not there, or somebody else's."""
    return Problem("catalog.unknown", f"You have no catalog {catalog_id[:64]}.")


def shown(session: Session, row: Catalog) -> CatalogBody:
    """The answer for one catalog."""
    return catalog_body(row, store.last_reads(session, [row.id]).get(row.id))
