"""A place that videos are brought to, and each video's way there."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from worker.database import Base

DIGEST = "^deleted:[0-9a-f]{64}$"
"""A reference whose render was deleted. The whole of it: an owner's own may begin like this."""


class PublisherKind(StrEnum):
    """Whose interface is spoken."""

    SHOPIFY = "shopify"  # GraphQL Admin API: staged upload, product media
    WOOCOMMERCE = "woocommerce"  # WordPress media, WooCommerce product
    HTTP = "http"  # the video's bytes to any address, signed


class PublicationState(StrEnum):
    """How far a publication is."""

    PENDING = "pending"  # to be worked on at `ready_at`, or being worked on
    PUBLISHED = "published"
    FAILED = "failed"  # given up, `error_code` says why; can be retried by its owner
    SUPERSEDED = "superseded"  # a newer video of the same product was there first


class Publisher(Base):
    """A place and the right to write there."""

    __tablename__ = "publishers"

    id: Mapped[str] = mapped_column(primary_key=True)
    owner_id: Mapped[str] = mapped_column(ForeignKey("owners.id"))
    name: Mapped[str | None]
    kind: Mapped[str]
    settings: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    """By kind, nothing secret: `worker.publishing.settings`."""
    credentials_encrypted: Mapped[bytes]
    """JSON by kind, by `worker.accounts.vault`."""
    disabled_at: Mapped[datetime | None]
    failing_since: Mapped[datetime | None]
    """The first publication that failed, or met a fault of the whole shop, since the last that went through."""
    error_code: Mapped[str | None]
    """Of its last such fault: `publish.refused` means that its credentials are to be looked at."""
    quiet_until: Mapped[datetime | None]
    """Its credentials were refused: its publications wait until then, or until it is changed or enabled."""
    succeeded_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())

    __table_args__ = (
        CheckConstraint("kind IN ('shopify', 'woocommerce', 'http')", name="kind"),
        Index("ix_publishers_list", "owner_id", text("created_at DESC"), text("id DESC")),
    )


class Publication(Base):
    """One video on its way to one product. Each step's outcome is on file before the next is taken."""

    __tablename__ = "publications"

    id: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, Identity())
    """The order in which a product's were asked for."""
    owner_id: Mapped[str] = mapped_column(ForeignKey("owners.id"))
    publisher_id: Mapped[str] = mapped_column(ForeignKey("publishers.id", ondelete="CASCADE"))
    render_id: Mapped[str] = mapped_column(ForeignKey("renders.id", ondelete="CASCADE"))
    run: Mapped[int]
    ref: Mapped[str]
    """The owner's reference of the product: a newer video of it overtakes an older one."""
    product: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    """Where the product is: `{"id": …}`, `{"handle": …}`, `{"sku": …}`, as far as it is known."""
    state: Mapped[str] = mapped_column(server_default="pending")
    step: Mapped[str] = mapped_column(server_default="begin")
    """By kind: what is done next."""
    remote: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    """By kind: ids and addresses that the shop gave; the only way back to what was made there."""
    asked_again: Mapped[bool] = mapped_column(server_default="false")
    """There is a newer one of the same render and product: this one says nothing any more."""
    tries: Mapped[int] = mapped_column(server_default="0")
    """Faults in a row."""
    failing_since: Mapped[datetime | None]
    refused_at: Mapped[datetime | None]
    """Its credentials were, for the first time since it got on: if others have gone through since, that is its own."""
    ready_at: Mapped[datetime] = mapped_column(server_default=func.now())
    sent_at: Mapped[datetime | None]
    """When a worker was told of it, or claimed it: it is on its way, or worked on. NULL: nobody has it."""
    lease: Mapped[int] = mapped_column(server_default="0")
    """Raised by each claim (fencing)."""
    lease_until: Mapped[datetime | None]
    """Who works on it has until then; after that it is sent again. NULL: nobody does."""
    error_code: Mapped[str | None]
    error_detail: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("state IN ('pending', 'published', 'failed', 'superseded')", name="state"),
        CheckConstraint("(state = 'pending') = (finished_at IS NULL)", name="finished"),
        CheckConstraint("(state = 'failed') = (error_code IS NOT NULL) OR state = 'pending'", name="error"),
        # Nobody was told of these yet: the dispatcher goes from publisher to publisher, and takes a few of each.
        Index(
            "ix_publications_due",
            "publisher_id",
            "ready_at",
            "number",
            postgresql_where=text("state = 'pending' AND sent_at IS NULL"),
        ),
        # On their way to a worker, or in its hands: never more than a quarter of io's places.
        Index("ix_publications_sent", "sent_at", postgresql_where=text("state = 'pending' AND sent_at IS NOT NULL")),
        Index("ix_publications_order", "publisher_id", "ref", "number", postgresql_where=text("state = 'pending'")),
        Index("ix_publications_list", "owner_id", text("created_at DESC"), text("id DESC")),
        Index("ix_publications_publisher", "publisher_id", text("created_at DESC"), text("id DESC")),
        # The few that somebody looks for, among all that were published.
        Index(
            "ix_publications_failed",
            "owner_id",
            text("created_at DESC"),
            text("id DESC"),
            postgresql_where=text("state = 'failed'"),
        ),
        Index(
            "ix_publications_pending",
            "owner_id",
            text("created_at DESC"),
            text("id DESC"),
            postgresql_where=text("state = 'pending'"),
        ),
        Index("ix_publications_render", "render_id"),
        # Nothing of them is in a shop, and nobody asks what came of them: forgotten after a while.
        Index(
            "ix_publications_over",
            "finished_at",
            postgresql_where=text(
                "finished_at IS NOT NULL AND (remote = '{}' OR remote ? 'removed')"
                f" AND (asked_again OR ref ~ '{DIGEST}')"
            ),
        ),
        Index("uq_publications_product", "publisher_id", "ref", "number", unique=True),
    )
