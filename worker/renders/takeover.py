"""The takeover of what a worker held that is gone, that said goodbye or that fell silent."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, insert, literal, or_, select, update
from sqlalchemy.orm import Session

from worker.database import ago, from_now
from worker.machine import identity, is_gone
from worker.metrics.commits import on_commit
from worker.metrics.declared import TAKEOVERS, begin
from worker.renders import events
from worker.renders.events import EventType, NewEvent
from worker.renders.models import Attempt, Recovery, Render, Worker
from worker.renders.queue import alive
from worker.renders.states import Stage

SILENT = "worker silent for a lease"
STOPPED = "worker stopped"
DIED = "worker process ended"
LOST = "worker lost track of it"
begin(TAKEOVERS, (SILENT, STOPPED, DIED, LOST))


@dataclass(frozen=True)
class Taken:
    """A render taken from a silent worker."""

    id: str
    stage: Stage
    worker: str


def bury(session: Session) -> list[str]:
    """Mark the workers of this machine whose process is gone as stopped; their ids. They need no lease to be silent."""
    machine = identity()
    if machine is None:
        return []
    there = session.execute(
        select(Worker.id, Worker.pid, Worker.pid_started).where(Worker.machine == machine, Worker.stopped_at.is_(None))
    ).all()
    gone = [row.id for row in there if is_gone(row.pid, row.pid_started)]
    if gone:
        session.execute(
            update(Worker)
            .where(Worker.id.in_(gone), Worker.stopped_at.is_(None))
            .values(stopped_at=func.now(), died=True)
            .execution_options(synchronize_session=False)
        )
    return gone


def take_over(
    session: Session,
    *,
    lease: timedelta,
    silent: bool = True,
    limit: int = 500,
    first: timedelta = timedelta(seconds=1),
    longest: timedelta = timedelta(seconds=60),
) -> list[Taken]:
    """Free the renders of workers that fell silent for a lease, said goodbye or are gone, whenever that was; without
    `silent`, of the last two alone.

    After the database itself was away (its start is younger than a lease) nobody is silent yet: every worker's
    heartbeat had nowhere to go. A poll keeps its time, so no export is asked sooner for having changed hands.

    A worker that is gone may have died of one of its renders: each death is counted on all of them, and from the second
    in a row on they are taken up after a pause, from `first` to `longest`, that parts the innocent from the culprit.
    """
    mine = Worker.id == Render.worker_id
    stopped = select(Worker.id).where(mine, Worker.stopped_at.is_not(None)).exists()
    died = select(Worker.died).where(mine).scalar_subquery()
    heard_of = select(Worker.id).where(mine, alive(lease)).exists()
    may_be_silent = and_(literal(silent), func.pg_postmaster_start_time() < ago(lease))
    # Read without locks, then freed by a guarded write each: a lock taken here would be re-checked against workers as
    # they were before it, and a render that changed hands meanwhile would be taken from the living.
    found = session.execute(
        select(Render.id, Render.worker_id, Render.lease, Render.deaths, stopped.label("stopped"), died.label("died"))
        .where(Render.worker_id.is_not(None), ~heard_of, or_(stopped, may_be_silent))
        .order_by(Render.id)
        .limit(limit)
    ).all()
    freed = [
        _free(session, row.id, row.worker_id, row.lease, DIED, _death(row.deaths + 1, first, longest))
        if row.died
        else _free(session, row.id, row.worker_id, row.lease, STOPPED if row.stopped else SILENT)
        for row in found
    ]
    return [one for one in freed if one is not None]


def _death(deaths: int, first: timedelta, longest: timedelta) -> dict[str, Any]:
    """What the so-many-th death in a row changes. The first costs no time: most often the worker was just killed."""
    whole = min(first * 2 ** min(deaths - 2, 20), longest) if deaths > 1 else timedelta(0)
    wait = whole * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret
    return {"deaths": deaths, "ready_at": _unless_polled(from_now(wait))}


def _unless_polled(ready_at: ColumnElement[datetime]) -> ColumnElement[datetime]:
    return case((Render.stage == Stage.POLL.value, Render.ready_at), else_=ready_at)


def last_heard_of(session: Session, recovery_id: int | None) -> datetime | None:
    """When the worker that a takeover was from ended or was last seen; None where nobody knows."""
    if recovery_id is None:
        return None
    return session.scalar(
        select(func.coalesce(Worker.stopped_at, Worker.seen_at))
        .join(Recovery, Recovery.from_worker == Worker.id)
        .where(Recovery.id == recovery_id)
    )


def let_go(session: Session, *, worker: str, claims: Sequence[tuple[str, int]]) -> None:
    """Free renders (id, lease) that a living worker owns but lost track of."""
    for render_id, lease in claims:
        _free(session, render_id, worker, lease, LOST)


def _free(
    session: Session, render_id: str, worker: str, lease: int, why: str, death: Mapping[str, Any] | None = None
) -> Taken | None:
    """None: it changed hands meanwhile, or is locked. A frozen worker may hold it in an open transaction, which must
    not hold up the others' takeovers: the server ends such a one (`worker.database.IDLE_SECONDS`)."""
    changes = {"ready_at": _unless_polled(func.now())} | dict(death or {})
    its = Render.id == render_id, Render.worker_id == worker, Render.lease == lease
    row = session.execute(
        update(Render)
        .where(Render.id.in_(select(Render.id).where(*its).with_for_update(skip_locked=True)))
        .values(worker_id=None, sent_at=None, event_number=Render.event_number + 1, **changes)
        .returning(Render.owner_id, Render.run, Render.stage, Render.lease, Render.event_number)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if row is None:
        return None
    recovery = session.execute(
        insert(Recovery)
        .values(
            owner_id=row.owner_id,
            render_id=render_id,
            run=row.run,
            stage=row.stage,
            why=why,
            from_worker=worker,
            lease=row.lease,
        )
        .returning(Recovery.id)
    ).scalar_one()
    session.execute(
        update(Render)
        .where(Render.id == render_id)
        .values(recovery_id=recovery)
        .execution_options(synchronize_session=False)
    )
    session.execute(
        update(Attempt)
        .where(Attempt.render_id == render_id, Attempt.lease == row.lease, Attempt.ended_at.is_(None))
        .values(ended_at=func.now(), outcome="taken_over", error_message=why)
    )
    events.append(
        session,
        render_id=render_id,
        owner_id=row.owner_id,
        run=row.run,
        last=row.event_number,
        events=[NewEvent(EventType.RECOVERED, {"stage": row.stage, "why": why, "from": worker})],
    )
    on_commit(session, TAKEOVERS.labels(why).inc)
    return Taken(render_id, Stage(row.stage), worker)
