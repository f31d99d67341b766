"""The intake's verbs: put a catalog on file, show, list, change, drop it; its readings, problems and changes. Every
query names the owner it is for.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from worker.catalogs import products
from worker.catalogs.models import Catalog, CatalogChange, CatalogProblem, CatalogRead, ReadState
from worker.catalogs.options import Options
from worker.database import from_now
from worker.renders import purge


def create(
    session: Session,
    owner_id: str,
    *,
    catalog_id: str,
    api_key_id: str | None,
    name: str | None,
    url: str | None,
    template: str,
    options: Options,
    schedule_seconds: int | None,
    publisher_id: str | None = None,
) -> Catalog:
    """Put a catalog on file. Its first scheduled reading comes after the first span: one is asked for beside it."""
    row = {
        "id": catalog_id,
        "owner_id": owner_id,
        "api_key_id": api_key_id,
        "name": name,
        "url": url,
        "template": template,
        "options": options.kept(),
        "schedule_seconds": schedule_seconds,
        "publisher_id": publisher_id,
        "next_read_at": from_now(timedelta(seconds=schedule_seconds)) if schedule_seconds else None,
    }
    return session.scalars(insert(Catalog).values(row).returning(Catalog)).one()


def get(session: Session, owner_id: str, catalog_id: str) -> Catalog | None:
    """The owner's catalog, or None: somebody else's is as good as none."""
    return session.scalars(_owned(owner_id, catalog_id)).one_or_none()


def locked(session: Session, owner_id: str, catalog_id: str) -> Catalog | None:
    """As `get`, with the row locked until the transaction ends."""
    query = _owned(owner_id, catalog_id).with_for_update().execution_options(populate_existing=True)
    return session.scalars(query).one_or_none()


def _owned(owner_id: str, catalog_id: str) -> Select[Catalog]:
    return select(Catalog).where(Catalog.id == catalog_id, Catalog.owner_id == owner_id)


def page(
    session: Session, owner_id: str, *, limit: int, after: tuple[datetime, str] | None = None
) -> Sequence[Catalog]:
    """Up to `limit` of the owner's catalogs, newest first, behind `after` (keyset: creation time and id)."""
    query = select(Catalog).where(Catalog.owner_id == owner_id)
    if after is not None:
        query = query.where(tuple_(Catalog.created_at, Catalog.id) < tuple_(*after))
    return session.scalars(query.order_by(Catalog.created_at.desc(), Catalog.id.desc()).limit(limit)).all()


def amend(session: Session, catalog: Catalog, changes: Mapping[str, Any], options: Options | None) -> Catalog:
    """Change a locked catalog: name, template, schedule_seconds, publisher_id. The next reading is a whole one."""
    values: dict[str, Any] = {**changes, "etag": None, "last_modified": None, "updated_at": func.now()}
    if "schedule_seconds" in changes:
        seconds = changes["schedule_seconds"]
        values["next_read_at"] = from_now(timedelta(seconds=seconds)) if seconds else None
    if options is not None:
        values["options"] = options.kept()
    session.execute(
        update(Catalog).where(Catalog.id == catalog.id).values(**values).execution_options(synchronize_session=False)
    )
    session.refresh(catalog)
    return catalog


def drop(session: Session, catalog: Catalog) -> None:
    """Forget a locked catalog and its readings; its batches and renders stay. A worker that reads it stops."""
    kept = select(CatalogRead.storage_key).where(
        CatalogRead.catalog_id == catalog.id, CatalogRead.storage_key.is_not(None)
    )
    purge.doom(session, [key for key in session.scalars(kept) if key])
    session.delete(catalog)
    session.flush()


def last_reads(session: Session, catalog_ids: Sequence[str]) -> dict[str, CatalogRead]:
    """The newest reading of each catalog."""
    query = select(CatalogRead).where(CatalogRead.catalog_id.in_(catalog_ids)).distinct(CatalogRead.catalog_id)
    return {
        row.catalog_id: row for row in session.scalars(query.order_by(CatalogRead.catalog_id, CatalogRead.id.desc()))
    }


def reads(session: Session, catalog_id: str, *, limit: int, before: str | None = None) -> Sequence[CatalogRead]:
    """Up to `limit` readings of a catalog, newest first, before the one whose id is `before`."""
    query = select(CatalogRead).where(CatalogRead.catalog_id == catalog_id)
    if before is not None:
        query = query.where(CatalogRead.id < before)
    return session.scalars(query.order_by(CatalogRead.id.desc()).limit(limit)).all()


def read(session: Session, catalog_id: str, read_id: str) -> CatalogRead | None:
    """One reading of a catalog."""
    query = select(CatalogRead).where(CatalogRead.id == read_id, CatalogRead.catalog_id == catalog_id)
    return session.scalars(query).one_or_none()


def problems(session: Session, read_id: str, *, limit: int, after: int = 0) -> Sequence[CatalogProblem]:
    """Up to `limit` problems behind the one whose number is `after`, in the source's order."""
    query = select(CatalogProblem).where(CatalogProblem.read_id == read_id, CatalogProblem.id > after)
    return session.scalars(query.order_by(CatalogProblem.id).limit(limit)).all()


def changes(
    session: Session, read: CatalogRead, *, limit: int, after: int = 0, kinds: Sequence[str] = ()
) -> Sequence[CatalogChange]:
    """Up to `limit` of what a reading that is done changed, of some kinds alone where named; before that nothing is."""
    if read.state != ReadState.DONE:
        return []
    query = select(CatalogChange).where(CatalogChange.read_id == read.id, CatalogChange.id > after)
    query = query.where(~products.is_no_news())
    if kinds:
        query = query.where(CatalogChange.kind.in_(kinds))
    return session.scalars(query.order_by(CatalogChange.id).limit(limit)).all()
