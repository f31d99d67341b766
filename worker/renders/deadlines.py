"""Deadlines: a run that is not over in the time that was asked for ends as `expired`.

Time on hold does not count: waiting for credits, for a subscription, or for a pause to end is not the render's fault.
The clock stops where such a wait begins (`leases.release`) and goes on at the next claim; that of a render which nobody
began stands still while every account it may use is on hold, or its batch is paused or waits for an approval. One that
is under way is ended as a cancelled one is, so its effect is as honest.
"""

from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, text, update
from sqlalchemy.orm import Session

from worker.accounts import admission
from worker.failures import DEADLINE_PASSED
from worker.metrics.commits import on_commit
from worker.metrics.declared import RUNS_ENDED
from worker.renders import store
from worker.renders.events import EventType, NewEvent
from worker.renders.models import Lane, Render
from worker.renders.queue import notify_due
from worker.renders.states import Status
from worker.renders.store import CANCEL

AT_ONCE = 200
"""Renders ended in one transaction: their rows are locked until its end."""
CLOCKS_AT_ONCE = 2000

_OPEN = (Render.deadline_at.is_not(None), Render.finished_at.is_(None))


def expire(session: Session, *, limit: int = AT_ONCE) -> int:
    """End what is past its deadline: at once where nobody began it, else by asking for its end. How many. What nobody
    began in a lane that stands still is left, though its clock may not be stopped yet: of a batch that is being
    received nobody knows."""
    late = session.scalars(
        select(Render)
        .join(Lane, Lane.id == Render.lane_id)
        .where(
            *_OPEN,
            or_(Render.started_at.is_not(None), and_(~Lane.held, Lane.paused_at.is_(None))),
            Render.deadline_at <= func.now(),
            Render.clock_stopped_at.is_(None),
            Render.cancel_requested_at.is_(None),
        )
        .order_by(Render.deadline_at)
        .limit(limit)
        .with_for_update(skip_locked=True, of=Render)
    ).all()
    for render in late:
        if render.started_at is None:
            _close(session, render)
        else:
            _call_off(session, render)
    if any(render.started_at is not None for render in late):
        notify_due(session)
        session.execute(text(f"NOTIFY {CANCEL}"))
    return len(late)


def _close(session: Session, render: Render) -> None:
    """Nobody began it: nothing was sent, nothing is to be undone."""
    failure = DEADLINE_PASSED
    closed = {
        "status": Status.EXPIRED.value,
        "reason": None,
        "expiring": True,
        "cancel_requested_at": func.now(),
        "cancel_effect": "prevented",
        "finished_at": func.now(),
        "sent_at": None,
        "error_code": failure.code,
        "error_message": failure.message,
        "error_retryable": failure.retryable,
        "error_help": failure.help,
    }
    store.change(session, render, closed, NewEvent(EventType.EXPIRED, {"effect": "prevented"}))
    on_commit(session, RUNS_ENDED.labels(Status.EXPIRED.value, failure.code).inc)


def _call_off(session: Session, render: Render) -> None:
    asked = {
        "status": Status.CANCELING.value,
        "reason": None,
        "expiring": True,
        "cancel_requested_at": func.now(),
        "sent_at": None,
    }
    store.change(session, render, asked, NewEvent(EventType.CANCELING, {"stage": render.stage, "deadline": True}))


def keep_clocks(session: Session, *, limit: int = CLOCKS_AT_ONCE) -> int:
    """Stop the clocks of queued renders whose owner's accounts are all on hold, or whose lane stands still; start those
    of the others. How many. As many as `limit` for an owner: the rest is for the next call."""
    return sum(_kept(session, owner, limit) for owner in session.execute(_OWNERS).scalars())


def _kept(session: Session, owner_id: str, limit: int) -> int:
    if admission.is_on_hold(session, owner_id):
        return _stop(session, owner_id, limit)
    standing = session.scalars(
        select(Lane.id).where(Lane.owner_id == owner_id, or_(Lane.paused_at.is_not(None), Lane.held))
    ).all()
    going_on = _go_on(session, owner_id, limit, Render.lane_id.not_in(standing))
    return going_on + (_stop(session, owner_id, limit, Render.lane_id.in_(standing)) if standing else 0)


_OWNERS = text(
    """
    WITH RECURSIVE busy AS (
        (SELECT owner_id FROM renders
            WHERE deadline_at IS NOT NULL AND finished_at IS NULL AND started_at IS NULL ORDER BY owner_id LIMIT 1)
        UNION ALL
        SELECT (SELECT renders.owner_id FROM renders WHERE deadline_at IS NOT NULL AND finished_at IS NULL
            AND started_at IS NULL AND renders.owner_id > busy.owner_id ORDER BY renders.owner_id LIMIT 1)
        FROM busy WHERE busy.owner_id IS NOT NULL)
    SELECT owner_id FROM busy WHERE owner_id IS NOT NULL"""
)
"""Owners with queued renders that have a deadline: from owner to owner along `ix_renders_clocks`, however many rows."""


def _stop(session: Session, owner_id: str, limit: int, *which: ColumnElement[bool]) -> int:
    running = _queued(owner_id, limit).where(Render.clock_stopped_at.is_(None), *which)
    return _changed(session, running, clock_stopped_at=func.now())


def _go_on(session: Session, owner_id: str, limit: int, *which: ColumnElement[bool]) -> int:
    later = Render.deadline_at + (func.now() - Render.clock_stopped_at)
    stopped = _queued(owner_id, limit).where(Render.clock_stopped_at.is_not(None), *which)
    return _changed(session, stopped, deadline_at=later, clock_stopped_at=None)


def _queued(owner_id: str, limit: int) -> Select[str]:
    """Rows that somebody holds are passed over: a claim keeps the clock itself."""
    mine = select(Render.id).where(*_OPEN, Render.started_at.is_(None), Render.owner_id == owner_id)
    return mine.limit(limit).with_for_update(skip_locked=True)


def _changed(session: Session, chosen: Select[str], **values: Any) -> int:
    ids = session.scalars(chosen).all()
    if ids:
        change = update(Render).where(Render.id.in_(ids)).values(**values)
        session.execute(change.execution_options(synchronize_session=False))
    return len(ids)
