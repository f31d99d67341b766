"""Signatures of Standard Webhooks, by the published package.

Its traps (FIELD_NOTES.md): a time is taken for UTC whatever its zone says, and an empty secret signs for everybody.
"""

import base64
import binascii
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime

from standardwebhooks import Webhook

PREFIX = "whsec_"
FEWEST_BYTES, MOST_BYTES = 24, 64
"""Of a secret, by the specification."""
SIGNATURE = "webhook-signature"
"""The header that holds the signatures."""


class BadSecret(ValueError):
    """Not `whsec_` and base64 of 24 to 64 bytes."""

    def __init__(self) -> None:
        super().__init__(f"a secret is {PREFIX} and the base64 of {FEWEST_BYTES} to {MOST_BYTES} random bytes")


def new_secret() -> str:
    """`whsec_` and 32 random bytes."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def checked(secret: str) -> str:
    """The secret, if it is one. Raises BadSecret."""
    if not secret.startswith(PREFIX):
        raise BadSecret
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX).encode(), validate=True)
    except (binascii.Error, ValueError):
        raise BadSecret from None
    if not FEWEST_BYTES <= len(key) <= MOST_BYTES:
        raise BadSecret
    return secret


def headers(given: Sequence[str], message_id: str, at: datetime, body: str) -> dict[str, str]:
    """Those of one try at `at` (with its zone): a signature for each of the secrets, so that the receiver may know
    either of them.

    Raises ValueError for a time without a zone.
    """
    if at.tzinfo is None:
        raise ValueError("a time without a zone is no moment")
    moment = at.astimezone(UTC)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        SIGNATURE: " ".join(Webhook(secret).sign(message_id, moment, body) for secret in given),
    }
