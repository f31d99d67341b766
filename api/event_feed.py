"""The ordered feed of events: complete, and in an order that never changes."""

from collections.abc import Sequence

from sqlalchemy import BigInteger, literal, select, text, tuple_
from sqlalchemy.orm import Session

from worker.renders.events import Cursor
from worker.renders.models import Event, TransactionId


def behind(session: Session, after: Cursor, *, owner_id: str | None = None, limit: int) -> Sequence[Event]:
    """Up to `limit` events (one owner's, or everybody's) behind `after`.

    Only transactions older than the oldest one still running are read: whatever commits later sorts behind them. The
    place is given with its types: PostgreSQL compares an xid8 with nothing else.
    """
    place = tuple_(literal(after.transaction, TransactionId()), literal(after.id, BigInteger()))
    query = (
        select(Event)
        .where(
            tuple_(Event.transaction, Event.id) > place,
            Event.transaction < text("pg_snapshot_xmin(pg_current_snapshot())"),
        )
        .order_by(Event.transaction, Event.id)
        .limit(limit)
    )
    if owner_id is not None:
        query = query.where(Event.owner_id == owner_id)
    return session.scalars(query).all()
