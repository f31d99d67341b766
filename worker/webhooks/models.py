"""Where an owner wants to be told, what is to be told there, and each try to tell it."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Text

from worker.database import Base


class EndpointKind(StrEnum):
    """Whose events an endpoint gets."""

    STANDING = "standing"  # all of its owner's that its filter lets through
    RENDER = "render"  # those of the renders that name an address there: it is a scheme, a host and a port


class DeliveryState(StrEnum):
    """How far a delivery is."""

    PENDING = "pending"  # to be tried at `ready_at`, or being tried
    DELIVERED = "delivered"  # answered with 2xx
    FAILED = "failed"  # the schedule is over, or the receiver does not want it
    SUPERSEDED = "superseded"  # a final event of the same render overtook it


class DisabledReason(StrEnum):
    """Why an endpoint gets nothing."""

    ASKED = "asked"
    GONE = "gone"  # it answered 410; of a standing one alone
    FAILING = "failing"  # nothing was taken for `VIVIDEO_WEBHOOK_DISABLE_AFTER_SECONDS`


class WebhookEndpoint(Base):
    """An address that events go to, with its secret and its filter."""

    __tablename__ = "webhook_endpoints"

    id: Mapped[str] = mapped_column(primary_key=True)
    owner_id: Mapped[str] = mapped_column(ForeignKey("owners.id"))
    kind: Mapped[str] = mapped_column(server_default="standing")
    url: Mapped[str]
    """May hold a secret of the receiver's: never logged."""
    description: Mapped[str | None]
    events: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    """Types (`render.succeeded`), groups (`render.*`) or `*`; a render's endpoint has none, its renders do."""
    secret_encrypted: Mapped[bytes]
    """`whsec_…`, by `worker.accounts.vault`."""
    previous_secret_encrypted: Mapped[bytes | None]
    previous_secret_until: Mapped[datetime | None]
    """During a rotation both sign."""
    disabled_at: Mapped[datetime | None]
    disabled_reason: Mapped[str | None]
    failing_since: Mapped[datetime | None]
    """The first failed try since the last that was taken, or since nothing was tried for over a day."""
    quiet_until: Mapped[datetime | None]
    """A 429 or 503 asked to be left alone for so long: nothing is sent there until then. A render's has none: what one
    address of it asks for is asked for that address."""
    succeeded_at: Mapped[datetime | None]
    failed_at: Mapped[datetime | None]
    last_seconds: Mapped[float | None]
    """How long the last try took: a slow receiver gets fewer at a time."""
    event_number: Mapped[int] = mapped_column(server_default="0")
    deleted_at: Mapped[datetime | None]
    """Disabled and shown to nobody since then; `retention` removes it in pieces."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())

    __table_args__ = (
        CheckConstraint("kind IN ('standing', 'render')", name="kind"),
        CheckConstraint("(disabled_at IS NULL) = (disabled_reason IS NULL)", name="disabled"),
        CheckConstraint("deleted_at IS NULL OR disabled_at IS NOT NULL", name="deleted"),
        CheckConstraint("disabled_reason IN ('asked', 'gone', 'failing')", name="disabled_reason"),
        CheckConstraint(
            "(previous_secret_encrypted IS NULL) = (previous_secret_until IS NULL)", name="previous_secret"
        ),
        Index("ix_webhook_endpoints_list", "owner_id", text("created_at DESC"), text("id DESC")),
        Index(
            "uq_webhook_endpoints_render",
            "owner_id",
            "url",
            unique=True,
            postgresql_where=text("kind = 'render' AND deleted_at IS NULL"),
        ),
        Index("ix_webhook_endpoints_deleted", "deleted_at", postgresql_where=text("deleted_at IS NOT NULL")),
    )


class WebhookDelivery(Base):
    """An event on its way to an endpoint. Its id is the `webhook-id`, the same over all tries."""

    __tablename__ = "webhook_deliveries"

    id: Mapped[str] = mapped_column(primary_key=True)
    owner_id: Mapped[str] = mapped_column(ForeignKey("owners.id"))
    endpoint_id: Mapped[str] = mapped_column(ForeignKey("webhook_endpoints.id", ondelete="CASCADE"))
    event_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("events.id", ondelete="CASCADE"))
    """NULL: a test."""
    subject: Mapped[str]
    """The render, batch or endpoint that the event is about: first tries of one subject go out in order."""
    sequence: Mapped[int]
    """The event's number within its subject."""
    type: Mapped[str]
    final: Mapped[bool] = mapped_column(server_default="false")
    body: Mapped[str]
    """What is sent, to the byte: the signature of each try is over it."""
    url: Mapped[str | None]
    """The whole address that its render names; NULL: the endpoint's, which is a standing one."""
    state: Mapped[str] = mapped_column(server_default="pending")
    tries: Mapped[int] = mapped_column(server_default="0")
    """Made since it was last begun (`redeliver` begins anew); those that nobody came back from count too."""
    ready_at: Mapped[datetime] = mapped_column(server_default=func.now())
    sent_at: Mapped[datetime | None]
    """When a worker was told of it: it is on its way, or being tried. NULL: nobody has it."""
    lease: Mapped[int] = mapped_column(server_default="0")
    """Raised by each claim (fencing)."""
    lease_until: Mapped[datetime | None]
    """Who tries it has until then; after that it is tried again. NULL: nobody does."""
    overtaken: Mapped[bool] = mapped_column(server_default="false")
    """A final event of the same render came while it was being tried: it is not tried again."""
    asked_for: Mapped[bool] = mapped_column(server_default="false")
    """Its owner wants it sent whatever ends after it: nothing overtakes it."""
    last_status: Mapped[int | None]
    last_error: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    ended_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("endpoint_id", "event_id"),
        CheckConstraint("state IN ('pending', 'delivered', 'failed', 'superseded')", name="state"),
        CheckConstraint("(state = 'pending') = (ended_at IS NULL)", name="ended"),
        # Nobody was told of these yet: the dispatcher goes from endpoint to endpoint, and takes the first few of each.
        Index(
            "ix_webhook_deliveries_due",
            "endpoint_id",
            "ready_at",
            "id",
            postgresql_where=text("state = 'pending' AND sent_at IS NULL"),
        ),
        # On their way to a worker, or in its hands: never more than half of io's places.
        Index(
            "ix_webhook_deliveries_sent",
            "endpoint_id",
            postgresql_where=text("state = 'pending' AND sent_at IS NOT NULL"),
        ),
        Index(
            "ix_webhook_deliveries_order",
            "endpoint_id",
            "subject",
            "sequence",
            postgresql_where=text("state = 'pending'"),
        ),
        # Who is next where many are held back: the firsts of each subject, and those that hold nobody back.
        Index(
            "ix_webhook_deliveries_first",
            "endpoint_id",
            "subject",
            "sequence",
            postgresql_where=text("state = 'pending' AND tries = 0"),
        ),
        Index(
            "ix_webhook_deliveries_again",
            "endpoint_id",
            "ready_at",
            "id",
            postgresql_where=text("state = 'pending' AND sent_at IS NULL AND (tries > 0 OR lease_until IS NOT NULL)"),
        ),
        Index("ix_webhook_deliveries_list", "endpoint_id", text("created_at DESC"), text("id DESC")),
        Index("ix_webhook_deliveries_owner", "owner_id", text("created_at DESC"), text("id DESC")),
        # The few that somebody looks for, among all that were delivered.
        Index(
            "ix_webhook_deliveries_ended_badly_endpoint",
            "endpoint_id",
            text("created_at DESC"),
            text("id DESC"),
            postgresql_where=text("state IN ('failed', 'superseded')"),
        ),
        Index(
            "ix_webhook_deliveries_ended_badly_owner",
            "owner_id",
            text("created_at DESC"),
            text("id DESC"),
            postgresql_where=text("state IN ('failed', 'superseded')"),
        ),
        Index("ix_webhook_deliveries_subject", "subject"),
        Index("ix_webhook_deliveries_ended", "ended_at", postgresql_where=text("ended_at IS NOT NULL")),
        Index("ix_webhook_deliveries_event", "event_id"),
    )


class WebhookRedelivery(Base):
    """What an endpoint is to be sent again since a moment: done in pieces, so that nobody waits for it."""

    __tablename__ = "webhook_redeliveries"

    id: Mapped[str] = mapped_column(primary_key=True)
    endpoint_id: Mapped[str] = mapped_column(ForeignKey("webhook_endpoints.id", ondelete="CASCADE"))
    since: Mapped[datetime]
    """Up to `created_at`: what happens later goes out anyway."""
    chosen: Mapped[str]
    """`failed`, or `all`: also what was delivered."""
    step: Mapped[str] = mapped_column(server_default="known")
    after: Mapped[int] = mapped_column(BigInteger)
    """The last event that this step is done with."""
    redelivered: Mapped[int] = mapped_column(server_default="0")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    moved_at: Mapped[datetime] = mapped_column(server_default=func.now())
    """When it was last gone on with: they take turns."""
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("chosen IN ('failed', 'all')", name="chosen"),
        CheckConstraint("step IN ('known', 'missing')", name="step"),
        Index(
            "uq_webhook_redeliveries_under_way",
            "endpoint_id",
            unique=True,
            postgresql_where=text("finished_at IS NULL"),
        ),
        Index("ix_webhook_redeliveries_list", "endpoint_id", text("created_at DESC"), text("id DESC")),
        Index("ix_webhook_redeliveries_finished", "finished_at"),
    )


class WebhookAttempt(Base):
    """One try: what was sent, what was answered, how long it took."""

    __tablename__ = "webhook_attempts"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    delivery_id: Mapped[str] = mapped_column(ForeignKey("webhook_deliveries.id", ondelete="CASCADE"))
    number: Mapped[int]
    started_at: Mapped[datetime]
    seconds: Mapped[float]
    status: Mapped[int | None]
    """Of the answer; NULL where there was none."""
    error: Mapped[str | None]
    """Why it counts as failed: a code of docs/errors.md, or NULL."""
    request_headers: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    answer_headers: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    answer: Mapped[str | None]
    """The answer's beginning, as text."""

    __table_args__ = (UniqueConstraint("delivery_id", "number"),)
