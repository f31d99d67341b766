"""Webhooks in the form of Standard Webhooks, checked by whoever receives them."""

import base64
import hmac
import json
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from .errors import BadSignature


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
