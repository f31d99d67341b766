"""A source of messages, each message that came, and what was last known of the things they are about."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    LargeBinary,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Text

from worker.database import Base


class Style(StrEnum):
    """How a source signs."""

    SHOPIFY = "shopify"
    WOOCOMMERCE = "woocommerce"
    STANDARD = "standard"  # Standard Webhooks
    GITHUB = "github"
    STRIPE = "stripe"
    BEARER = "bearer"


class Verdict(StrEnum):
    """What became of a message."""

    RENDERED = "rendered"  # a render was made
    UNCHANGED = "unchanged"  # the video that is there, or under way, is the same
    STALE = "stale"  # a newer revision is known
    IGNORED = "ignored"  # a ping, or a topic that nobody asked for
    CONDITION = "condition"  # the conditions do not hold
    REFUSED = "refused"  # no request can be made of it; `detail` says why
    HELD = "held"  # the key's limits are reached, or the trigger is paused: tried again at `retry_at`


class Trigger(Base):
    """A source of messages and what is made of them."""

    __tablename__ = "triggers"

    id: Mapped[str] = mapped_column(primary_key=True)
    owner_id: Mapped[str] = mapped_column(ForeignKey("owners.id"))
    api_key_id: Mapped[str | None] = mapped_column(ForeignKey("api_keys.id"))
    """Whose limits count."""
    name: Mapped[str | None]
    style: Mapped[str]
    secret_encrypted: Mapped[bytes]
    previous_secret_encrypted: Mapped[bytes | None]
    previous_secret_until: Mapped[datetime | None]
    """During a rotation either is accepted."""
    template: Mapped[str]
    """As asked for: with a version it is pinned to that, without it follows the newest."""
    options: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    """`worker.catalogs.options.Options`."""
    topics: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    """Those that may render; NULL: the style's own for products, or all where it has none."""
    mapping: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    """`worker.triggers.mapping.Mapping`; empty: the body is a product."""
    conditions: Mapped[list[Any]] = mapped_column(server_default="[]")
    """`worker.triggers.conditions`."""
    publisher_id: Mapped[str | None] = mapped_column(ForeignKey("publishers.id", ondelete="SET NULL"))
    paused_at: Mapped[datetime | None]
    goes_on_at: Mapped[datetime | None]
    """From when what it keeps without end (`retry_at` infinity) is looked at: it goes on, or has another key. Each of
    those that is decided sets it anew, so that others have their turn."""
    counts_from: Mapped[int] = mapped_column(BigInteger, server_default="0")
    """Messages whose `number` is above it have revisions that can be compared: before, they were counted in another
    way."""
    deleted_at: Mapped[datetime | None]
    """It is nobody's since then; `removal` takes it away in pieces."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())

    __table_args__ = (
        CheckConstraint("style IN ('shopify', 'woocommerce', 'standard', 'github', 'stripe', 'bearer')", name="style"),
        CheckConstraint(
            "(previous_secret_encrypted IS NULL) = (previous_secret_until IS NULL)", name="previous_secret"
        ),
        Index("ix_triggers_list", "owner_id", text("created_at DESC"), text("id DESC")),
        Index("ix_triggers_publisher", "publisher_id"),
        Index("ix_triggers_goes_on", "goes_on_at", postgresql_where=text("goes_on_at IS NOT NULL")),
        Index("ix_triggers_deleted", "deleted_at", postgresql_where=text("deleted_at IS NOT NULL")),
    )


class TriggerDelivery(Base):
    """One message, as it came, and what became of it. Only verified ones are kept."""

    __tablename__ = "trigger_deliveries"

    id: Mapped[str] = mapped_column(primary_key=True)
    trigger_id: Mapped[str] = mapped_column(ForeignKey("triggers.id", ondelete="CASCADE"))
    owner_id: Mapped[str] = mapped_column(ForeignKey("owners.id"))
    key: Mapped[str]
    """What tells two messages apart, by the source's style: the same again is a duplicate."""
    topic: Mapped[str | None]
    headers: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    """Without signatures and other secrets."""
    body: Mapped[bytes] = mapped_column(LargeBinary)
    verdict: Mapped[str]
    code: Mapped[str | None]
    """Of docs/errors.md, for `refused` and `held`."""
    detail: Mapped[str | None]
    render_id: Mapped[str | None]
    """Made by it, or standing for it."""
    ref: Mapped[str | None]
    """The owner's reference of what it is about (`external_ref`)."""
    revision: Mapped[int | None] = mapped_column(BigInteger)
    product: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    """Where the thing is in its shop: `{"id": …}`, `{"handle": …}`, `{"sku": …}`, as far as it was said."""
    replay_of: Mapped[str | None]
    force: Mapped[bool] = mapped_column(server_default="false")
    """A render is asked for although its video is there."""
    duplicates: Mapped[int] = mapped_column(server_default="0")
    """How often the same message came again."""
    received_at: Mapped[datetime] = mapped_column(server_default=func.now())
    tries: Mapped[int] = mapped_column(server_default="0")
    retry_at: Mapped[datetime | None]
    sent_at: Mapped[datetime | None]
    number: Mapped[int] = mapped_column(BigInteger, Identity())
    """In which order messages about one thing came: given while it is locked, by no process's clock."""

    __table_args__ = (
        UniqueConstraint("trigger_id", "key"),
        CheckConstraint(
            "verdict IN ('rendered', 'unchanged', 'stale', 'ignored', 'condition', 'refused', 'held')", name="verdict"
        ),
        CheckConstraint("(verdict = 'held') = (retry_at IS NOT NULL)", name="held"),
        CheckConstraint("verdict NOT IN ('rendered', 'unchanged') OR render_id IS NOT NULL", name="render"),
        Index("ix_trigger_deliveries_list", "trigger_id", text("received_at DESC"), text("id DESC")),
        Index("ix_trigger_deliveries_render", "render_id", postgresql_where=text("render_id IS NOT NULL")),
        Index(
            "ix_trigger_deliveries_held",
            *("retry_at", "trigger_id", "code", "number"),
            postgresql_where=text("retry_at IS NOT NULL"),
        ),
        Index(
            "ix_trigger_deliveries_turn",
            *("owner_id", "retry_at", "number"),
            postgresql_where=text("retry_at IS NOT NULL"),
        ),
        Index(
            "ix_trigger_deliveries_thing",
            *("trigger_id", "ref", "number"),
            postgresql_where=text("retry_at IS NOT NULL"),
        ),
        Index("ix_trigger_deliveries_received", "received_at"),
    )


class TriggerThing(Base):
    """What a trigger last knew of one thing, by the owner's reference."""

    __tablename__ = "trigger_things"

    trigger_id: Mapped[str] = mapped_column(ForeignKey("triggers.id", ondelete="CASCADE"), primary_key=True)
    ref: Mapped[str] = mapped_column(primary_key=True)
    owner_id: Mapped[str] = mapped_column(ForeignKey("owners.id"))
    revision: Mapped[int | None] = mapped_column(BigInteger)
    counted_from: Mapped[int] = mapped_column(BigInteger, server_default="0")
    """The trigger's `counts_from` when `revision` was noted: where it is another by now, `revision` says nothing."""
    number: Mapped[int | None] = mapped_column(BigInteger)
    """Of the last message that was decided: one that came before it, and was held, is of yesterday."""
    sent_at: Mapped[datetime | None]
    """When the message of that revision was sent, where it says so: of two with one revision the later is newer."""
    watched: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    """Pointer → SHA-256 of the value there, of those that a condition compares (`changed`)."""
    render_id: Mapped[str | None]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())

    __table_args__ = (
        Index("ix_trigger_things_render", "render_id", postgresql_where=text("render_id IS NOT NULL")),
        Index("ix_trigger_things_updated", "updated_at", postgresql_where=text("render_id IS NULL")),
    )
