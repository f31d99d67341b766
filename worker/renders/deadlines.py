"""Deadlines: a run that is not over in the time that was asked for ends as `expired`.

Time on hold does not count: waiting for credits, for a subscription, or for a pause to end is not the render's fault.
The clock stops where such a wait begins (`leases.release`) and goes on at the next claim; that of a render which nobody
began stands still while every account it may use is on hold. One that is under way is ended as a cancelled one is, so
its effect is as honest.
"""

from collections.abc import Sequence

from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from config.settings import settings
from worker.accounts import admission
from worker.failures import DEADLINE_PASSED
from worker.metrics.commits import on_commit
from worker.metrics.declared import RUNS_ENDED
from worker.renders import store
from worker.renders.events import EventType, NewEvent
from worker.renders.models import Render
from worker.renders.queue import notify_due
from worker.renders.states import Status
from worker.renders.store import CANCEL

AT_ONCE = 200
"""Renders ended in one transaction: their rows are locked until its end."""

_OPEN = (Render.deadline_at.is_not(None), Render.finished_at.is_(None))


def expire(session: Session, *, limit: int = AT_ONCE) -> int:
    """End what is past its deadline: at once where nobody began it, else by asking for its end. How many."""
    late = session.scalars(
        select(Render)
        .where(
            *_OPEN,
            Render.deadline_at <= func.now(),
            Render.clock_stopped_at.is_(None),
            Render.cancel_requested_at.is_(None),
        )
        .order_by(Render.deadline_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
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


def keep_clocks(session: Session) -> None:
    """Stop the clocks of queued renders whose owner's accounts are all on hold, and start those of the others."""
    queued = (*_OPEN, Render.started_at.is_(None))
    owners: Sequence[str] = session.scalars(select(Render.owner_id).where(*queued).distinct()).all()
    if not owners:
        return
    slots = settings().capacity.account_slots
    held = [owner for owner in owners if admission.is_on_hold(session, owner, default_slots=slots)]
    session.execute(
        update(Render)
        .where(*queued, Render.owner_id.in_(held), Render.clock_stopped_at.is_(None))
        .values(clock_stopped_at=func.now())
        .execution_options(synchronize_session=False)
    )
    session.execute(
        update(Render)
        .where(*queued, Render.owner_id.not_in(held), Render.clock_stopped_at.is_not(None))
        .values(deadline_at=Render.deadline_at + (func.now() - Render.clock_stopped_at), clock_stopped_at=None)
        .execution_options(synchronize_session=False)
    )
