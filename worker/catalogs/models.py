"""A catalog, its readings, its products as last seen, and what each reading changed."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from worker.database import Base


class ReadState(StrEnum):
    """How far a reading is."""

    PENDING = "pending"  # asked for, by its owner or the schedule; the dispatcher has a worker begin it
    READING = "reading"  # a worker has it; if that dies, the dispatcher gives it to another, which begins afresh
    DONE = "done"  # its batch is accepted, in the same transaction
    FAILED = "failed"  # nothing was kept of it; `error_code` says why


class Trigger(StrEnum):
    """Who asked for a reading."""

    ASKED = "asked"
    SCHEDULE = "schedule"


class Kind(StrEnum):
    """What a reading found out about a product."""

    NEW = "new"
    CHANGED = "changed"
    AGAIN = "again"  # as before, and rendered again: asked for (`force`), or there was no video of it
    UNCHANGED = "unchanged"
    GONE = "gone"


class Outcome(StrEnum):
    """What came of a product."""

    RENDERED = "rendered"  # a render of its own
    REUSED = "reused"  # a render that took over the video of an equal one
    UNDER_WAY = "under_way"  # an equal render is being made already
    KEPT = "kept"  # its video of before still stands


class Catalog(Base):
    """A source of products and what is made of them."""

    __tablename__ = "catalogs"

    id: Mapped[str] = mapped_column(primary_key=True)
    owner_id: Mapped[str] = mapped_column(ForeignKey("owners.id"))
    api_key_id: Mapped[str | None] = mapped_column(ForeignKey("api_keys.id"))
    name: Mapped[str | None]
    url: Mapped[str | None]
    """Where it is read; NULL: from files that its owner sends. May be signed: never logged."""
    template: Mapped[str]
    """As asked for: with a version it is pinned to that, without it follows the newest."""
    options: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    """`worker.catalogs.options.Options`."""
    publisher_id: Mapped[str | None] = mapped_column(ForeignKey("publishers.id", ondelete="SET NULL"))
    """Where its finished videos are brought."""
    schedule_seconds: Mapped[int | None]
    next_read_at: Mapped[datetime | None]
    # Of the last reading that was done: the same answer again means nothing to do.
    etag: Mapped[str | None]
    last_modified: Mapped[str | None]
    template_version: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())

    __table_args__ = (
        CheckConstraint("schedule_seconds IS NULL OR url IS NOT NULL", name="schedule"),
        CheckConstraint("(schedule_seconds IS NULL) = (next_read_at IS NULL)", name="next_read"),
        Index("ix_catalogs_list", "owner_id", text("created_at DESC"), text("id DESC")),
        Index("ix_catalogs_publisher", "publisher_id"),
        Index("ix_catalogs_due", "next_read_at", postgresql_where=text("next_read_at IS NOT NULL")),
    )


class CatalogRead(Base):
    """One reading of a catalog. From its commit on it ends in `done` or `failed`."""

    __tablename__ = "catalog_reads"

    id: Mapped[str] = mapped_column(primary_key=True)
    catalog_id: Mapped[str] = mapped_column(ForeignKey("catalogs.id", ondelete="CASCADE"))
    owner_id: Mapped[str] = mapped_column(ForeignKey("owners.id"))
    api_key_id: Mapped[str | None] = mapped_column(ForeignKey("api_keys.id"))
    trigger: Mapped[str]
    force: Mapped[bool] = mapped_column(server_default="false")
    storage_key: Mapped[str | None]
    """The file that was sent, until it is read."""
    file_name: Mapped[str | None]
    state: Mapped[str] = mapped_column(server_default="pending")

    # Who works on it.
    ready_at: Mapped[datetime] = mapped_column(server_default=func.now())
    sent_at: Mapped[datetime | None]
    lease: Mapped[int] = mapped_column(server_default="0")
    """Raised by each claim (fencing): a write that names an older number touches no row."""
    worker_id: Mapped[str | None]
    seen_at: Mapped[datetime | None]
    """When its worker last wrote on it: one that lives and lost track of it is found by this."""
    tries: Mapped[int] = mapped_column(server_default="0")
    """Faults in a row that may pass: an address that does not answer, a storage that is away."""
    deaths: Mapped[int] = mapped_column(server_default="0")
    """Workers that it was taken from: it may be what kills them."""

    # What came of it.
    format: Mapped[str | None]
    encoding: Mapped[str | None]
    not_modified: Mapped[bool] = mapped_column(server_default="false")
    counts: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    """By name, see `worker.catalogs.counts`."""
    batch_id: Mapped[str | None] = mapped_column(ForeignKey("batches.id", ondelete="SET NULL"))
    error_code: Mapped[str | None]
    error_detail: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("state IN ('pending', 'reading', 'done', 'failed')", name="state"),
        CheckConstraint("trigger IN ('asked', 'schedule')", name="trigger"),
        CheckConstraint("(finished_at IS NOT NULL) = (state IN ('done', 'failed'))", name="finished"),
        CheckConstraint("(state = 'failed') = (error_code IS NOT NULL)", name="error"),
        CheckConstraint("finished_at IS NULL OR worker_id IS NULL", name="final_unowned"),
        # One reading of a catalog at a time.
        Index("uq_catalog_reads_open", "catalog_id", unique=True, postgresql_where=text("finished_at IS NULL")),
        Index("ix_catalog_reads_due", "ready_at", postgresql_where=text("finished_at IS NULL")),
        # Who of the owners was served when.
        Index("ix_catalog_reads_served", "owner_id", "seen_at"),
        Index("ix_catalog_reads_list", "catalog_id", text("id DESC")),
        Index("ix_catalog_reads_batch", "batch_id", postgresql_where=text("batch_id IS NOT NULL")),
    )


class CatalogProduct(Base):
    """A product as the last reading that was done saw it."""

    __tablename__ = "catalog_products"

    catalog_id: Mapped[str] = mapped_column(ForeignKey("catalogs.id", ondelete="CASCADE"), primary_key=True)
    ref: Mapped[str] = mapped_column(primary_key=True)
    owner_id: Mapped[str] = mapped_column(ForeignKey("owners.id"))
    external_ref: Mapped[str]
    template_id: Mapped[str]
    title: Mapped[str]
    fingerprint: Mapped[str]
    pictures: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    """Address → what its server last said of the picture's version (`versions.Version`; null: never anything)."""
    render_id: Mapped[str]
    read_id: Mapped[str]
    """The reading that last found anything new about it."""
    gone_at: Mapped[datetime | None]

    __table_args__ = (Index("ix_catalog_products_ref", "owner_id", "external_ref"),)


class CatalogChange(Base):
    """What a reading found out about one product. While it reads, of all that it saw; a moment after its end, of the
    changes."""

    __tablename__ = "catalog_changes"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    read_id: Mapped[str] = mapped_column(ForeignKey("catalog_reads.id", ondelete="CASCADE"))
    ref: Mapped[str]
    title: Mapped[str]
    kind: Mapped[str]
    outcome: Mapped[str | None]
    fingerprint: Mapped[str]
    pictures: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    render_id: Mapped[str]

    __table_args__ = (
        UniqueConstraint("read_id", "ref"),
        CheckConstraint("kind IN ('new', 'changed', 'again', 'unchanged', 'gone')", name="kind"),
        CheckConstraint("outcome IN ('rendered', 'reused', 'under_way', 'kept')", name="outcome"),
        CheckConstraint("(kind = 'gone') = (outcome IS NULL)", name="gone"),
        Index("ix_catalog_changes_list", "read_id", "id"),
        Index("ix_catalog_changes_render", "render_id"),
        # What is forgotten a moment after a reading's end, among all that readings changed ever.
        Index("ix_catalog_changes_no_news", "read_id", postgresql_where=text("kind = 'unchanged'")),
    )


class CatalogProblem(Base):
    """What was wrong with a row; `fatal` ones became no render."""

    __tablename__ = "catalog_problems"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    read_id: Mapped[str] = mapped_column(ForeignKey("catalog_reads.id", ondelete="CASCADE"))
    place: Mapped[int]
    """Line of the file, or number of the item, from 1."""
    ref: Mapped[str | None]
    code: Mapped[str]
    detail: Mapped[str]
    fatal: Mapped[bool]

    __table_args__ = (Index("ix_catalog_problems_list", "read_id", "id"),)
