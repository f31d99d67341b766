"""What is known of a batch: its row, its renders by position, its rejected rows, its counts and credits."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, func, literal, select, text, tuple_
from sqlalchemy.orm import Session

from worker.batches.models import Batch, BatchProblem, BatchState
from worker.renders.models import Lane, Render
from worker.renders.states import Status


@dataclass(frozen=True)
class Spent:
    """Credits over all runs of a batch's renders: those known, and how many runs' charges nobody knows."""

    known: float
    unknown: int


def get(session: Session, owner_id: str, batch_id: str) -> Batch | None:
    """The owner's batch, or None: somebody else's is as good as none."""
    return session.scalars(_owned(owner_id, batch_id)).one_or_none()


def locked(session: Session, owner_id: str, batch_id: str) -> Batch | None:
    """As `get`, with the row locked until the transaction ends."""
    query = _owned(owner_id, batch_id).with_for_update().execution_options(populate_existing=True)
    return session.scalars(query).one_or_none()


def _owned(owner_id: str, batch_id: str) -> Select[Batch]:
    return select(Batch).where(Batch.id == batch_id, Batch.owner_id == owner_id)


def page(session: Session, owner_id: str, *, limit: int, after: tuple[datetime, str] | None = None) -> Sequence[Batch]:
    """Up to `limit` of the owner's batches, newest first, behind `after` (keyset: creation time and id)."""
    query = select(Batch).where(Batch.owner_id == owner_id)
    if after is not None:
        query = query.where(tuple_(Batch.created_at, Batch.id) < tuple_(*after))
    return session.scalars(query.order_by(Batch.created_at.desc(), Batch.id.desc()).limit(limit)).all()


def items(
    session: Session, batch_id: str, *, statuses: Sequence[str] = (), after: int = 0, limit: int
) -> Sequence[Render]:
    """Up to `limit` of a batch's renders behind the position `after`, in order; of some statuses alone where named.
    Purged ones are there too, without what they held: a batch has no gaps."""
    query = select(Render).where(Render.batch_id == batch_id, Render.batch_position > after)
    if statuses:
        query = query.where(Render.status.in_(statuses))
    return session.scalars(query.order_by(Render.batch_position).limit(limit)).all()


def problems(session: Session, batch_id: str, *, after: tuple[int, int] = (0, 0), limit: int) -> Sequence[BatchProblem]:
    """Up to `limit` rejected rows behind `after` (keyset: line and id), in the source's order."""
    query = select(BatchProblem).where(
        BatchProblem.batch_id == batch_id,
        tuple_(BatchProblem.line, BatchProblem.id) > tuple_(literal(after[0]), literal(after[1])),
    )
    return session.scalars(query.order_by(BatchProblem.line, BatchProblem.id).limit(limit)).all()


def counts(session: Session, batch_id: str) -> dict[str, int]:
    """How many renders are in each status: read off `ix_renders_batch_status` alone."""
    rows = session.execute(
        select(Render.status, func.count()).where(Render.batch_id == batch_id).group_by(Render.status)
    ).all()
    return dict(row.tuple() for row in rows)


def spent(session: Session, batch_id: str) -> Spent:
    """What a batch came to so far, over all runs: read off `ix_renders_batch_charged` and the earlier runs of those
    that were begun anew."""
    known, unknown = session.execute(_SPENT, {"batch_id": batch_id}).one()
    return Spent(float(known), int(unknown))


_SPENT = text(
    """
    SELECT coalesce(sum(charge_credits), 0), count(*) FILTER (WHERE charge_credits IS NULL)
    FROM (SELECT charge_credits FROM renders
            WHERE batch_id = :batch_id AND batch_id IS NOT NULL AND charge_state <> 'none'
        UNION ALL
        SELECT render_runs.charge_credits
        FROM renders JOIN render_runs ON render_runs.render_id = renders.id
            WHERE renders.batch_id = :batch_id AND renders.batch_id IS NOT NULL AND renders.run > 1
                AND render_runs.charge_state <> 'none') AS runs"""
)


def first_are_open(session: Session, batch: Batch) -> bool:
    """Whether any of the renders that need no approval is not final yet. By their lanes: a reading drops renders, so
    that the first ones to be made are not those at the first positions."""
    first = Render.lane_id.in_(select(Lane.id).where(Lane.batch_id == batch.id, Lane.part == 0))
    unbegun = select(Render.id).where(first, Render.started_at.is_(None), Render.finished_at.is_(None))
    begun = select(Render.id).where(Render.batch_id == batch.id, Render.status.in_(_BEGUN), first)
    return any(session.scalar(query.limit(1)) is not None for query in (unbegun, begun))


_BEGUN = [status.value for status in (Status.RUNNING, Status.WAITING, Status.CANCELING)]


def awaits_approval(batch: Batch) -> bool:
    """Whether some of its renders are held back until somebody approves."""
    return (
        batch.state == BatchState.OPEN.value
        and batch.first is not None
        and batch.first < batch.total
        and batch.approved_at is None
    )


@dataclass(frozen=True)
class Line:
    """What a manifest says of one render. `duration` in seconds; `credits` over all its runs, as far as they are
    known."""

    ref: str | None
    id: str
    position: int
    status: str
    sha256: str | None
    duration: float | None
    credits: float | None
    error: str | None


def manifest(session: Session, batch_id: str, *, after: int = 0, limit: int) -> list[Line]:
    """Up to `limit` lines of a batch's manifest behind the position `after`, in one statement."""
    rows = session.execute(_MANIFEST, {"batch_id": batch_id, "after": after, "limit": limit})
    return [Line(*row) for row in rows]


_MANIFEST = text(
    """
    SELECT renders.external_ref, renders.id, renders.batch_position, renders.status,
        results.sha256, results.duration_seconds,
        CASE WHEN renders.run = 1 THEN renders.charge_credits ELSE
            (SELECT sum(runs.credits) FROM (SELECT renders.charge_credits AS credits
                UNION ALL SELECT charge_credits FROM render_runs WHERE render_id = renders.id) AS runs) END,
        renders.error_code
    FROM renders LEFT JOIN results ON results.render_id = renders.id AND results.run = renders.run
        AND renders.status = 'succeeded' AND renders.purged_at IS NULL
    WHERE renders.batch_id = :batch_id AND renders.batch_id IS NOT NULL AND renders.batch_position > :after
    ORDER BY renders.batch_position LIMIT :limit"""
)
