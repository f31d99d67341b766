"""What a message that was decided means for its thing: what is known of it from then on, and what is of yesterday."""

from typing import Any

from sqlalchemy import ColumnElement, and_, case, false, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from worker.renders.models import Render
from worker.triggers.models import Trigger, TriggerDelivery, TriggerThing, Verdict
from worker.triggers.planning import Plan

PIECE = 2_000
"""That one decision overtakes at most: some tenths of a second. What is left is decided by what is known then."""
FAULT = "internal"
"""`code` of what is held because of a fault that it brought out."""


def note(session: Session, trigger: Trigger, row: TriggerDelivery, plan: Plan, render: Render | None) -> None:
    """Note what the message says of its thing."""
    if plan.ref is None:
        return
    said: dict[str, Any] = {"trigger_id": row.trigger_id, "ref": plan.ref, "owner_id": row.owner_id}
    said |= {"revision": plan.revision, "number": row.number, "sent_at": plan.sent_at}
    said |= {"counted_from": trigger.counts_from}
    said |= {"watched": dict(plan.watched or {}), "render_id": render.id if render else None}
    add = insert(TriggerThing).values(said)
    news: dict[str, Any] = {"updated_at": func.now()}
    # What was counted in another way is no revision any more.
    alike = TriggerThing.counted_from == add.excluded.counted_from
    known = case((alike, TriggerThing.revision))
    news["counted_from"] = add.excluded.counted_from
    news["revision"] = func.greatest(known, add.excluded.revision)
    news["number"] = func.greatest(TriggerThing.number, add.excluded.number)
    before, now = (func.coalesce(one, -1) for one in (known, add.excluded.revision))
    news["sent_at"] = case(
        (now > before, add.excluded.sent_at),
        (now == before, func.greatest(case((alike, TriggerThing.sent_at)), add.excluded.sent_at)),
        else_=case((alike, TriggerThing.sent_at)),
    )
    if plan.watched is not None:
        news["watched"] = add.excluded.watched
    if render is not None:
        news["render_id"] = add.excluded.render_id
    session.execute(add.on_conflict_do_update(index_elements=["trigger_id", "ref"], set_=news))


def overtake(session: Session, trigger: Trigger, row: TriggerDelivery, *, renders: bool) -> None:
    """What is held of the same thing is of yesterday where it came before and its revision is not higher, or where its
    revision is lower: the newest decides, also that there is to be no video. What was asked for by force gives way
    only to what came after it and `renders`, now or once it may."""
    _overtake(session, row, _of_yesterday(trigger, row, renders=renders))


def outlast(session: Session, trigger: Trigger, row: TriggerDelivery) -> None:
    """The same of a message that is stale itself: what is held and lower yet is no less so."""
    _overtake(session, row, and_(_lower(trigger, row), TriggerDelivery.force.is_(False)))


def _overtake(session: Session, row: TriggerDelivery, of_yesterday: ColumnElement[bool]) -> None:
    if row.ref is None:
        return
    piece = select(TriggerDelivery.id).where(*_held(row, row.ref), of_yesterday)
    # Those by force first: what is known makes none of them stale later.
    piece = piece.order_by(TriggerDelivery.force.desc()).limit(PIECE)
    session.execute(
        update(TriggerDelivery)
        .where(TriggerDelivery.id.in_(piece), TriggerDelivery.retry_at.is_not(None))
        .values(
            verdict=Verdict.STALE.value,
            code=None,
            retry_at=None,
            detail=f"A newer message about it was decided: {row.id}.",
        )
        .execution_options(synchronize_session=False)
    )


def outdone(session: Session, trigger: Trigger, row: TriggerDelivery, plan: Plan) -> str | None:
    """What is held of the same thing with a higher revision, and decides instead of a message that would be held beside
    it; not what a fault holds, which may never be decided."""
    if plan.ref is None or plan.revision is None or row.force:
        return None
    other = TriggerDelivery
    outdoes = _counted(trigger), other.revision > plan.revision, other.force.is_(False), other.code != FAULT
    return session.scalar(select(other.id).where(*_held(row, plan.ref), *outdoes).limit(1))


def _held(row: TriggerDelivery, ref: str) -> tuple[ColumnElement[bool], ...]:
    """Others of the same thing, by the index of what is held alone."""
    its = TriggerDelivery.trigger_id == row.trigger_id, TriggerDelivery.ref == ref
    return *its, TriggerDelivery.retry_at.is_not(None), TriggerDelivery.id != row.id


def _of_yesterday(trigger: Trigger, row: TriggerDelivery, *, renders: bool) -> ColumnElement[bool]:
    other = TriggerDelivery
    higher = and_(_counted(trigger), other.revision > row.revision) if row.revision is not None else false()
    before = and_(other.number < row.number, func.coalesce(higher, false()).is_(False))
    return case((other.force, before if renders else false()), else_=or_(before, _lower(trigger, row)))


def _lower(trigger: Trigger, row: TriggerDelivery) -> ColumnElement[bool]:
    return and_(_counted(trigger), TriggerDelivery.revision < row.revision) if row.revision is not None else false()


def _counted(trigger: Trigger) -> ColumnElement[bool]:
    """Whether the revision that is on file with a message can be compared with those that are read now."""
    return TriggerDelivery.number > trigger.counts_from
