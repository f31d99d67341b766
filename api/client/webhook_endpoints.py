"""Webhook endpoints: where events go, what was sent there, and sending it again."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from .answers import LONGEST_PAGE, Model, Page, every
from .connection import Connection
from .wire import at

DeliveryState = Literal["pending", "delivered", "failed", "superseded"]


class WebhookDisabled(Model):
    """Why nothing is sent to an endpoint (`asked`, `gone`, `failing`), and what to do about it."""

    at: datetime
    reason: str
    remedy: str = ""


class WebhookHealth(Model):
    """How an endpoint does; `last_seconds` is how long the last try took."""

    failing_since: datetime | None = None
    quiet_until: datetime | None = None
    last_success_at: datetime | None = None
    last_failure_at: datetime | None = None
    last_seconds: float | None = None


class WebhookCounts(Model):
    """Deliveries of the last 24 hours by state; not `complete`: only the newest were counted."""

    pending: int = 0
    delivered: int = 0
    failed: int = 0
    superseded: int = 0
    complete: bool = True


class WebhookRedelivery(Model):
    """How many are sent again so far; `under_way` where there are more than are begun at once. What was asked for is
    there where an endpoint tells of it."""

    redelivered: int
    state: Literal["under_way", "done"]
    since: datetime | None = None
    only: Literal["failed", "all"] | None = None
    asked_at: datetime | None = None


class WebhookEndpoint(Model):
    """An address that is told of events. `secret` is there when it was just made or rotated."""

    id: str
    kind: str = "standing"
    url: str
    """Without what stands behind a `?`."""
    description: str | None = None
    events: list[str] = []
    enabled: bool
    disabled: WebhookDisabled | None = None
    health: WebhookHealth = WebhookHealth()
    last_day: WebhookCounts = WebhookCounts()
    redelivery: WebhookRedelivery | None = None
    secret: str | None = None
    previous_secret_until: datetime | None = None
    created_at: datetime
    updated_at: datetime
    links: dict[str, str] = {}


class WebhookSecret(Model):
    """What signs for an endpoint: during a rotation two."""

    secret: str
    previous_secret: str | None = None
    previous_secret_until: datetime | None = None


class WebhookAttempt(Model):
    """One try of a delivery; without a `status` there was no answer."""

    number: int
    started_at: datetime
    seconds: float
    status: int | None = None
    error: str | None = None
    request_headers: dict[str, Any] = {}
    answer_headers: dict[str, Any] = {}
    answer: str | None = None


class WebhookDelivery(Model):
    """An event on its way to an endpoint; its id is the `webhook-id`. `body` and `attempts` are there when it is looked
    at alone."""

    id: str
    endpoint_id: str
    type: str
    subject: str
    """The render, batch or endpoint that the event is about."""
    sequence: int
    final: bool = False
    test: bool = False
    state: str
    tries: int
    next_try_at: datetime | None = None
    last_status: int | None = None
    last_error: str | None = None
    body: str | None = None
    attempts: list[WebhookAttempt] = []
    created_at: datetime
    ended_at: datetime | None = None
    links: dict[str, str] = {}


class WebhookEndpoints(Connection):
    """Calls about webhook endpoints and deliveries."""

    def create_webhook_endpoint(
        self,
        url: str,
        *,
        events: Sequence[str] | None = None,
        description: str | None = None,
        secret: str | None = None,
        idempotency_key: str | None = None,
    ) -> WebhookEndpoint:
        """Have events sent to an address: types, groups (`render.*`) or `*`; by default how renders and batches ended.

        The answer holds the secret that `verify_webhook` needs; one of your own (`whsec_…`) may be given.
        """
        given = {"events": events, "description": description, "secret": secret}
        body = {"url": url} | {name: value for name, value in given.items() if value is not None}
        return self._ask(WebhookEndpoint, "POST", _at(), body=body, idempotency_key=idempotency_key)

    def webhook_endpoints(self, *, limit: int | None = None, cursor: str | None = None) -> Page[WebhookEndpoint]:
        """Your endpoints and how they do, newest first."""
        return self._list(Page[WebhookEndpoint], _at(), limit=limit, cursor=cursor)

    def iter_webhook_endpoints(self) -> Iterator[WebhookEndpoint]:
        """All of them."""
        return every(lambda cursor: self.webhook_endpoints(limit=LONGEST_PAGE, cursor=cursor))

    def webhook_endpoint(self, endpoint_id: str) -> WebhookEndpoint:
        """An endpoint, and how it does."""
        return self._ask(WebhookEndpoint, "GET", _at(endpoint_id))

    def change_webhook_endpoint(self, endpoint_id: str, **changes: Any) -> WebhookEndpoint:
        """Change `url`, `events`, `description` (None: none any more) or `enabled`."""
        return self._ask(WebhookEndpoint, "PATCH", _at(endpoint_id), body=changes)

    def delete_webhook_endpoint(self, endpoint_id: str) -> None:
        """Delete an endpoint with its deliveries."""
        self._send("DELETE", _at(endpoint_id))

    def webhook_secret(self, endpoint_id: str) -> WebhookSecret:
        """What signs for an endpoint; also for one that renders made by their `webhook`."""
        return self._ask(WebhookSecret, "GET", _at(endpoint_id, "secret"))

    def rotate_webhook_secret(
        self,
        endpoint_id: str,
        *,
        overlap_seconds: int | None = None,
        secret: str | None = None,
        idempotency_key: str | None = None,
    ) -> WebhookEndpoint:
        """Replace an endpoint's secret; both sign for the overlap, a day by default."""
        given = {"overlap_seconds": overlap_seconds, "secret": secret}
        body = {name: value for name, value in given.items() if value is not None}
        path = _at(endpoint_id, "rotate-secret")
        return self._ask(WebhookEndpoint, "POST", path, body=body, idempotency_key=idempotency_key)

    def test_webhook_endpoint(
        self, endpoint_id: str, type: str = "render.succeeded", *, idempotency_key: str | None = None
    ) -> WebhookDelivery:
        """Send an event of this type that says it is a test. Raises Conflict where the endpoint is disabled."""
        path = _at(endpoint_id, "test")
        return self._ask(WebhookDelivery, "POST", path, body={"type": type}, idempotency_key=idempotency_key)

    def redeliver_webhooks(
        self,
        endpoint_id: str,
        since: datetime,
        *,
        only: Literal["failed", "all"] = "failed",
        idempotency_key: str | None = None,
    ) -> WebhookRedelivery:
        """Send again what failed or was never sent since a moment, or all of it. Where it is much it goes on after the
        answer: `redelivery` of the endpoint counts. Without a zone it is local time.

        Raises Conflict where the endpoint is disabled, or an earlier one goes on.
        """
        body = {"since": since.astimezone(UTC).isoformat(), "only": only}
        path = _at(endpoint_id, "redeliver")
        return self._ask(WebhookRedelivery, "POST", path, body=body, idempotency_key=idempotency_key)

    def webhook_deliveries(
        self,
        *,
        endpoint_id: str | None = None,
        render_id: str | None = None,
        batch_id: str | None = None,
        state: DeliveryState | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Page[WebhookDelivery]:
        """What was to be sent, newest first: to an endpoint, of a render's own events or a batch's own, in a state."""
        return self._list(
            Page[WebhookDelivery],
            at("webhook-deliveries"),
            endpoint_id=endpoint_id,
            render_id=render_id,
            batch_id=batch_id,
            state=state,
            limit=limit,
            cursor=cursor,
        )

    def webhook_delivery(self, delivery_id: str) -> WebhookDelivery:
        """What was sent, and each try."""
        return self._ask(WebhookDelivery, "GET", at("webhook-deliveries", delivery_id))

    def redeliver_webhook(self, delivery_id: str, *, idempotency_key: str | None = None) -> WebhookDelivery:
        """Send one again, under its id. Raises Conflict where its endpoint is disabled."""
        path = at("webhook-deliveries", delivery_id, "redeliver")
        return self._ask(WebhookDelivery, "POST", path, idempotency_key=idempotency_key)


def _at(*names: str) -> str:
    return at("webhook-endpoints", *names)
