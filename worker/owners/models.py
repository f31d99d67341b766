"""Who a row belongs to, and the keys that prove it."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, func
from sqlalchemy.orm import Mapped, mapped_column

from worker.database import Base


class Owner(Base):
    """A customer: every other row belongs to one and is invisible to the others."""

    __tablename__ = "owners"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class ApiKey(Base):
    """A `vv_…` key: only its SHA-256 is stored, with a prefix to recognise it by."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    owner_id: Mapped[str] = mapped_column(ForeignKey("owners.id"), index=True)
    name: Mapped[str]
    prefix: Mapped[str]
    hash: Mapped[str] = mapped_column(unique=True)
    previous_hash: Mapped[str | None] = mapped_column(unique=True)
    """The text before the last rotation, valid until `previous_expires_at`: nobody has to change it in one moment."""
    previous_expires_at: Mapped[datetime | None]
    scopes: Mapped[list[Any]] = mapped_column(server_default="[]")
    limits: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_used_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("(previous_hash IS NULL) = (previous_expires_at IS NULL)", name="previous"),
        CheckConstraint("previous_hash <> hash", name="rotated"),
    )


class IdempotencyKey(Base):
    """What one `Idempotency-Key` of an owner on a route led to."""

    __tablename__ = "idempotency_keys"

    owner_id: Mapped[str] = mapped_column(ForeignKey("owners.id"), primary_key=True)
    route: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    body_hash: Mapped[str]
    resource_id: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
