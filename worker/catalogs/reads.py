"""The life of a reading, on its row: asked for, due, claimed, let go, ended. Leases as those of renders, but simple: a
reading that changes hands begins afresh.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, delete, exists, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, aliased

from config.settings import settings
from worker.catalogs.models import Catalog, CatalogChange, CatalogProblem, CatalogRead, ReadState, Trigger
from worker.database import ago, from_now, new_id
from worker.renders import queue
from worker.renders.models import Worker

AT_ONCE = 100
LOST_AFTER = timedelta(minutes=30)
"""Without a write on its row a reading is nobody's, whoever lives: no step between two writes takes half as long."""
MOST_DEATHS = 5
"""Workers it may be taken from before it counts as what kills them."""
SOONEST = timedelta(seconds=60)
"""Between two readings by schedule."""


class LeaseLost(Exception):
    """Another worker has the reading, or it is over: whatever this one still holds of it is void."""

    def __init__(self, read_id: str, lease: int) -> None:
        super().__init__(f"lease {lease} of {read_id} is no longer held")


class UnderWay(Exception):
    """The catalog is being read already."""

    def __init__(self, read: CatalogRead) -> None:
        super().__init__(f"{read.catalog_id} is being read: {read.id}")
        self.read_id = read.id


@dataclass(frozen=True)
class Due:
    """A reading to send a message about."""

    id: str
    lease: int


@dataclass(frozen=True)
class Held:
    """A claimed reading."""

    read: CatalogRead
    catalog: Catalog
    worker: str
    lease: int


def ask(
    session: Session,
    catalog: Catalog,
    *,
    api_key_id: str | None,
    force: bool = False,
    storage_key: str | None = None,
    file_name: str | None = None,
    read_id: str | None = None,
) -> CatalogRead:
    """Have a catalog read now. From this transaction's commit on the reading ends in `done` or `failed`.

    Raises UnderWay.
    """
    values = {
        "id": read_id or new_id("crd"),
        "catalog_id": catalog.id,
        "owner_id": catalog.owner_id,
        "api_key_id": api_key_id,
        "trigger": Trigger.ASKED.value,
        "force": force,
        "storage_key": storage_key,
        "file_name": file_name,
    }
    made = session.scalars(insert(CatalogRead).values(values).on_conflict_do_nothing().returning(CatalogRead))
    read = made.one_or_none()
    if read is None:
        unfinished = CatalogRead.catalog_id == catalog.id, CatalogRead.finished_at.is_(None)
        other = session.scalars(select(CatalogRead).where(*unfinished)).one_or_none()
        if other is None:  # it ended in this moment
            return ask(
                session, catalog, api_key_id=api_key_id, force=force, storage_key=storage_key, file_name=file_name
            )
        if other.id != values["id"]:  # it is ours where a COMMIT's answer was lost
            raise UnderWay(other)
        return other
    queue.notify_due(session)
    return read


def due(session: Session, *, silent: bool = True) -> list[Due]:
    """What the dispatcher sends now, marked as sent: scheduled catalogs whose time has come, readings whose worker is
    gone, and those that were asked for. As many as leave half of the media workers to the videos, owner by owner.

    Not `silent`: nobody could renew a heartbeat lately, so silence alone says nothing.
    """
    lease, redispatch = settings().waits.lease_seconds, settings().waits.redispatch_seconds
    _free(session, lease=lease, silent=silent)
    _schedule(session)
    places = max(1, queue.capacity(session, lease=lease).get("media", 0) // 2)
    on_way = CatalogRead.sent_at >= ago(redispatch)
    busy = session.scalar(
        select(func.count())
        .select_from(CatalogRead)
        .where(CatalogRead.finished_at.is_(None), or_(CatalogRead.worker_id.is_not(None), on_way))
    )
    free = _in_turn(on_way).limit(max(0, places - (busy or 0))).with_for_update(of=CatalogRead, skip_locked=True)
    # Found once: as a part of the update it may be asked anew for each row, and finds others then.
    sent = update(CatalogRead).where(CatalogRead.id.in_(session.scalars(free).all())).values(sent_at=func.now())
    rows = session.execute(sent.returning(CatalogRead.id, CatalogRead.lease).execution_options(**_AS_IS)).all()
    return [Due(row.id, row.lease) for row in rows]


def _in_turn(on_way: ColumnElement[bool]) -> Select[str]:
    """Readings that wait to be sent: those of the owner who has the fewest under way first, of these the one's who was
    served the longest time ago, of his the one that waits the longest. A shop whose server takes half an hour for each
    of its feeds has its turn after that as often as the others."""
    open_ = CatalogRead.finished_at.is_(None)
    waits = CatalogRead.worker_id.is_(None), or_(CatalogRead.sent_at.is_(None), ~on_way)
    mine = func.row_number().over(partition_by=CatalogRead.owner_id, order_by=(CatalogRead.ready_at, CatalogRead.id))
    ready = select(CatalogRead.id, CatalogRead.owner_id, mine.label("place"))
    waiting = ready.where(open_, *waits, CatalogRead.ready_at <= func.now()).subquery()
    other = aliased(CatalogRead)
    its = select(func.count()).where(
        other.owner_id == waiting.c.owner_id,
        other.finished_at.is_(None),
        or_(other.worker_id.is_not(None), other.sent_at >= ago(settings().waits.redispatch_seconds)),
    )
    served = select(func.max(other.seen_at)).where(other.owner_id == waiting.c.owner_id)
    return (
        select(CatalogRead.id)
        .join(waiting, waiting.c.id == CatalogRead.id)
        .where(open_, *waits)
        .order_by(
            its.scalar_subquery() + waiting.c.place,
            served.scalar_subquery().asc().nulls_first(),
            CatalogRead.ready_at,
            CatalogRead.id,
        )
    )


_AS_IS: dict[str, Any] = {"synchronize_session": False}


def _free(session: Session, *, lease: timedelta, silent: bool) -> None:
    """Readings whose worker said goodbye, is gone, fell silent or lost track of them. What fails too often is ended."""
    mine = Worker.id == CatalogRead.worker_id
    stopped = exists().where(mine, Worker.stopped_at.is_not(None))
    alive = exists().where(mine, Worker.stopped_at.is_(None), Worker.seen_at >= ago(lease))
    after_a_start = and_(literal(silent), func.pg_postmaster_start_time() < ago(lease))
    lost = or_(stopped, and_(~alive, after_a_start), CatalogRead.seen_at < ago(LOST_AFTER))
    freed = (
        select(CatalogRead.id)
        .where(CatalogRead.finished_at.is_(None), CatalogRead.worker_id.is_not(None), lost)
        .with_for_update(skip_locked=True)
    )
    taken = {"worker_id": None, "sent_at": None, "ready_at": func.now(), "deaths": CatalogRead.deaths + 1}
    session.execute(update(CatalogRead).where(CatalogRead.id.in_(freed)).values(**taken).execution_options(**_AS_IS))


def _schedule(session: Session) -> None:
    """A reading for each catalog whose time has come: one, however many times were missed. Where one is under way
    the next comes at its time."""
    rows = session.scalars(
        select(Catalog)
        .where(Catalog.next_read_at <= func.now())
        .order_by(Catalog.next_read_at)
        .limit(AT_ONCE)
        .with_for_update(skip_locked=True)
    ).all()
    # Looked for first: an insert beside the last moments of a reading would wait for its transaction, and with it the
    # dispatcher.
    at_work = select(CatalogRead.catalog_id).where(
        CatalogRead.catalog_id.in_([row.id for row in rows]), CatalogRead.finished_at.is_(None)
    )
    busy = set(session.scalars(at_work)) if rows else set[str]()
    for row in rows:
        assert row.schedule_seconds is not None, "the table's constraint"
        if row.id not in busy:
            _ask_on_schedule(session, row)
        wait = from_now(timedelta(seconds=row.schedule_seconds))
        session.execute(
            update(Catalog)
            .where(Catalog.id == row.id)
            .values(next_read_at=wait, updated_at=Catalog.updated_at)
            .execution_options(**_AS_IS)
        )


def _ask_on_schedule(session: Session, row: Catalog) -> None:
    session.execute(
        insert(CatalogRead)
        .values(
            id=new_id("crd"),
            catalog_id=row.id,
            owner_id=row.owner_id,
            api_key_id=row.api_key_id,
            trigger=Trigger.SCHEDULE.value,
        )
        .on_conflict_do_nothing()
    )


def claim(session: Session, read_id: str, *, lease: int, worker: str) -> Held | None:
    """Take a reading whose lease number is `lease`; None when it is not there to be taken."""
    row = session.scalars(
        update(CatalogRead)
        .where(
            CatalogRead.id == read_id,
            CatalogRead.lease == lease,
            CatalogRead.worker_id.is_(None),
            CatalogRead.finished_at.is_(None),
            CatalogRead.ready_at <= func.now(),
        )
        .values(
            worker_id=worker,
            lease=CatalogRead.lease + 1,
            state=ReadState.READING.value,
            sent_at=None,
            seen_at=func.now(),
            started_at=func.coalesce(CatalogRead.started_at, func.now()),
        )
        .returning(CatalogRead)
        .execution_options(populate_existing=True)
    ).one_or_none()
    if row is None:
        return None
    return Held(row, session.get_one(Catalog, row.catalog_id), worker, row.lease)


def begin_afresh(session: Session, held: Held) -> str | None:
    """Forget what an earlier worker had received; the id of its half-received batch, for the caller to throw away."""
    batch_id = hold(session, held).batch_id
    for model in (CatalogChange, CatalogProblem):
        session.execute(delete(model).where(model.read_id == held.read.id))
    write(session, held, batch_id=None)
    return batch_id


def hold(session: Session, held: Held) -> CatalogRead:
    """The reading's row, locked until the commit. Raises LeaseLost."""
    row = session.scalars(
        select(CatalogRead).where(*_fence(held)).with_for_update().execution_options(populate_existing=True)
    ).one_or_none()
    if row is None:
        raise LeaseLost(held.read.id, held.lease)
    return row


def write(session: Session, held: Held, **values: Any) -> None:
    """Write on a held reading; without values only that its worker is at it. Raises LeaseLost."""
    done = update(CatalogRead).where(*_fence(held)).values(seen_at=func.now(), **values).returning(CatalogRead.id)
    if session.scalar(done.execution_options(**_AS_IS)) is None:
        raise LeaseLost(held.read.id, held.lease)


def _fence(held: Held) -> tuple[ColumnElement[bool], ...]:
    return CatalogRead.id == held.read.id, CatalogRead.lease == held.lease, CatalogRead.worker_id == held.worker


def finish(session: Session, held: Held, counts: Mapping[str, int], **values: Any) -> None:
    """The reading is done. Raises LeaseLost."""
    ended = {"state": ReadState.DONE.value, "finished_at": func.now(), "worker_id": None, "storage_key": None}
    write(session, held, **ended, counts=dict(counts), **values)


def fail(session: Session, held: Held, code: str, detail: str, **values: Any) -> None:
    """The reading ends without a batch. Raises LeaseLost."""
    ended = {"state": ReadState.FAILED.value, "finished_at": func.now(), "worker_id": None, "storage_key": None}
    write(session, held, **ended, error_code=code, error_detail=detail[:1000], batch_id=None, **values)


def again(session: Session, held: Held, wait: timedelta) -> None:
    """Let go of the reading for a while: what stood in its way may pass. Raises LeaseLost."""
    changes = {"worker_id": None, "sent_at": None, "ready_at": from_now(wait), "tries": CatalogRead.tries + 1}
    write(session, held, **changes)
