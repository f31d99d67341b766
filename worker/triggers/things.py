"""What a message that was decided means for its thing: what is known of it from then on, and what is of yesterday."""

from typing import Any

from sqlalchemy import ColumnElement, and_, case, false, func, or_, select, true, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from worker.renders.models import Render
from worker.triggers.models import TriggerDelivery, TriggerThing, Verdict
from worker.triggers.planning import Plan

PIECE = 2_000
"""That one decision overtakes at most: some tenths of a second. What is left is decided by what is known then."""
FAULT = "internal"
"""`code` of what is held because of a fault that it brought out."""


def note(session: Session, row: TriggerDelivery, plan: Plan, render: Render | None) -> None:
    """Note what the message says of its thing."""
    if plan.ref is None:
        return
    said: dict[str, Any] = {"trigger_id": row.trigger_id, "ref": plan.ref, "owner_id": row.owner_id}
    said |= {"revision": plan.revision, "number": row.number, "sent_at": plan.sent_at}
    said |= {"watched": dict(plan.watched or {}), "render_id": render.id if render else None}
    add = insert(TriggerThing).values(said)
    news: dict[str, Any] = {"updated_at": func.now()}
    news["revision"] = func.greatest(TriggerThing.revision, add.excluded.revision)
    news["number"] = func.greatest(TriggerThing.number, add.excluded.number)
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


def overtake(session: Session, row: TriggerDelivery, *, renders: bool) -> None:
    """What is held of the same thing is of yesterday where it came before and its revision is not higher, or where its
    revision is lower: the newest decides, also that there is to be no video. What was asked for by force gives way
    only to what came after it and `renders`, now or once it may."""
    _overtake(session, row, _of_yesterday(row, renders=renders))


def outlast(session: Session, row: TriggerDelivery) -> None:
    """The same of a message that is stale itself: what is held and lower yet is no less so."""
    lower = TriggerDelivery.revision < row.revision if row.revision is not None else false()
    _overtake(session, row, and_(lower, TriggerDelivery.force.is_(False)))


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


def outdone(session: Session, row: TriggerDelivery, plan: Plan) -> str | None:
    """What is held of the same thing with a higher revision, and decides instead of a message that would be held beside
    it; not what a fault holds, which may never be decided."""
    if plan.ref is None or plan.revision is None or row.force:
        return None
    outdoes = TriggerDelivery.revision > plan.revision, TriggerDelivery.force.is_(False), TriggerDelivery.code != FAULT
    return session.scalar(select(TriggerDelivery.id).where(*_held(row, plan.ref), *outdoes).limit(1))


def _held(row: TriggerDelivery, ref: str) -> tuple[ColumnElement[bool], ...]:
    """Others of the same thing, by the index of what is held alone."""
    its = TriggerDelivery.trigger_id == row.trigger_id, TriggerDelivery.ref == ref
    return *its, TriggerDelivery.retry_at.is_not(None), TriggerDelivery.id != row.id


def _of_yesterday(row: TriggerDelivery, *, renders: bool) -> ColumnElement[bool]:
    other = TriggerDelivery
    lower = other.revision < row.revision if row.revision is not None else false()
    as_high = or_(other.revision.is_(None), other.revision <= row.revision) if row.revision is not None else true()
    before = and_(other.number < row.number, as_high)
    return case((other.force, before if renders else false()), else_=or_(before, lower))
