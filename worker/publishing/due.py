"""What the dispatcher sends now: publications that are due, as many as leave the renders' own calls their places.

Before that, what nobody needs any more is ended: older videos of a product that has a newer one, and videos that were
deleted. One that a worker has in hand is left to it; what it made is on file when the next look comes.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, func, literal, or_, select, update
from sqlalchemy.orm import Session, aliased

from config.settings import settings
from worker.database import ago
from worker.publishing.models import Publication, PublicationState, Publisher
from worker.renders import queue
from worker.renders.models import Render
from worker.webhooks.models import WebhookDelivery

AT_ONCE = 100
PER_PUBLISHER = 4
"""In flight: shops count calls by app and shop, and a video is the slowest of them."""
_AS_IS: dict[str, Any] = {"synchronize_session": False}


@dataclass(frozen=True)
class Due:
    """A publication to send a message about."""

    id: str
    lease: int


def due(session: Session) -> list[Due]:
    """Those to be sent, marked as sent."""
    queue.by_index(session)
    end_needless(session)
    room = min(_room(session), AT_ONCE)
    if room <= 0:
        return []
    chosen = select(Publication.id).where(Publication.id.in_(_in_turn(room))).with_for_update(skip_locked=True)
    sent = update(Publication).where(Publication.id.in_(chosen)).values(sent_at=func.now())
    rows = session.execute(sent.returning(Publication.id, Publication.lease).execution_options(**_AS_IS)).all()
    return [Due(row.id, row.lease) for row in rows]


def end_needless(session: Session, *only: ColumnElement[bool]) -> None:
    """Supersede what is older than another video of its product that is there or on its way; end what has no video."""
    free = Publication.state == PublicationState.PENDING.value, ~in_hand(Publication), *only
    newer = aliased(Publication)
    overtaken = exists().where(
        newer.publisher_id == Publication.publisher_id,
        newer.ref == Publication.ref,
        newer.state.in_((PublicationState.PENDING.value, PublicationState.PUBLISHED.value)),
        newer.number > Publication.number,
    )
    _end(session, and_(*free, overtaken), state=PublicationState.SUPERSEDED.value, error_code=None)
    purged = exists().where(Render.id == Publication.render_id, Render.purged_at.is_not(None))
    _end(session, and_(*free, purged), state=PublicationState.FAILED.value, error_code="publish.no_video")


def _end(session: Session, which: ColumnElement[bool], **values: Any) -> None:
    ids = select(Publication.id).where(which).limit(AT_ONCE).with_for_update(skip_locked=True)
    session.execute(
        update(Publication)
        .where(Publication.id.in_(ids))
        .values(finished_at=func.now(), lease_until=None, sent_at=None, lease=Publication.lease + 1, **values)
        .execution_options(**_AS_IS)
    )


def in_hand(row: Any) -> ColumnElement[bool]:
    """A worker has it, as far as is known."""
    return and_(row.lease_until.is_not(None), row.lease_until >= func.now())


def _under_way(row: Any) -> ColumnElement[bool]:
    """In hand, or its message is out and not overdue."""
    waits = settings().waits
    return or_(in_hand(row), and_(row.sent_at.is_not(None), row.sent_at >= ago(waits.redispatch_seconds)))


def _room(session: Session) -> int:
    """Deliveries and publications together have at most half of io's places, publications at most a quarter; one at
    least, so that no flood of deliveries stops them."""
    places = queue.capacity(session, lease=settings().waits.lease_seconds).get("io", 0)
    mine = _count(session, Publication, PublicationState.PENDING.value)
    others = _count(session, WebhookDelivery, "pending")
    return max(1 - mine, min(places // 4 - mine, places // 2 - mine - others))


def _count(session: Session, model: Any, pending: str) -> int:
    query = select(func.count()).select_from(model).where(model.state == pending, _under_way(model))
    return session.scalar(query) or 0


def _in_turn(room: int) -> Any:
    """The longest due first; of one product one at a time, of one publisher a few."""
    pending = PublicationState.PENDING.value
    # Read once: there are never more than places.
    flight = (
        select(Publication.publisher_id, Publication.ref)
        .where(Publication.state == pending, _under_way(Publication))
        .cte("flight")
        .prefix_with("MATERIALIZED", dialect="postgresql")
    )
    busy = exists().where(flight.c.publisher_id == Publication.publisher_id, flight.c.ref == Publication.ref)
    flying = select(func.count()).select_from(flight).where(flight.c.publisher_id == Publication.publisher_id)
    place = func.row_number().over(
        partition_by=Publication.publisher_id, order_by=(Publication.ready_at, Publication.id)
    )
    among = func.row_number().over(
        partition_by=(Publication.publisher_id, Publication.ref), order_by=Publication.number
    )
    waiting = (
        select(
            Publication.id,
            Publication.ready_at,
            (place + flying.scalar_subquery()).label("place"),
            among.label("among"),
        )
        .join(Publisher, Publisher.id == Publication.publisher_id)
        .where(
            Publication.state == pending,
            Publication.ready_at <= func.now(),
            ~_under_way(Publication),
            Publisher.disabled_at.is_(None),
            ~busy,
        )
        .subquery()
    )
    return (
        select(waiting.c.id)
        .where(waiting.c.place <= literal(PER_PUBLISHER), waiting.c.among == 1)
        .order_by(waiting.c.ready_at, waiting.c.id)
        .limit(room)
    )
