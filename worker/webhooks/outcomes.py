"""What a try came to, written in one transaction under the lease: the try itself, the delivery, its endpoint."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import ColumnElement, case, func, insert, select, update
from sqlalchemy.orm import Session

from config.logging import get
from config.settings import settings
from worker.database import ago, from_now
from worker.metrics.commits import on_commit
from worker.metrics.declared import WEBHOOK_ATTEMPT_SECONDS, WEBHOOK_ATTEMPTS
from worker.webhooks import endpoints, schedule
from worker.webhooks.claims import Claimed
from worker.webhooks.models import DeliveryState, DisabledReason, WebhookAttempt, WebhookDelivery, WebhookEndpoint

log = get(__name__)


@dataclass(frozen=True)
class Tried:
    """One try, as it went."""

    at: datetime
    seconds: float
    status: int | None = None
    error: str | None = None
    """A code of docs/errors.md; None: it was taken."""
    request_headers: Mapping[str, str] = field(default_factory=dict[str, str])
    answer_headers: Mapping[str, str] = field(default_factory=dict[str, str])
    answer: str | None = None
    asked: timedelta | None = None
    """For which the receiver wants to be left alone."""


def write(session: Session, claimed: Claimed, tried: Tried) -> DeliveryState | None:
    """The delivery's state after the try; None where it is somebody else's by now, or gone: then nothing is written.

    The endpoint is locked before the delivery, as whoever deletes or changes it does.
    """
    endpoint = session.scalars(
        select(WebhookEndpoint)
        .where(WebhookEndpoint.id == claimed.endpoint_id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    ).one_or_none()
    row = session.scalars(_mine(claimed)).one_or_none() if endpoint is not None else None
    if endpoint is None or row is None:
        log.warning("webhook.late", delivery=claimed.id, lease=claimed.lease)
        return None
    since = _busy_since(session, row) if tried.error == schedule.BUSY else None
    if (
        since is None
    ):  # of those that nobody's fault kept from being sent one stands for all, or there were one each time
        _keep(session, claimed, tried)
    state, ready_in = _next(row, tried, tried.at - since if since is not None else timedelta(0))
    over = state is not DeliveryState.PENDING
    values: dict[str, Any] = {
        "state": state.value,
        "tries": row.tries + (tried.error != schedule.BUSY),
        "sent_at": None,
        "lease_until": None,
        "last_status": tried.status,
        "last_error": tried.error,
        "ended_at": func.now() if over else None,
    }
    if ready_in is not None:
        values["ready_at"] = from_now(ready_in)
    _set(session, WebhookDelivery, WebhookDelivery.id == row.id, values)
    if _says_something(row, tried):
        _judge(session, endpoint, tried, alone=row.url is not None)
    outcome = "taken" if tried.error is None else tried.error
    on_commit(session, lambda: WEBHOOK_ATTEMPTS.labels(outcome).inc())
    on_commit(session, lambda: WEBHOOK_ATTEMPT_SECONDS.observe(tried.seconds))
    return state


def _mine(claimed: Claimed) -> Any:
    return (
        select(WebhookDelivery)
        .where(
            WebhookDelivery.id == claimed.id,
            WebhookDelivery.lease == claimed.lease,
            WebhookDelivery.lease_until >= func.now(),
            WebhookDelivery.state == DeliveryState.PENDING.value,
        )
        .with_for_update()
        .execution_options(populate_existing=True)
    )


def _keep(session: Session, claimed: Claimed, tried: Tried) -> None:
    """A try's number is its claim's: those that nobody came back from leave gaps."""
    session.execute(
        insert(WebhookAttempt).values(
            delivery_id=claimed.id,
            number=claimed.lease,
            started_at=tried.at,
            seconds=tried.seconds,
            status=tried.status,
            error=tried.error,
            request_headers=dict(tried.request_headers),
            answer_headers=dict(tried.answer_headers),
            answer=tried.answer,
        )
    )


def _busy_since(session: Session, row: WebhookDelivery) -> datetime | None:
    """When its last try on file was, where there was no place for that one either."""
    its = select(WebhookAttempt.error, WebhookAttempt.started_at).where(WebhookAttempt.delivery_id == row.id)
    last = session.execute(its.order_by(WebhookAttempt.number.desc()).limit(1)).one_or_none()
    return last.started_at if last is not None and last.error == schedule.BUSY else None


def _next(row: WebhookDelivery, tried: Tried, busy: timedelta) -> tuple[DeliveryState, timedelta | None]:
    """The delivery's state, and for how long it waits where it is pending. `busy`: for which it found no place."""
    if tried.error is None:
        return DeliveryState.DELIVERED, None
    if row.overtaken:
        return DeliveryState.SUPERSEDED, None
    if tried.error == schedule.GONE_AWAY:
        return DeliveryState.FAILED, None
    if tried.error == schedule.BUSY:
        return DeliveryState.PENDING, schedule.busy_pause(busy)
    waits = settings().waits.webhook_retry_seconds
    ready_in = schedule.wait(row.tries + 1, waits, asked=tried.asked, chance=random.random())  # noqa: S311 - jitter
    return (DeliveryState.FAILED if ready_in is None else DeliveryState.PENDING), ready_in


def _says_something(row: WebhookDelivery, tried: Tried) -> bool:
    """Of the receiver: no fault of ours, nor a test at a render's address that may be long out of use."""
    old = row.event_id is None and row.url is not None
    return tried.error not in schedule.OURS and not (old and tried.error is not None)


def _judge(session: Session, endpoint: WebhookEndpoint, tried: Tried, *, alone: bool) -> None:
    """What the try says of its endpoint; one that is gone, or that took nothing for days, is disabled.

    `alone`: it went to an address of one render's: that one being gone, or asking for quiet, is no word about the
    others of the same host.
    """
    values: dict[str, Any] = {"last_seconds": tried.seconds}
    if tried.error is None:
        values |= {"succeeded_at": func.now(), "failing_since": None}
    else:
        values |= {"failed_at": func.now(), "failing_since": _failing_since()}
    if tried.asked is not None and not alone:
        values["quiet_until"] = func.greatest(WebhookEndpoint.quiet_until, from_now(tried.asked))
    _set(session, WebhookEndpoint, WebhookEndpoint.id == endpoint.id, values)
    reason = DisabledReason.GONE if tried.error == schedule.GONE_AWAY and not alone else None
    if reason is None and tried.error is not None and _failed_for_days(session, endpoint):
        reason = DisabledReason.FAILING
    if reason is not None and endpoints.shut(session, endpoint, reason):
        told = {"endpoint": endpoint.id, "reason": reason.value, "host": urlsplit(endpoint.url).hostname}
        on_commit(session, lambda: log.warning("webhook.disabled", **told))


def _failing_since() -> ColumnElement[datetime]:
    """Anew where nothing was tried for so long that nobody knows how the receiver did in between."""
    silent = WebhookEndpoint.failed_at < ago(schedule.longest_gap(settings().waits.webhook_retry_seconds))
    begins = case((silent, func.now()), else_=WebhookEndpoint.failing_since)
    return func.coalesce(begins, func.now())


def _failed_for_days(session: Session, endpoint: WebhookEndpoint) -> bool:
    patience = ago(settings().waits.webhook_disable_after_seconds)
    query = select(WebhookEndpoint.failing_since <= patience).where(WebhookEndpoint.id == endpoint.id)
    return bool(session.scalar(query))


def _set(session: Session, model: Any, which: ColumnElement[bool], values: Mapping[str, Any]) -> None:
    kept = {"updated_at": model.updated_at} if model is WebhookEndpoint else {}
    session.execute(update(model).where(which).values({**values, **kept}).execution_options(synchronize_session=False))
