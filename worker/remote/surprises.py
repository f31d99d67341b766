"""What the backend sent that this version does not know: counted by kind, place and name, shown by `vivideo doctor`.

The client reads on tolerantly; this is how its keepers learn that the backend has changed before it matters.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic

import psycopg
from sqlalchemy import BigInteger, CheckConstraint, func, literal_column, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Mapped, Session, mapped_column

from config.logging import get
from worker.database import Base, ago, transact
from worker.remote import noticing
from worker.remote.noticing import Key, Notices, Tally

log = get(__name__)


class Surprise(Base):
    """One unknown field or shape, however often it was met."""

    __tablename__ = "surprises"

    kind: Mapped[str] = mapped_column(primary_key=True)
    """`field`, `shape`, `event` or `code`."""
    place: Mapped[str] = mapped_column(primary_key=True)
    """The call it was met in."""
    name: Mapped[str] = mapped_column(primary_key=True)
    """The field's path, or what distinguishes the shape; never a value."""
    count: Mapped[int] = mapped_column(BigInteger, server_default="0")
    example: Mapped[str | None]
    """Types and lengths, never the values themselves."""
    first_seen_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_seen_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (CheckConstraint("kind IN ('field', 'shape', 'event', 'code')", name="kind"),)


@dataclass(frozen=True, slots=True)
class Seen:
    """A surprise as it is shown."""

    kind: str
    place: str
    name: str
    count: int
    example: str | None
    first_seen_at: datetime
    last_seen_at: datetime


def flush(notices: Notices | None = None) -> None:
    """Write down what this process met; what cannot be written is kept for the next time. A database that is away
    raises nothing. (Where the answer to a COMMIT is lost, counts may go in twice: they tell how often, about.)"""
    notices = notices or noticing.NOTICES
    taken = notices.take()
    if not taken:
        return
    try:
        new = transact(lambda session: write_down(session, taken), retry_for=0)
    except (SQLAlchemyError, psycopg.Error) as error:
        notices.give_back(taken)
        log.warning("surprises.unwritten", error=type(error).__name__, kept=len(taken))
        return
    for kind, place, name in new:
        log.warning("backend.surprise", kind=kind, place=place, name=name)


def write_down(session: Session, met: Mapping[Key, Tally]) -> list[tuple[str, str, str]]:
    """Add these counts in one statement; which of them nobody had met before."""
    # In one order everywhere: two processes that write the same rows must not wait for each other crosswise.
    rows = [_row(key, tally) for key, tally in sorted(met.items(), key=lambda item: item[0])]
    add = insert(Surprise).values(rows)
    written = session.execute(
        add.on_conflict_do_update(
            index_elements=[Surprise.kind, Surprise.place, Surprise.name],
            set_={
                "count": Surprise.count + add.excluded.count,
                "example": func.coalesce(add.excluded.example, Surprise.example),
                "first_seen_at": func.least(Surprise.first_seen_at, add.excluded.first_seen_at),
                "last_seen_at": func.greatest(Surprise.last_seen_at, add.excluded.last_seen_at),
            },
        ).returning(Surprise.kind, Surprise.place, Surprise.name, literal_column("xmax = 0").label("new"))
    )
    return [(kind, place, name) for kind, place, name, new in written if new]


def seen(session: Session, limit: int = 1000) -> Sequence[Seen]:
    """All that was ever met, the latest first."""
    rows = session.scalars(select(Surprise).order_by(Surprise.last_seen_at.desc(), Surprise.name).limit(limit))
    return [
        Seen(row.kind, row.place, row.name, row.count, row.example, row.first_seen_at, row.last_seen_at) for row in rows
    ]


def _row(key: Key, tally: Tally) -> dict[str, object]:
    """The process's clock gives ages only; the times are the database's."""
    now = monotonic()
    first, last = (ago(timedelta(seconds=now - moment)) for moment in (tally.first, tally.last))
    kind, place, name = key
    return {
        "kind": kind,
        "place": place,
        "name": name,
        "count": tally.count,
        "example": tally.example,
        "first_seen_at": first,
        "last_seen_at": last,
    }
