"""From rows to answers."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from api.views import shown_address
from api.webhooks.bodies import (
    CountsBody,
    DeliveryBody,
    DeliveryDetailBody,
    DisabledBody,
    EndpointBody,
    EndpointHealthBody,
    EndpointSecretBody,
    RedeliveredBody,
    RedeliveryBody,
    SecretBody,
    TryBody,
)
from worker.webhooks import counts, deliveries, endpoints, redeliveries
from worker.webhooks.counts import Counts
from worker.webhooks.models import (
    DeliveryState,
    DisabledReason,
    WebhookAttempt,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookRedelivery,
)

REMEDIES = {
    DisabledReason.ASKED: 'PATCH it with `{"enabled": true}` when it is to be told again.',
    DisabledReason.GONE: "It answered 410: the receiver wants nothing any more. Where that was a mistake, mend it"
    ' there, then PATCH it with `{"enabled": true}` and POST /redeliver what it missed.',
    DisabledReason.FAILING: "It took nothing for days; the deliveries' attempts say what it answered. Mend"
    ' that, then PATCH it with `{"enabled": true}` and POST /redeliver what it missed.',
}


def endpoint_bodies(session: Session, rows: Sequence[WebhookEndpoint]) -> list[EndpointBody]:
    """The answers for a list of endpoints."""
    return _endpoints(session, rows, counted=counts.MOST_IN_A_LIST)


def _endpoints(session: Session, rows: Sequence[WebhookEndpoint], *, counted: int) -> list[EndpointBody]:
    lately = counts.lately(session, [row.id for row in rows], most=counted)
    again = redeliveries.latest(session, [row.id for row in rows])
    return [_endpoint(row, lately.get(row.id, Counts()), again.get(row.id)) for row in rows]


def endpoint_body(session: Session, row: WebhookEndpoint) -> EndpointBody:
    """The answer for one endpoint."""
    return _endpoints(session, [row], counted=counts.MOST)[0]


def with_secret(session: Session, row: WebhookEndpoint) -> EndpointSecretBody:
    """The same, with the secret that signs."""
    body = endpoint_body(session, row)
    return EndpointSecretBody(secret=secret_body(session, row).secret, **body.model_dump())


def secret_body(session: Session, row: WebhookEndpoint) -> SecretBody:
    """What signs for an endpoint. Raises SecretKeyMissing, SecretKeyChanged."""
    now = session.execute(select(func.now())).scalar_one()
    newest, *older = endpoints.secrets_of(row, now)
    return SecretBody(
        secret=newest,
        previous_secret=older[0] if older else None,
        previous_secret_until=row.previous_secret_until if older else None,
    )


def redelivered_body(row: WebhookRedelivery) -> RedeliveredBody:
    """How far a redelivery is."""
    state: Any = "under_way" if row.finished_at is None else "done"
    return RedeliveredBody(redelivered=row.redelivered, state=state)


def _redelivery(row: WebhookRedelivery) -> RedeliveryBody:
    only: Any = row.chosen
    far = redelivered_body(row).model_dump()
    return RedeliveryBody(since=row.since, only=only, asked_at=row.created_at, **far)


def _endpoint(row: WebhookEndpoint, lately: Counts, again: WebhookRedelivery | None) -> EndpointBody:
    at = f"/v1/webhook-endpoints/{row.id}"
    return EndpointBody(
        id=row.id,
        kind=row.kind,
        url=shown_address(row.url),
        description=row.description,
        events=row.events,
        enabled=row.disabled_at is None,
        disabled=_disabled(row),
        health=EndpointHealthBody(
            failing_since=row.failing_since,
            quiet_until=row.quiet_until,
            last_success_at=row.succeeded_at,
            last_failure_at=row.failed_at,
            last_seconds=row.last_seconds,
        ),
        last_day=CountsBody(
            complete=lately.complete, **{state.value: lately.by_state.get(state, 0) for state in DeliveryState}
        ),
        redelivery=_redelivery(again) if again is not None else None,
        previous_secret_until=row.previous_secret_until,
        created_at=row.created_at,
        updated_at=row.updated_at,
        links={"self": at, "secret": f"{at}/secret", "deliveries": f"{at}/deliveries"},
    )


def _disabled(row: WebhookEndpoint) -> DisabledBody | None:
    if row.disabled_at is None or row.disabled_reason is None:
        return None
    return DisabledBody(
        at=row.disabled_at, reason=row.disabled_reason, remedy=REMEDIES[DisabledReason(row.disabled_reason)]
    )


def delivery_body(row: WebhookDelivery) -> DeliveryBody:
    """The answer for a delivery."""
    at = f"/v1/webhook-deliveries/{row.id}"
    return DeliveryBody(
        id=row.id,
        endpoint_id=row.endpoint_id,
        type=row.type,
        subject=row.subject,
        sequence=row.sequence,
        final=row.final,
        test=row.event_id is None,
        state=row.state,
        tries=row.tries,
        next_try_at=row.ready_at if row.state == DeliveryState.PENDING else None,
        last_status=row.last_status,
        last_error=row.last_error,
        created_at=row.created_at,
        ended_at=row.ended_at,
        links={
            "self": at,
            "endpoint": f"/v1/webhook-endpoints/{row.endpoint_id}",
            "redeliver": f"{at}/redeliver",
        },
    )


def delivery_detail(session: Session, row: WebhookDelivery) -> DeliveryDetailBody:
    """The answer for a delivery with its tries."""
    tries = [_try(one) for one in deliveries.attempts(session, row.id)]
    return DeliveryDetailBody(body=row.body, attempts=tries, **delivery_body(row).model_dump())


def _try(row: WebhookAttempt) -> TryBody:
    return TryBody(
        number=row.number,
        started_at=row.started_at,
        seconds=row.seconds,
        status=row.status,
        error=row.error,
        request_headers=row.request_headers,
        answer_headers=row.answer_headers,
        answer=row.answer,
    )
