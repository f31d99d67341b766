"""A batch, its items, and what became of its rows."""

from datetime import datetime
from typing import Any

from .answers import Charge, Estimate, Model, RenderError


class BatchPause(Model):
    """Why a batch begins nothing new: `asked`, `max_credits`, `max_failure_rate`."""

    reason: str
    detail: str | None = None
    since: datetime


class BatchCredits(Model):
    """Credits of a batch's runs as far as they are known, and how many runs' charges nobody knows."""

    known: float
    unknown_count: int


class BatchEstimate(Model):
    """When a batch will be over: with even chances by `p50`, nine times in ten by `p90`."""

    p50: datetime
    p90: datetime


class Batch(Model):
    """A batch as it stands. `status`: receiving, running, paused, awaiting_approval, canceling, finished."""

    id: str
    name: str | None = None
    status: str
    source: str
    priority: str
    tags: list[str] = []
    metadata: dict[str, Any] = {}
    total: int
    rejected: int
    counts: dict[str, int]
    progress: float
    credits: BatchCredits
    first: int | None = None
    approved_at: datetime | None = None
    max_credits: float | None = None
    max_failure_rate: float | None = None
    pause: BatchPause | None = None
    estimate: BatchEstimate | None = None
    created_at: datetime
    accepted_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    finished_at: datetime | None = None
    links: dict[str, str] = {}

    @property
    def final(self) -> bool:
        """Whether all its renders are."""
        return self.status == "finished"


class BatchItem(Model):
    """One render of a batch in short; `render(item.id)` tells the rest."""

    position: int
    id: str
    ref: str | None = None
    status: str
    reason: str | None = None
    stage: str
    run: int
    priority: str
    charge: Charge
    error: RenderError | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None


class RowProblem(Model):
    """A row that became no render; `line` counts from 1."""

    line: int
    ref: str | None = None
    code: str
    detail: str
    raw: str | None = None


class BatchPrompt(Model):
    """What a row would ask for."""

    line: int
    ref: str | None = None
    prompt: str
    language: str


class BatchDryRun(Model):
    """A batch that would be taken on: its first problems and prompts, and what it would cost; nothing was kept."""

    total: int
    rejected: int
    problems: list[RowProblem] = []
    prompts: list[BatchPrompt] = []
    estimate: Estimate


class Retried(Model):
    """What came of asking for the failed renders of a batch again; where some are `left`, ask once more."""

    retried: int
    needs_force: int
    left: int
    batch: Batch


class ManifestLine(Model):
    """What became of one row: its video's `address`, `duration` in seconds, `credits` over all runs, `error` a code."""

    ref: str | None = None
    id: str
    position: int
    status: str
    address: str | None = None
    sha256: str | None = None
    duration: float | None = None
    credits: float | None = None
    error: str | None = None
