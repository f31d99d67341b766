"""Who works on a render: claims, fenced writes, takeover.

A claim names the lease number it expects and raises it; every later write names the new number and the worker. A write
that touches no row raises `LeaseLost`: somebody else moved the render, this work stops.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    DateTime,
    Float,
    Integer,
    Text,
    and_,
    case,
    column,
    func,
    insert,
    literal,
    select,
    update,
    values,
)
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.orm import Session, aliased

from worker.accounts.models import Account, RemoteSession
from worker.database import from_now
from worker.renders import events
from worker.renders.events import EventType, NewEvent
from worker.renders.models import Attempt, Event, Recovery, Render
from worker.renders.states import Stage, Status


class LeaseLost(Exception):
    """Another worker moved the render: whatever this one still holds of it is void."""

    def __init__(self, render_id: str, lease: int) -> None:
        super().__init__(f"lease {lease} of {render_id} is no longer held")


@dataclass(frozen=True)
class Held:
    """A claimed render: a snapshot of its row, and what each write has to name."""

    render: Render
    worker: str
    at: datetime
    """The database's time of the claim: what this work compares times with."""
    account: Account | None = None
    remote_session: RemoteSession | None = None

    @property
    def lease(self) -> int:
        """The fencing number of this claim."""
        return self.render.lease


def unowned() -> ColumnElement[bool]:
    """Not final and nobody's."""
    return and_(Render.worker_id.is_(None), Render.finished_at.is_(None))


def _taken(worker: str) -> dict[str, Any]:
    """What a claim changes. A row that is being cancelled keeps saying so."""
    return {
        "worker_id": worker,
        "lease": Render.lease + 1,
        "sent_at": None,
        "status": case((Render.cancel_requested_at.is_not(None), Status.CANCELING.value), else_=Status.RUNNING.value),
        "reason": None,
        "started_at": func.coalesce(Render.started_at, func.now()),
        "event_number": Render.event_number + case((Render.started_at.is_(None), 1), else_=0),
    }


def claim(session: Session, render_id: str, *, lease: int, stage: Stage, worker: str) -> Held | None:
    """Take a render at `stage` whose lease number is `lease`; None when it is not there to be taken (a message
    delivered twice, a forged one, or one that another worker was quicker with)."""
    return _claim(
        session,
        worker,
        Render.id == render_id,
        Render.lease == lease,
        Render.stage == stage.value,
        Render.ready_at <= func.now(),
        Render.cancel_requested_at.is_(None),
    )


def claim_for_cancel(session: Session, render_id: str, *, worker: str) -> Held | None:
    """Take a render that was asked to be cancelled, whatever its stage and time."""
    return _claim(session, worker, Render.id == render_id, Render.cancel_requested_at.is_not(None))


def _claim(session: Session, worker: str, *where: ColumnElement[bool]) -> Held | None:
    """One statement: the claim, its attempt, the first one's event, and what the stage will need to know."""
    claimed = (
        update(Render).where(unowned(), *where).values(**_taken(worker)).returning(*Render.__table__.c).cte("claimed")
    )
    row = aliased(Render, claimed)
    found = session.execute(
        select(row, Account, RemoteSession, func.now())
        .outerjoin(Account, Account.id == row.account_id)
        .outerjoin(RemoteSession, RemoteSession.id == row.remote_session_id)
        .add_cte(_begun(claimed), _started(claimed), _rescued(claimed))
    ).one_or_none()
    if found is None:
        return None
    render, account, remote_session, now = found
    return Held(render, worker, now, account, remote_session)


def _begun(claimed: CTE) -> CTE:
    attempt = select(
        claimed.c.owner_id, claimed.c.id, claimed.c.run, claimed.c.stage, claimed.c.lease, claimed.c.worker_id
    )
    columns = ["owner_id", "render_id", "run", "stage", "lease", "worker_id"]
    return insert(Attempt).from_select(columns, attempt).cte("begun")


def _started(claimed: CTE) -> CTE:
    """`started_at` is this transaction's time only if this claim is the render's first."""
    event = select(
        claimed.c.owner_id, claimed.c.id, claimed.c.run, claimed.c.event_number, literal(EventType.STARTED.value)
    ).where(claimed.c.started_at == func.now())
    return insert(Event).from_select(["owner_id", "render_id", "run", "number", "type"], event).cte("started")


def _rescued(claimed: CTE) -> CTE:
    return (
        update(Recovery)
        .where(Recovery.id == claimed.c.recovery_id)
        .values(to_worker=claimed.c.worker_id)
        .cte("rescued")
    )


def claim_polls(session: Session, *, worker: str, limit: int, interval: timedelta) -> list[Held]:
    """Take up to `limit` exports that are due for a question. The next time is written now: whatever becomes of this
    worker, nobody asks again sooner than the interval.

    No attempt row each: the poll stage writes one when it ends, 40 a render would tell nothing more.
    """
    due = (
        select(Render.id)
        .where(
            unowned(),
            Render.stage == Stage.POLL.value,
            Render.ready_at <= func.now(),
            Render.cancel_requested_at.is_(None),
            # Always so at this stage; named for the index of rows under way.
            Render.started_at.is_not(None),
        )
        .order_by(Render.ready_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    rows = session.execute(
        update(Render)
        .where(Render.id.in_(select(due.c.id)))
        .values(**_taken(worker) | {"ready_at": from_now(interval)})
        .returning(Render, func.now())
    ).all()
    rescued = [row.recovery_id for row, _ in rows if row.recovery_id is not None]
    if rescued:
        # The poll itself is the outcome: the takeover ends with the question that it asks.
        session.execute(
            update(Recovery)
            .where(Recovery.id.in_(rescued))
            .values(to_worker=worker, ended_at=func.now(), outcome="asked")
        )
    return [Held(row, worker, now) for row, now in rows]


def is_cancelled(session: Session, held: Held) -> bool:
    """Whether the render was asked to be cancelled; its row is locked, so the answer holds until the commit.

    Raises:
        LeaseLost: the row is no longer this claim's.
    """
    asked = session.execute(
        select(Render.cancel_requested_at)
        .where(Render.id == held.render.id, Render.lease == held.lease, Render.worker_id == held.worker)
        .with_for_update(key_share=True)
    ).one_or_none()
    if asked is None:
        raise LeaseLost(held.render.id, held.lease)
    return asked[0] is not None


def release_polls(session: Session, polled: Sequence[tuple[Held, float]], *, interval: timedelta) -> set[str]:
    """Let go of polled renders, each with its progress (0-1), in one statement. The next question comes an interval
    from now: from the answer, not from the question. Returns the ids of those that were still ours."""
    told = {held.render.id: _is_worth_telling(held.render.fraction, progress) for held, progress in polled}
    asked = values(
        column("id", Text), column("lease", Integer), column("fraction", Float), column("told", Integer), name="asked"
    ).data([(held.render.id, held.lease, progress, int(told[held.render.id])) for held, progress in polled])
    rows = session.execute(
        update(Render)
        .where(Render.id == asked.c.id, Render.lease == asked.c.lease, Render.worker_id == polled[0][0].worker)
        .values(
            release(wait=interval)
            | {
                "fraction": asked.c.fraction,
                "tries": 0,
                "failing_since": None,
                "event_number": Render.event_number + asked.c.told,
                "updated_at": func.now(),
            }
        )
        .returning(Render)
        .execution_options(synchronize_session=False, populate_existing=True)
    ).scalars()
    released: set[str] = set()
    for row in rows.all():
        released.add(row.id)
        if told[row.id]:
            _append(
                session, row, NewEvent(EventType.PROGRESS, {"stage": row.stage, "fraction": round(row.fraction, 3)})
            )
    return released


def _is_worth_telling(before: float, now: float) -> bool:
    """Progress is told in steps of a tenth: an event for each poll would bury the others."""
    return int(now * 10) > int(before * 10)


def write(session: Session, held: Held, changes: dict[str, Any] | None = None, new: Sequence[NewEvent] = ()) -> None:
    """Write on a held render, with the events that tell of it.

    Raises:
        LeaseLost: the row is no longer this claim's.
    """
    last = session.execute(
        update(Render)
        .where(Render.id == held.render.id, Render.lease == held.lease, Render.worker_id == held.worker)
        .values(**(changes or {}), event_number=Render.event_number + len(new), updated_at=func.now())
        .returning(Render.event_number)
        .execution_options(synchronize_session=False)
    ).scalar_one_or_none()
    if last is None:
        raise LeaseLost(held.render.id, held.lease)
    row = held.render
    events.append(session, render_id=row.id, owner_id=row.owner_id, run=row.run, last=last, events=new)


def conclude(
    session: Session,
    held: Held,
    changes: dict[str, Any],
    new: Sequence[NewEvent],
    *,
    outcome: str,
    error_code: str | None = None,
    error_message: str | None = None,
) -> None:
    """The end of a claim in one statement: the write, its events, the attempt's end and that of the takeover it
    belonged to.

    A poll's claim wrote no attempt: the stage's one, from its beginning on, is written here with its end.

    Raises:
        LeaseLost: the row is no longer this claim's.
    """
    written = (
        update(Render)
        .where(Render.id == held.render.id, Render.lease == held.lease, Render.worker_id == held.worker)
        .values(**changes, event_number=Render.event_number + len(new), updated_at=func.now())
        .returning(Render.id, Render.owner_id, Render.run, Render.event_number)
        .cte("written")
    )
    ended = {"ended_at": func.now(), "outcome": outcome, "error_code": error_code, "error_message": error_message}
    parts = [events.appended(written, new), _attempt_ended(written, held, ended)]
    if held.render.recovery_id is not None:
        parts.append(_recovery_ended(written, held, outcome))
    if session.execute(select(written.c.id).add_cte(*parts)).scalar_one_or_none() is None:
        raise LeaseLost(held.render.id, held.lease)


def _attempt_ended(written: CTE, held: Held, ended: dict[str, Any]) -> CTE:
    row = held.render
    facts: dict[str, ColumnElement[Any]] = {
        "stage": literal(row.stage, Text),
        "lease": literal(held.lease, Integer),
        "worker_id": literal(held.worker, Text),
        "started_at": literal(row.stage_at, DateTime(timezone=True)),
        "ended_at": func.now(),
        **{name: literal(value, Text) for name, value in ended.items() if name != "ended_at"},
    }
    attempt = select(written.c.owner_id, written.c.id, written.c.run, *facts.values())
    return (
        pg_insert(Attempt)
        .from_select(["owner_id", "render_id", "run", *facts], attempt)
        .on_conflict_do_update(index_elements=["render_id", "lease"], set_=ended)
        .cte("attempt_ended")
    )


def _recovery_ended(written: CTE, held: Held, outcome: str) -> CTE:
    return (
        update(Recovery)
        .where(Recovery.id == held.render.recovery_id, Recovery.render_id == written.c.id, Recovery.ended_at.is_(None))
        .values(ended_at=func.now(), outcome=outcome, to_worker=held.worker)
        .cte("recovery_ended")
    )


def release(*, to: Stage | None = None, wait: timedelta = timedelta(0), reason: str | None = None) -> dict[str, Any]:
    """The changes that let go of a render: to another stage, or to the same one later, waiting for `reason` or not.

    With no wait the caller sends the next message after the commit, which `sent_at` says beforehand.
    """
    waiting = Status.WAITING.value if reason else Status.RUNNING.value
    canceling = Render.cancel_requested_at.is_not(None)
    changes: dict[str, Any] = {
        "worker_id": None,
        "recovery_id": None,
        "ready_at": from_now(wait),
        # One that is being cancelled goes to the canceller: the stage's message finds nothing to claim.
        "sent_at": None if wait else case((canceling, None), else_=func.now()),
        "status": case((canceling, Status.CANCELING.value), else_=waiting),
        "reason": case((canceling, None), else_=reason),
    }
    if to is not None:
        changes |= {"stage": to.value, "stage_at": func.now(), "fraction": 0, "tries": 0, "failing_since": None}
    return changes


def finish(status: Status, **changes: Any) -> dict[str, Any]:
    """The changes that end a render."""
    return {
        "status": status.value,
        "reason": None,
        "worker_id": None,
        "recovery_id": None,
        "sent_at": None,
        "finished_at": func.now(),
        **changes,
    }


def _append(session: Session, row: Render, *new: NewEvent) -> None:
    events.append(session, render_id=row.id, owner_id=row.owner_id, run=row.run, last=row.event_number, events=new)
