"""A batch on its way in: begun, filled chunk by chunk, accepted as a whole, or thrown away.

Each chunk is a transaction of its own: the feed of events is read below the oldest running transaction, which one long
intake would hold up for everybody. Until it is accepted, a batch has promised nothing and none of its renders begins or
is shown.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.orm import Session

from worker.batches.models import Batch, BatchProblem, BatchState
from worker.batches.telling import tell
from worker.renders import bulk
from worker.renders.bulk import Placed
from worker.renders.events import EventType
from worker.renders.models import Lane, Render, Upload, UploadUse
from worker.renders.queue import notify_due
from worker.renders.store import NewRender

DISCARDED_AT_ONCE = 2_000
"""Renders deleted in one transaction: a dozen tables are asked about each."""

_FIRST, _OTHERS = 0, 1


@dataclass(frozen=True)
class NewBatch:
    """What a batch is begun with; see `Batch` for the fields' meanings."""

    source: str
    name: str | None = None
    columns: list[str] | None = None
    priority: str = "normal"
    tags: list[str] = field(default_factory=list[str])
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    first: int | None = None
    max_credits: float | None = None
    max_failure_rate: float | None = None
    api_key_id: str | None = None


@dataclass(frozen=True)
class Entry:
    """A row that becomes a render; `bulk.Placed` says what the other fields mean."""

    request: NewRender
    fingerprint: str | None = None
    follows_id: str | None = None
    follows_until: str | None = None


@dataclass(frozen=True)
class NewProblem:
    """A row that becomes none. `line` counts from 1; `raw` is the row as it was given."""

    line: int
    code: str
    detail: str
    ref: str | None = None
    raw: str | None = None


@dataclass(frozen=True)
class Received:
    """How much of a batch is in."""

    total: int = 0
    rejected: int = 0


class Gone(Exception):
    """The batch is no longer being received: its intake was taken for dead, and what it had was thrown away."""


def begin(session: Session, owner_id: str, new: NewBatch, *, batch_id: str) -> None:
    """Put a batch on file that is to be filled. Does nothing where it is there: an earlier try's COMMIT worked."""
    row = {
        "id": batch_id,
        "owner_id": owner_id,
        "api_key_id": new.api_key_id,
        "name": new.name,
        "source": new.source,
        "columns": new.columns,
        "priority": new.priority,
        "tags": new.tags,
        "meta": new.metadata,
        "first": new.first,
        "max_credits": new.max_credits,
        "max_failure_rate": new.max_failure_rate,
    }
    session.execute(pg_insert(Batch).values(row).on_conflict_do_nothing(index_elements=[Batch.id]))


def add(
    session: Session,
    batch_id: str,
    entries: Sequence[Entry],
    problems: Sequence[NewProblem] = (),
    *,
    before: Received,
) -> Received:
    """Add some rows behind those of `before`; how much is in now. Run again after a lost COMMIT it adds nothing.

    Raises:
        Gone
    """
    after = Received(before.total + len(entries), before.rejected + len(problems))
    batch = session.execute(
        update(Batch)
        .where(
            Batch.id == batch_id,
            Batch.state == BatchState.RECEIVING.value,
            Batch.total == before.total,
            Batch.rejected == before.rejected,
        )
        .values(total=after.total, rejected=after.rejected, received_at=func.now())
        .returning(Batch.owner_id, Batch.first)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if batch is None:
        if after != before and _received(session, batch_id) == after:
            return after
        raise Gone(batch_id)
    if entries:
        placed = _placed(session, batch.owner_id, batch_id, batch.first, entries, before.total)
        bulk.insert(session, batch.owner_id, placed)
    if problems:
        names = ("line", "code", "detail", "ref", "raw")
        rows = [{"batch_id": batch_id} | {name: getattr(one, name) for name in names} for one in problems]
        session.execute(insert(BatchProblem), rows)
    return after


def _received(session: Session, batch_id: str) -> Received | None:
    query = select(Batch.total, Batch.rejected).where(Batch.id == batch_id)
    row = session.execute(query.where(Batch.state == BatchState.RECEIVING.value)).one_or_none()
    return Received(*row) if row else None


def _placed(
    session: Session, owner_id: str, batch_id: str, first: int | None, entries: Sequence[Entry], before: int
) -> list[Placed]:
    parts = [_FIRST if first is None or position <= first else _OTHERS for position in _positions(before, entries)]
    wanted = {(one.request.priority, part) for one, part in zip(entries, parts, strict=True)}
    lanes = _lanes(session, owner_id, batch_id, wanted)
    return [
        Placed(
            one.request,
            lanes[one.request.priority, part],
            batch_id,
            position,
            one.fingerprint,
            one.follows_id,
            one.follows_until,
        )
        for one, part, position in zip(entries, parts, _positions(before, entries), strict=True)
    ]


def _positions(before: int, entries: Sequence[Entry]) -> range:
    return range(before + 1, before + 1 + len(entries))


def _lanes(
    session: Session, owner_id: str, batch_id: str, wanted: Iterable[tuple[str, int]]
) -> dict[tuple[str, int], int]:
    """The batch's lanes by priority and part, held; made on first use."""
    rows = [
        {"owner_id": owner_id, "batch_id": batch_id, "priority": priority, "part": part, "held": True}
        for priority, part in sorted(wanted)
    ]
    session.execute(pg_insert(Lane).values(rows).on_conflict_do_nothing())
    found = session.execute(select(Lane.id, Lane.priority, Lane.part).where(Lane.batch_id == batch_id))
    return {(row.priority, row.part): row.id for row in found}


def accept(session: Session, batch_id: str) -> None:
    """From this transaction's commit on the batch is taken on: its lanes are let go, those of the renders that wait for
    an approval apart.

    Raises:
        Gone
    """
    accepted = session.execute(
        update(Batch)
        .where(Batch.id == batch_id, Batch.state == BatchState.RECEIVING.value)
        .values(state=BatchState.OPEN.value, accepted_at=func.now())
        .returning(Batch.total, Batch.rejected)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if accepted is None:
        raise Gone(batch_id)
    free = update(Lane).where(Lane.batch_id == batch_id, Lane.part == _FIRST).values(held=False)
    session.execute(free.execution_options(synchronize_session=False))
    tell(session, EventType.BATCH_ACCEPTED, {batch_id: {"total": accepted.total, "rejected": accepted.rejected}})
    notify_due(session)


def discard(session: Session, batch_id: str, *, limit: int = DISCARDED_AT_ONCE) -> bool:
    """Throw up to `limit` renders of a batch away that was never accepted; the batch itself with the last of them.
    Whether nothing is left of it: call it again, in another transaction, until then. One that was accepted stays.
    """
    query = select(Batch.id).where(Batch.id == batch_id, Batch.state == BatchState.RECEIVING.value)
    if session.scalar(query.with_for_update()) is None:
        return True
    ids = session.scalars(select(Render.id).where(Render.batch_id == batch_id).limit(limit)).all()
    _release_uploads(session, ids)
    session.execute(delete(Render).where(Render.id.in_(ids)).execution_options(synchronize_session=False))
    if len(ids) == limit:
        # Whoever still adds to it must not go on: `add` names the total that it leaves.
        session.execute(update(Batch).where(Batch.id == batch_id).values(total=-1))
        return False
    session.execute(delete(Batch).where(Batch.id == batch_id).execution_options(synchronize_session=False))
    return True


def _release_uploads(session: Session, render_ids: Sequence[str]) -> None:
    """Uploads that only these renders used are unused again, and expire like any other. Locked first and looked at
    after that: whoever takes one for a render meanwhile has its lock until its use is on file."""
    gone = select(UploadUse.upload_id).where(UploadUse.render_id.in_(render_ids))
    session.execute(select(Upload.id).where(Upload.id.in_(gone)).order_by(Upload.id).with_for_update())
    others = select(UploadUse.upload_id).where(UploadUse.upload_id == Upload.id, UploadUse.render_id.not_in(render_ids))
    free = update(Upload).where(Upload.id.in_(gone), ~others.exists()).values(used_at=None)
    session.execute(free.execution_options(synchronize_session=False))
