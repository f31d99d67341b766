"""A message becomes a render, or is kept with the reason why not: in one transaction, with the key that tells its
duplicates. Whoever dies before its commit leaves nothing, and the source sends it again.
"""

import traceback
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, DateTime, cast, literal, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from config.logging import get
from worker.database import contended, from_now, retryable
from worker.metrics.commits import on_commit
from worker.metrics.declared import TRIGGER_MESSAGES
from worker.owners import limits
from worker.owners.limits import LimitReached, Limits
from worker.owners.models import ApiKey
from worker.publishing import publications
from worker.publishing.models import Publisher
from worker.renders import revisions, store
from worker.renders.models import Render
from worker.renders.states import Status
from worker.triggers import equals, filing, locks, order, planning, things
from worker.triggers.filing import Arrived, Vanished
from worker.triggers.models import Trigger, TriggerDelivery, TriggerThing, Verdict
from worker.triggers.planning import NOTHING, Plan, Reference, Said
from worker.triggers.store import KEY_ENDED, PAUSED, key_ended

log = get(__name__)

DUPLICATE = "duplicate"
"""As which one is counted that came before."""
LONGEST_PAUSE = timedelta(minutes=30)
"""Between two tries of what is held because of its key's limits, or of a fault."""
FAULT_DETAIL = "A fault of this service: the message is kept, and tried again."


class Gone(Exception):
    """The trigger was dropped meanwhile."""


@dataclass(frozen=True)
class Taken:
    """What became of a message; a duplicate has what became of the first."""

    delivery: TriggerDelivery
    duplicate: bool


def receive(session: Session, trigger_id: str, arrived: Arrived, delivery_id: str) -> Taken:
    """Put a message on file and decide it. Harmless to repeat with the same `delivery_id`.

    Raises:
        Gone
    """
    trigger = held(session, trigger_id)
    about, fault = _about(trigger, arrived.said)
    planning.one_at_a_time(session, trigger.owner_id, about.ref)
    try:
        row, was_there = filing.put(session, trigger, arrived, delivery_id)
    except Vanished:
        raise Gone(trigger.id) from None
    if was_there:
        return _again(session, trigger, row, delivery_id)
    fault = fault or _decided(session, trigger, row, arrived.said)
    if fault is not None:
        _keep(session, row, about, fault)
    return Taken(row, duplicate=False)


def _about(trigger: Trigger, said: Said) -> tuple[Reference, Exception | None]:
    """What the message is about, or the fault that it brings out."""
    try:
        return planning.reference(trigger, said), None
    except Exception as fault:
        return NOTHING, fault


def _decided(session: Session, trigger: Trigger, row: TriggerDelivery, said: Said) -> Exception | None:
    """Decide the message; the fault that it brings out, with nothing done. Raises what `passes`."""
    try:
        with session.begin_nested():
            decide(session, trigger, row, said)
    except Exception as fault:
        if passes(fault):
            raise
        return fault
    return None


def passes(fault: Exception) -> bool:
    """Whether the whole transaction may do better in a moment."""
    if isinstance(fault, DBAPIError) and contended(fault):
        return True
    return isinstance(fault, DBAPIError | PoolTimeout) and retryable(fault)


def _keep(session: Session, row: TriggerDelivery, about: Reference, fault: Exception) -> None:
    """A fault of ours that a message brought out: its source did nothing wrong, and would give its webhook up. What it
    is about is kept with it, so that a newer message overtakes it."""
    tell(row.id, fault)
    plan = Plan(Verdict.HELD, things.FAULT, FAULT_DETAIL)
    plan = replace(plan, ref=about.ref, revision=about.revision)
    _write(session, row, plan, retry_at=from_now(LONGEST_PAUSE))


def tell(delivery_id: str, fault: Exception) -> None:
    """Log a fault of ours. PostgreSQL says in its message what is in the row, the customer's words: not those."""
    orig = fault.orig if isinstance(fault, DBAPIError) else None
    constraint = getattr(getattr(orig, "diag", None), "constraint_name", None)
    error = type(orig or fault).__name__
    log.error("trigger.fault", delivery=delivery_id, error=error, constraint=constraint, at=_place(fault))


def _place(fault: Exception) -> list[str]:
    """The innermost frames, without any values."""
    frames = traceback.extract_tb(fault.__traceback__)[-5:]
    return [f"{Path(one.filename).name}:{one.lineno}" for one in frames]


def held(session: Session, trigger_id: str) -> Trigger:
    """The trigger, as it is until this transaction ends: who pauses or changes it waits so long. Raises Gone."""
    locks.share(session, trigger_id)
    there = Trigger.id == trigger_id, Trigger.deleted_at.is_(None)
    query = select(Trigger).where(*there).execution_options(populate_existing=True)
    trigger = session.scalars(query).one_or_none()
    if trigger is None:
        raise Gone(trigger_id)
    return trigger


def decide(session: Session, trigger: Trigger, row: TriggerDelivery, said: Said) -> None:
    """Write on a message's row what becomes of it, now or after it was held, and do it. Its thing is locked
    (`planning.one_at_a_time`)."""
    try:
        _do(session, trigger, row, planning.plan(session, trigger, said, force=row.force, number=row.number))
    except _Moved:
        decide(session, trigger, row, said)


class _Moved(Exception):
    """What was to stand for the thing ended without a video, or was called off, while it was looked at."""


def _do(session: Session, trigger: Trigger, row: TriggerDelivery, plan: Plan) -> None:
    """Raises _Moved, with nothing done."""
    renders = plan.verdict is Verdict.RENDERED
    forever = cast(literal("infinity"), DateTime(timezone=True))
    if trigger.paused_at is not None and plan.verdict not in (Verdict.IGNORED, Verdict.STALE):
        _hold(session, trigger, row, plan, PAUSED, "The trigger is paused.", forever)
        return
    if renders and key_ended(session, trigger):
        _hold(session, trigger, row, plan, KEY_ENDED, "The trigger's key was revoked or has expired.", forever)
        return
    try:
        key = _limited(session, trigger.api_key_id) if renders else None
        # What would make way stays where nothing comes in its place.
        with session.begin_nested() if key is not None else nullcontext():
            render = _carry_out(session, trigger, plan, key)
    except LimitReached as reached:
        _hold(session, trigger, row, plan, f"limit.{reached.kind}", reached.detail, from_now(pause(row.tries, reached)))
        return
    _write(session, row, plan, render=render)
    if plan.verdict is Verdict.STALE:
        things.outlast(session, trigger, row)
    elif plan.verdict is not Verdict.IGNORED:
        things.note(session, trigger, row, plan, render)
        things.overtake(session, trigger, row, renders=renders)


def _hold(
    session: Session,
    trigger: Trigger,
    row: TriggerDelivery,
    plan: Plan,
    code: str,
    detail: str,
    retry_at: ColumnElement[Any],
) -> None:
    """Until it may be decided; of a thing the newest state alone, so that none piles up."""
    renders = plan.verdict is Verdict.RENDERED
    if (newer := things.outdone(session, trigger, row, plan)) is not None:
        detail = f"A newer message about it is held: {newer}."
        _write(session, row, replace(plan, verdict=Verdict.STALE, code=None, detail=detail))
        return
    _write(session, row, replace(plan, verdict=Verdict.HELD, code=code, detail=detail), retry_at=retry_at)
    things.overtake(session, trigger, row, renders=renders)


def _carry_out(session: Session, trigger: Trigger, plan: Plan, key: ApiKey | None) -> Render | None:
    """The render that is made, or stands for it. Raises LimitReached, _Moved."""
    if plan.verdict is Verdict.UNCHANGED:
        assert plan.equal is not None, "unchanged because of it"
        equal = _standing(session, plan.equal.id)
        _make_way(session, trigger, plan, equal.id)
        _publish(session, trigger, plan, equal)
        return equal
    return _render(session, trigger, plan, key) if plan.verdict is Verdict.RENDERED else None


def _standing(session: Session, render_id: str) -> Render:
    """The render that stands for a thing, as it stays until this transaction's end: if it ends after that, the relay of
    publications finds this message beside it. Raises _Moved."""
    query = select(Render).where(Render.id == render_id).with_for_update(read=True)
    render = session.scalars(query.execution_options(populate_existing=True)).one_or_none()
    if render is None or not equals.stands(render):
        raise _Moved
    return render


def _render(session: Session, trigger: Trigger, plan: Plan, key: ApiKey | None) -> Render:
    assert plan.request is not None, "what is rendered has a request"
    render_id = store.new_id("rnd")
    # First: what it takes the place of no longer counts against the key.
    at_work = _make_way(session, trigger, plan, render_id)
    if key is not None:
        limits.check(session, key.id, Limits.read(key.limits))
    render = store.accept(session, trigger.owner_id, plan.request, render_id=render_id)
    if plan.fingerprint is not None:
        numbered = update(Render).where(Render.id == render_id).values(fingerprint=plan.fingerprint)
        session.execute(numbered.execution_options(synchronize_session=False))
    if at_work is not None:
        revisions.follow(session, {render_id: at_work})
    return render


def _make_way(session: Session, trigger: Trigger, plan: Plan, newer: str) -> str | None:
    """Cancel what `newer` takes the place of; what it has to follow."""
    if plan.ref is None or plan.revision is None or plan.template_id is None:
        return None
    return order.make_way(session, trigger.owner_id, plan.ref, plan.template_id, newer=newer)


def _limited(session: Session, key_id: str | None) -> ApiKey | None:
    """The trigger's key, where it may not have as much as it likes."""
    key = session.get(ApiKey, key_id) if key_id is not None else None
    return key if key is not None and key.limits else None


def _publish(session: Session, trigger: Trigger, plan: Plan, render: Render) -> None:
    """A video that is there goes to this product too; one that is still made is brought there once it is. What we do
    to a product comes back as such a message, so one alone is no reason to bring anything."""
    if trigger.publisher_id is None or plan.ref is None or render.status != Status.SUCCEEDED:
        return
    # Until this transaction's end: its deletion asks nobody who has the trigger in hand.
    there = select(Publisher.id).where(Publisher.id == trigger.publisher_id).with_for_update(read=True, key_share=True)
    if session.scalar(there) is None:
        return
    thing = session.get(TriggerThing, (trigger.id, plan.ref), populate_existing=True)
    moved = thing is not None and thing.render_id not in (None, render.id)
    publications.ask_where_new(session, trigger.publisher_id, render, plan.ref, plan.product, moved=moved)


def _again(session: Session, trigger: Trigger, first: TriggerDelivery, delivery_id: str) -> Taken:
    if first.id == delivery_id:
        return Taken(first, duplicate=False)  # this call's own COMMIT, whose answer was lost
    filing.count_again(session, first)
    on_commit(session, TRIGGER_MESSAGES.labels(trigger.style, DUPLICATE).inc)
    return Taken(first, duplicate=True)


def _write(
    session: Session,
    row: TriggerDelivery,
    plan: Plan,
    *,
    render: Render | None = None,
    retry_at: ColumnElement[Any] | None = None,
) -> None:
    first = row.tries == 0
    values: dict[str, Any] = {
        "verdict": plan.verdict.value,
        "code": plan.code,
        "detail": plan.detail[:500] if plan.detail else None,
        "render_id": render.id if render else None,
        "ref": plan.ref,
        "revision": plan.revision,
        "product": dict(plan.product),
        "retry_at": retry_at,
        "tries": row.tries + (plan.code != PAUSED),
    }
    if plan.verdict is Verdict.IGNORED:
        values["body"] = b""  # it may be an order, with a person's address
    written = update(TriggerDelivery).where(TriggerDelivery.id == row.id).values(**values).returning(TriggerDelivery)
    at_once: dict[str, Any] = {"synchronize_session": False, "populate_existing": True}
    session.scalars(written.execution_options(**at_once)).one()
    if first or plan.verdict is not Verdict.HELD:
        style = session.get_one(Trigger, row.trigger_id).style
        on_commit(session, TRIGGER_MESSAGES.labels(style, plan.verdict.value).inc)


def pause(tries: int, reached: LimitReached) -> timedelta:
    """How long what is held waits for its next try: growing, and at least until the limit may be free."""
    grown = timedelta(seconds=reached.retry_after_seconds) * 2 ** min(tries, 6)
    return min(grown, max(LONGEST_PAUSE, timedelta(seconds=min(reached.retry_after_seconds, 3600))))
