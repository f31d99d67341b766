"""What the backend sent that this version does not know: counted by kind, place and name, and shown by `vivideo doctor`.

The client reads on tolerantly; this is how its keepers learn that the backend has changed before it matters.
"""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from worker.database import Base


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
