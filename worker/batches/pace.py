"""What an estimate needs to know of the service as a whole: how long stages take, how many places there are, and who
else waits for them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from worker.accounts.models import Account
from worker.renders import queue
from worker.renders.models import Lane, Render
from worker.renders.sharing import PRIORITY_WEIGHT
from worker.renders.states import Stage

MOST_COUNTED = 100_000
"""Of one lane's queue: whoever has more ahead waits for days, and it is estimated from this many."""


@dataclass(frozen=True)
class Spread:
    """Seconds of one stage: their mean and variance."""

    mean: float
    variance: float


@dataclass(frozen=True)
class Queue:
    """The renders that wait in one lane that is served."""

    batch_id: str | None
    weight: float
    waiting: int


@dataclass(frozen=True)
class Pace:
    """The service at one moment."""

    stages: Mapping[Stage, Spread]
    """Those of which an attempt ended in the last day."""
    places: Mapping[str, int]
    """Of the live workers, by kind."""
    slots: int | None
    """Renders that the accounts take at once; None: no limit."""
    under_way: int
    queues: tuple[Queue, ...]


def measure(session: Session, *, lease: timedelta, usual_slots: int) -> Pace:
    """Look at all of it. `usual_slots` are those of an account without a number of its own; 0: no limit."""
    return Pace(
        stages=_stages(session),
        places=queue.capacity(session, lease=lease),
        slots=_slots(session, usual_slots),
        under_way=_under_way(session),
        queues=_queues(session),
    )


def _stages(session: Session) -> dict[Stage, Spread]:
    rows = session.execute(
        text(
            "SELECT stage, avg(seconds), coalesce(var_samp(seconds), 0) FROM"
            " (SELECT stage, extract(epoch FROM ended_at - started_at) AS seconds,"
            "         row_number() OVER (PARTITION BY stage ORDER BY ended_at DESC) n"
            "  FROM attempts WHERE outcome = 'advance' AND ended_at > now() - interval '1 day') recent"
            " WHERE n <= 200 GROUP BY stage"
        )
    ).all()
    return {Stage(stage): Spread(float(mean), float(variance)) for stage, mean, variance in rows}


def _slots(session: Session, usual: int) -> int | None:
    each = session.scalars(select(Account.slots).where(Account.disabled_at.is_(None), Account.held_at.is_(None))).all()
    known = [usual if one is None else one for one in each]
    return None if not known or 0 in known else sum(known)


def _under_way(session: Session) -> int:
    """By `ix_renders_under_way`."""
    begun = select(func.count()).where(Render.started_at.is_not(None), Render.finished_at.is_(None))
    return session.scalar(begun) or 0


def _queues(session: Session) -> tuple[Queue, ...]:
    waiting = (
        select(Render.id)
        .where(Render.lane_id == Lane.id, Render.started_at.is_(None), Render.finished_at.is_(None))
        .limit(MOST_COUNTED)
        .correlate(Lane)  # not by itself inside a FROM: each lane would be said to hold what all hold
        .subquery()
    )
    count = select(func.count()).select_from(waiting).scalar_subquery()
    lanes = select(Lane.batch_id, Lane.priority, count).where(Lane.paused_at.is_(None), ~Lane.held)
    return tuple(
        Queue(batch, PRIORITY_WEIGHT[priority], number) for batch, priority, number in session.execute(lanes) if number
    )
