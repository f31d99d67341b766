"""What changes webhooks: each with its key, in one transaction."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypeVar

from pydantic import BaseModel
from sqlalchemy.orm import Session

from api import idempotency
from api.auth import Caller
from api.database import transact
from api.idempotency import Earlier, Key
from api.problems import FieldError, Problem
from api.webhooks.bodies import DeliveryBody, EndpointBody, EndpointSecretBody, RedeliveredBody
from api.webhooks.schemas import EndpointChange, EndpointRequest, RedeliverRequest, RotateRequest, TestRequest
from api.webhooks.views import delivery_body, endpoint_body, redelivered_body, with_secret
from worker.accounts import vault
from worker.renders.events import EventType
from worker.webhooks import deliveries, endpoints, overtaking, redeliveries
from worker.webhooks.models import EndpointKind, WebhookDelivery, WebhookEndpoint

Body = TypeVar("Body", bound=BaseModel)

AT = "/v1/webhook-endpoints"


@dataclass(frozen=True)
class Answer(Generic[Body]):
    """What a request led to, and whether an earlier one with its key had."""

    body: Body
    replayed: bool


def create(caller: Caller, key: Key, request: EndpointRequest) -> Answer[EndpointSecretBody]:
    """Take an endpoint on. Raises Problem `webhook.too_many`, `idempotency.…`, SecretKeyMissing."""
    given = request.model_dump(include={"url", "events", "description", "secret"})

    def make(session: Session) -> str:
        try:
            return endpoints.create(session, caller.owner_id, **given)[0].id
        except endpoints.TooMany:
            raise Problem("webhook.too_many", f"You have {endpoints.MOST} webhook endpoints.") from None

    def read(session: Session, id: str) -> EndpointSecretBody:
        return with_secret(session, found(session, caller, id))

    return _once(caller, f"POST {AT}", key, request, make, read)


def rotate(caller: Caller, key: Key, id: str, request: RotateRequest) -> Answer[EndpointSecretBody]:
    """Give an endpoint another secret. Raises Problem `webhook.unknown`, `idempotency.…`, SecretKeyMissing."""

    def make(session: Session) -> str:
        overlap = timedelta(seconds=request.overlap_seconds)
        endpoints.rotate(session, held(session, caller, id), overlap=overlap, secret=request.secret)
        return id

    def read(session: Session, id: str) -> EndpointSecretBody:
        return with_secret(session, found(session, caller, id))

    return _once(caller, f"POST {AT}/{id}/rotate-secret", key, request, make, read)


def test(caller: Caller, key: Key, id: str, request: TestRequest) -> Answer[DeliveryBody]:
    """Send a test event.

    Raises Problem `webhook.unknown`, `webhook.disabled`, `webhook.of_renders`, `idempotency.…`.
    """

    def make(session: Session) -> str:
        row = _enabled(held(session, caller, id))
        try:
            return deliveries.send_test(session, row, EventType(request.type)).id
        except deliveries.NoAddress:
            raise Problem("webhook.of_renders", "No render is left that names an address there.") from None

    return _once(caller, f"POST {AT}/{id}/test", key, request, make, lambda session, id: _delivery(session, caller, id))


def redeliver_since(caller: Caller, key: Key, id: str, request: RedeliverRequest) -> Answer[RedeliveredBody]:
    """Send what was to be sent since a moment again. Raises Problem `webhook.unknown`, `webhook.disabled`,
    `webhook.redelivering`, `idempotency.…`."""

    def make(session: Session) -> str:
        row = _enabled(held(session, caller, id))
        try:
            return redeliveries.begin(session, row, request.since, only=request.only).id
        except redeliveries.UnderWay:
            raise Problem("webhook.redelivering", f"{row.id} is being sent again what it missed.") from None

    def read(session: Session, made: str) -> RedeliveredBody:
        found(session, caller, id)  # with it goes what was sent to it again
        return redelivered_body(redeliveries.get(session, made))

    return _once(caller, f"POST {AT}/{id}/redeliver", key, request, make, read)


def redeliver(caller: Caller, key: Key, id: str) -> Answer[DeliveryBody]:
    """Send one again. Raises Problem `webhook.delivery_unknown`, `webhook.disabled`, `idempotency.…`."""

    def make(session: Session) -> str:
        row = delivery(session, caller, id)
        _enabled(held(session, caller, row.endpoint_id))
        if not deliveries.redeliver(session, row):
            raise _unknown_delivery(id)
        return id

    route = f"POST /v1/webhook-deliveries/{id}/redeliver"
    return _once(caller, route, key, None, make, lambda session, id: _delivery(session, caller, id))


def _once(
    caller: Caller,
    route: str,
    key: Key,
    request: BaseModel | None,
    make: Callable[[Session], str],
    read: Callable[[Session, str], Body],
) -> Answer[Body]:
    """What `make` led to, now or under this key before, as `read` finds it."""
    given = request.model_dump(mode="json") if request else {}
    hashed = idempotency.body_hash(given)
    if given.get("secret") is not None:
        hashed = vault.seal(hashed)  # nobody checks that it is random: a hash alone would let it be guessed

    def work(session: Session) -> Answer[Body]:
        made = idempotency.once(session, caller.owner_id, route, key, hashed, "", lambda: make(session))
        if isinstance(made, Earlier):
            return Answer(read(session, made.resource_id), replayed=key.given)
        idempotency.leads_to(session, caller.owner_id, route, key, made)
        return Answer(read(session, made), replayed=False)

    return transact(work)


def change(caller: Caller, id: str, given: EndpointChange) -> EndpointBody:
    """Change an endpoint. Raises Problem `webhook.unknown`, `webhook.of_renders`."""
    if given.enabled:
        while transact(lambda session: _supersede_some(session, found(session, caller, id))):
            pass

    def work(session: Session) -> EndpointBody:
        row, changes = held(session, caller, id), given.changes()
        _check_its_own(row, changes)
        if changes:
            endpoints.change(session, row, **changes)
        _switch(session, row, enabled=given.enabled)
        return endpoint_body(session, row)

    return transact(work)


def _supersede_some(session: Session, row: WebhookEndpoint) -> bool:
    return row.disabled_at is not None and overtaking.supersede_some(session, row)


def _switch(session: Session, row: WebhookEndpoint, *, enabled: bool | None) -> None:
    if enabled:
        endpoints.enable(session, row)
    elif enabled is not None and row.disabled_at is None:
        endpoints.disable(session, row)


def _check_its_own(row: WebhookEndpoint, changes: dict[str, Any]) -> None:
    theirs = [name for name in ("url", "events") if name in changes]
    if row.kind == EndpointKind.RENDER and theirs:
        errors = [FieldError(f"/{name}", "it is the renders'") for name in theirs]
        raise Problem("webhook.of_renders", "Its renders say what goes where.", errors=errors)


def found(session: Session, caller: Caller, id: str) -> WebhookEndpoint:
    """The owner's endpoint. Raises Problem `webhook.unknown`."""
    return _there(endpoints.get(session, caller.owner_id, id), id)


def held(session: Session, caller: Caller, id: str) -> WebhookEndpoint:
    """The owner's endpoint, locked. Raises Problem `webhook.unknown`."""
    return _there(endpoints.locked(session, caller.owner_id, id), id)


def _there(row: WebhookEndpoint | None, id: str) -> WebhookEndpoint:
    if row is None:
        raise unknown(id)
    return row


def unknown(id: str) -> Problem:
    """The problem of an endpoint that is not there, or somebody else's."""
    return Problem("webhook.unknown", f"You have no webhook endpoint {id[:64]}.")


def _enabled(row: WebhookEndpoint) -> WebhookEndpoint:
    if row.disabled_at is not None:
        raise Problem("webhook.disabled", f"{row.id} is disabled ({row.disabled_reason}): nothing is sent there.")
    return row


def delivery(session: Session, caller: Caller, id: str) -> WebhookDelivery:
    """The owner's delivery. Raises Problem `webhook.delivery_unknown`."""
    row = deliveries.get(session, caller.owner_id, id)
    if row is None:
        raise _unknown_delivery(id)
    return row


def _unknown_delivery(id: str) -> Problem:
    return Problem("webhook.delivery_unknown", f"You have no delivery {id[:64]}.")


def _delivery(session: Session, caller: Caller, id: str) -> DeliveryBody:
    return delivery_body(delivery(session, caller, id))
