"""What a source signs with: made by us or chosen in the shop, in the form that its style has."""

import base64
import binascii
import secrets

from worker.triggers.models import Style
from worker.webhooks import signing
from worker.webhooks.signing import PREFIX

MADE_BYTES = 32
SHORTEST = 8
"""Characters: who guesses a secret has renders made. Some shops let their owner choose one by hand."""
SHORTEST_BEARER = 16
"""A bearer's secret is all there is, and travels with each message."""
LONGEST = 500


class BadSecret(ValueError):
    """Nothing can be signed with it; the text says why, and never what it is."""


def made(style: Style) -> str:
    """A new one: 32 random bytes."""
    if style is Style.STANDARD:
        return signing.new_secret()
    return secrets.token_urlsafe(MADE_BYTES)


def checked(style: Style, secret: str) -> str:
    """One that a trigger may be given, as it is. Raises BadSecret."""
    shortest = SHORTEST_BEARER if style is Style.BEARER else SHORTEST
    if not shortest <= len(secret) <= LONGEST:
        raise BadSecret(f"a secret has {shortest} to {LONGEST} characters")
    if not secret.isprintable() or secret != secret.strip():
        raise BadSecret("a secret has no control characters, and no white space at its ends")
    if style is Style.BEARER and not (secret.isascii() and " " not in secret):
        raise BadSecret("a bearer's secret is of visible ASCII characters")
    key(style, secret)
    return secret


def key(style: Style, secret: str) -> bytes:
    """The key of the HMAC. Raises BadSecret."""
    if style is Style.STANDARD:
        return _decoded(secret.removeprefix(PREFIX))
    try:
        encoded = secret.encode()
    except UnicodeEncodeError:
        raise BadSecret("a secret is of characters") from None
    if not encoded:
        raise BadSecret("the secret is empty")
    return encoded


def _decoded(text: str) -> bytes:
    """Base64 with or without its padding, which many dashboards leave out."""
    bare = text.rstrip("=")
    try:
        decoded = base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise BadSecret("the secret is not base64, with or without `whsec_` before it") from None
    if not decoded:
        raise BadSecret("the secret is empty")
    return decoded
