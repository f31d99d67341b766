"""What answers say of batches."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from api.bodies import ChargeBody, Fraction


class BatchPauseBody(BaseModel):
    """Why nothing new of a batch begins: `asked`, `max_credits` or `max_failure_rate`."""

    reason: str = Field(examples=["max_failure_rate"])
    detail: str | None
    since: datetime


class BatchCountsBody(BaseModel):
    """How many of its renders are in each status."""

    queued: int = 0
    running: int = 0
    waiting: int = 0
    canceling: int = 0
    succeeded: int = 0
    failed: int = 0
    canceled: int = 0
    expired: int = 0


class BatchCreditsBody(BaseModel):
    """What its runs came to so far: credits that are known, and how many runs' charges nobody knows."""

    known: float
    unknown_count: int


class BatchEstimateBody(BaseModel):
    """When it will be over: with even chances by `p50`, nine times in ten by `p90`."""

    p50: datetime
    p90: datetime


class BatchBody(BaseModel):
    """A batch as it stands."""

    id: str = Field(examples=["bat_01jz0000000000000000000000"])
    name: str | None
    status: str = Field(
        description="`receiving`, `running`, `paused`, `awaiting_approval`, `canceling` or `finished`.",
        examples=["running"],
    )
    source: str = Field(description="`inline`, `jsonl`, `csv` or `catalog`.")
    priority: str
    tags: list[str]
    metadata: dict[str, Any]
    total: int = Field(description="Its renders.")
    rejected: int = Field(description="Rows that became none; see its problems.")
    counts: BatchCountsBody
    progress: Fraction = Field(description="The share of its renders that are final.")
    credits: BatchCreditsBody
    first: int | None = Field(description="So many begin before the batch is approved.")
    approved_at: datetime | None
    max_credits: float | None
    max_failure_rate: float | None
    pause: BatchPauseBody | None
    estimate: BatchEstimateBody | None = Field(
        description="Of what may begin now; null where nobody can say: paused, or too little was measured."
    )
    created_at: datetime
    accepted_at: datetime | None
    cancel_requested_at: datetime | None
    finished_at: datetime | None
    links: dict[str, str]


class BatchPage(BaseModel):
    """Newest first; `next_cursor` leads to the older ones."""

    data: list[BatchBody]
    next_cursor: str | None


class ItemErrorBody(BaseModel):
    """Why a render failed."""

    code: str
    message: str | None


class ItemBody(BaseModel):
    """One render of a batch, in short; its address tells the rest."""

    position: int
    id: str
    ref: str | None = Field(description="Its `external_ref`.")
    status: str
    reason: str | None
    stage: str
    run: int
    priority: str
    charge: ChargeBody = Field(description="Of its current run.")
    error: ItemErrorBody | None
    started_at: datetime | None
    finished_at: datetime | None


class ItemPage(BaseModel):
    """In the order of the source."""

    data: list[ItemBody]
    next_cursor: str | None


class RowProblemBody(BaseModel):
    """A row that became no render. `line` is the physical line it begins at, or an item's number, from 1."""

    line: int
    ref: str | None
    code: str = Field(examples=["row.invalid"])
    detail: str
    raw: str | None = Field(description="The row as it was given, up to 16 KiB.")


class RowProblemPage(BaseModel):
    """In the order of the source."""

    data: list[RowProblemBody]
    next_cursor: str | None


class BatchPromptBody(BaseModel):
    """What a row would ask for."""

    line: int
    ref: str | None
    prompt: str
    language: str


class BatchTotalBody(BaseModel):
    """What a batch would take: `credits` by the backend's contract; `seconds` null where too little was measured."""

    credits: float
    seconds: float | None


class BatchDryRunBody(BaseModel):
    """A batch that would be taken on; nothing was kept of it."""

    total: int
    rejected: int
    problems: list[RowProblemBody] = Field(description="The first 20.")
    prompts: list[BatchPromptBody] = Field(description="The first five.")
    estimate: BatchTotalBody


class RetriedBody(BaseModel):
    """What came of asking for the failed ones again."""

    retried: int
    needs_force: int = Field(description="Those left out because another message could be charged a second time.")
    left: int = Field(description="Those that are still to be begun anew: ask once more, with another key.")
    batch: BatchBody
