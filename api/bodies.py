"""What answers hold: the shapes of a render, its events, uploads, balances and takeovers."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field

Fraction = Annotated[float, Field(ge=0, le=1)]


class CheckBody(BaseModel):
    """One thing that a video was examined for: `passed`, `flagged`, or `not_asked` for."""

    check: str = Field(examples=["black"])
    verdict: str
    detail: str
    stretches: list[tuple[float, float]] = Field(description="From and to, in seconds.")
    measured: float | str | None
    asked: float | str | None


class QualityBody(BaseModel):
    """What examining a video came to: `passed`, `flagged`, or `unknown` where it could not be done, which `detail`
    explains."""

    verdict: str
    detail: str | None
    checks: list[CheckBody]


class ExpectBody(BaseModel):
    """What a video is compared with; null: nothing was asked for."""

    duration_seconds: float | None = None
    aspect: str | None = None
    silent: bool = False


class ResultBody(BaseModel):
    """The finished file; `duration` in seconds, sizes in pixels."""

    url: str
    sha256: str
    bytes: int
    duration: float
    width: int
    height: int
    codec: str
    poster: str | None
    quality: QualityBody | None = Field(description="null where `quality_gate` is `off`.")


class ChargeBody(BaseModel):
    """What is known of the charge: `none`, `incurred` or `unknown`."""

    state: str
    credits: float | None


class ErrorBody(BaseModel):
    """Why a render failed, and what to do."""

    code: str
    message: str
    retryable: bool
    help: str


class AttemptBody(BaseModel):
    """One worker's work on one stage."""

    run: int
    stage: str
    worker: str
    started_at: datetime
    ended_at: datetime | None
    outcome: str | None
    error_code: str | None
    error_message: str | None


class RemoteBody(BaseModel):
    """Where the work is at the backend; `link` opens it in the backend's own editor while it is valid."""

    task_id: str | None
    session_id: str | None
    export_id: str | None
    link: str | None


class HintBody(BaseModel):
    """Advice that changed nothing."""

    code: str
    message: str


class RunErrorBody(BaseModel):
    """Why an earlier run failed."""

    code: str
    message: str | None


class RunBody(BaseModel):
    """An earlier run of a render, as it ended; `charge` is what that run alone cost."""

    run: int
    status: str
    stage: str
    answer: str | None
    charge: ChargeBody
    cancel_effect: str | None
    error: RunErrorBody | None
    queued_at: datetime
    started_at: datetime | None
    finished_at: datetime


class WebhookBody(BaseModel):
    """Where a render's own events go."""

    endpoint_id: str | None = Field(
        description="GET /v1/webhook-endpoints/{id}/secret has its secret; null in a dry run, where none was made."
    )
    url: str | None = Field(description="Without what stands behind a `?`; null where the endpoint was deleted.")
    events: list[str]
    enabled: bool = Field(description="false: the endpoint is disabled or gone, nothing comes; GET of it says why.")


class NormalisedBody(BaseModel):
    """A request with everything that was left out filled in."""

    prompt: str
    template: str | None = Field(description="The version it was made from, `name@3`.")
    variables: dict[str, Any] = Field(description="What that was filled with, as given.")
    language: str
    assets: list[dict[str, Any]]
    output: dict[str, Any]
    priority: str
    on_unconfirmed: str
    quality_gate: str
    expect: ExpectBody | None = Field(
        description="What the video is compared with: as asked for, or as the prompt says."
    )
    deadline_seconds: float | None
    external_ref: str | None
    revision: int | None = Field(description="Of what `external_ref` names.")
    tags: list[str]
    metadata: dict[str, Any]
    webhook: WebhookBody | None = Field(description="Where its own events go, beside the standing endpoints.")


class _Standing(BaseModel):
    """Where a render stands: what an answer begins with."""

    id: str = Field(examples=["rnd_01jz0000000000000000000000"])
    run: int
    status: str = Field(examples=["running"])
    reason: str | None = Field(description="Why it is `waiting`.")
    stage: str = Field(examples=["generate"])
    progress: Fraction
    eta: datetime | None = Field(description="When it is expected to be finished; an estimate.")


class RenderBody(NormalisedBody, _Standing):
    """A render as it stands."""

    reused_from: str | None = Field(description="The render whose video it took over: it cost nothing.")
    batch: str | None = Field(description="The batch it belongs to.")
    position: int | None = Field(description="Which of its batch's renders it is, from 1.")
    answer: str | None
    timeline: str | None
    result: ResultBody | None
    charge: ChargeBody = Field(description="Over all its runs.")
    hints: list[HintBody]
    cancel_effect: str | None = Field(description="What cancelling achieved: prevented, stopped or too_late.")
    error: ErrorBody | None
    attempts: list[AttemptBody]
    runs: list[RunBody] = Field(description="The runs before this one; each retry starts the next.")
    remote: RemoteBody
    session: str | None = Field(description="The session whose timeline it goes on with.")
    created_at: datetime
    queued_at: datetime = Field(description="When this run was asked for.")
    started_at: datetime | None
    deadline_at: datetime | None = Field(description="When `deadline_seconds` are over; later by each time on hold.")
    updated_at: datetime
    finished_at: datetime | None
    links: dict[str, str]


class EstimateBody(BaseModel):
    """What a render would take: `credits` by the backend's contract, `seconds` from what renders took lately."""

    credits: float
    seconds: float


class DryRunBody(BaseModel):
    """A request that would be accepted, as it would be; nothing was kept of it."""

    valid: bool = True
    render: NormalisedBody
    hints: list[HintBody]
    estimate: EstimateBody


class RenderPage(BaseModel):
    """Newest first; `next_cursor` leads to the older ones."""

    data: list[RenderBody]
    next_cursor: str | None


class VariableBody(BaseModel):
    """What a template is filled with: `max_length` in characters of a text, or items of a list."""

    type: str = Field(examples=["text"])
    required: bool
    default: str | bool | int | float | list[str | bool | int | float] | None
    description: str
    max_length: int | None


class TemplateContentBody(BaseModel):
    """What a version of a template holds."""

    prompt: str
    variables: dict[str, VariableBody]
    language: str | None = Field(description="Of the renders that name none.")
    tags: list[str] = Field(description="Of the renders that name none.")


class TemplateVersionBody(TemplateContentBody):
    """A version: it never changes."""

    template: str = Field(description="What means this version: `name@3`.", examples=["promo@3"])
    number: int
    created_at: datetime


class TemplateBody(BaseModel):
    """A template with its newest version."""

    id: str = Field(examples=["tpl_01jz0000000000000000000000"])
    name: str
    version: TemplateVersionBody
    created_at: datetime
    archived_at: datetime | None = Field(description="Since then nothing new is made of it.")
    links: dict[str, str]


class TemplatePage(BaseModel):
    """Newest first; `next_cursor` leads to the older ones."""

    data: list[TemplateBody]
    next_cursor: str | None


class TemplateVersionPage(BaseModel):
    """Newest first; `next_cursor` leads to the older ones."""

    data: list[TemplateVersionBody]
    next_cursor: str | None


class TemplateDryRunBody(BaseModel):
    """A template that would be taken, as it would be; nothing was kept of it."""

    valid: bool = True
    name: str
    content: TemplateContentBody
    hints: list[HintBody]


class PreviewBody(BaseModel):
    """What a render would be asked for with; nothing was kept of it."""

    template: str = Field(examples=["promo@3"])
    prompt: str
    language: str
    hints: list[HintBody]


class EventBody(BaseModel):
    """Something that happened to a render, a batch or an endpoint of webhooks; `final` ends a render's run."""

    render_id: str | None = None
    batch_id: str | None = None
    endpoint_id: str | None = None
    run: int | None = Field(None, description="Of a render.")
    number: int
    type: str = Field(examples=["render.stage"])
    data: dict[str, Any]
    final: bool
    at: datetime


class FeedEventBody(EventBody):
    """An event in the feed; of a render also its batch."""

    external_ref: str | None = Field(None, description="Of the render.")
    cursor: str = Field(description="Its place: `after` of whoever goes on behind it.")
    links: dict[str, str] = Field(description="`self` is what it happened to.")


class EventPage(BaseModel):
    """Oldest first; empty when there is nothing new yet."""

    data: list[EventBody]


class FeedPage(BaseModel):
    """Oldest first; keep `next_cursor`, it is where to go on even when there was nothing."""

    data: list[FeedEventBody]
    next_cursor: str


class UploadBody(BaseModel):
    """A stored file, usable as an asset."""

    id: str = Field(examples=["upl_01jz0000000000000000000000"])
    name: str
    media_type: str
    bytes: int
    sha256: str
    created_at: datetime
    expires_at: datetime | None = Field(
        description="When it is thrown away unless a render uses it; null once one does."
    )


class AccountBody(BaseModel):
    """One account at the backend with its balance in credits, as last read at `read_at`."""

    id: str
    name: str
    kind: str
    available: float | None
    frozen: float | None
    total: float | None
    reserved: float = Field(
        description="Credits of messages that the balance does not show yet: begun since it was read, or still to come."
    )
    read_at: datetime | None
    slots: int | None = Field(description="Renders it takes at once; null: no limit.")
    slots_in_use: int
    paused_until: datetime | None
    pause_reason: str | None
    held: bool = Field(description="Paused by who runs the service, until resumed.")
    disabled: bool


class AccountPage(BaseModel):
    """The accounts your renders may use, oldest first."""

    data: list[AccountBody]


class CreditsBody(BaseModel):
    """`available` is the sum over the accounts whose balance is known; null where none is."""

    available: float | None
    accounts: list[AccountBody]


class UsageBody(BaseModel):
    """Totals of the runs that ended from `since` (inclusive) to `until` (exclusive).

    `credits` are those known to be charged; `unknown` counts the runs whose charge nobody can know.
    """

    since: datetime
    until: datetime
    succeeded: int
    failed: int
    canceled: int
    expired: int
    credits: float
    unknown: int
    video_seconds: float
    video_bytes: int


class UsagePage(BaseModel):
    """One total, or one for each day (UTC) in which a run ended, oldest first."""

    data: list[UsageBody]


class KeyBody(BaseModel):
    """The key this call was made with; its text is shown only when it is made."""

    id: str
    name: str
    prefix: str
    owner: str
    scopes: list[str] = Field(description="Empty: everything.")
    limits: dict[str, Any]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


class RecoveryBody(BaseModel):
    """A takeover: who fell silent, at which stage, who went on, what became of it."""

    id: int
    render_id: str
    run: int
    stage: str
    why: str
    from_worker: str
    to_worker: str | None
    taken_at: datetime
    ended_at: datetime | None
    outcome: str | None


class RecoveryPage(BaseModel):
    """Newest first."""

    data: list[RecoveryBody]
    next_cursor: str | None


class SegmentBody(BaseModel):
    """A piece of a track; seconds from the video's beginning."""

    name: str
    start: float
    end: float
    volume: float | None


class TrackBody(BaseModel):
    """One track of a timeline."""

    kind: str
    label: str
    segments: list[SegmentBody]


class TimelineBody(BaseModel):
    """A draft's tracks; `summary` is the one line that the render shows."""

    duration: float
    tracks: list[TrackBody]
    summary: str


class AliveBody(BaseModel):
    """Always the same: what is not alive does not answer."""

    alive: bool


class HealthBody(BaseModel):
    """Whether renders can be made; `missing` says in words what stands in the way."""

    ready: bool
    checks: dict[str, bool]
    missing: list[str]


class ProblemField(BaseModel):
    """One field's problem."""

    pointer: str
    detail: str


class ProblemBody(BaseModel):
    """RFC 9457, with a stable code and a remedy."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    errors: list[ProblemField]
    request_id: str
    help: str
