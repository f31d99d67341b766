"""The render and everything kept about its way: drafts, attempts, exports, results, recoveries, events, lanes."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    CheckConstraint,
    ColumnElement,
    Dialect,
    ForeignKey,
    Identity,
    Index,
    SmallInteger,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy import cast as text_cast
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Text, UserDefinedType

from worker.database import Base
from worker.renders.states import FINAL, Charge, Stage, Status

_FINAL = "status IN ({})".format(", ".join(f"'{status.value}'" for status in sorted(FINAL)))


def _one_of(column: str, values: type[Stage] | type[Status] | type[Charge]) -> str:
    return "{} IN ({})".format(column, ", ".join(f"'{value.value}'" for value in values))


def _as_text(value: Any) -> Any:
    return None if value is None else str(value)


def _as_number(value: Any) -> int | None:
    return None if value is None else int(value)


class TransactionId(UserDefinedType[int]):
    """PostgreSQL's `xid8`: a transaction's number that never wraps."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "xid8"

    def bind_expression(self, bindvalue: BindParameter[int]) -> ColumnElement[int]:
        # There is no cast from a number to xid8, only from text.
        return text_cast(text_cast(bindvalue, Text()), self)

    def bind_processor(self, dialect: Dialect) -> Any:
        return _as_text

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        return _as_number


class Lane(Base):
    """A queue of one owner, batch and priority; places are shared out between them (`sharing.py`), so none starves.

    A batch of which only the first few may begin has two parts: 0 are those, 1 the others, held until approved.
    """

    __tablename__ = "lanes"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    owner_id: Mapped[str] = mapped_column(ForeignKey("owners.id"))
    batch_id: Mapped[str | None] = mapped_column(ForeignKey("batches.id", ondelete="CASCADE"))
    priority: Mapped[str]
    part: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    paused_at: Mapped[datetime | None]
    held: Mapped[bool] = mapped_column(server_default="false")
    """Nothing of it begins before its batch is received, or approved. A pause comes and goes beside that."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        UniqueConstraint("owner_id", "batch_id", "priority", "part", postgresql_nulls_not_distinct=True),
        CheckConstraint("priority IN ('high', 'normal', 'low')", name="priority"),
        Index("ix_lanes_batch", "batch_id", postgresql_where=text("batch_id IS NOT NULL")),
    )


class Render(Base):
    """One video. This row is the truth; every message about it is a wake-up call."""

    __tablename__ = "renders"

    id: Mapped[str] = mapped_column(primary_key=True)
    owner_id: Mapped[str] = mapped_column(ForeignKey("owners.id"))
    lane_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("lanes.id"))
    run: Mapped[int] = mapped_column(server_default="1")
    api_key_id: Mapped[str | None] = mapped_column(ForeignKey("api_keys.id"))
    """The key that asked for the current run: its limits count it."""

    # What was asked for.
    prompt: Mapped[str]
    language: Mapped[str]
    assets: Mapped[list[Any]] = mapped_column(server_default="[]")
    """`[{"url": …} | {"upload": id, "name": …, "media_type": …, "bytes": n}, …]`; `"begun": true` from before its call
    to the backend on, `"sent": true` once it is sent."""
    output: Mapped[dict[str, Any]] = mapped_column(server_default='{"format": "mp4", "quality": "high"}')
    priority: Mapped[str] = mapped_column(server_default="normal")
    on_unconfirmed: Mapped[str] = mapped_column(server_default="fail")
    quality_gate: Mapped[str] = mapped_column(server_default="report")
    """What a video that its examination flags leads to: `report`, `fail`; `off` examines nothing."""
    expect: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    """What the video is compared with: `{"duration_seconds": s, "aspect": "9:16", "silent": false}`; NULL: nothing."""
    external_ref: Mapped[str | None]
    revision: Mapped[int | None] = mapped_column(BigInteger)
    """Of `external_ref`: an older one than the highest that is known is refused (`revisions.py`)."""
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    # `metadata` is taken by SQLAlchemy's declarative base.
    meta: Mapped[dict[str, Any]] = mapped_column("metadata", server_default="{}")
    template_version_id: Mapped[str | None] = mapped_column(ForeignKey("template_versions.id"))
    """What `prompt` was made from, with `variables`: a render pins its version."""
    variables: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    """As they were given."""

    webhook_endpoint_id: Mapped[str | None] = mapped_column(ForeignKey("webhook_endpoints.id", ondelete="SET NULL"))
    """Where this render's own events go, beside the standing endpoints."""
    webhook_url: Mapped[str | None]
    """The whole address as it was given: its endpoint has none but the scheme, the host and the port. Of a
    deleted render only until `render.deleted` is on its way there."""
    webhook_events: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    """Which of them: types, groups or `*`."""

    batch_id: Mapped[str | None] = mapped_column(ForeignKey("batches.id"))
    batch_position: Mapped[int | None]
    """Which of its batch's renders it is, from 1, in the order of the source."""
    follows_id: Mapped[str | None]
    """Another render of the owner that it must not overtake: until then its `ready_at` is infinity, and the dispatcher
    looks (`following.Turns`)."""
    follows_until: Mapped[str | None]
    """Until when: `export` (its export is accepted, or it is final) or `end` (it is final)."""
    session_id: Mapped[str | None] = mapped_column(ForeignKey("sessions.id"))
    """The session whose timeline it goes on with."""
    fingerprint: Mapped[str | None]
    """SHA-256 of everything that its video depends on, where the request was made from a catalog's product."""
    reused_from: Mapped[str | None]
    """The render whose video it took over, because their fingerprints are the same: it cost nothing."""

    # Where it stands.
    status: Mapped[str] = mapped_column(server_default="queued")
    reason: Mapped[str | None]
    stage: Mapped[str] = mapped_column(server_default="token")
    fraction: Mapped[float] = mapped_column(server_default="0")
    """How far this stage is, 0-1, where the backend tells (export)."""
    stage_at: Mapped[datetime] = mapped_column(server_default=func.now())
    cancel_requested_at: Mapped[datetime | None]
    expiring: Mapped[bool] = mapped_column(server_default="false")
    """It is being cancelled because its deadline passed: it ends in `expired`."""
    deadline_seconds: Mapped[float | None]
    """As asked for: from the run's beginning to its end, time on hold apart."""
    deadline_at: Mapped[datetime | None]
    """When that will be over; moved on by each time on hold."""
    clock_stopped_at: Mapped[datetime | None]
    """On hold since (credits, subscription, a pause): the deadline's clock stands still."""

    # Who works on it.
    ready_at: Mapped[datetime] = mapped_column(server_default=func.now())
    sends: Mapped[int] = mapped_column(server_default="0")
    """Messages in a row that nobody took, with the one of `sent_at`; says nothing where that is NULL."""
    sent_at: Mapped[datetime | None]
    """When a message about this row was last given to the broker; sent and not claimed in time: sent again."""
    lease: Mapped[int] = mapped_column(server_default="0")
    """Raised by each claim (fencing): a write that names an older number touches no row."""
    worker_id: Mapped[str | None]
    recovery_id: Mapped[int | None] = mapped_column(BigInteger)
    """The takeover under way, until the stage it resumed has ended."""
    tries: Mapped[int] = mapped_column(server_default="0")
    """Faults in a row in this stage that may pass by themselves."""
    failing_since: Mapped[datetime | None]
    deaths: Mapped[int] = mapped_column(server_default="0")
    """Workers that were found gone while they had it, with no outcome written in between: it may be what kills them."""

    # What it has at the backend.
    account_id: Mapped[str | None] = mapped_column(ForeignKey("accounts.id"))
    remote_session_id: Mapped[str | None] = mapped_column(ForeignKey("remote_sessions.id"))
    sessions: Mapped[int] = mapped_column(server_default="0")
    """Sessions made in this run: a backend that loses each of them at once is not asked for ever."""
    export_id: Mapped[str | None]

    # What came of it.
    answer: Mapped[str | None]
    timeline: Mapped[str | None]
    hints: Mapped[list[Any]] = mapped_column(server_default="[]")
    charge_state: Mapped[str] = mapped_column(server_default="none")
    charge_credits: Mapped[float | None]
    cancel_effect: Mapped[str | None]
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    error_retryable: Mapped[bool | None]
    error_help: Mapped[str | None]

    event_number: Mapped[int] = mapped_column(server_default="0")
    queued_at: Mapped[datetime] = mapped_column(server_default=func.now())
    """When the current run was asked for."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    purged_at: Mapped[datetime | None]
    """What it held was deleted at its owner's wish; the row stays for the books, and is shown to nobody."""

    __table_args__ = (
        CheckConstraint(_one_of("status", Status), name="status"),
        CheckConstraint(_one_of("stage", Stage), name="stage"),
        CheckConstraint(_one_of("charge_state", Charge), name="charge"),
        CheckConstraint(f"(finished_at IS NOT NULL) = ({_FINAL})", name="finished"),
        CheckConstraint("(status = 'waiting') = (reason IS NOT NULL)", name="reason"),
        CheckConstraint("finished_at IS NULL OR worker_id IS NULL", name="final_unowned"),
        CheckConstraint("(status IN ('failed', 'expired')) = (error_code IS NOT NULL)", name="error"),
        CheckConstraint("priority IN ('high', 'normal', 'low')", name="priority"),
        CheckConstraint("on_unconfirmed IN ('fail', 'retry')", name="on_unconfirmed"),
        CheckConstraint("quality_gate IN ('report', 'fail', 'off')", name="quality_gate"),
        CheckConstraint("revision >= 0 AND external_ref IS NOT NULL OR revision IS NULL", name="revision"),
        CheckConstraint("fraction BETWEEN 0 AND 1", name="fraction"),
        CheckConstraint("purged_at IS NULL OR finished_at IS NOT NULL", name="purged"),
        CheckConstraint("(deadline_seconds IS NULL) = (deadline_at IS NULL)", name="deadline"),
        CheckConstraint("NOT expiring OR cancel_requested_at IS NOT NULL", name="expiring"),
        # The dispatcher's looks: new renders by lane, those under way by time, those with an owner.
        Index(
            "ix_renders_new",
            "lane_id",
            "ready_at",
            "id",
            postgresql_where=text("started_at IS NULL AND finished_at IS NULL"),
        ),
        Index(
            "ix_renders_due",
            "ready_at",
            postgresql_where=text("started_at IS NOT NULL AND finished_at IS NULL AND worker_id IS NULL"),
        ),
        Index("ix_renders_owned", "worker_id", postgresql_where=text("worker_id IS NOT NULL")),
        Index(
            "ix_renders_under_way",
            "stage",
            "status",
            postgresql_where=text("finished_at IS NULL AND (started_at IS NOT NULL OR sent_at IS NOT NULL)"),
        ),
        Index(
            "ix_renders_deadline",
            "deadline_at",
            postgresql_where=text(
                "deadline_at IS NOT NULL AND finished_at IS NULL"
                " AND clock_stopped_at IS NULL AND cancel_requested_at IS NULL"
            ),
        ),
        Index(
            "ix_renders_clocks",
            "owner_id",
            "clock_stopped_at",
            postgresql_where=text("deadline_at IS NOT NULL AND finished_at IS NULL AND started_at IS NULL"),
        ),
        Index("ix_renders_account", "account_id", "stage", postgresql_where=text("finished_at IS NULL")),
        Index("ix_renders_finished", "owner_id", "finished_at", postgresql_where=text("finished_at IS NOT NULL")),
        Index("ix_renders_list", "owner_id", text("created_at DESC"), text("id DESC")),
        Index("ix_renders_list_status", "owner_id", "status", text("created_at DESC"), text("id DESC")),
        Index("ix_renders_external_ref", "owner_id", "external_ref", postgresql_where=text("external_ref IS NOT NULL")),
        Index(
            "ix_renders_revision",
            "owner_id",
            "external_ref",
            "revision",
            postgresql_where=text("revision IS NOT NULL"),
        ),
        Index("ix_renders_api_key", "api_key_id", "queued_at"),
        Index("ix_renders_api_key_open", "api_key_id", postgresql_where=text("finished_at IS NULL")),
        CheckConstraint("(batch_id IS NULL) = (batch_position IS NULL)", name="batch"),
        CheckConstraint(
            "(follows_id IS NULL) = (follows_until IS NULL) AND follows_until IN ('export', 'end')", name="follows"
        ),
        Index(
            "ix_renders_batch",
            "batch_id",
            "batch_position",
            unique=True,
            postgresql_where=text("batch_id IS NOT NULL"),
        ),
        # What a batch's answer counts, without a look at a row.
        Index("ix_renders_batch_status", "batch_id", "status", postgresql_where=text("batch_id IS NOT NULL")),
        Index(
            "ix_renders_batch_charged",
            "batch_id",
            "charge_state",
            postgresql_include=["charge_credits"],
            postgresql_where=text("batch_id IS NOT NULL AND charge_state <> 'none'"),
        ),
        Index("ix_renders_batch_again", "batch_id", postgresql_where=text("batch_id IS NOT NULL AND run > 1")),
        Index("ix_renders_fingerprint", "owner_id", "fingerprint", postgresql_where=text("fingerprint IS NOT NULL")),
        Index(
            "ix_renders_webhook",
            "webhook_endpoint_id",
            "created_at",
            postgresql_where=text("webhook_endpoint_id IS NOT NULL"),
        ),
        Index("ix_renders_followers", "follows_id", postgresql_where=text("follows_id IS NOT NULL")),
        Index(
            "ix_renders_turns",
            "follows_id",
            "id",
            postgresql_where=text(
                "follows_id IS NOT NULL AND started_at IS NULL AND finished_at IS NULL AND ready_at = 'infinity'"
            ),
        ),
        Index(
            "ix_renders_session",
            "session_id",
            "queued_at",
            "id",
            postgresql_where=text("session_id IS NOT NULL"),
        ),
        Index("ix_renders_tags", "tags", postgresql_using="gin"),
    )


class Run(Base):
    """An earlier run of a render, as it ended: kept when a retry starts the next one on the render's own row."""

    __tablename__ = "render_runs"

    render_id: Mapped[str] = mapped_column(ForeignKey("renders.id", ondelete="CASCADE"), primary_key=True)
    run: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[str] = mapped_column(ForeignKey("owners.id"))
    api_key_id: Mapped[str | None] = mapped_column(ForeignKey("api_keys.id"))
    status: Mapped[str]
    stage: Mapped[str]
    answer: Mapped[str | None]
    charge_state: Mapped[str]
    charge_credits: Mapped[float | None]
    cancel_effect: Mapped[str | None]
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    queued_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime]

    __table_args__ = (
        CheckConstraint(_FINAL, name="final"),
        CheckConstraint(_one_of("charge_state", Charge), name="charge"),
        Index("ix_render_runs_api_key", "api_key_id", "queued_at"),
        Index("ix_render_runs_finished", "owner_id", "finished_at"),
    )


class DoomedFile(Base):
    """A stored file that nothing names any more, or not yet: an outbox, whose files are deleted from `doomed_at` on."""

    __tablename__ = "doomed_files"

    storage_key: Mapped[str] = mapped_column(primary_key=True)
    doomed_at: Mapped[datetime] = mapped_column(server_default=func.now())
    again_at: Mapped[datetime | None]
    """Deleted once more then: somebody may have been storing it when it was deleted first."""


class Draft(Base):
    """The draft a run ended with, as the bytes received: it goes back as it came, and jsonb refuses NUL."""

    __tablename__ = "drafts"

    render_id: Mapped[str] = mapped_column(ForeignKey("renders.id", ondelete="CASCADE"), primary_key=True)
    run: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[str] = mapped_column(ForeignKey("owners.id"))
    body: Mapped[bytes]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Attempt(Base):
    """One worker's work on one stage, from its claim to its outcome."""

    __tablename__ = "attempts"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    owner_id: Mapped[str] = mapped_column(ForeignKey("owners.id"))
    render_id: Mapped[str] = mapped_column(ForeignKey("renders.id", ondelete="CASCADE"))
    run: Mapped[int]
    stage: Mapped[str]
    lease: Mapped[int]
    worker_id: Mapped[str]
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    ended_at: Mapped[datetime | None]
    outcome: Mapped[str | None]
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]

    __table_args__ = (
        UniqueConstraint("render_id", "lease"),
        CheckConstraint("(ended_at IS NULL) = (outcome IS NULL)", name="ended"),
        Index("ix_attempts_stage_ended", "stage", "ended_at", postgresql_where=text("outcome = 'advance'")),
    )


class Export(Base):
    """One export at the backend; its id is on disk before it is submitted."""

    __tablename__ = "exports"

    id: Mapped[str] = mapped_column(primary_key=True)
    owner_id: Mapped[str] = mapped_column(ForeignKey("owners.id"))
    render_id: Mapped[str] = mapped_column(ForeignKey("renders.id", ondelete="CASCADE"), index=True)
    run: Mapped[int]
    state: Mapped[str] = mapped_column(server_default="reserved")
    polls: Mapped[int] = mapped_column(server_default="0")
    answered_at: Mapped[datetime | None]
    """The last answer to a question after it (a 5xx counts): the next question keeps the interval to this."""
    url: Mapped[str | None]
    """The finished file's address: signed, so never logged and never shown."""
    detail: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    ended_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint(
            "state IN ('reserved', 'submitted', 'completed', 'failed', 'lost', 'refused', 'gone', 'canceled')",
            name="state",
        ),
    )


class Result(Base):
    """The file a run ended with."""

    __tablename__ = "results"

    render_id: Mapped[str] = mapped_column(ForeignKey("renders.id", ondelete="CASCADE"), primary_key=True)
    run: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[str] = mapped_column(ForeignKey("owners.id"))
    storage_key: Mapped[str]
    poster_key: Mapped[str | None]
    sha256: Mapped[str]
    bytes: Mapped[int] = mapped_column(BigInteger)
    duration_seconds: Mapped[float]
    width: Mapped[int]
    height: Mapped[int]
    video_codec: Mapped[str]
    audio_codec: Mapped[str | None]
    pixel_format: Mapped[str]
    frame_rate: Mapped[float | None]
    quality: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    """What the examination came to (`worker.media.quality.report`); NULL: the render asked for none."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        CheckConstraint("bytes > 0 AND duration_seconds > 0", name="playable"),
        # A file that several renders name goes with the last of them.
        Index("ix_results_storage_key", "storage_key"),
    )


class Recovery(Base):
    """A takeover: who fell silent, at which stage, who went on, and what became of it."""

    __tablename__ = "recoveries"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    owner_id: Mapped[str] = mapped_column(ForeignKey("owners.id"))
    render_id: Mapped[str] = mapped_column(ForeignKey("renders.id", ondelete="CASCADE"), index=True)
    run: Mapped[int]
    stage: Mapped[str]
    why: Mapped[str]
    from_worker: Mapped[str]
    to_worker: Mapped[str | None]
    lease: Mapped[int]
    taken_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
    ended_at: Mapped[datetime | None]
    outcome: Mapped[str | None]


class Worker(Base):
    """A worker process and its heartbeat."""

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    hostname: Mapped[str]
    pid: Mapped[int]
    machine: Mapped[str | None]
    """The boot and process namespace that `pid` belongs to: only there can anybody see whether it still runs."""
    pid_started: Mapped[int | None] = mapped_column(BigInteger)
    """When the process began, in clock ticks since boot: a pid that was given out again began later."""
    version: Mapped[str]
    capacity: Mapped[int]
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    seen_at: Mapped[datetime] = mapped_column(server_default=func.now())
    stopped_at: Mapped[datetime | None]
    """When it said goodbye, or was found gone."""
    died: Mapped[bool] = mapped_column(server_default="false")
    """It was found gone: it said nothing."""

    __table_args__ = (CheckConstraint("kind IN ('stream', 'io', 'media')", name="kind"),)


class Event(Base):
    """Something that happened to a render, a batch or a webhook endpoint.

    `number` orders the events of one of them. The feed of all is read by `(transaction, id)` below the oldest running
    transaction: ids alone commit out of order, and a reader that trusts them skips some for ever.
    """

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    transaction: Mapped[int] = mapped_column(TransactionId(), server_default=text("pg_current_xact_id()"))
    owner_id: Mapped[str] = mapped_column(ForeignKey("owners.id"))
    render_id: Mapped[str | None] = mapped_column(ForeignKey("renders.id", ondelete="CASCADE"))
    batch_id: Mapped[str | None] = mapped_column(ForeignKey("batches.id", ondelete="CASCADE"))
    endpoint_id: Mapped[str | None] = mapped_column(ForeignKey("webhook_endpoints.id", ondelete="CASCADE"))
    run: Mapped[int | None]
    """Of a render."""
    number: Mapped[int]
    type: Mapped[str]
    data: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        UniqueConstraint("render_id", "number"),
        CheckConstraint("num_nonnulls(render_id, batch_id, endpoint_id) = 1", name="subject"),
        CheckConstraint("(render_id IS NULL) = (run IS NULL)", name="run"),
        Index("uq_events_batch", "batch_id", "number", unique=True, postgresql_where=text("batch_id IS NOT NULL")),
        Index(
            "uq_events_endpoint", "endpoint_id", "number", unique=True, postgresql_where=text("endpoint_id IS NOT NULL")
        ),
        Index("ix_events_feed", "transaction", "id"),
        Index("ix_events_owner_feed", "owner_id", "transaction", "id"),
        # Rows lie in the order of their time: a few bytes for each hundred pages find where one begins.
        Index("ix_events_created", "created_at", postgresql_using="brin"),
    )


class Upload(Base):
    """A file given to us before the render that uses it."""

    __tablename__ = "uploads"

    id: Mapped[str] = mapped_column(primary_key=True)
    owner_id: Mapped[str] = mapped_column(ForeignKey("owners.id"), index=True)
    name: Mapped[str]
    media_type: Mapped[str]
    bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str]
    storage_key: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    used_at: Mapped[datetime | None]


class UploadUse(Base):
    """Which renders an upload is an asset of: a file goes with the last of them, not before."""

    __tablename__ = "upload_uses"

    upload_id: Mapped[str] = mapped_column(ForeignKey("uploads.id", ondelete="CASCADE"), primary_key=True)
    render_id: Mapped[str] = mapped_column(ForeignKey("renders.id", ondelete="CASCADE"), primary_key=True)

    __table_args__ = (Index("ix_upload_uses_render", "render_id"),)
