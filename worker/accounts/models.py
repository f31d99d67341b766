"""Accounts at the remote backend and the sessions made with them."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from worker.database import Base


class Account(Base):
    """A registered token of the installation's owner, or the installation's one anonymous trial."""

    __tablename__ = "accounts"

    id: Mapped[str] = mapped_column(primary_key=True)
    owner_id: Mapped[str | None] = mapped_column(ForeignKey("owners.id"), index=True)
    """None: usable by all owners."""
    kind: Mapped[str]
    name: Mapped[str]
    client_id: Mapped[str | None]
    """The `X-Client-Id` (UUID) of the anonymous trial; the same for ever, so no second identity is minted."""
    token_encrypted: Mapped[bytes | None]
    token_hash: Mapped[str | None] = mapped_column(unique=True)
    """SHA-256 of a registered token: the same token is not registered twice."""
    token_version: Mapped[int] = mapped_column(server_default="0")
    """Raised by each renewal: a refusal of an older token does not throw away a newer one."""
    token_expires_at: Mapped[datetime | None]
    token_refused_at: Mapped[datetime | None]
    renewing_until: Mapped[datetime | None]
    """Single-flight: who set it renews, the others wait."""
    remote_user_id: Mapped[str | None]
    balance_available: Mapped[float | None]
    balance_frozen: Mapped[float | None]
    balance_total: Mapped[float | None]
    balance_read_at: Mapped[datetime | None]
    slots: Mapped[int | None]
    """Renders in flight at once; None: the installation's default."""
    paused_until: Mapped[datetime | None]
    pause_reason: Mapped[str | None]
    pause_seconds: Mapped[float | None]
    """Length of the last pause for a rate limit: the next one soon after it is longer."""
    held_at: Mapped[datetime | None]
    """Paused by its owner, until resumed."""
    disabled_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        CheckConstraint("kind IN ('anonymous', 'registered')", name="kind"),
        CheckConstraint("(kind = 'anonymous') = (client_id IS NOT NULL)", name="client_id"),
        # One trial per installation: the database refuses a second.
        Index("uq_accounts_one_anonymous", "kind", unique=True, postgresql_where=text("kind = 'anonymous'")),
    )


class RemoteSession(Base):
    """A session at the backend: its ids are the only way back to the work done in it."""

    __tablename__ = "remote_sessions"

    id: Mapped[str] = mapped_column(primary_key=True)
    owner_id: Mapped[str] = mapped_column(ForeignKey("owners.id"), index=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id"), index=True)
    task_id: Mapped[str]
    session_id: Mapped[str]
    bind_id: Mapped[str | None]
    """For the registration link of an anonymous account, where the backend gave one."""
    claim_url: Mapped[str | None]
    """Opens the work in the backend's own editor; carries a claim token, never the bearer token."""
    claim_expires_at: Mapped[datetime | None]
    lost_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (Index("uq_remote_sessions_remote", "account_id", "session_id", unique=True),)
