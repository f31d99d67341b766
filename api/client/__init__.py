"""The service from Python: `with Client("http://127.0.0.1:8000", "vv_…") as client: client.create_render("…")`.

One module on httpx and pydantic that imports nothing of the service: `pip install ./api/client` gives it as
`vivideo_client`. A call repeats itself while the connection fails or the service answers 5xx, 429 or "under way", for
`patience` seconds in all. Every POST carries an `Idempotency-Key`, which is what makes that safe: after a lost answer
the same call finds what it made the first time.

ClientError
├── ApiError           the service refused: status, code, message, help, errors, request_id, retry_after
│   ├── NotAuthorised  401, 403  the key is missing, wrong, or may not do this
│   ├── NotFound       404, 410  nothing is there (any more)
│   ├── Conflict       409, 412  it does not go with how things stand
│   ├── Invalid        other 4xx the request is wrong; `errors` names the fields
│   ├── RateLimited    429       too much at once; `retry_after` says for how long
│   └── ServerFault    5xx       it failed there, also after repeating
├── Unreachable        nothing answers at the address
├── NotTheService      something answers, but it is not this service
├── Unusable           an address, a key or a text that cannot be sent at all (a ValueError too)
├── TooLarge           a file over 200 MB; nothing was sent
├── Damaged            what was downloaded is not what the service says it made
├── StillRunning       `wait` ran out of time; the render goes on
└── BadSignature       a webhook that was not signed with the secret, or not now
"""

import base64
import hashlib
import hmac
import json
import os
import random
import re
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Generic, Literal, Self, TypedDict, TypeVar, Unpack
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

__version__ = "0.1.0"

FINAL = frozenset({"succeeded", "failed", "canceled", "expired"})
"""Statuses in which a run stays."""
UPLOAD_BYTES = 200 * 1000 * 1000
"""The largest file the service takes."""

PATIENCE_SECONDS = 60.0
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0
LONG_POLL_SECONDS = 30
"""Half of what proxies commonly allow a silent answer."""
LONGEST_PAGE = 200
CHUNK_BYTES = 256 * 1024
TIMEOUT = httpx.Timeout(30, connect=5, pool=60)
UPLOAD_TIMEOUT = httpx.Timeout(120, connect=5, pool=60)
"""After its last byte a large file is hashed and put into object storage."""
BATCH_TIMEOUT = httpx.Timeout(600, connect=5, pool=60)
"""After the last byte of a file every row of it is checked and kept: a million take minutes."""
STREAM_TIMEOUT = httpx.Timeout(60, connect=5)
"""A stream says something (a comment at least) every 15 s: four times that is a dead connection."""

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all."""
Priority = Literal["high", "normal", "low"]


class ClientError(Exception):
    """Base of what a call can raise; its text is a sentence for a person."""


class ApiError(ClientError):
    """The service refused.

    `status` (HTTP), `code` (stable, dotted), `message`, `help` (what to do), `errors` (`[{"pointer", "detail"}]`),
    `request_id` (for the service's logs), `retry_after` (seconds, or None).
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        help: str = "",
        errors: Sequence[Mapping[str, Any]] = (),
        request_id: str = "",
        retry_after: float | None = None,
    ) -> None:
        self.status: int = status
        self.code: str = code
        self.message: str = message
        self.help: str = help
        self.errors: list[dict[str, Any]] = [dict(error) for error in errors]
        self.request_id: str = request_id
        self.retry_after: float | None = retry_after
        super().__init__(message)

    @property
    def transient(self) -> bool:
        """Whether the same call may succeed by itself a little later."""
        return self.status >= 500 or self.status == 429 or self.code == "idempotency.in_flight"


class NotAuthorised(ApiError):
    """The key is missing, wrong, or may not do this."""


class NotFound(ApiError):
    """Nothing is there, or not any more."""


class Conflict(ApiError):
    """The call does not go with how things stand."""


class Invalid(ApiError):
    """The request itself is wrong."""


class RateLimited(ApiError):
    """Too many requests, renders in flight, or credits a day."""


class ServerFault(ApiError):
    """It failed in the service."""


class Unreachable(ClientError):
    """Nothing answers, also after trying again."""

    def __init__(self, base_url: str, cause: Exception) -> None:
        self.base_url: str = base_url
        super().__init__(f"nothing answers at {base_url} ({str(cause) or type(cause).__name__})")


class NotTheService(ClientError):
    """An answer that this service would not give."""

    def __init__(self, base_url: str) -> None:
        super().__init__(f"what answers at {base_url} is not this service; check the address")


class Unusable(ClientError, ValueError):
    """An argument for which there is no request."""


class TooLarge(ClientError):
    """The file is over the limit."""

    def __init__(self, path: Path, size: int) -> None:
        super().__init__(f"{path} has {size:,} bytes; at most {UPLOAD_BYTES:,}: compress it, trim it, or split it")


class Damaged(ClientError):
    """The bytes' SHA-256 differs from the result's."""

    def __init__(self, render_id: str) -> None:
        super().__init__(f"the video of {render_id} arrived damaged; download it again")


class StillRunning(ClientError):
    """The time given to `wait` is over."""

    def __init__(self, render_id: str, seconds: float) -> None:
        super().__init__(f"{render_id} is not finished after {seconds:g} s; it goes on")


class BadSignature(ClientError):
    """Do not act on this webhook: its text says what is wrong with it."""


_KINDS: dict[int, type[ApiError]] = {
    **dict.fromkeys((401, 403), NotAuthorised),
    **dict.fromkeys((404, 410), NotFound),
    **dict.fromkeys((409, 412), Conflict),
    429: RateLimited,
}


class _Model(BaseModel):
    """An answer. Fields of newer services are kept beside those named here."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="allow")

    def to_dict(self) -> dict[str, Any]:
        """The JSON as the service sent it."""
        return self.model_dump(mode="json", exclude_unset=True)


Item = TypeVar("Item")
Answer = TypeVar("Answer", bound=_Model)


class Page(_Model, Generic[Item]):
    """Some of a list; `next_cursor` leads on, and is None on the last page."""

    data: list[Item]
    next_cursor: str | None = None


class Check(_Model):
    """One thing that a video was examined for: `passed`, `flagged`, or `not_asked` for; stretches in seconds."""

    check: str
    verdict: str
    detail: str
    stretches: list[tuple[float, float]] = []
    measured: float | str | None = None
    asked: float | str | None = None


class Quality(_Model):
    """What examining a video came to: `passed`, `flagged`, or `unknown` where it could not be done."""

    verdict: str
    detail: str | None = None
    checks: list[Check] = []

    @property
    def flagged(self) -> list[Check]:
        """The checks that found something."""
        return [check for check in self.checks if check.verdict == "flagged"]


class Expected(_Model):
    """What a video is compared with; None: nothing was asked for."""

    duration_seconds: float | None = None
    aspect: str | None = None
    silent: bool = False


class Result(_Model):
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


class Charge(_Model):
    """What is known of the charge: `none`, `incurred` or `unknown`; credits where they are known."""

    state: str
    credits: float | None = None


class RenderError(_Model):
    """Why a run failed, and what to do."""

    code: str
    message: str | None = None
    retryable: bool = False
    help: str = ""


class Hint(_Model):
    """Advice that changed nothing."""

    code: str
    message: str


class Attempt(_Model):
    """One worker's work on one stage."""

    run: int
    stage: str
    worker: str
    started_at: datetime
    ended_at: datetime | None = None
    outcome: str | None = None
    error_code: str | None = None
    error_message: str | None = None


class Run(_Model):
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


class Remote(_Model):
    """Where the work is at the backend; `link` opens it in the backend's own editor while it is valid."""

    task_id: str | None = None
    session_id: str | None = None
    export_id: str | None = None
    link: str | None = None


class RenderAsset(_Model):
    """An asset of a render: an address, or an upload with its facts."""

    url: str | None = None
    upload: str | None = None
    name: str | None = None
    media_type: str | None = None
    bytes: int | None = None


class Render(_Model):
    """A render as it stands. `status`: queued, running, waiting (see `reason`), canceling, or one of `FINAL`."""

    id: str
    run: int
    status: str
    reason: str | None = None
    stage: str
    progress: float
    eta: datetime | None = None
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
    reused_from: str | None = None
    """The render whose video it took over: it cost nothing."""
    tags: list[str] = []
    metadata: dict[str, Any] = {}
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


class NormalisedRender(_Model):
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
    tags: list[str] = []
    metadata: dict[str, Any] = {}


class Estimate(_Model):
    """What a render would take."""

    credits: float
    seconds: float | None = None


class DryRun(_Model):
    """A request that would be accepted; nothing was kept of it."""

    valid: bool
    render: NormalisedRender
    hints: list[Hint] = []
    estimate: Estimate


class TemplateVariable(_Model):
    """What a template is filled with; `max_length` in characters of a text, or items of a list."""

    type: str
    required: bool = True
    default: Any = None
    description: str = ""
    max_length: int | None = None


class TemplateContent(_Model):
    """What a version of a template holds."""

    prompt: str
    variables: dict[str, TemplateVariable] = {}
    language: str | None = None
    tags: list[str] = []


class TemplateVersion(TemplateContent):
    """A version, which never changes; `template` is what means it: `name@3`."""

    template: str
    number: int
    created_at: datetime


class Template(_Model):
    """A template with its newest version."""

    id: str
    name: str
    version: TemplateVersion
    created_at: datetime
    archived_at: datetime | None = None
    links: dict[str, str] = {}


class TemplateDryRun(_Model):
    """A template that would be taken; nothing was kept of it."""

    valid: bool
    name: str
    content: TemplateContent
    hints: list[Hint] = []


class Preview(_Model):
    """The prompt of a template with some variables."""

    template: str
    prompt: str
    language: str
    hints: list[Hint] = []


class Event(_Model):
    """Something that happened to a render; `final` ends its run."""

    render_id: str
    run: int
    number: int
    type: str
    data: dict[str, Any] = {}
    final: bool
    at: datetime


class SessionRemote(_Model):
    """Where a session's work is at the backend."""

    task_id: str | None = None
    session_id: str | None = None
    link: str | None = None


class Session(_Model):
    """Renders that go on with each other's timeline; `status` is `open`, `lost` or `closed`.

    `turns` are its renders in order, where the call gives them.
    """

    id: str
    name: str | None = None
    language: str | None = None
    status: str
    renders: int
    pending: list[RenderAsset] = []
    remote: SessionRemote
    created_at: datetime
    links: dict[str, str] = {}
    turns: list[Render] = []


class Change(_Model):
    """One thing that an edit changed: `text` for a person, `timing` where in the video."""

    what: str
    name: str
    timing: str
    text: str


class Timeline(_Model):
    """A draft's tracks; `summary` in one line."""

    duration: float
    tracks: list[dict[str, Any]] = []
    summary: str


class Turn(_Model):
    """Whose turn it is in a session."""

    render: str
    status: str
    reason: str | None = None
    stage: str


class SessionState(_Model):
    """What a session shows: the timeline of its last kept draft, what changed, what is under way."""

    session: str
    timeline: Timeline | None = None
    drafted_by: str | None = None
    changes: list[Change] = []
    turn: Turn | None = None
    pending: list[RenderAsset] = []
    remote: SessionRemote


class Upload(_Model):
    """A stored file; `expires_at` is None once a render uses it."""

    id: str
    name: str
    media_type: str
    bytes: int
    sha256: str
    created_at: datetime
    expires_at: datetime | None = None


class CatalogRead(_Model):
    """One reading of a catalog; `counts` by name, empty until it is done."""

    id: str
    catalog_id: str
    state: str
    trigger: str
    force: bool
    format: str | None = None
    encoding: str | None = None
    not_modified: bool = False
    counts: dict[str, int] = {}
    batch_id: str | None = None
    error: dict[str, Any] | None = None
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None


class Catalog(_Model):
    """A shop's products and what is made of them; `url` is None where it is read from files."""

    id: str
    name: str | None = None
    url: str | None = None
    template: str
    options: dict[str, Any] = {}
    schedule_seconds: int | None = None
    next_read_at: datetime | None = None
    last_read: CatalogRead | None = None
    created_at: datetime
    updated_at: datetime


class CatalogChange(_Model):
    """What a reading found out about a product (`kind`), and what came of it (`outcome`)."""

    ref: str
    title: str
    kind: str
    outcome: str | None = None
    render_id: str


class ProductProblem(_Model):
    """What was wrong with a row of a catalog's source; a `fatal` one became no render."""

    place: int
    ref: str | None = None
    code: str
    detail: str
    fatal: bool


class CatalogDryRun(_Model):
    """How a catalog was understood; nothing was kept of it."""

    complete: bool
    format: str
    encoding: str | None = None
    delimiter: str | None = None
    columns: list[str] = []
    counts: dict[str, int] = {}
    products: list[dict[str, Any]] = []
    prompt: str | None = None
    problems: list[ProductProblem] = []
    estimate: dict[str, Any] = {}


class Account(_Model):
    """An account at the backend, its balance in credits as last read at `read_at`."""

    id: str
    name: str
    kind: str
    available: float | None = None
    frozen: float | None = None
    total: float | None = None
    reserved: float = 0
    read_at: datetime | None = None
    slots: int | None = None
    slots_in_use: int = 0
    paused_until: datetime | None = None
    pause_reason: str | None = None
    held: bool = False
    disabled: bool = False


class Credits(_Model):
    """`available` is the sum over the accounts whose balance is known; None where none is."""

    available: float | None = None
    accounts: list[Account]


class Message(_Model):
    """What a message in a session led to: `action` is `generate`, `edit`, `export`, `credits`, `state` or `upload`."""

    action: str
    session: str
    render: Render | None = None
    timeline: Timeline | None = None
    changes: list[Change] = []
    answer: str | None = None
    credits: Credits | None = None
    pending: list[RenderAsset] = []


class Usage(_Model):
    """What the runs that ended from `since` to `until` came to; `unknown`: runs whose charge nobody can know."""

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


class Key(_Model):
    """The calling key; no scopes means all of them."""

    id: str
    name: str
    prefix: str
    owner: str
    scopes: list[str] = []
    limits: dict[str, Any] = {}
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None


class Recovery(_Model):
    """A takeover: which worker fell silent, at which stage, who went on, what became of it."""

    id: int
    render_id: str
    run: int
    stage: str
    why: str
    from_worker: str
    to_worker: str | None = None
    taken_at: datetime
    ended_at: datetime | None = None
    outcome: str | None = None


class BatchPause(_Model):
    """Why a batch begins nothing new: `asked`, `max_credits`, `max_failure_rate`."""

    reason: str
    detail: str | None = None
    since: datetime


class BatchCredits(_Model):
    """Credits of a batch's runs as far as they are known, and how many runs' charges nobody knows."""

    known: float
    unknown_count: int


class BatchEstimate(_Model):
    """When a batch will be over: with even chances by `p50`, nine times in ten by `p90`."""

    p50: datetime
    p90: datetime


class Batch(_Model):
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


class BatchItem(_Model):
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


class RowProblem(_Model):
    """A row that became no render; `line` counts from 1."""

    line: int
    ref: str | None = None
    code: str
    detail: str
    raw: str | None = None


class BatchPrompt(_Model):
    """What a row would ask for."""

    line: int
    ref: str | None = None
    prompt: str
    language: str


class BatchDryRun(_Model):
    """A batch that would be taken on: its first problems and prompts, and what it would cost; nothing was kept."""

    total: int
    rejected: int
    problems: list[RowProblem] = []
    prompts: list[BatchPrompt] = []
    estimate: Estimate


class Retried(_Model):
    """What came of asking for the failed renders of a batch again; where some are `left`, ask once more."""

    retried: int
    needs_force: int
    left: int
    batch: Batch


class ManifestLine(_Model):
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


class _Problem(BaseModel):
    """An `application/problem+json` body."""

    model_config = ConfigDict(extra="ignore")

    code: str = "http"
    title: str = ""
    detail: str = ""
    help: str = ""
    errors: list[dict[str, Any]] = []
    request_id: str = ""


Asset = str | Upload | Mapping[str, str]
"""An address (`https://…`), an upload or its id (`upl_…`), or the JSON for either."""


QualityGate = Literal["report", "fail", "off"]


class Expect(TypedDict, total=False):
    """What a finished video is compared with."""

    duration_seconds: float | None
    aspect: str | None
    """Width to height (`9:16`), or `portrait` or `landscape`."""
    silent: bool
    """A video without sound is asked for."""


class RenderFields(TypedDict, total=False):
    """What a render may be asked for with, beside its prompt; what is left out the service fills in."""

    template: str
    """In the place of a prompt: `name`, `tpl_…`, and with `@3` that version."""
    variables: Mapping[str, Any]
    """The template's."""
    assets: Sequence[Asset]
    """Pictures, clips and sounds, up to 20."""
    language: str | None
    """Of the video (`en`, `zh`); detected from the prompt by default."""
    output: Mapping[str, Any]
    priority: Priority
    quality_gate: QualityGate
    """What a video with something wrong leads to: `report` in `result.quality` (the default), `fail`, or `off`."""
    expect: Expect | None
    """What it is compared with; None: the length and the shape that the prompt plainly asks for."""
    on_unconfirmed: Literal["fail", "retry"]
    """Where nobody can know whether the paid message was received: give up (the default), or pay again."""
    deadline_seconds: float | None
    """A run not over by then ends as `expired`; time on hold does not count."""
    external_ref: str | None
    """Your own reference; `renders(external_ref=…)` finds it."""
    tags: Sequence[str]
    metadata: Mapping[str, Any]
    """Anything JSON up to 16 KiB; kept and returned."""


class TemplateFields(TypedDict, total=False):
    """What a template's version may hold beside its prompt."""

    variables: Mapping[str, Mapping[str, Any]]
    """By name: `{"type": "text", "required": …, "default": …, "description": …, "max_length": …}`."""
    language: str | None
    """Of the renders that name none."""
    tags: Sequence[str]
    """Of the renders that name none."""


class TurnFields(TypedDict, total=False):
    """What a message or an edit may come with, beside its words."""

    assets: Sequence[Asset]
    """Beside the files that wait in the session already."""
    output: Mapping[str, Any]
    priority: Priority
    external_ref: str | None
    tags: Sequence[str]
    metadata: Mapping[str, Any]


class RenderFilters(TypedDict, total=False):
    """Which renders a list holds: those that all of these fit."""

    status: str | Sequence[str]
    tag: str | None
    external_ref: str | None
    batch: str | None
    priority: Priority | None
    created_after: datetime | None
    """From this moment on; without a zone it is local time."""
    created_before: datetime | None
    ids: Sequence[str]
    """These alone, up to 200."""


class BatchFields(TypedDict, total=False):
    """What a batch may be asked for with, beside its items."""

    name: str | None
    priority: Priority
    first: int | None
    """Begin so many; the others wait for `approve_batch`."""
    max_credits: float | None
    """Pause before more is spent."""
    max_failure_rate: float | None
    """Pause when more than this share of the ended ones failed (0-1)."""
    defaults: Mapping[str, Any]
    """Fields that all items have unless they have their own."""


_BATCH_TYPES = {
    ".jsonl": "application/x-ndjson",
    ".ndjson": "application/x-ndjson",
    ".csv": "text/csv",
    ".tsv": "text/csv",
    ".txt": "text/csv",
}


class Client:
    """Calls of the service; the models they return keep every field it sends (`to_dict()`).

    Safe to share between threads. `patience` is for how many seconds a call may go on repeating itself; what the
    service asks to wait for longer than that is raised at once. Every method raises ApiError, Unreachable and
    NotTheService; methods that change something take an `idempotency_key` of your own (one for each thing wanted), so
    that a program that starts again asks for the same thing again.
    """

    def __init__(self, base_url: str, api_key: str, *, patience: float = PATIENCE_SECONDS) -> None:
        """Raises Unusable for what is no http(s) address, or no key."""
        self.base_url: str = base_url.rstrip("/")
        self.patience: float = patience
        host = _host(self.base_url)
        if not re.fullmatch(r"[\x21-\x7e]+", api_key):
            raise Unusable("the API key is empty, or holds characters that no key has")
        self._http = httpx.Client(
            base_url=self.base_url,
            headers={"Authorization": f"Bearer {api_key}", "User-Agent": f"vivideo-client/{__version__}"},
            timeout=TIMEOUT,
            # As many connections as there are threads: one that waits for a render must not hold up the others.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
            # A proxy for the world has no way to this machine.
            trust_env=not _is_loopback(host),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    # Renders

    def create_render(
        self,
        prompt: str | None = None,
        *,
        idempotency_key: str | None = None,
        wait: int | None = None,
        **fields: Unpack[RenderFields],
    ) -> Render:
        """Ask for a video, by a prompt or a `template`.

        With `wait` the answer comes once the render is final, or after that many seconds (≤ 60).
        """
        body = _render_body(prompt, fields)
        return self._render("POST", "/v1/renders", body=body, idempotency_key=idempotency_key, wait=wait)

    def dry_run(self, prompt: str | None = None, **fields: Unpack[RenderFields]) -> DryRun:
        """The request as it would be accepted, what it would cost and take; nothing is kept or charged."""
        body = _render_body(prompt, fields)
        return self._ask(DryRun, "POST", "/v1/renders", body=body, params={"dry_run": "true"})

    def render(self, render_id: str, *, wait: int | None = None) -> Render:
        """How a render stands; with `wait` (≤ 60 s) once it is final, at the latest after that time."""
        return self._render("GET", _path(render_id), wait=wait)

    def renders(
        self, *, limit: int | None = None, cursor: str | None = None, **filters: Unpack[RenderFilters]
    ) -> Page[Render]:
        """One page (50, at most 200), newest first."""
        params = {**_params(filters), **_params({"limit": limit, "cursor": cursor})}
        return self._ask(Page[Render], "GET", "/v1/renders", params=params)

    def iter_renders(self, **filters: Unpack[RenderFilters]) -> Iterator[Render]:
        """All of them, newest first, page by page."""
        cursor: str | None = None
        while True:
            page = self.renders(limit=LONGEST_PAGE, cursor=cursor, **filters)
            yield from page.data
            cursor = page.next_cursor
            if cursor is None:
                return

    def update(
        self,
        render_id: str,
        *,
        priority: Priority | None = None,
        metadata: Mapping[str, Any] | None = None,
        if_match: str | None = None,
    ) -> Render:
        """Change a queued render; `metadata` replaces the old one. Raises Conflict once it has begun, or where it is no
        longer what `if_match` (a `Render.etag`) names."""
        body = {name: value for name, value in (("priority", priority), ("metadata", metadata)) if value is not None}
        return self._render("PATCH", _path(render_id), body=body, headers=_if_match(if_match))

    def delete(self, render_id: str, *, if_match: str | None = None) -> None:
        """Delete a final render for good: its words, events and files. Raises Conflict before it is final."""
        self._send("DELETE", _path(render_id), headers=_if_match(if_match))

    def cancel(self, render_id: str) -> Render:
        """Ask for a render to be cancelled; its `cancel_effect` says what that achieved, once it is final."""
        return self._render("POST", f"{_path(render_id)}/cancel")

    def retry(
        self, render_id: str, *, force: bool = False, idempotency_key: str | None = None, wait: int | None = None
    ) -> Render:
        """Start the next run of a render that failed, was canceled or expired. A paid draft that is kept is exported
        again, for free.

        Raises Conflict `render.force_needed` where it could be charged a second time; `force` pays again.
        """
        path = f"{_path(render_id)}/retry"
        return self._render("POST", path, body={"force": force}, idempotency_key=idempotency_key, wait=wait)

    def edit(
        self,
        render_id: str,
        prompt: str,
        *,
        idempotency_key: str | None = None,
        wait: int | None = None,
        **fields: Unpack[TurnFields],
    ) -> Render:
        """A render that goes on with another one's timeline, whose own video stands. Raises Conflict where that is not
        at its export yet (`render.no_session`) or its session was lost."""
        body = _turn_body("prompt", prompt, fields)
        path = f"{_path(render_id)}/edits"
        return self._render("POST", path, body=body, idempotency_key=idempotency_key, wait=wait)

    def wait(self, render_id: str, timeout: float | None = None) -> Render:
        """The render once it is final: the service holds the answer back until then.

        Raises StillRunning after `timeout` seconds.
        """
        end = None if timeout is None else time.monotonic() + timeout
        pause = FIRST_PAUSE_SECONDS
        while True:
            asked = time.monotonic()
            left = LONG_POLL_SECONDS if end is None else min(max(end - asked, 0.0), LONG_POLL_SECONDS)
            response = self._send("GET", _path(render_id), wait=int(left))
            render = self._read(response, Render.tagged)
            now = time.monotonic()
            if render.final:
                return render
            if timeout is not None and end is not None and now >= end:
                raise StillRunning(render_id, timeout)
            if "Preference-Applied" not in response.headers or now - asked < pause:
                # Whatever is on the way does not know how to wait: ask again and again.
                time.sleep(min(pause, left))
                pause = min(pause * 1.5, 2.0)

    # Templates

    def create_template(
        self, name: str, prompt: str, *, idempotency_key: str | None = None, **fields: Unpack[TemplateFields]
    ) -> Template:
        """Make a template and its version 1. Raises Conflict where one of yours has the name, Invalid with the line."""
        body = {"name": name, "prompt": prompt, **fields}
        return self._ask(Template, "POST", "/v1/templates", body=body, idempotency_key=idempotency_key)

    def check_template(self, name: str, prompt: str, **fields: Unpack[TemplateFields]) -> TemplateDryRun:
        """The template as it would be made; nothing is kept."""
        body = {"name": name, "prompt": prompt, **fields}
        return self._ask(TemplateDryRun, "POST", "/v1/templates", body=body, params={"dry_run": "true"})

    def update_template(
        self, template: str, prompt: str, *, idempotency_key: str | None = None, **fields: Unpack[TemplateFields]
    ) -> TemplateVersion:
        """Make a template's next version, whole: what is left out is empty in it. By id or name."""
        path, body = f"{_template(template)}/versions", {"prompt": prompt, **fields}
        return self._ask(TemplateVersion, "POST", path, body=body, idempotency_key=idempotency_key)

    def template(self, template: str) -> Template:
        """A template with its newest version, by id or name."""
        return self._ask(Template, "GET", _template(template))

    def templates(self, *, limit: int | None = None, cursor: str | None = None) -> Page[Template]:
        """One page (50, at most 200), newest first, without archived ones."""
        return self._ask(Page[Template], "GET", "/v1/templates", params=_params({"limit": limit, "cursor": cursor}))

    def template_version(self, template: str, number: int) -> TemplateVersion:
        """One version of a template."""
        return self._ask(TemplateVersion, "GET", f"{_template(template)}/versions/{number}")

    def template_versions(
        self, template: str, *, limit: int | None = None, cursor: str | None = None
    ) -> Page[TemplateVersion]:
        """One page of a template's versions, newest first."""
        params = _params({"limit": limit, "cursor": cursor})
        return self._ask(Page[TemplateVersion], "GET", f"{_template(template)}/versions", params=params)

    def preview_template(self, template: str, variables: Mapping[str, Any], *, version: int | None = None) -> Preview:
        """The prompt with these variables; nothing is kept or charged. Raises Invalid `template.variables`."""
        body = {"variables": variables, "version": version}
        return self._ask(Preview, "POST", f"{_template(template)}/preview", body=body)

    def archive_template(self, template: str) -> None:
        """Have nothing new made of a template; its name is free then, and its renders keep it."""
        self._send("DELETE", _template(template))

    # Batches

    def create_batch(
        self,
        source: Sequence[Mapping[str, Any]] | Path | str,
        *,
        tags: Sequence[str] = (),
        metadata: Mapping[str, Any] | None = None,
        kind: Literal["jsonl", "csv"] | None = None,
        on_progress: Progress | None = None,
        idempotency_key: str | None = None,
        **fields: Unpack[BatchFields],
    ) -> Batch:
        """Ask for many videos: up to 500 items (each what `create_render` takes, with its `prompt`), or the path of a
        file of any number, streamed: JSON Lines or CSV, as `kind` or else its ending says. `tags` and `metadata` go
        with items alone.

        Raises Invalid `batch.empty` where no row is good, OSError when the file cannot be read.
        """
        sent = self._batch_call(source, fields, tags, metadata, kind, on_progress)
        return self._ask(Batch, "POST", "/v1/batches", idempotency_key=idempotency_key, **sent)

    def dry_run_batch(
        self,
        source: Sequence[Mapping[str, Any]] | Path | str,
        *,
        kind: Literal["jsonl", "csv"] | None = None,
        **fields: Unpack[BatchFields],
    ) -> BatchDryRun:
        """What a batch would come to; every row is checked, nothing is kept or charged."""
        sent = self._batch_call(source, fields, (), None, kind, None)
        sent["params"] = {**sent.get("params", {}), "dry_run": "true"}
        return self._ask(BatchDryRun, "POST", "/v1/batches", **sent)

    def _batch_call(
        self,
        source: Sequence[Mapping[str, Any]] | Path | str,
        fields: BatchFields,
        tags: Sequence[str],
        metadata: Mapping[str, Any] | None,
        kind: Literal["jsonl", "csv"] | None,
        on_progress: Progress | None,
    ) -> dict[str, Any]:
        if not isinstance(source, Path | str):
            items = [_item(one) for one in source]
            return {
                "body": {"items": items, "tags": tags, "metadata": metadata or {}, **fields},
                "timeout": BATCH_TIMEOUT,
            }
        if tags or metadata:
            raise Unusable("a file's batch takes no tags and no metadata; `update_batch` gives it metadata")
        path = Path(source)
        media_type = _BATCH_TYPES.get(f".{kind}" if kind else path.suffix.lower())
        if media_type is None:
            raise Unusable(f"{path} ends with neither .jsonl nor .csv, so nobody knows what it is")
        size = path.stat().st_size
        params = _params({name: value for name, value in fields.items() if name != "defaults"})
        if fields.get("defaults"):
            params["defaults"] = _json(fields.get("defaults") or {}).decode()
        return {
            "params": params,
            "headers": {"Content-Length": str(size), "Content-Type": media_type},
            "content": lambda: _chunks(path, size, on_progress),
            "timeout": BATCH_TIMEOUT,
        }

    def batch(self, batch_id: str) -> Batch:
        """How a batch stands."""
        return self._ask(Batch, "GET", _batch_path(batch_id))

    def batches(self, *, limit: int | None = None, cursor: str | None = None) -> Page[Batch]:
        """One page (50, at most 200), newest first."""
        return self._ask(Page[Batch], "GET", "/v1/batches", params=_params({"limit": limit, "cursor": cursor}))

    def update_batch(
        self,
        batch_id: str,
        **changes: Any,
    ) -> Batch:
        """Change its `name`, `metadata`, `max_credits`, `max_failure_rate` (None takes a limit off), or `priority`,
        which those of its renders get that are still queued."""
        return self._ask(Batch, "PATCH", _batch_path(batch_id), body=changes, timeout=BATCH_TIMEOUT)

    def batch_items(
        self,
        batch_id: str,
        *,
        status: str | Sequence[str] | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Page[BatchItem]:
        """One page of a batch's renders, in the order of its source."""
        params = _params({"status": status, "limit": limit, "cursor": cursor})
        return self._ask(Page[BatchItem], "GET", f"{_batch_path(batch_id)}/items", params=params)

    def iter_batch_items(self, batch_id: str, *, status: str | Sequence[str] | None = None) -> Iterator[BatchItem]:
        """All of them, page by page."""
        cursor: str | None = None
        while True:
            page = self.batch_items(batch_id, status=status, limit=LONGEST_PAGE, cursor=cursor)
            yield from page.data
            cursor = page.next_cursor
            if cursor is None:
                return

    def batch_problems(self, batch_id: str, *, limit: int | None = None, cursor: str | None = None) -> Page[RowProblem]:
        """One page of the rows that became no render."""
        params = _params({"limit": limit, "cursor": cursor})
        return self._ask(Page[RowProblem], "GET", f"{_batch_path(batch_id)}/problems", params=params)

    def save_batch_problems(self, batch_id: str, path: Path | str) -> Path:
        """All of them as a CSV file, to be mended and sent again. Raises OSError."""
        return self._save(f"{_batch_path(batch_id)}/problems", Path(path), {"format": "csv"})

    def batch_manifest(self, batch_id: str) -> Iterator[ManifestLine]:
        """What became of each row, streamed, in the order of the source; also while the batch runs."""
        path = f"{_batch_path(batch_id)}/manifest"
        patience, seen = self._patience(), 0
        while True:
            try:
                for number, line in enumerate(self._manifest(path), start=1):
                    if number > seen:
                        patience, seen = self._patience(), number
                        yield line
                return
            except (httpx.RequestError, ApiError) as fault:
                patience.pause(self._passing(fault))

    def save_batch_manifest(self, batch_id: str, path: Path | str, format: Literal["jsonl", "csv"] = "csv") -> Path:
        """The manifest as a file. Raises OSError."""
        return self._save(f"{_batch_path(batch_id)}/manifest", Path(path), {"format": format})

    def cancel_batch(self, batch_id: str) -> Batch:
        """Cancel what is not final of a batch; it is `finished` once all of that is undone."""
        return self._ask(Batch, "POST", f"{_batch_path(batch_id)}/cancel")

    def pause_batch(self, batch_id: str) -> Batch:
        """Begin nothing new of it; what is under way goes on."""
        return self._ask(Batch, "POST", f"{_batch_path(batch_id)}/pause")

    def resume_batch(self, batch_id: str) -> Batch:
        """Let it go on. Raises Conflict `batch.max_credits` where it may spend no more."""
        return self._ask(Batch, "POST", f"{_batch_path(batch_id)}/resume")

    def approve_batch(self, batch_id: str) -> Batch:
        """Let the renders begin that waited behind its `first` ones."""
        return self._ask(Batch, "POST", f"{_batch_path(batch_id)}/approve")

    def retry_failed(self, batch_id: str, *, force: bool = False, idempotency_key: str | None = None) -> Retried:
        """Begin up to 1,000 of its failed and expired renders anew; those that could be charged a second time only
        with `force`."""
        return self._ask(
            Retried,
            "POST",
            f"{_batch_path(batch_id)}/retry-failed",
            body={"force": force},
            idempotency_key=idempotency_key,
            timeout=BATCH_TIMEOUT,
        )

    def _manifest(self, path: str) -> Iterator[ManifestLine]:
        with self._http.stream("GET", path, timeout=STREAM_TIMEOUT) as response:
            if response.status_code != 200:
                response.read()
                raise _error(response)
            try:
                yield from (ManifestLine.model_validate_json(line) for line in _lines(response.iter_bytes()) if line)
            except ValidationError:
                raise NotTheService(self.base_url) from None

    def _save(self, address: str, path: Path, params: Mapping[str, str]) -> Path:
        """An answer as a file, which appears when it is whole."""
        temporary = path.with_name(f".{uuid.uuid4().hex}.part")
        patience = self._patience()
        try:
            while True:
                try:
                    with temporary.open("wb") as file:
                        self._pour(address, params, file)
                    temporary.replace(path)
                    return path
                except (httpx.RequestError, ApiError) as fault:
                    patience.pause(self._passing(fault))
        finally:
            temporary.unlink(missing_ok=True)

    def _pour(self, address: str, params: Mapping[str, str], file: BinaryIO) -> None:
        with self._http.stream("GET", address, params=params, timeout=STREAM_TIMEOUT) as response:
            if response.status_code != 200:
                response.read()
                raise _error(response)
            for chunk in response.iter_bytes(CHUNK_BYTES):
                file.write(chunk)

    # Sessions

    def begin_session(
        self,
        *messages: str | Mapping[str, Any],
        name: str | None = None,
        language: str | None = None,
        assets: Sequence[Asset] = (),
        idempotency_key: str | None = None,
    ) -> Session:
        """A session; each message is an instruction (`{"text": …, "assets": […]}`, or its text) and a render of its
        own, one by one. `assets` wait for the first."""
        said = [{"text": one} if isinstance(one, str) else _turn_body("text", one["text"], one) for one in messages]
        body = {"name": name, "language": language, "messages": said, "assets": [_asset(one) for one in assets]}
        return self._ask(Session, "POST", "/v1/sessions", body=body, idempotency_key=idempotency_key)

    def session(self, session_id: str) -> Session:
        """A session with its renders, in order."""
        return self._ask(Session, "GET", _session_path(session_id))

    def sessions(self, *, limit: int | None = None, cursor: str | None = None) -> Page[Session]:
        """One page (50, at most 200), newest first."""
        return self._ask(Page[Session], "GET", "/v1/sessions", params=_params({"limit": limit, "cursor": cursor}))

    def session_state(self, session_id: str) -> SessionState:
        """The timeline of its last kept draft, whose turn it is, which files wait."""
        return self._ask(SessionState, "GET", f"{_session_path(session_id)}/state")

    def send(
        self,
        session_id: str,
        text: str | None = None,
        *,
        idempotency_key: str | None = None,
        wait: int | None = None,
        **fields: Unpack[TurnFields],
    ) -> Message:
        """Say something: an instruction makes a render, a request ("export", "credits", "status", "upload"; 导出 …) is
        answered, files alone wait for the next instruction. With `wait` (≤ 60 s) once its render is final.

        Raises Conflict `session.lost` where the backend forgot the session.
        """
        body = _turn_body("text", text, fields)
        path = f"{_session_path(session_id)}/messages"
        return self._ask(Message, "POST", path, body=body, idempotency_key=idempotency_key, wait=wait)

    def close_session(self, session_id: str) -> None:
        """Nothing more is said in it; its renders go on and stay."""
        self._send("POST", f"{_session_path(session_id)}/close")

    # Events

    def events(self, render_id: str, after: int = 0) -> list[Event]:
        """A render's events with a number above `after`, in order (up to 500)."""
        return self._ask(Page[Event], "GET", f"{_path(render_id)}/events", params={"after": str(after)}).data

    def iter_events(self, render_id: str, after: int = 0) -> Iterator[Event]:
        """A render's events as they happen, until it is final; goes on after a cut where it stopped."""
        patience, over = self._patience(), False
        while True:
            try:
                for event in self._stream(render_id, after):
                    patience, after, over = self._patience(), event.number, event.final
                    yield event
                failure: ClientError = Unreachable(self.base_url, httpx.ReadError("the stream ended early"))
            except _Over:
                return
            except (httpx.RequestError, ApiError) as fault:
                failure = self._passing(fault)
            if over:
                over = False  # the next answer says that nothing more comes, or brings the next run
            else:
                patience.pause(failure)

    def feed(self, after: str | None = None, limit: int | None = None) -> Page[Event]:
        """What happened to all your renders, oldest first, from a cursor on; its `next_cursor` is always one."""
        return self._ask(Page[Event], "GET", "/v1/events", params=_params({"after": after, "limit": limit}))

    # Files

    def upload(
        self, path: Path | str, on_progress: Progress | None = None, *, idempotency_key: str | None = None
    ) -> Upload:
        """Send a file, streamed; what comes back can be one of `assets`.

        Raises TooLarge before anything is sent; OSError when the file cannot be read.
        """
        path = Path(path)
        size = path.stat().st_size
        if size > UPLOAD_BYTES:
            raise TooLarge(path, size)
        return self._ask(
            Upload,
            "POST",
            "/v1/uploads",
            params={"name": os.fsencode(path.name).decode("utf-8", "replace")},
            headers={"Content-Length": str(size), "Content-Type": "application/octet-stream"},
            content=lambda: _chunks(path, size, on_progress),
            idempotency_key=idempotency_key,
            timeout=UPLOAD_TIMEOUT,
        )

    def upload_facts(self, upload_id: str) -> Upload:
        """An upload, as it stands."""
        return self._ask(Upload, "GET", f"/v1/uploads/{quote(upload_id, safe='')}")

    def delete_upload(self, upload_id: str) -> None:
        """Throw an upload away. Raises Conflict where a render uses it."""
        self._send("DELETE", f"/v1/uploads/{quote(upload_id, safe='')}")

    def download_video(self, render_id: str, path: Path | str, on_progress: Progress | None = None) -> Path:
        """Fetch the finished video to `path`, which appears when it is whole and its SHA-256 is the result's.

        A download that is cut goes on where it stopped.

        Raises Damaged, OSError.
        """
        path = Path(path)
        if path.is_dir():
            raise IsADirectoryError(f"{path} is a directory; name a file in it")
        result = self._result(render_id)
        temporary = path.with_name(f".{uuid.uuid4().hex}.part")
        try:
            with temporary.open("wb") as file:
                self._fetch(f"{_path(render_id)}/video", _Part(file, render_id, result, on_progress))
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        return path

    def video_address(self, render_id: str) -> str | None:
        """Where a player finds the video without a key, for some minutes; None where the service sends it itself."""
        path = f"{_path(render_id)}/video"
        return self._send("GET", path, headers={"Range": "bytes=0-0"}, accept=(302,)).headers.get("Location")

    def poster(self, render_id: str) -> bytes:
        """A frame of the finished video as a picture."""
        return self._send("GET", f"{_path(render_id)}/poster", follow=True).content

    def timeline(self, render_id: str, format: Literal["text", "json", "svg"] = "text") -> str:
        """The draft's tracks: one line, JSON with times in seconds, or a picture."""
        return self._send("GET", f"{_path(render_id)}/timeline", params={"format": format}).text

    # Operations

    # Catalogs

    def create_catalog(
        self, source: Path | str, template: str, *, idempotency_key: str | None = None, **options: Any
    ) -> Catalog:
        """Take a shop's catalog on: `source` is an http(s) address, or a file that is sent. It is read at once.

        `options` as the service has them: `name`, `include`, `first`, `max_credits`, `priority`, `tags`,
        `schedule_seconds` (of an address)…

        Raises OSError when the file cannot be read.
        """
        return self._ask(Catalog, "POST", "/v1/catalogs", **_source(source, template, options, idempotency_key))

    def try_catalog(self, source: Path | str, template: str, **options: Any) -> CatalogDryRun:
        """How a catalog would be understood, and what it would cost; nothing is kept."""
        asked = _source(source, template, options, None)
        asked["params"] = {**asked.get("params", {}), "dry_run": "true"}
        return self._ask(CatalogDryRun, "POST", "/v1/catalogs", **asked)

    def catalogs(self, *, limit: int | None = None, cursor: str | None = None) -> Page[Catalog]:
        """Your catalogs, newest first."""
        return self._ask(Page[Catalog], "GET", "/v1/catalogs", params=_params({"limit": limit, "cursor": cursor}))

    def catalog(self, catalog_id: str) -> Catalog:
        """A catalog with its last reading."""
        return self._ask(Catalog, "GET", _catalog_path(catalog_id))

    def change_catalog(self, catalog_id: str, **changes: Any) -> Catalog:
        """Change `name`, `template`, `schedule_seconds` (None: no schedule) or `options`."""
        return self._ask(Catalog, "PATCH", _catalog_path(catalog_id), body=changes)

    def delete_catalog(self, catalog_id: str) -> None:
        """Forget a catalog; its batches, renders and videos stay."""
        self._send("DELETE", _catalog_path(catalog_id))

    def read_catalog(
        self,
        catalog_id: str,
        file: Path | str | None = None,
        *,
        force: bool = False,
        idempotency_key: str | None = None,
    ) -> CatalogRead:
        """Have a catalog read now: at its address, or the file. Raises Conflict while it is being read."""
        path = f"{_catalog_path(catalog_id)}/read"
        if file is None:
            return self._ask(CatalogRead, "POST", path, body={"force": force}, idempotency_key=idempotency_key)
        sent = _sent_file(Path(file))
        return self._ask(
            CatalogRead, "POST", path, params=_params({"force": force}), idempotency_key=idempotency_key, **sent
        )

    def catalog_reads(
        self, catalog_id: str, *, limit: int | None = None, cursor: str | None = None
    ) -> Page[CatalogRead]:
        """Readings of a catalog, newest first."""
        params = _params({"limit": limit, "cursor": cursor})
        return self._ask(Page[CatalogRead], "GET", f"{_catalog_path(catalog_id)}/reads", params=params)

    def catalog_reading(self, catalog_id: str, read_id: str) -> CatalogRead:
        """One reading of a catalog."""
        return self._ask(CatalogRead, "GET", _read_path(catalog_id, read_id))

    def catalog_changes(
        self, catalog_id: str, read_id: str, *, limit: int | None = None, cursor: str | None = None
    ) -> Page[CatalogChange]:
        """What a reading changed: products that are new, changed, rendered again or gone."""
        params = _params({"limit": limit, "cursor": cursor})
        return self._ask(Page[CatalogChange], "GET", f"{_read_path(catalog_id, read_id)}/changes", params=params)

    def catalog_problems(
        self, catalog_id: str, read_id: str, *, limit: int | None = None, cursor: str | None = None
    ) -> Page[ProductProblem]:
        """What was wrong with rows of the source."""
        params = _params({"limit": limit, "cursor": cursor})
        return self._ask(Page[ProductProblem], "GET", f"{_read_path(catalog_id, read_id)}/problems", params=params)

    # Balances

    def credits(self) -> Credits:
        """The balances as last read from the backend, with their times."""
        return self._ask(Credits, "GET", "/v1/credits")

    def accounts(self) -> list[Account]:
        """The accounts that your renders may use: balances, slots, pauses."""
        return self._ask(Page[Account], "GET", "/v1/accounts").data

    def account(self, account_id: str) -> Account:
        """One of them."""
        return self._ask(Account, "GET", f"/v1/accounts/{quote(account_id, safe='')}")

    def usage(
        self, *, after: datetime | None = None, before: datetime | None = None, by: Literal["day"] | None = None
    ) -> list[Usage]:
        """What the runs that ended from `after` (30 days ago) to `before` (now) came to: one total, or one a day."""
        params = _params({"after": after, "before": before, "by": by})
        return self._ask(Page[Usage], "GET", "/v1/usage", params=params).data

    def key(self) -> Key:
        """The key these calls are made with: whose it is, what it may do, how much."""
        return self._ask(Key, "GET", "/v1/key")

    def recoveries(self, *, limit: int | None = None, cursor: str | None = None) -> Page[Recovery]:
        """Which of your renders were taken over from a silent worker, newest first."""
        return self._ask(Page[Recovery], "GET", "/v1/recoveries", params=_params({"limit": limit, "cursor": cursor}))

    # How a call is made

    def _ask(self, model: type[Answer], method: str, path: str, **options: Any) -> Answer:
        return self._read(self._send(method, path, **options), lambda answer: model.model_validate_json(answer.content))

    def _render(self, method: str, path: str, **options: Any) -> Render:
        return self._read(self._send(method, path, **options), Render.tagged)

    def _read(self, response: httpx.Response, read: Callable[[httpx.Response], Answer]) -> Answer:
        try:
            return read(response)
        except ValidationError:
            raise NotTheService(self.base_url) from None

    def _send(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str | list[str]] | None = None,
        body: Mapping[str, Any] | None = None,
        content: Callable[[], Iterator[bytes]] | None = None,
        idempotency_key: str | None = None,
        wait: int | None = None,
        follow: bool = False,
        accept: Sequence[int] = (),
        timeout: httpx.Timeout = TIMEOUT,
    ) -> httpx.Response:
        """One call, repeated under one key; `accept` are the statuses that are no error beside 2xx."""
        sent = {**(headers or {}), **({"Prefer": f"wait={wait}"} if wait else {})}
        if method == "POST":
            sent["Idempotency-Key"] = str(uuid.uuid4()) if idempotency_key is None else idempotency_key
        if body is not None:
            sent["Content-Type"] = "application/json"
        payload = None if body is None else _json(body)
        timeout = _longer(timeout, wait or 0)
        patience, repeated = self._patience(wait or 0), False
        while True:
            try:
                response = self._http.request(
                    method,
                    path,
                    headers=sent,
                    params=params,
                    content=content() if content else payload,
                    timeout=timeout,
                    follow_redirects=follow,
                )
                # What an earlier try deleted, whose answer was lost, is deleted.
                gone = repeated and method == "DELETE" and response.status_code == 404
                if response.is_success or response.status_code in accept or gone:
                    return response
                raise _error(response)
            except UnicodeEncodeError:
                raise Unusable("a text holds characters that cannot be sent there") from None
            except (httpx.RequestError, ApiError) as fault:
                patience.pause(self._passing(fault))
                repeated = True

    def _stream(self, render_id: str, after: int) -> Iterator[Event]:
        """The events of one connection. Raises `_Over` where nothing more comes."""
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
        path = f"{_path(render_id)}/events"
        with self._http.stream("GET", path, headers=headers, timeout=STREAM_TIMEOUT) as response:
            if response.status_code == 204:
                raise _Over
            if response.status_code != 200:
                response.read()
                raise _error(response)
            try:
                yield from (Event.model_validate_json(data) for data in _data(response.iter_bytes()))
            except ValidationError:
                raise NotTheService(self.base_url) from None

    def _result(self, render_id: str) -> Result:
        render = self.render(render_id)
        if render.result is None:
            message = f"{render_id} is {render.status}: it has no video"
            raise Conflict(409, "render.no_video", message, "Wait until its status is `succeeded`.")
        return render.result

    def _fetch(self, url: str, part: "_Part") -> None:
        """The bytes of a file, over as many connections as it takes. Raises Damaged after the second whole copy."""
        patience, copies = self._patience(), 0
        while True:
            before = part.done
            try:
                self._receive(url, part)
                if part.whole:
                    return
                failure: ClientError = Damaged(part.render_id)
                copies += 1
                part.begin()
            except (httpx.RequestError, ApiError) as fault:
                failure = self._passing(fault)
            if part.done > before:
                patience = self._patience()
            if copies > 1:
                raise failure
            patience.pause(failure)

    def _receive(self, url: str, part: "_Part") -> None:
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={part.done}-"} if part.done else {})
        with self._http.stream("GET", url, headers=headers, follow_redirects=True) as response:
            if response.status_code not in (200, 206):
                response.read()
                raise _error(response)
            if not response.headers.get("Content-Range", "").startswith(f"bytes {part.done}-"):
                part.begin()
            for chunk in response.iter_bytes(CHUNK_BYTES):
                part.write(chunk)

    def _patience(self, longer: float = 0.0) -> "_Patience":
        return _Patience(self.patience + longer)

    def _passing(self, fault: httpx.RequestError | ApiError) -> ClientError:
        """The failure to raise if trying again does not help. Raises at once what no repetition changes."""
        if isinstance(fault, ApiError):
            if not fault.transient:
                raise fault
            return fault
        if isinstance(fault, httpx.UnsupportedProtocol | httpx.LocalProtocolError):
            raise Unusable(str(fault)) from None
        return Unreachable(self.base_url, fault)


class _Over(Exception):
    """There is nothing after the last event: the render is final."""


class _Patience:
    """How long a call may go on repeating itself. Pauses grow, and chance spreads those of many clients evenly."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._longest = FIRST_PAUSE_SECONDS

    def pause(self, failure: ClientError) -> None:
        """Sleep until the next try, at least as long as the failure asks for. Raises it where that is too late."""
        at_least = (failure.retry_after if isinstance(failure, ApiError) else None) or 0.0
        seconds = at_least + random.uniform(0, self._longest)  # noqa: S311 - jitter
        if time.monotonic() + seconds > self._end:
            raise failure from None
        time.sleep(seconds)
        self._longest = min(self._longest * 2, LONGEST_PAUSE_SECONDS)


class _Part:
    """A download so far: its bytes on disk and their SHA-256."""

    def __init__(self, file: BinaryIO, render_id: str, result: Result, on_progress: Progress | None) -> None:
        self.render_id = render_id
        self.done = 0
        self._file, self._result, self._told = file, result, on_progress
        self._digest = hashlib.sha256()

    def begin(self) -> None:
        """From the first byte."""
        self._file.seek(0)
        self._file.truncate()
        self._digest, self.done = hashlib.sha256(), 0

    def write(self, chunk: bytes) -> None:
        """The next bytes. Raises OSError."""
        self._file.write(chunk)
        self._digest.update(chunk)
        self.done += len(chunk)
        if self._told:
            self._told(self.done, self._result.bytes)

    @property
    def whole(self) -> bool:
        """Whether these are the result's bytes."""
        return self._digest.hexdigest() == self._result.sha256


def verify_webhook(
    payload: bytes | str,
    headers: Mapping[str, str],
    secrets: str | Sequence[str],
    *,
    tolerance: float = 300,
    now: float | None = None,
) -> dict[str, Any]:
    """The event in a webhook (`{"type", "timestamp", "data"}`), if the service sent it with one of the secrets.

    `payload` is the body as received, not parsed and written again; `headers` those of the request, in any case.
    During a rotation give both secrets (`whsec_…`). What is older or newer than `tolerance` seconds is a replay.
    `webhook-id` stays the same over repeated deliveries: drop the ones you have seen.

    Raises BadSignature, and nothing else, whatever the input.
    """
    body = payload.encode("utf-8", "surrogatepass") if isinstance(payload, str) else payload
    given = {_text(name).lower(): _text(value) for name, value in headers.items()}
    message_id, timestamp = given.get("webhook-id", ""), given.get("webhook-timestamp", "")
    if not message_id:
        raise BadSignature("the header webhook-id is missing")
    if not re.fullmatch(r"[0-9]{1,15}", timestamp):
        raise BadSignature("the header webhook-timestamp is missing, or no number of seconds")
    if abs((time.time() if now is None else now) - int(timestamp)) > tolerance:
        raise BadSignature("it was signed too long ago, or in the future: a replay, or one of the clocks is wrong")
    signed = b".".join((message_id.encode("utf-8", "surrogatepass"), timestamp.encode(), body))
    wanted = [_signature(signed, secret) for secret in ([secrets] if isinstance(secrets, str) else secrets)]
    found = [one.encode("utf-8", "surrogatepass") for one in given.get("webhook-signature", "").split(" ")]
    if not any(hmac.compare_digest(one, right) for one in found for right in wanted):
        raise BadSignature("the signature fits none of the secrets")
    return _event(body)


def _text(value: Any) -> str:
    """A header's, which some frameworks give as bytes."""
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _signature(signed: bytes, secret: str) -> bytes:
    try:
        text = secret.removeprefix("whsec_").encode()
        key = base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except ValueError:
        key = b""
    if not key:  # anybody can sign with the empty one
        raise BadSignature("the secret is not `whsec_` and base64: copy it again")
    return b"v1," + base64.b64encode(hmac.digest(key, signed, "sha256"))


def _event(body: bytes) -> dict[str, Any]:
    try:
        event: Any = json.loads(body)
    except (ValueError, RecursionError):
        event = None
    if not isinstance(event, dict):
        raise BadSignature("the body is no JSON object")
    return event


def _host(base_url: str) -> str:
    """Raises Unusable."""
    try:
        url = httpx.URL(base_url)
    except (httpx.InvalidURL, UnicodeError):
        url = httpx.URL()
    if url.scheme not in ("http", "https") or not url.host:
        raise Unusable(f"{base_url!r} is no address of a service: it must be like http://127.0.0.1:8000")
    return url.host


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _path(render_id: str) -> str:
    return f"/v1/renders/{quote(render_id, safe='', errors='replace')}"


def _template(template: str) -> str:
    return f"/v1/templates/{quote(template, safe='', errors='replace')}"


def _catalog_path(catalog_id: str) -> str:
    return f"/v1/catalogs/{quote(catalog_id, safe='')}"


def _read_path(catalog_id: str, read_id: str) -> str:
    return f"{_catalog_path(catalog_id)}/reads/{quote(read_id, safe='')}"


def _source(source: Path | str, template: str, options: Mapping[str, Any], key: str | None) -> dict[str, Any]:
    """How a catalog is asked for: an address in a JSON body, a file as the body with its options as parameters."""
    if isinstance(source, str) and source.startswith(("http://", "https://")):
        return {"body": {"url": source, "template": template, **options}, "idempotency_key": key}
    names = {"tags": "tag"}
    params = _params({"template": template} | {names.get(name, name): value for name, value in options.items()})
    return _sent_file(Path(source)) | {"params": params, "idempotency_key": key}


def _sent_file(path: Path) -> dict[str, Any]:
    """A file as a streamed body."""
    size = path.stat().st_size
    return {
        "headers": {"Content-Length": str(size), "Content-Type": "application/octet-stream"},
        "content": lambda: _chunks(path, size, None),
        "timeout": UPLOAD_TIMEOUT,
    }


def _batch_path(batch_id: str) -> str:
    return f"/v1/batches/{quote(batch_id, safe='', errors='replace')}"


def _item(item: Mapping[str, Any]) -> dict[str, Any]:
    """A batch's item, whose assets may be written as `create_render` takes them."""
    made = dict(item)
    if isinstance(made.get("assets"), Sequence) and not isinstance(made["assets"], str):
        made["assets"] = [_asset(asset) for asset in made["assets"]]
    return made


def _if_match(tag: str | None) -> dict[str, str]:
    return {} if tag is None else {"If-Match": tag}


def _longer(timeout: httpx.Timeout, seconds: float) -> httpx.Timeout:
    return httpx.Timeout(
        connect=timeout.connect, read=(timeout.read or 0) + seconds, write=timeout.write, pool=timeout.pool
    )


def _render_body(prompt: str | None, fields: RenderFields) -> dict[str, Any]:
    body: dict[str, Any] = {"prompt": prompt, **fields} if prompt is not None else {**fields}
    if "assets" in fields:
        body["assets"] = [_asset(asset) for asset in fields["assets"]]
    return body


def _turn_body(name: str, words: str | None, fields: Mapping[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = {**fields} if words is None else {**fields, name: words}
    if "assets" in fields:
        body["assets"] = [_asset(asset) for asset in fields["assets"]]
    return body


def _session_path(session_id: str) -> str:
    return f"/v1/sessions/{quote(session_id, safe='', errors='replace')}"


def _asset(asset: Asset) -> Mapping[str, str]:
    if isinstance(asset, Upload):
        return {"upload": asset.id}
    if isinstance(asset, str):
        return {"upload" if asset.startswith("upl_") else "url": asset}
    return asset


def _params(values: Mapping[str, Any]) -> dict[str, str | list[str]]:
    return {name: _param(value) for name, value in values.items() if value is not None}


def _param(value: Any) -> str | list[str]:
    if isinstance(value, datetime):
        # Without a zone it is this machine's time.
        return value.astimezone(UTC).isoformat()
    return [str(one) for one in value] if isinstance(value, Iterable) and not isinstance(value, str) else str(value)


def _json(body: Mapping[str, Any]) -> bytes:
    """In ASCII: what is no character the service refuses by its name."""
    try:
        return json.dumps(body, default=_plain).encode()
    except (TypeError, ValueError, RecursionError) as problem:
        raise Unusable(f"the request cannot be written as JSON: {problem}") from None


def _plain(value: Any) -> Any:
    """Mappings and sequences of the caller's own."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return list(value)
    raise TypeError(f"{type(value).__name__} has no JSON")


def _chunks(path: Path, size: int, on_progress: Progress | None) -> Iterator[bytes]:
    """The file's first `size` bytes: one that grows meanwhile is sent as it was announced. Raises OSError."""
    done = 0
    with path.open("rb") as file:
        while done < size and (chunk := file.read(min(CHUNK_BYTES, size - done))):
            yield chunk
            done += len(chunk)
            if on_progress:
                on_progress(done, size)
    if done < size:
        raise OSError(f"{path} became shorter while it was sent")


def _data(chunks: Iterable[bytes]) -> Iterator[str]:
    """The data of each event of a stream; comments and other fields are passed over."""
    held: list[str] = []
    for line in _lines(chunks):
        if line.startswith("data:"):
            held.append(line[5:].removeprefix(" "))
        elif not line and held:
            yield "\n".join(held)
            held = []


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Lines, which end with LF or CRLF alone: httpx would also break them inside JSON, at U+2028 or U+0085."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line.removesuffix(b"\r").decode("utf-8", "replace") for line in lines)


def _error(response: httpx.Response) -> ApiError:
    """The answer's problem, or, from something else on the way (a proxy, the storage), its status."""
    try:
        problem = _Problem.model_validate_json(response.content)
    except ValidationError:
        problem = _Problem(title=f"the server answered {response.status_code} {response.reason_phrase}")
    if response.has_redirect_location:
        problem.help = f"Use the address that it points to: {response.headers['Location'][:200]}"
    status = response.status_code
    kind = ServerFault if status >= 500 else _KINDS.get(status, Invalid if status >= 400 else ApiError)
    return kind(
        status,
        problem.code,
        problem.detail or problem.title or f"status {status}",
        problem.help,
        problem.errors,
        problem.request_id,
        _retry_after(response.headers.get("Retry-After", "")),
    )


def _retry_after(text: str) -> float | None:
    """Seconds, from a number or a date (RFC 9110, 10.2.3)."""
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max((moment - datetime.now(moment.tzinfo)).total_seconds(), 0.0)
