"""A message becomes a render, or is kept with the reason why not: in one transaction, with the key that tells its
duplicates. Whoever dies before its commit leaves nothing, and the source sends it again.
"""

import traceback
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, DateTime, case, cast, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert
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
from worker.renders import revisions, store
from worker.renders.models import Render
from worker.renders.states import Status
from worker.triggers import equals, locks, order, planning
from worker.triggers import store as store_of_triggers
from worker.triggers.models import Trigger, TriggerDelivery, TriggerThing, Verdict
from worker.triggers.planning import Plan, Said
from worker.triggers.store import KEY_ENDED, PAUSED, key_ended

log = get(__name__)

DUPLICATE = "duplicate"
"""As which one is counted that came before."""
LONGEST_PAUSE = timedelta(minutes=30)
"""Between two tries of what is held because of its key's limits, or of a fault."""


class Gone(Exception):
    """The trigger was dropped meanwhile."""


@dataclass(frozen=True)
class Arrived:
    """A message whose signature is right, as it is put on file; `key` tells its duplicates."""

    key: str
    said: Said
    replay_of: str | None = None
    force: bool = False


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
    row = _put(session, trigger, arrived, delivery_id)
    if row is None and store_of_triggers.let_go(session, trigger, arrived.key):
        row = _put(session, trigger, arrived, delivery_id)
    if row is None:
        if (first := _first(session, trigger, arrived.key)) is not None:
            return _again(session, trigger, first, delivery_id)
        row = _put(session, trigger, arrived, delivery_id)  # housekeeping took the first in this moment
        if row is None:
            raise Gone(trigger.id)
    try:
        with session.begin_nested():
            ref = planning.reference(trigger, arrived.said)
            planning.one_at_a_time(session, trigger.owner_id, ref)
            decide(session, trigger, row, arrived.said)
    except Exception as fault:
        if passes(fault):
            raise
        _keep(session, row, fault)
    return Taken(row, duplicate=False)


def passes(fault: Exception) -> bool:
    """Whether the whole transaction may do better in a moment."""
    if isinstance(fault, DBAPIError) and contended(fault):
        return True
    return isinstance(fault, DBAPIError | PoolTimeout) and retryable(fault)


def _keep(session: Session, row: TriggerDelivery, fault: Exception) -> None:
    """A fault of ours that a message brought out: its source did nothing wrong, and would give its webhook up."""
    tell(row.id, fault)
    plan = Plan(Verdict.HELD, "internal", "A fault of this service: the message is kept, and tried again.")
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
    query = select(Trigger).where(Trigger.id == trigger_id).execution_options(populate_existing=True)
    trigger = session.scalars(query).one_or_none()
    if trigger is None:
        raise Gone(trigger_id)
    return trigger


def decide(session: Session, trigger: Trigger, row: TriggerDelivery, said: Said) -> None:
    """Write on a message's row what becomes of it, now or after it was held, and do it. Its thing is locked
    (`planning.one_at_a_time`)."""
    try:
        _do(session, trigger, row, planning.plan(session, trigger, said, force=row.force))
    except _Moved:
        decide(session, trigger, row, said)


class _Moved(Exception):
    """What was to stand for the thing ended without a video, or was called off, while it was looked at."""


def _do(session: Session, trigger: Trigger, row: TriggerDelivery, plan: Plan) -> None:
    """Raises _Moved, with nothing done."""
    if trigger.paused_at is not None and plan.verdict is not Verdict.IGNORED:
        plan = replace(plan, verdict=Verdict.HELD, code=PAUSED, detail="The trigger is paused.")
        _write(session, row, plan, retry_at=cast(literal("infinity"), DateTime(timezone=True)))
        return
    if plan.verdict is Verdict.RENDERED and key_ended(session, trigger):
        plan = replace(
            plan, verdict=Verdict.HELD, code=KEY_ENDED, detail="The trigger's key was revoked or has expired."
        )
        _write(session, row, plan, retry_at=cast(literal("infinity"), DateTime(timezone=True)))
        _overtake(session, row)
        return
    try:
        key = _limited(session, trigger.api_key_id) if plan.verdict is Verdict.RENDERED else None
        # What would make way stays where nothing comes in its place.
        with session.begin_nested() if key is not None else nullcontext():
            render = _carry_out(session, trigger, plan, key)
    except LimitReached as reached:
        plan = replace(plan, verdict=Verdict.HELD, code=f"limit.{reached.kind}", detail=reached.detail)
        _write(session, row, plan, retry_at=from_now(pause(row.tries, reached)))
        _overtake(session, row)
        return
    _write(session, row, plan, render=render)
    if plan.verdict not in (Verdict.STALE, Verdict.REFUSED, Verdict.IGNORED):
        _know(session, trigger, plan, render)
    if plan.verdict not in (Verdict.STALE, Verdict.IGNORED):
        _overtake(session, row)


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
    """A video that is there goes to this product too; one that is still made is brought there once it is."""
    if trigger.publisher_id is not None and plan.ref is not None and render.status == Status.SUCCEEDED:
        publications.ask(session, trigger.publisher_id, render, plan.ref, plan.product)


def _put(session: Session, trigger: Trigger, arrived: Arrived, delivery_id: str) -> TriggerDelivery | None:
    """Put the message on file; None where it is there. One that is coming in at this moment is waited for."""
    row = {
        "id": delivery_id,
        "trigger_id": trigger.id,
        "owner_id": trigger.owner_id,
        "key": arrived.key,
        "topic": arrived.said.message.topic,
        "headers": dict(arrived.said.message.kept),
        "body": arrived.said.body,
        "sent_at": arrived.said.message.sent_at,
        "replay_of": arrived.replay_of,
        "force": arrived.force,
        "verdict": Verdict.IGNORED.value,  # until it is decided, in this transaction
    }
    add = insert(TriggerDelivery).values(row).on_conflict_do_nothing()
    return session.scalars(add.returning(TriggerDelivery)).one_or_none()


def _first(session: Session, trigger: Trigger, key: str) -> TriggerDelivery | None:
    its = TriggerDelivery.trigger_id == trigger.id, TriggerDelivery.key == key
    return session.scalars(select(TriggerDelivery).where(*its)).one_or_none()


def _again(session: Session, trigger: Trigger, first: TriggerDelivery, delivery_id: str) -> Taken:
    if first.id == delivery_id:
        return Taken(first, duplicate=False)  # this call's own COMMIT, whose answer was lost
    session.execute(
        update(TriggerDelivery)
        .where(TriggerDelivery.id == first.id)
        .values(duplicates=TriggerDelivery.duplicates + 1)
        .execution_options(synchronize_session=False)
    )
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


def _know(session: Session, trigger: Trigger, plan: Plan, render: Render | None) -> None:
    """Note what the message says of its thing."""
    if plan.ref is None:
        return
    row = {"trigger_id": trigger.id, "ref": plan.ref, "owner_id": trigger.owner_id, "revision": plan.revision}
    row |= {"sent_at": plan.sent_at, "watched": dict(plan.watched or {}), "render_id": render.id if render else None}
    add = insert(TriggerThing).values(row)
    news: dict[str, Any] = {"updated_at": func.now()}
    news["revision"] = func.greatest(TriggerThing.revision, add.excluded.revision)
    before, now = (func.coalesce(one, -1) for one in (TriggerThing.revision, add.excluded.revision))
    news["sent_at"] = case(
        (now > before, add.excluded.sent_at),
        (now == before, func.greatest(TriggerThing.sent_at, add.excluded.sent_at)),
        else_=TriggerThing.sent_at,
    )
    if plan.watched is not None:
        news["watched"] = add.excluded.watched
    if render is not None:
        news["render_id"] = add.excluded.render_id
    session.execute(add.on_conflict_do_update(index_elements=["trigger_id", "ref"], set_=news))


def _overtake(session: Session, row: TriggerDelivery) -> None:
    """What is held of the same thing and came before is of yesterday, unless its revision is higher: the newest
    decides, also that there is to be no video."""
    if row.ref is None:
        return
    older = [
        TriggerDelivery.trigger_id == row.trigger_id,
        TriggerDelivery.ref == row.ref,
        TriggerDelivery.retry_at.is_not(None),  # held: by the index of these alone
        TriggerDelivery.id < row.id,
    ]
    if row.revision is not None:
        older.append(or_(TriggerDelivery.revision.is_(None), TriggerDelivery.revision <= row.revision))
    values = {"verdict": Verdict.STALE.value, "code": None, "retry_at": None}
    session.execute(
        update(TriggerDelivery)
        .where(*older)
        .values(**values, detail=f"A newer message about it was decided: {row.id}.")
        .execution_options(synchronize_session=False)
    )


def pause(tries: int, reached: LimitReached) -> timedelta:
    """How long what is held waits for its next try: growing, and at least until the limit may be free."""
    grown = timedelta(seconds=reached.retry_after_seconds) * 2 ** min(tries, 6)
    return min(grown, max(LONGEST_PAUSE, timedelta(seconds=min(reached.retry_after_seconds, 3600))))
