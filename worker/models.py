"""Every table, gathered so that the migrations see them all."""

from worker.accounts.models import Account, RemoteSession
from worker.batches.models import Batch, BatchProblem
from worker.catalogs.models import Catalog, CatalogChange, CatalogProblem, CatalogProduct, CatalogRead
from worker.database import Base
from worker.owners.models import ApiKey, IdempotencyKey, Owner
from worker.publishing.models import Publication, Publisher
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
    Worker,
)
from worker.renders.relays import Relay
from worker.sessions.models import EditingSession
from worker.templates.models import Template, TemplateVersion
from worker.triggers.models import Trigger, TriggerDelivery, TriggerThing
from worker.webhooks.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint, WebhookRedelivery

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
    "Publication",
    "Publisher",
    "Recovery",
    "Relay",
    "RemoteSession",
    "Render",
    "Result",
    "Run",
    "Surprise",
    "Template",
    "TemplateVersion",
    "Trigger",
    "TriggerDelivery",
    "TriggerThing",
    "Upload",
    "UploadUse",
    "WebhookAttempt",
    "WebhookDelivery",
    "WebhookEndpoint",
    "WebhookRedelivery",
    "Worker",
    "metadata",
]
