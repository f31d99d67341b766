"""The service from Python: `with Client("http://127.0.0.1:8000", "vv_…") as client: client.create_render("…")`.

A package on httpx and pydantic that imports nothing of the service: `pip install ./api/client` gives it as
`vivideo_client`. What is named here is what there is to use. A call repeats itself while the connection fails or the
service answers 5xx, 429 or "under way", for `patience` seconds in all. Every POST carries an `Idempotency-Key`, which
is what makes that safe: after a lost answer the same call finds what it made the first time. What can go wrong is
drawn as a tree in `errors`.
"""

from .accounts import Account, Credits, Key, Recovery, Usage
from .answers import LONGEST_PAGE, Answer, Charge, Estimate, Hint, Item, Page, RenderAsset, RenderError
from .batch_answers import (
    Batch,
    BatchCredits,
    BatchDryRun,
    BatchEstimate,
    BatchItem,
    BatchPause,
    BatchPrompt,
    ManifestLine,
    Retried,
    RowProblem,
)
from .batches import BATCH_TIMEOUT, BatchFields
from .catalogs import Catalog, CatalogChange, CatalogDryRun, CatalogRead, ProductProblem
from .client import Client
from .connection import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, PATIENCE_SECONDS, STREAM_TIMEOUT, TIMEOUT
from .errors import (
    UPLOAD_BYTES,
    ApiError,
    BadSignature,
    ClientError,
    Conflict,
    Damaged,
    Invalid,
    NotAuthorised,
    NotFound,
    NotTheService,
    RateLimited,
    ServerFault,
    StillRunning,
    TooLarge,
    Unreachable,
    Unusable,
)
from .events import Event
from .render_answers import (
    FINAL,
    Attempt,
    Check,
    DryRun,
    Expected,
    NormalisedRender,
    Quality,
    Remote,
    Render,
    Result,
    Run,
)
from .renders import LONG_POLL_SECONDS, Expect, Priority, QualityGate, RenderFields, RenderFilters, TurnFields
from .sessions import Change, Message, Session, SessionRemote, SessionState, Timeline, Turn
from .templates import (
    Preview,
    Template,
    TemplateContent,
    TemplateDryRun,
    TemplateFields,
    TemplateVariable,
    TemplateVersion,
)
from .triggers import Trigger, TriggerDelivery, TriggerTrial
from .uploads import UPLOAD_TIMEOUT, Asset, Upload
from .version import __version__
from .webhooks import verify_webhook
from .wire import CHUNK_BYTES, Progress

__all__ = [
    "BATCH_TIMEOUT",
    "CHUNK_BYTES",
    "FINAL",
    "FIRST_PAUSE_SECONDS",
    "LONGEST_PAGE",
    "LONGEST_PAUSE_SECONDS",
    "LONG_POLL_SECONDS",
    "PATIENCE_SECONDS",
    "STREAM_TIMEOUT",
    "TIMEOUT",
    "UPLOAD_BYTES",
    "UPLOAD_TIMEOUT",
    "Account",
    "Answer",
    "ApiError",
    "Asset",
    "Attempt",
    "BadSignature",
    "Batch",
    "BatchCredits",
    "BatchDryRun",
    "BatchEstimate",
    "BatchFields",
    "BatchItem",
    "BatchPause",
    "BatchPrompt",
    "Catalog",
    "CatalogChange",
    "CatalogDryRun",
    "CatalogRead",
    "Change",
    "Charge",
    "Check",
    "Client",
    "ClientError",
    "Conflict",
    "Credits",
    "Damaged",
    "DryRun",
    "Estimate",
    "Event",
    "Expect",
    "Expected",
    "Hint",
    "Invalid",
    "Item",
    "Key",
    "ManifestLine",
    "Message",
    "NormalisedRender",
    "NotAuthorised",
    "NotFound",
    "NotTheService",
    "Page",
    "Preview",
    "Priority",
    "ProductProblem",
    "Progress",
    "Quality",
    "QualityGate",
    "RateLimited",
    "Recovery",
    "Remote",
    "Render",
    "RenderAsset",
    "RenderError",
    "RenderFields",
    "RenderFilters",
    "Result",
    "Retried",
    "RowProblem",
    "Run",
    "ServerFault",
    "Session",
    "SessionRemote",
    "SessionState",
    "StillRunning",
    "Template",
    "TemplateContent",
    "TemplateDryRun",
    "TemplateFields",
    "TemplateVariable",
    "TemplateVersion",
    "Timeline",
    "TooLarge",
    "Trigger",
    "TriggerDelivery",
    "TriggerTrial",
    "Turn",
    "TurnFields",
    "Unreachable",
    "Unusable",
    "Upload",
    "Usage",
    "__version__",
    "verify_webhook",
]
