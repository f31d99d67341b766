"""A batch and the rows of its source that became no render."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, func, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Text

from worker.database import Base


class BatchState(StrEnum):
    """How far a batch is. What it shows to the outside also depends on its pause, approval and cancellation."""

    RECEIVING = "receiving"  # its rows are coming in, none begins; ended by the intake, or thrown away if that died
    OPEN = "open"  # accepted; the dispatcher ends it once every render is final
    FINISHED = "finished"  # no render is open; a retry opens it again


class PauseReason(StrEnum):
    """Why a batch begins nothing new."""

    ASKED = "asked"
    MAX_CREDITS = "max_credits"
    MAX_FAILURE_RATE = "max_failure_rate"


class Batch(Base):
    """Renders that were asked for together. Its renders name it; it holds what concerns them all."""

    __tablename__ = "batches"

    id: Mapped[str] = mapped_column(primary_key=True)
    owner_id: Mapped[str] = mapped_column(ForeignKey("owners.id"))
    api_key_id: Mapped[str | None] = mapped_column(ForeignKey("api_keys.id"))
    name: Mapped[str | None]
    source: Mapped[str]
    """`inline`, `jsonl`, `csv` or `catalog`."""
    columns: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    """A CSV source's header: rejected rows are given back with it."""
    priority: Mapped[str] = mapped_column(server_default="normal")
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    meta: Mapped[dict[str, Any]] = mapped_column("metadata", server_default="{}")
    state: Mapped[str] = mapped_column(server_default="receiving")
    total: Mapped[int] = mapped_column(server_default="0")
    """Rows that became renders."""
    rejected: Mapped[int] = mapped_column(server_default="0")
    """Rows that did not: each has a line in `batch_problems`."""
    first: Mapped[int | None]
    """So many are begun, the others wait for an approval (in held lanes)."""
    approved_at: Mapped[datetime | None]
    max_credits: Mapped[float | None]
    max_failure_rate: Mapped[float | None]
    allowance: Mapped[int | None]
    """How many more renders `max_credits` lets begin, as last counted; None where nothing was counted."""
    paused_at: Mapped[datetime | None]
    pause_reason: Mapped[str | None]
    pause_detail: Mapped[str | None]
    counting_from: Mapped[datetime | None]
    """Failures before this moment are not counted any more: who resumes a batch has seen them."""
    cancel_requested_at: Mapped[datetime | None]
    event_number: Mapped[int] = mapped_column(server_default="0")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    received_at: Mapped[datetime] = mapped_column(server_default=func.now())
    """While it is being received: when rows last came. One whose intake died is thrown away by this."""
    accepted_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("state IN ('receiving', 'open', 'finished')", name="state"),
        CheckConstraint("priority IN ('high', 'normal', 'low')", name="priority"),
        CheckConstraint("(paused_at IS NULL) = (pause_reason IS NULL)", name="paused"),
        CheckConstraint("(state = 'finished') = (finished_at IS NOT NULL)", name="finished"),
        CheckConstraint("(state = 'receiving') = (accepted_at IS NULL)", name="accepted"),
        CheckConstraint("max_failure_rate BETWEEN 0 AND 1", name="max_failure_rate"),
        Index("ix_batches_list", "owner_id", text("created_at DESC"), text("id DESC")),
        Index("ix_batches_unfinished", "id", postgresql_where=text("state <> 'finished'")),
    )


class BatchProblem(Base):
    """A row of a batch's source that became no render, and why."""

    __tablename__ = "batch_problems"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    batch_id: Mapped[str] = mapped_column(ForeignKey("batches.id", ondelete="CASCADE"))
    line: Mapped[int]
    """The physical line in a file, or the item's number in a list, from 1."""
    ref: Mapped[str | None]
    code: Mapped[str]
    detail: Mapped[str]
    raw: Mapped[str | None]
    """The row as it was given, cut to a bound: to be mended and sent again."""

    __table_args__ = (Index("ix_batch_problems_batch", "batch_id", "line", "id"),)
