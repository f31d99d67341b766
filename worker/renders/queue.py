"""What is due: the dispatcher's looks at the renders, and the takeover of what a silent worker held."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Double, and_, case, func, insert, literal, or_, select, text, true, update
from sqlalchemy.orm import Session, aliased

from worker.database import ago, from_now
from worker.machine import identity, is_gone
from worker.metrics.commits import on_commit
from worker.metrics.declared import SENT_AGAIN, TAKEOVERS, begin
from worker.renders import events
from worker.renders.events import EventType, NewEvent
from worker.renders.leases import unowned
from worker.renders.models import Attempt, Lane, Recovery, Render, Worker
from worker.renders.states import Stage, Status

DUE = "vivideo_due"
"""NOTIFY channel: something is ready to run now. Never with a payload, at most once a transaction."""

BEFORE_STREAM_ENDS = (Stage.TOKEN, Stage.SESSION, Stage.UPLOAD, Stage.GENERATE)

MOST_SENDS = 4
"""From this message on the wait does not grow: at eight intervals a broker that loses several costs minutes."""

SILENT = "worker silent for a lease"
STOPPED = "worker stopped"
DIED = "worker process ended"
LOST = "worker lost track of it"
begin(TAKEOVERS, (SILENT, STOPPED, DIED, LOST))

PRIORITY_WEIGHT = {"high": 8.0, "normal": 4.0, "low": 1.0}
"""Shares of the workers between lanes that all have work: high gets eight times low's, and low still moves."""


@dataclass(frozen=True)
class Due:
    """A render to send a message about."""

    id: str
    stage: Stage
    lease: int
    canceling: bool


@dataclass(frozen=True)
class Taken:
    """A render taken from a silent worker."""

    id: str
    stage: Stage
    worker: str


def now(session: Session) -> datetime:
    """The database's time."""
    return session.execute(select(func.clock_timestamp())).scalar_one()


def notify_due(session: Session) -> None:
    """Wake the dispatcher when this transaction commits."""
    session.execute(text(f"NOTIFY {DUE}"))


def _not_on_its_way(redispatch: timedelta) -> ColumnElement[bool]:
    return or_(Render.sent_at.is_(None), ~_on_its_way(redispatch))


def _on_its_way(redispatch: timedelta) -> ColumnElement[bool]:
    """Sent, and not overdue: `redispatch` after the first message, twice as long after each further one. A message that
    is missing was lost, or it waits because the workers are behind: then each copy would put them back further."""
    # The exponent is bounded, not its power: that overflows after three days of messages nobody took.
    longer = func.power(2.0, func.least(func.greatest(Render.sends, 1), MOST_SENDS) - 1, type_=Double())
    return Render.sent_at >= func.now() - func.make_interval(0, 0, 0, 0, 0, 0, redispatch.total_seconds() * longer)


def _mark_sent(session: Session, ids: Sequence[str]) -> list[Due]:
    before = aliased(Render)
    rows = session.execute(
        update(Render)
        .where(Render.id.in_(ids), before.id == Render.id)
        .values(sent_at=func.now(), sends=case((Render.sent_at.is_(None), 1), else_=Render.sends + 1))
        .returning(Render.id, Render.stage, Render.lease, Render.cancel_requested_at, before.sent_at)
        .execution_options(synchronize_session=False)
    ).all()
    for stage in (row.stage for row in rows if row.sent_at is not None):
        on_commit(session, SENT_AGAIN.labels(stage).inc)
    return [Due(row.id, Stage(row.stage), row.lease, row.cancel_requested_at is not None) for row in rows]


def forget_sends(session: Session) -> None:
    """Nothing is known of the messages any more (the broker refused some, or this dispatcher is new): each counts as
    the first, so that nobody waits longer for what is lost."""
    on_way = unowned(), Render.sent_at.is_not(None), Render.sends > 1
    free = select(Render.id).where(*on_way).with_for_update(skip_locked=True)
    session.execute(
        update(Render).where(Render.id.in_(free)).values(sends=1).execution_options(synchronize_session=False)
    )


def due_under_way(session: Session, *, stages: Sequence[Stage], redispatch: timedelta, limit: int) -> list[Due]:
    """Renders already begun that are ready at one of `stages`, oldest first; marked as sent."""
    if limit <= 0:
        return []
    ids = session.scalars(
        select(Render.id)
        .where(
            unowned(),
            Render.started_at.is_not(None),
            Render.stage.in_([stage.value for stage in stages]),
            Render.ready_at <= func.now(),
            Render.cancel_requested_at.is_(None),
            _not_on_its_way(redispatch),
        )
        .order_by(Render.ready_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    return _mark_sent(session, ids) if ids else []


def due_cancels(session: Session, *, redispatch: timedelta, limit: int) -> list[Due]:
    """Renders nobody holds that were asked to be cancelled; marked as sent."""
    ids = session.scalars(
        select(Render.id)
        .where(
            unowned(),
            Render.started_at.is_not(None),
            Render.cancel_requested_at.is_not(None),
            _not_on_its_way(redispatch),
        )
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    return _mark_sent(session, ids) if ids else []


def due_new(
    session: Session,
    *,
    redispatch: timedelta,
    limit: int,
    only: str | None = None,
    without: Sequence[str] = (),
) -> list[Due]:
    """Up to `limit` renders that nobody began, shared out between the lanes by virtual time; marked as sent. Of the
    owner `only`, or of all but those in `without`."""
    if limit <= 0:
        return []
    lanes = session.scalars(
        select(Lane)
        .where(Lane.paused_at.is_(None), Lane.owner_id.not_in(without), _new_in_lane(redispatch).exists())
        .where(Lane.owner_id == only if only is not None else true())
        .order_by(Lane.virtual_time, Lane.id)
        .limit(100)
        # KEY SHARE is what each new render takes on its lane: the intake must not look like another dispatcher.
        .with_for_update(skip_locked=True, key_share=True)
    ).all()
    if not lanes:
        return []
    # A lane that slept has a low virtual time: it starts level with the others instead of catching up.
    floor = lanes[-1].virtual_time - 1.0
    shares = share_out({lane.id: (max(lane.virtual_time, floor), lane.priority) for lane in lanes}, limit)
    ids: list[str] = []
    for lane in lanes:
        chosen = session.scalars(
            _new_in_lane(redispatch, lane.id)
            .order_by(Render.ready_at, Render.id)
            .limit(shares[lane.id])
            .with_for_update(skip_locked=True)
        ).all()
        ids += chosen
        lane.virtual_time = max(lane.virtual_time, floor) + len(chosen) / PRIORITY_WEIGHT[lane.priority]
    return _mark_sent(session, ids) if ids else []


def _new_in_lane(redispatch: timedelta, lane_id: int | None = None):
    return select(Render.id).where(
        Render.lane_id == (Lane.id if lane_id is None else lane_id),
        unowned(),
        Render.started_at.is_(None),
        Render.ready_at <= func.now(),
        _not_on_its_way(redispatch),
    )


def share_out(lanes: dict[int, tuple[float, str]], places: int) -> dict[int, int]:
    """Give `places` one by one to the lane with the least virtual time; each place costs it 1 / weight."""
    times = {lane: time for lane, (time, _) in lanes.items()}
    given = dict.fromkeys(lanes, 0)
    for _ in range(places):
        lane = min(times, key=lambda key: (times[key], key))
        given[lane] += 1
        times[lane] += 1 / PRIORITY_WEIGHT[lanes[lane][1]]
    return given


def capacity(session: Session, *, lease: timedelta) -> dict[str, int]:
    """Places of the live workers, by kind."""
    rows = session.execute(
        select(Worker.kind, func.sum(Worker.capacity)).where(_alive(lease)).group_by(Worker.kind)
    ).all()
    return {kind: int(places) for kind, places in rows}


def _alive(lease: timedelta) -> ColumnElement[bool]:
    return and_(Worker.stopped_at.is_(None), Worker.seen_at >= ago(lease))


def on_their_way(session: Session, *, redispatch: timedelta) -> dict[Stage, int]:
    """Messages presumably in the broker, by stage."""
    rows = session.execute(
        select(Render.stage, func.count())
        .where(unowned(), or_(Render.started_at.is_not(None), Render.sent_at.is_not(None)))
        .where(_on_its_way(redispatch), Render.ready_at <= func.now())
        .group_by(Render.stage)
    ).all()
    return {Stage(stage): count for stage, count in rows}


def before_their_stream_ends(session: Session, *, redispatch: timedelta) -> int:
    """Renders on their way or begun whose stream is still to come or open. What waits (for credits, say) does not
    count, nor does a message that is overdue: lost ones would hold the places that their own repetition needs."""
    return session.execute(
        select(func.count())
        .select_from(Render)
        .where(
            Render.finished_at.is_(None),
            or_(Render.started_at.is_not(None), _on_its_way(redispatch)),
            Render.stage.in_([stage.value for stage in BEFORE_STREAM_ENDS]),
            Render.status != Status.WAITING.value,
        )
    ).scalar_one()


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
    heard_of = select(Worker.id).where(mine, _alive(lease)).exists()
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
