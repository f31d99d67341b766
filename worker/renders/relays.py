"""Durable readers of the feed: whoever makes something of each event keeps its place beside what it made.

The events are the outbox. A relay takes the next events behind its place, writes what follows from them, and moves its
place in the same transaction: nothing is missed and nothing is made twice, whoever dies.
"""

from collections.abc import Sequence

from sqlalchemy import BigInteger, select, text, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from worker.database import Base
from worker.renders import events
from worker.renders.events import Cursor
from worker.renders.models import Event, TransactionId

AT_ONCE = 1000


class Relay(Base):
    """A reader's place in the feed."""

    __tablename__ = "relays"

    name: Mapped[str] = mapped_column(primary_key=True)
    transaction: Mapped[int] = mapped_column(TransactionId(), server_default=text("pg_current_xact_id()"))
    event_id: Mapped[int] = mapped_column(BigInteger, server_default="0")


def take(session: Session, name: str, *, limit: int = AT_ONCE) -> Sequence[Event]:
    """The next events for a relay, whose place is behind them once this transaction commits; none where there are
    none, or where another process has the place at this moment."""
    place = session.scalars(select(Relay).where(Relay.name == name).with_for_update(skip_locked=True)).one_or_none()
    if place is None:
        return []
    found = events.feed(session, after=Cursor(place.transaction, place.event_id), limit=limit)
    if found:
        stay(session, name, behind=found[-1])
    return found


def stay(session: Session, name: str, *, behind: Event) -> None:
    """Go no further than this event of those just taken: the others are taken anew."""
    session.execute(
        update(Relay)
        .where(Relay.name == name)
        .values(transaction=behind.transaction, event_id=behind.id)
        .execution_options(synchronize_session=False)
    )
