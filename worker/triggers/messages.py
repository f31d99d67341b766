"""What a verified message says about itself: which one it is, what it is about and when it was sent.

Shopify and WooCommerce sign the body alone: their ids, topics and times are as trustworthy as the way they came.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from worker.catalogs.feeds.text import one_line
from worker.triggers import payloads
from worker.triggers.headers import first
from worker.triggers.models import Style
from worker.triggers.moments import moment

LONGEST_KEY = 200
OF_BODY = "body:"
"""Before the key of what its source names no id of: its body's SHA-256, which tells duplicates for a day alone."""
LONGEST_TOPIC = 200
LONGEST_KEPT = 500
"""Characters of a header's value that are kept."""
_KEY = re.compile(rf"[!-~]{{1,{LONGEST_KEY}}}")
_SHOPIFY = ("topic", "shop-domain", "webhook-id", "event-id", "api-version", "triggered-at", "test", "name")
_WOOCOMMERCE = ("source", "topic", "resource", "event", "webhook-id", "delivery-id")
_GITHUB = ("event", "delivery", "hook-id", "hook-installation-target-id", "hook-installation-target-type")
KEPT = frozenset(
    [
        *("content-type", "user-agent", "webhook-id", "webhook-timestamp", "idempotency-key", "x-topic"),
        *(f"{before}shopify-{name}" for name in _SHOPIFY for before in ("x-", "")),
        *(f"x-wc-webhook-{name}" for name in _WOOCOMMERCE),
        *(f"x-github-{name}" for name in _GITHUB),
    ]
)
"""Header names worth keeping: no signature, cookie or authorization, and nothing that a proxy adds about a person."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message's own words."""

    key: str
    """What tells it from others of its source: the same again is the same message. Visible ASCII, bounded."""
    topic: str | None
    sent_at: datetime | None
    """The same at every attempt."""
    kept: Mapping[str, str]
    """Headers by lower-case name; reading again with these alone gives the same key and topic."""
    payload: Any
    """The body as JSON (`payloads.read`); None where it is none."""


def read(style: Style, headers: Mapping[str, str], body: bytes) -> Message:
    """Never raises for what a message is; what is missing or no text is None."""
    try:
        payload = payloads.read(body)
    except payloads.NotJson:
        payload = None
    fields = cast("dict[str, Any]", payload) if isinstance(payload, dict) else {}
    said = _STYLES[style](headers, fields, hashlib.sha256(body).hexdigest())
    return Message(
        key=_key(said.key) or f"{OF_BODY}{hashlib.sha256(body).hexdigest()}",
        topic=_line(said.topic, LONGEST_TOPIC),
        sent_at=said.sent_at,
        kept=dict(_kept(headers)),
        payload=payload,
    )


@dataclass(frozen=True, slots=True)
class _Said:
    key: Any = None
    topic: Any = None
    sent_at: datetime | None = None


def _shopify(headers: Mapping[str, str], fields: Mapping[str, Any], digest: str) -> _Said:
    def said(name: str) -> str | None:
        return first(headers, f"x-shopify-{name}", f"shopify-{name}")

    return _Said(said("webhook-id"), said("topic"), moment(said("triggered-at") or ""))


def _woocommerce(headers: Mapping[str, str], fields: Mapping[str, Any], digest: str) -> _Said:
    """Its delivery id is made of the second and the webhook: two products saved at once have the same."""
    delivery = first(headers, "x-wc-webhook-delivery-id")
    key = f"{delivery[:LONGEST_KEY]}:{digest}" if delivery else None
    return _Said(key, first(headers, "x-wc-webhook-topic"))


def _standard(headers: Mapping[str, str], fields: Mapping[str, Any], digest: str) -> _Said:
    """Its header's time is the attempt's: a message that is sent again would be newer than what came in between."""
    happened = fields.get("timestamp")
    at = moment(happened) if isinstance(happened, str) else None
    return _Said(first(headers, "webhook-id"), fields.get("type"), at)


def _github(headers: Mapping[str, str], fields: Mapping[str, Any], digest: str) -> _Said:
    event, action = first(headers, "x-github-event"), fields.get("action")
    topic = f"{event}.{action}" if event and isinstance(action, str) and action.strip() else event
    return _Said(first(headers, "x-github-delivery"), topic)


def _stripe(headers: Mapping[str, str], fields: Mapping[str, Any], digest: str) -> _Said:
    created = fields.get("created")
    at = _seconds(str(created)) if isinstance(created, int) else None
    return _Said(fields.get("id"), fields.get("type"), at)


def _bearer(headers: Mapping[str, str], fields: Mapping[str, Any], digest: str) -> _Said:
    topic = first(headers, "x-topic") or next(filter(None, map(fields.get, ("type", "event"))), None)
    key = first(headers, "idempotency-key", "webhook-id")
    return _Said(key, topic)


_STYLES: Mapping[Style, Callable[[Mapping[str, str], Mapping[str, Any], str], _Said]] = {
    Style.SHOPIFY: _shopify,
    Style.WOOCOMMERCE: _woocommerce,
    Style.STANDARD: _standard,
    Style.GITHUB: _github,
    Style.STRIPE: _stripe,
    Style.BEARER: _bearer,
}


def _key(value: Any) -> str | None:
    """One that is long or strange is told by its SHA-256: it still tells two messages apart."""
    if not isinstance(value, str) or not value.strip():
        return None
    if _KEY.fullmatch(value):
        return value
    return f"sha256:{hashlib.sha256(value.encode(errors='surrogatepass')).hexdigest()}"


def _line(value: Any, longest: int) -> str | None:
    return (one_line(value)[:longest].strip() or None) if isinstance(value, str) else None


def _seconds(text: str | None) -> datetime | None:
    if text is None or not re.fullmatch(r"[0-9]{1,11}", text):
        return None
    return datetime.fromtimestamp(int(text), UTC) if int(text) < 253_402_300_800 else None  # the year 10,000


def _kept(headers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name in sorted(KEPT):
        if value := first(headers, name):
            yield name, value[:LONGEST_KEPT].rstrip()
