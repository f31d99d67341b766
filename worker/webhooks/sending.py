"""One try after another: claimed, sent to a checked address, and written down under the lease.

A worker that dies in between leaves a delivery whose lease passes: it is tried again, under the same `webhook-id`.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from config.logging import get
from config.settings import settings
from worker.accounts.vault import SecretKeyChanged, SecretKeyMissing
from worker.addresses.errors import AddressError
from worker.addresses.fetch import Guarded, Limits
from worker.database import at_once, transact
from worker.metrics.declared import WEBHOOK_LATENESS_SECONDS
from worker.webhooks import claims, endpoints, outcomes, schedule, signing
from worker.webhooks.claims import Claimed
from worker.webhooks.due import SLOW_SECONDS
from worker.webhooks.models import DeliveryState
from worker.webhooks.outcomes import Tried

log = get(__name__)

ANSWER_BYTES = 4096
"""Kept of an answer; no more is read."""
MOST_HEADERS, HEADER_CHARACTERS = 50, 500
"""Kept of an answer's."""
SIGNATURE_CHARACTERS = 8
"""Kept of each signature, its version included."""
NOT_KEPT = frozenset({"set-cookie", "set-cookie2", "www-authenticate", "proxy-authenticate"})


@dataclass(frozen=True)
class Tools:
    """What a worker brings along."""

    guarded: Guarded = field(default_factory=Guarded)
    goes_on: Callable[[], bool] = lambda: True
    """Whether this process takes more on."""


def deliver(delivery_id: str, lease: int, *, tools: Tools) -> int:
    """Try a delivery, and while its endpoint takes what it gets quickly, the next ones that are due there; how many.

    A place is lent for a tick: after that the dispatcher gives it to whoever has waited longest.
    """
    waits, until = settings().waits, time.monotonic() + settings().waits.dispatch_tick_seconds.total_seconds()
    claimed = at_once(lambda session: claims.claim(session, delivery_id, lease, for_=waits.webhook_lease))
    tries = 0
    while claimed is not None:
        tries += 1
        goes_on = _tried(claimed, tools) and time.monotonic() < until and tools.goes_on()
        endpoint = claimed.endpoint_id
        claimed = _next(endpoint) if goes_on else None
    return tries


def _next(endpoint_id: str) -> Claimed | None:
    lease = settings().waits.webhook_lease
    return at_once(lambda session: claims.claim_next(session, endpoint_id, for_=lease))


def _tried(claimed: Claimed, tools: Tools) -> bool:
    """One try and its outcome; whether the endpoint took it quickly."""
    WEBHOOK_LATENESS_SECONDS.observe(max((claimed.at - claimed.ready_at).total_seconds(), 0.0))
    tried = attempt(claimed, tools.guarded)
    state = transact(lambda session: outcomes.write(session, claimed, tried))
    return state is DeliveryState.DELIVERED and tried.seconds <= SLOW_SECONDS


def attempt(claimed: Claimed, guarded: Guarded) -> Tried:
    """Send it, whatever comes of it. What was sent is kept too; the address, which may hold a secret, is not."""
    began = time.monotonic()
    try:
        signatures = signing.headers(
            endpoints.secrets_of(claimed.endpoint, claimed.at), claimed.id, claimed.at, claimed.body
        )
    except (SecretKeyChanged, SecretKeyMissing) as error:
        log.error("webhook.unsignable", endpoint=claimed.endpoint_id, error=type(error).__name__)
        return Tried(claimed.at, 0.0, error=schedule.UNSIGNABLE)
    headers = {"content-type": "application/json", "user-agent": "vivideo-webhooks"} | signatures
    answered: dict[str, Any] = {}
    try:
        with guarded.open(
            "POST", claimed.endpoint.url, headers=headers, content=claimed.body.encode(), limits=_limits()
        ) as answer:
            answered = {"status": answer.status, "error": schedule.fault(answer.status)}
            answered["asked"] = schedule.retry_after(answer.status, answer.headers.get("retry-after"), claimed.at)
            answered["answer_headers"] = _kept(answer.headers)
            answered["answer"] = _text(answer.head(ANSWER_BYTES))
    except AddressError as error:
        answered = {"error": error.code}
    except Exception:  # a bug: the try has failed like any other, or it would be made for ever
        log.exception("webhook.fault", delivery=claimed.id)
        answered = {"error": schedule.FAULT}
    kept = headers | {signing.SIGNATURE: _shortened(headers[signing.SIGNATURE])}
    return Tried(claimed.at, round(time.monotonic() - began, 3), request_headers=kept, **answered)


def _shortened(signatures: str) -> str:
    """Enough to tell them apart: whoever may look at a try must not be able to make the receiver believe him."""
    return " ".join(f"{one[:SIGNATURE_CHARACTERS]}…" for one in signatures.split(" "))


def _limits() -> Limits:
    whole = settings().waits.webhook_timeout_seconds.total_seconds()
    return Limits(total_seconds=whole, connect_seconds=whole, read_seconds=whole)


def _kept(headers: httpx.Headers) -> Mapping[str, str]:
    """No cookies, which are somebody's secrets, and no more than a page of them."""
    shown = [(name, value) for name, value in headers.items() if name not in NOT_KEPT]
    return {_clean(name): _clean(value[:HEADER_CHARACTERS]) for name, value in shown[:MOST_HEADERS]}


def _text(body: bytes) -> str:
    return _clean(body.decode("utf-8", "replace"))


def _clean(text: str) -> str:
    """As the database takes it: without NUL, and without what is no character."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
