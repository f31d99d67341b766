"""Messages that are held go on: a chore of the dispatcher's, for it is the database's work alone.

One thing, one transaction, and in it a savepoint for each message: what fails in one keeps no other waiting, and is put
off alone. Of messages about one thing the newest is tried first, one in hand at a time; once it is decided those before
it are of yesterday. Owners take turns.
"""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, zip_longest

from sqlalchemy import ColumnElement, Select, func, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from worker.database import contended, from_now, in_passing
from worker.renders import queue
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
    owner_id: str
    kept: bool
    """By a trigger that goes on, and not until a time of its own."""


@dataclass
class _Round:
    """Owners with messages whose time has come take turns, in the order of their ids; each process has its own."""

    served: str = ""
    """The owner whose turn was the last."""


_round = _Round()


def go_on() -> bool:
    """Try the next held messages that are due; whether there are more. Raises DBAPIError where the database is away:
    the dispatcher waits for it."""
    until = time.monotonic() + BUDGET_SECONDS
    due, more = in_passing(_due)
    in_hand: set[str] = set()
    for one in due:
        if one.trigger_id in in_hand:
            continue
        if not one.kept:
            _round.served = one.owner_id
        if not _try(one, until):
            in_hand.add(one.trigger_id)
            _put_aside(one.trigger_id, [other.id for other in due if other.trigger_id == one.trigger_id])
        if time.monotonic() >= until and one is not due[-1]:
            return True
    return more


def _due(session: Session) -> tuple[list[_Due], bool]:
    """By turns those whose time has come and those of triggers that go on; whether there are more of either."""
    timed, (kept, more) = _timed(session), _kept(session)
    return _by_turns([timed, kept]), more or len(timed) == AT_ONCE


def _by_turns(queues: Sequence[Sequence[_Due]]) -> list[_Due]:
    """The first of each, then the second of each, and so on."""
    return [one for one in chain.from_iterable(zip_longest(*queues)) if one is not None]


def _timed(session: Session) -> list[_Due]:
    """Those whose time has come. Where they are more than are tried at once, owners take turns, from the one behind
    whom the last look ended: however much of one is due, and of however many."""
    first = _timed_of(session, None)
    if len(first) < AT_ONCE:
        return first
    return _by_turns([_timed_of(session, owner_id) for owner_id in _with_due(session)])[:AT_ONCE]


def _timed_of(session: Session, owner_id: str | None) -> list[_Due]:
    """Of one owner, or of all, what was due first."""
    query = select(TriggerDelivery.id, TriggerDelivery.trigger_id, TriggerDelivery.owner_id)
    query = query.where(TriggerDelivery.retry_at <= func.now())
    if owner_id is not None:
        query = query.where(TriggerDelivery.owner_id == owner_id)
    found = session.execute(query.order_by(TriggerDelivery.retry_at, TriggerDelivery.number).limit(AT_ONCE))
    return [_Due(*row, kept=False) for row in found]


def _with_due(session: Session) -> list[str]:
    """Owners of whom something is due, in their turn."""
    queue.by_index(session)
    behind = {"after": _round.served, "until": None, "most": AT_ONCE}
    found = list(session.scalars(_NEXT_OWNERS, behind))
    before = {"after": "", "until": _round.served, "most": AT_ONCE - len(found)}
    return found + list(session.scalars(_NEXT_OWNERS, before))


_NEXT_OWNERS = text(
    """
    WITH RECURSIVE waiting AS (
        (SELECT owner_id, retry_at FROM trigger_deliveries
            WHERE retry_at IS NOT NULL AND owner_id > :after ORDER BY owner_id, retry_at LIMIT 1)
        UNION ALL
        SELECT next.owner_id, next.retry_at FROM waiting CROSS JOIN LATERAL (
            SELECT owner_id, retry_at FROM trigger_deliveries
            WHERE retry_at IS NOT NULL AND owner_id > waiting.owner_id ORDER BY owner_id, retry_at LIMIT 1) AS next
        WHERE CAST(:until AS text) IS NULL OR waiting.owner_id < :until)
    SELECT owner_id FROM waiting
    WHERE retry_at <= now() AND (CAST(:until AS text) IS NULL OR owner_id <= :until) LIMIT :most"""
)
"""By walking `ix_trigger_deliveries_turn`, one step each, and no further than to the last that is wanted: an owner's
first row there is the one that is due first."""


def _kept(session: Session) -> tuple[list[_Due], bool]:
    """Of triggers that go on, to each its share: what was held until then has no time of its own; and whether there
    may be more."""
    # Not those that somebody changes in this moment.
    triggers = session.scalars(_in_turn().with_for_update(of=Trigger, key_share=True, skip_locked=True)).all()
    of_owner = Counter(trigger.owner_id for trigger in triggers)
    queues: dict[str, list[list[_Due]]] = {owner_id: [] for owner_id in of_owner}
    more = len(triggers) == AT_ONCE
    for trigger in triggers:
        share = max(1, AT_ONCE // len(of_owner) // of_owner[trigger.owner_id])
        its = _kept_by(session, trigger, share)
        queues[trigger.owner_id].append(its)
        more = more or len(its) == share
        if not its:
            _looks_again(session, trigger.id, None)
    return _by_turns([_by_turns(its) for its in queues.values()])[:AT_ONCE], more


def _in_turn() -> Select[Trigger]:
    """Triggers that go on: of each owner the one first that was served the longest time ago (`goes_on_at` is set anew
    with each of its messages), and of the owners the one."""
    waits = Trigger.goes_on_at <= func.now(), Trigger.paused_at.is_(None), Trigger.deleted_at.is_(None)
    mine = func.row_number().over(partition_by=Trigger.owner_id, order_by=(Trigger.goes_on_at, Trigger.id))
    served = func.max(Trigger.goes_on_at).over(partition_by=Trigger.owner_id)
    waiting = select(Trigger.id, mine.label("place"), served.label("served")).where(*waits).subquery()
    query = select(Trigger).join(waiting, waiting.c.id == Trigger.id).where(*waits)
    return query.order_by(waiting.c.place, waiting.c.served, Trigger.owner_id).limit(AT_ONCE)


def _kept_by(session: Session, trigger: Trigger, most: int) -> list[_Due]:
    """By one reason after the other, so that each look is a few steps in the index of what is held."""
    found: list[_Due] = []
    for code in (PAUSED,) if key_ended(session, trigger) else (PAUSED, KEY_ENDED):
        its = TriggerDelivery.trigger_id == trigger.id, TriggerDelivery.code == code, TriggerDelivery.retry_at == _NEVER
        query = select(TriggerDelivery.id).where(*its).order_by(TriggerDelivery.number).limit(most - len(found))
        found += [_Due(id, trigger.id, trigger.owner_id, kept=True) for id in session.scalars(query)]
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

    def work(session: Session) -> None:
        again(session, due.id, until)
        _ends_turn(session, due)

    def put_off(session: Session) -> None:
        _put_off(session, due.id)
        _ends_turn(session, due)

    try:
        in_passing(work)
    except Gone:
        in_passing(lambda session: removal.remove_held(session, due.id))
    except Exception as fault:  # a bug that one message brings out must not end what the others wait for
        if isinstance(fault, DBAPIError) and contended(fault):
            return False
        if acceptance.passes(fault):
            raise
        acceptance.tell(due.id, fault)
        in_passing(put_off)
    return True


def _ends_turn(session: Session, due: _Due) -> None:
    """Of what a trigger kept, the next is tried once the others had theirs."""
    if due.kept:
        _looks_again(session, due.trigger_id, func.clock_timestamp())


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
