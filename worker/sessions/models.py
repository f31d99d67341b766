"""A session of the product: its renders name it; it holds what concerns them all."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from worker.database import Base


class EditingSession(Base):
    """Turns at one timeline: all of them happen in one session at the backend, and with one account."""

    __tablename__ = "sessions"

    id: Mapped[str] = mapped_column(primary_key=True)
    owner_id: Mapped[str] = mapped_column(ForeignKey("owners.id"))
    name: Mapped[str | None]
    language: Mapped[str | None]
    """Of its videos; None until the first message tells."""
    account_id: Mapped[str | None] = mapped_column(ForeignKey("accounts.id"))
    remote_session_id: Mapped[str | None] = mapped_column(ForeignKey("remote_sessions.id"))
    """Where its turns happen, with the account, once that is made. One that was lost before any message is replaced."""
    pending: Mapped[list[Any]] = mapped_column(server_default="[]")
    """Assets given and not yet used, in the form of `renders.assets`: the next turn takes them."""
    last_render_id: Mapped[str | None]
    """The tail of the order: the next turn comes after it."""
    lost_at: Mapped[datetime | None]
    """The backend forgot it after a message may have been received in it: nothing can go on from there."""
    closed_at: Mapped[datetime | None]
    """Its owner wants no more of it."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        Index("ix_sessions_list", "owner_id", text("created_at DESC"), text("id DESC")),
        # Two sessions in one place would send their turns past each other.
        Index(
            "uq_sessions_remote",
            "remote_session_id",
            unique=True,
            postgresql_where=text("remote_session_id IS NOT NULL"),
        ),
        Index("ix_sessions_pending", "owner_id", postgresql_where=text("pending <> '[]'::jsonb")),
    )
