"""Messages that are held go on: a chore of the dispatcher's, for it is the database's work alone.

One thing, one transaction, and in it a savepoint for each message: what fails in one keeps no other waiting, and is put
off alone. Of messages about one thing the newest is tried first, one in hand at a time; once it is decided those before
it are of yesterday.
"""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, zip_longest

from sqlalchemy import ColumnElement, func, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from worker.database import contended, from_now, in_passing
from worker.triggers import acceptance, planning, removal, things
from worker.triggers.acceptance import LONGEST_PAUSE, Gone
from worker.triggers.models import Style, Trigger, TriggerDelivery, Verdict
from worker.triggers.planning import Said
from worker.triggers.store import KEY_ENDED, PAUSED, key_ended

AT_ONCE = 20
BUDGET_SECONDS = 0.5
"""Of one tick: renders are dispatched in the same thread."""
OF_ONE_THING = 20
"""Held messages that one transaction decides."""
ASIDE = timedelta(seconds=5)
"""For which a trigger is passed over that somebody has in hand."""
_NEVER = text("'infinity'")


@dataclass(frozen=True)
class _Due:
    id: str
    trigger_id: str


def go_on() -> bool:
    """Try the next held messages that are due; whether there are more. Raises DBAPIError where the database is away:
    the dispatcher waits for it."""
    until = time.monotonic() + BUDGET_SECONDS
    due, more = in_passing(_due)
    in_hand: set[str] = set()
    for one in due:
        if one.trigger_id in in_hand:
            continue
        if not _try(one, until):
            in_hand.add(one.trigger_id)
            _put_aside(one.trigger_id, [other.id for other in due if other.trigger_id == one.trigger_id])
        if time.monotonic() >= until and one is not due[-1]:
            return True
    return more


def _due(session: Session) -> tuple[list[_Due], bool]:
    """By turns those whose time has come and those of triggers that go on; whether there are more of either."""
    timed, (kept, more) = _timed(session), _kept(session)
    by_turns = [one for one in chain.from_iterable(zip_longest(timed, kept)) if one is not None]
    return by_turns, more or len(timed) == AT_ONCE


def _timed(session: Session) -> list[_Due]:
    query = select(TriggerDelivery.id, TriggerDelivery.trigger_id).where(TriggerDelivery.retry_at <= func.now())
    found = session.execute(query.order_by(TriggerDelivery.retry_at, TriggerDelivery.number).limit(AT_ONCE))
    return [_Due(*row) for row in found]


def _kept(session: Session) -> tuple[list[_Due], bool]:
    """Of triggers that go on, to each its share: what was held until then has no time of its own; and whether there
    may be more."""
    going_on = Trigger.goes_on_at <= func.now(), Trigger.paused_at.is_(None), Trigger.deleted_at.is_(None)
    query = select(Trigger).where(*going_on).order_by(Trigger.goes_on_at).limit(AT_ONCE)
    # Not those that somebody changes in this moment.
    triggers = session.scalars(query.with_for_update(key_share=True, skip_locked=True)).all()
    share = AT_ONCE // max(1, len(triggers))
    found = {trigger.id: _kept_by(session, trigger, share) for trigger in triggers}
    for trigger_id, its in found.items():
        if not its:
            _looks_again(session, trigger_id, None)
    return list(chain.from_iterable(found.values())), any(len(its) == share for its in found.values())


def _kept_by(session: Session, trigger: Trigger, most: int) -> list[_Due]:
    """By one reason after the other, so that each look is a few steps in the index of what is held."""
    found: list[_Due] = []
    for code in (PAUSED,) if key_ended(session, trigger) else (PAUSED, KEY_ENDED):
        its = TriggerDelivery.trigger_id == trigger.id, TriggerDelivery.code == code, TriggerDelivery.retry_at == _NEVER
        query = select(TriggerDelivery.id).where(*its).order_by(TriggerDelivery.number).limit(most - len(found))
        found += [_Due(id, trigger.id) for id in session.scalars(query)]
    return found


def _looks_again(session: Session, trigger_id: str, at: ColumnElement[datetime] | None) -> None:
    """When a trigger that goes on is looked at next; it is left alone where somebody changes it in this moment."""
    going_on = select(Trigger.id).where(Trigger.id == trigger_id, Trigger.goes_on_at.is_not(None))
    session.execute(
        update(Trigger)
        .where(Trigger.id.in_(going_on.with_for_update(key_share=True, skip_locked=True)))
        .values(goes_on_at=at, updated_at=Trigger.updated_at)
        .execution_options(synchronize_session=False)
    )


def _put_aside(trigger_id: str, ids: list[str]) -> None:
    """What was due of a trigger that somebody has in hand: others come first for a while."""

    def work(session: Session) -> None:
        its = TriggerDelivery.id.in_(ids), TriggerDelivery.retry_at < _NEVER
        free = select(TriggerDelivery.id).where(*its).with_for_update(skip_locked=True)
        session.execute(
            update(TriggerDelivery)
            .where(TriggerDelivery.id.in_(free))
            .values(retry_at=from_now(ASIDE))
            .execution_options(synchronize_session=False)
        )
        _looks_again(session, trigger_id, from_now(ASIDE))

    in_passing(work)


def _try(due: _Due, until: float) -> bool:
    """Whether nobody else had its trigger or its thing in hand."""
    try:
        in_passing(lambda session: again(session, due.id, until))
    except Gone:
        in_passing(lambda session: removal.remove_held(session, due.id))
    except Exception as fault:  # a bug that one message brings out must not end what the others wait for
        if isinstance(fault, DBAPIError) and contended(fault):
            return False
        if acceptance.passes(fault):
            raise
        acceptance.tell(due.id, fault)
        in_passing(lambda session: _put_off(session, due.id))
    return True


def again(session: Session, delivery_id: str, until: float) -> None:
    """Decide a held message anew, and before it the newest about the same thing, as many as are decided by `until`
    (`time.monotonic()`): what is left is due by itself. Raises Gone."""
    found = session.get(TriggerDelivery, delivery_id)
    if found is None or found.verdict != Verdict.HELD:
        return
    trigger = acceptance.held(session, found.trigger_id)
    ref = planning.reference(trigger, said(trigger, found)).ref
    planning.one_at_a_time(session, trigger.owner_id, ref)
    session.expunge(found)  # with its body
    in_time = 0
    for id in (ids := _newest_first(session, found, ref)):
        if in_time and time.monotonic() >= until:
            break
        _decide(session, trigger, id)
        in_time += 1
    if delivery_id not in ids[:in_time]:
        _decide(session, trigger, delivery_id)


def _decide(session: Session, trigger: Trigger, delivery_id: str) -> None:
    """Unless it is decided meanwhile, or another process has it in hand. Where it brings out a fault of ours it is put
    off, and the others of its thing are decided: one of an older state may be all that can be made for long."""
    its = TriggerDelivery.id == delivery_id, TriggerDelivery.retry_at.is_not(None), _not_put_off()
    query = select(TriggerDelivery).where(*its).with_for_update(skip_locked=True)
    row = session.scalars(query.execution_options(populate_existing=True)).one_or_none()
    if row is None:
        return
    try:
        with session.begin_nested():
            acceptance.decide(session, trigger, row, said(trigger, row))
    except Exception as fault:
        if acceptance.passes(fault):
            raise
        acceptance.tell(delivery_id, fault)
        _put_off(session, delivery_id)
    session.expunge(row)


def said(trigger: Trigger, row: TriggerDelivery) -> Said:
    """A kept message as it came."""
    return Said.read(Style(trigger.style), row.headers, row.body)


def _newest_first(session: Session, found: TriggerDelivery, ref: str | None) -> list[str]:
    """The message and those that are held of its thing, as many as are decided at once. A later state first, whenever
    it came: the others are stale then."""
    if ref is None:
        return [found.id]
    its = TriggerDelivery.retry_at.is_not(None), TriggerDelivery.trigger_id == found.trigger_id, _not_put_off()
    query = select(TriggerDelivery.id).where(*its, (TriggerDelivery.id == found.id) | (TriggerDelivery.ref == ref))
    query = query.order_by(TriggerDelivery.revision.desc().nulls_last(), TriggerDelivery.number.desc())
    return list(session.scalars(query.limit(OF_ONE_THING))) or [found.id]


def _not_put_off() -> ColumnElement[bool]:
    """Not what a fault holds before its time: each of a pile would be tried with each of the others."""
    return TriggerDelivery.code.is_distinct_from(things.FAULT) | (TriggerDelivery.retry_at <= func.now())


def _put_off(session: Session, delivery_id: str) -> None:
    """As what a fault holds, which stands in no other's way. Unless somebody has it in hand, who may do better."""
    its = TriggerDelivery.id == delivery_id, TriggerDelivery.verdict == Verdict.HELD.value
    free = select(TriggerDelivery.id).where(*its).with_for_update(skip_locked=True)
    session.execute(
        update(TriggerDelivery)
        .where(TriggerDelivery.id.in_(free))
        .values(
            code=things.FAULT,
            detail=acceptance.FAULT_DETAIL,
            retry_at=from_now(LONGEST_PAUSE),
            tries=TriggerDelivery.tries + 1,
        )
        .execution_options(synchronize_session=False)
    )
