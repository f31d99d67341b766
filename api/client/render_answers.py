"""A render, its video, and what became of it."""

from datetime import datetime
from typing import Any, Self

import httpx

from .answers import Charge, Estimate, Hint, Model, RenderAsset, RenderError

FINAL = frozenset({"succeeded", "failed", "canceled", "expired"})
"""Statuses in which a run stays."""


class Check(Model):
    """One thing that a video was examined for: `passed`, `flagged`, or `not_asked` for; stretches in seconds."""

    check: str
    verdict: str
    detail: str
    stretches: list[tuple[float, float]] = []
    measured: float | str | None = None
    asked: float | str | None = None


class Quality(Model):
    """What examining a video came to: `passed`, `flagged`, or `unknown` where it could not be done."""

    verdict: str
    detail: str | None = None
    checks: list[Check] = []

    @property
    def flagged(self) -> list[Check]:
        """The checks that found something."""
        return [check for check in self.checks if check.verdict == "flagged"]


class Expected(Model):
    """What a video is compared with; None: nothing was asked for."""

    duration_seconds: float | None = None
    aspect: str | None = None
    silent: bool = False


class Result(Model):
    """A finished file; `duration` in seconds, sizes in pixels."""

    url: str
    sha256: str
    bytes: int
    duration: float
    width: int
    height: int
    codec: str
    poster: str | None = None
    quality: Quality | None = None


class Attempt(Model):
    """One worker's work on one stage."""

    run: int
    stage: str
    worker: str
    started_at: datetime
    ended_at: datetime | None = None
    outcome: str | None = None
    error_code: str | None = None
    error_message: str | None = None


class Run(Model):
    """An earlier run of a render, as it ended; `charge` is its own."""

    run: int
    status: str
    stage: str
    answer: str | None = None
    charge: Charge
    cancel_effect: str | None = None
    error: RenderError | None = None
    queued_at: datetime
    started_at: datetime | None = None
    finished_at: datetime


class Remote(Model):
    """Where the work is at the backend; `link` opens it in the backend's own editor while it is valid."""

    task_id: str | None = None
    session_id: str | None = None
    export_id: str | None = None
    link: str | None = None


class RenderWebhook(Model):
    """Where a render's own events go; without an address its endpoint was deleted, or it was only a dry run."""

    endpoint_id: str | None = None
    url: str | None = None
    events: list[str] = []
    enabled: bool = True


class NormalisedRender(Model):
    """A request with everything that was left out filled in."""

    prompt: str
    template: str | None = None
    """`name@3`, which made the prompt with `variables`."""
    variables: dict[str, Any] = {}
    language: str
    assets: list[RenderAsset] = []
    output: dict[str, Any] = {}
    priority: str
    on_unconfirmed: str
    quality_gate: str = "off"
    expect: Expected | None = None
    deadline_seconds: float | None = None
    external_ref: str | None = None
    revision: int | None = None
    tags: list[str] = []
    metadata: dict[str, Any] = {}
    webhook: RenderWebhook | None = None


class _Standing(Model):
    """Where a render stands: what an answer begins with."""

    id: str
    run: int
    status: str
    reason: str | None = None
    stage: str
    progress: float
    eta: datetime | None = None


class Render(NormalisedRender, _Standing):
    """A render as it stands. `status`: queued, running, waiting (see `reason`), canceling, or one of `FINAL`."""

    reused_from: str | None = None
    """The render whose video it took over: it cost nothing."""
    batch: str | None = None
    position: int | None = None
    answer: str | None = None
    timeline: str | None = None
    result: Result | None = None
    charge: Charge
    hints: list[Hint] = []
    cancel_effect: str | None = None
    error: RenderError | None = None
    attempts: list[Attempt] = []
    runs: list[Run] = []
    remote: Remote = Remote()
    session: str | None = None
    created_at: datetime
    queued_at: datetime | None = None
    started_at: datetime | None = None
    deadline_at: datetime | None = None
    updated_at: datetime
    finished_at: datetime | None = None
    links: dict[str, str] = {}

    _etag: str | None = None

    @property
    def final(self) -> bool:
        """Whether its run is over."""
        return self.status in FINAL

    @property
    def etag(self) -> str | None:
        """The tag of this state, for `if_match`; None for one out of a list."""
        return self._etag

    @classmethod
    def tagged(cls, response: httpx.Response) -> Self:
        """The render in an answer, with its tag. Raises ValidationError."""
        render = cls.model_validate_json(response.content)
        render._etag = response.headers.get("ETag")
        return render


class DryRun(Model):
    """A request that would be accepted; nothing was kept of it."""

    valid: bool
    render: NormalisedRender
    hints: list[Hint] = []
    estimate: Estimate
