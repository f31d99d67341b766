"""Every table, gathered so that the migrations see them all."""

from worker.accounts.models import Account, RemoteSession
from worker.batches.models import Batch, BatchProblem
from worker.catalogs.models import Catalog, CatalogChange, CatalogProblem, CatalogProduct, CatalogRead
from worker.database import Base
from worker.owners.models import ApiKey, IdempotencyKey, Owner
from worker.remote.circuit import Circuit
from worker.remote.intents import Intent
from worker.remote.surprises import Surprise
from worker.renders.models import (
    Attempt,
    DoomedFile,
    Draft,
    Event,
    Export,
    Lane,
    Recovery,
    Render,
    Result,
    Run,
    Upload,
    UploadUse,
    WebhookDelivery,
    Worker,
)
from worker.sessions.models import EditingSession
from worker.templates.models import Template, TemplateVersion

metadata = Base.metadata

__all__ = [
    "Account",
    "ApiKey",
    "Attempt",
    "Batch",
    "BatchProblem",
    "Catalog",
    "CatalogChange",
    "CatalogProblem",
    "CatalogProduct",
    "CatalogRead",
    "Circuit",
    "DoomedFile",
    "Draft",
    "EditingSession",
    "Event",
    "Export",
    "IdempotencyKey",
    "Intent",
    "Lane",
    "Owner",
    "Recovery",
    "RemoteSession",
    "Render",
    "Result",
    "Run",
    "Surprise",
    "Template",
    "TemplateVersion",
    "Upload",
    "UploadUse",
    "WebhookDelivery",
    "Worker",
    "metadata",
]
