"""What is due: the dispatcher's looks at the renders under way, and what it counts before it sends more."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Double, and_, case, func, or_, select, text, update
from sqlalchemy.orm import Session, aliased

from worker.database import ago
from worker.metrics.commits import on_commit
from worker.metrics.declared import SENT_AGAIN
from worker.renders.leases import unowned
from worker.renders.models import Render, Worker
from worker.renders.sharing import Holding, Waiting
from worker.renders.states import Stage, Status

DUE = "vivideo_due"
"""NOTIFY channel: something is ready to run now. Never with a payload, at most once a transaction."""

BEFORE_SESSION = (Stage.TOKEN, Stage.SESSION)
BEFORE_STREAM_ENDS = (Stage.TOKEN, Stage.SESSION, Stage.UPLOAD, Stage.GENERATE)

MOST_SENDS = 4
"""From this message on the wait does not grow: at eight intervals a broker that loses several costs minutes."""


@dataclass(frozen=True)
class Due:
    """A render to send a message about."""

    id: str
    stage: Stage
    lease: int
    canceling: bool


def now(session: Session) -> datetime:
    """The database's time."""
    return session.execute(select(func.clock_timestamp())).scalar_one()


def notify_due(session: Session) -> None:
    """Wake the dispatcher when this transaction commits."""
    session.execute(text(f"NOTIFY {DUE}"))


def by_index(session: Session) -> None:
    """Look by index alone until this transaction ends: a planner whose statistics are of an emptier table would read
    all of it."""
    session.execute(_BY_INDEX)


_BY_INDEX = text("SELECT set_config(name, 'off', true) FROM unnest(ARRAY['enable_seqscan', 'enable_bitmapscan']) name")


def not_on_its_way(redispatch: timedelta) -> ColumnElement[bool]:
    """Never sent, or overdue."""
    return or_(Render.sent_at.is_(None), ~on_its_way(redispatch))


def on_its_way(redispatch: timedelta) -> ColumnElement[bool]:
    """Sent, and not overdue: `redispatch` after the first message, twice as long after each further one. A message that
    is missing was lost, or it waits because the workers are behind: then each copy would put them back further."""
    # The exponent is bounded, not its power: that overflows after three days of messages nobody took.
    longer = func.power(2.0, func.least(func.greatest(Render.sends, 1), MOST_SENDS) - 1, type_=Double())
    return Render.sent_at >= func.now() - func.make_interval(0, 0, 0, 0, 0, 0, redispatch.total_seconds() * longer)


def mark_sent(session: Session, ids: Sequence[str]) -> list[Due]:
    """Note on locked rows that a message goes out now; what it has to say."""
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
            not_on_its_way(redispatch),
        )
        .order_by(Render.ready_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    return mark_sent(session, ids) if ids else []


def due_cancels(session: Session, *, redispatch: timedelta, limit: int) -> list[Due]:
    """Renders nobody holds that were asked to be cancelled; marked as sent."""
    ids = session.scalars(
        select(Render.id)
        .where(
            unowned(),
            Render.started_at.is_not(None),
            Render.cancel_requested_at.is_not(None),
            not_on_its_way(redispatch),
        )
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    return mark_sent(session, ids) if ids else []


def capacity(session: Session, *, lease: timedelta) -> dict[str, int]:
    """Places of the live workers, by kind."""
    rows = session.execute(
        select(Worker.kind, func.sum(Worker.capacity)).where(alive(lease)).group_by(Worker.kind)
    ).all()
    return {kind: int(places) for kind, places in rows}


def alive(lease: timedelta) -> ColumnElement[bool]:
    """Of a worker: heard of within a lease, and no goodbye."""
    return and_(Worker.stopped_at.is_(None), Worker.seen_at >= ago(lease))


def on_their_way(session: Session, *, redispatch: timedelta) -> dict[Stage, int]:
    """Messages presumably in the broker, by stage."""
    rows = session.execute(
        select(Render.stage, func.count())
        .where(unowned(), or_(Render.started_at.is_not(None), Render.sent_at.is_not(None)))
        .where(on_its_way(redispatch), Render.ready_at <= func.now())
        .group_by(Render.stage)
    ).all()
    return {Stage(stage): count for stage, count in rows}


@dataclass(frozen=True)
class Streams:
    """Renders whose stream is still to come or open, and whose they are."""

    all: int
    of_batches: int
    starting_of_batches: int
    """Those of batches that have no session yet."""
    holding: Holding


def before_their_stream_ends(session: Session, *, redispatch: timedelta) -> Streams:
    """Renders on their way or begun whose stream is still to come or open. What waits (for credits, say) does not
    count, nor does a message that is overdue: lost ones would hold the places that their own repetition needs."""
    whose = Render.lane_id, Render.owner_id, Render.priority, Render.batch_id
    starting = func.count().filter(Render.stage.in_([stage.value for stage in BEFORE_SESSION]))
    rows = session.execute(
        select(*whose, func.count().label("places"), starting.label("starting"))
        .where(
            Render.finished_at.is_(None),
            or_(Render.started_at.is_not(None), on_its_way(redispatch)),
            Render.stage.in_([stage.value for stage in BEFORE_STREAM_ENDS]),
            Render.status != Status.WAITING.value,
        )
        .group_by(*whose)
    ).all()
    holding = Holding()
    for row in rows:
        holding.add(Waiting(row.lane_id, row.owner_id, row.priority, row.batch_id), row.places)
    batched = [row for row in rows if row.batch_id is not None]
    return Streams(
        all=sum(row.places for row in rows),
        of_batches=sum(row.places for row in batched),
        starting_of_batches=sum(row.starting for row in batched),
        holding=holding,
    )
