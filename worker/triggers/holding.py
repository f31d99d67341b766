"""Messages that are held go on: a chore of the dispatcher's, for it is the database's work alone.

One message, one transaction: what fails in one keeps no other waiting. Messages about one thing are tried newest first;
once one of them is decided those before it are of yesterday.
"""

from sqlalchemy import func, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from worker.database import contended, from_now, in_passing
from worker.triggers import acceptance, planning
from worker.triggers.acceptance import LONGEST_PAUSE, Gone
from worker.triggers.models import Style, Trigger, TriggerDelivery, Verdict
from worker.triggers.planning import Said

AT_ONCE = 20


def go_on() -> bool:
    """Try the next held messages that are due; whether there are more. Raises DBAPIError where the database is away:
    the dispatcher waits for it."""
    due = in_passing(_due)
    for delivery_id in due:
        _try(delivery_id)
    return len(due) == AT_ONCE


def _due(session: Session) -> list[str]:
    waits = TriggerDelivery.retry_at <= func.now()
    query = select(TriggerDelivery.id).where(waits).order_by(TriggerDelivery.retry_at, TriggerDelivery.id)
    return list(session.scalars(query.limit(AT_ONCE)))


def _try(delivery_id: str) -> None:
    try:
        in_passing(lambda session: again(session, delivery_id))
    except Gone:
        return
    except Exception as fault:  # a bug that one message brings out must not end what the others wait for
        if isinstance(fault, DBAPIError) and contended(fault):
            return  # somebody has its trigger or its thing: the next look tries again
        if acceptance.passes(fault):
            raise
        acceptance.tell(delivery_id, fault)
        in_passing(lambda session: _put_off(session, delivery_id))


def again(session: Session, delivery_id: str) -> None:
    """Decide a held message anew, with those about the same thing that came after it first. Raises Gone."""
    found = session.get(TriggerDelivery, delivery_id)
    if found is None:
        return
    trigger = acceptance.held(session, found.trigger_id)
    ref = planning.reference(trigger, said(trigger, found))
    planning.one_at_a_time(session, trigger.owner_id, ref)
    for row in _waiting(session, found, ref):
        session.refresh(row)
        if row.verdict == Verdict.HELD:  # none that came later settled it
            acceptance.decide(session, trigger, row, said(trigger, row))


def said(trigger: Trigger, row: TriggerDelivery) -> Said:
    """A kept message as it came."""
    return Said.read(Style(trigger.style), row.headers, row.body)


def _waiting(session: Session, found: TriggerDelivery, ref: str | None) -> list[TriggerDelivery]:
    """The message, and held ones about its thing that came later, newest first; another process's are passed over."""
    its = TriggerDelivery.retry_at.is_not(None), TriggerDelivery.trigger_id == found.trigger_id
    alone = TriggerDelivery.id == found.id
    later = (TriggerDelivery.ref == ref) & (TriggerDelivery.id > found.id)
    query = select(TriggerDelivery).where(*its, alone if ref is None else alone | later)
    query = query.order_by(TriggerDelivery.id.desc()).with_for_update(skip_locked=True)
    return list(session.scalars(query.execution_options(populate_existing=True)))


def _put_off(session: Session, delivery_id: str) -> None:
    held = TriggerDelivery.id == delivery_id, TriggerDelivery.verdict == Verdict.HELD.value
    session.execute(
        update(TriggerDelivery).where(*held).values(retry_at=from_now(LONGEST_PAUSE), tries=TriggerDelivery.tries + 1)
    )
