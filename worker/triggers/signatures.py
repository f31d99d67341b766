"""Whether a message is from who shares the trigger's secret: by its raw bytes, before anything of it is parsed.

Ours for all styles, on the standard library's `hmac`: the published library of Standard Webhooks takes one secret, asks
the clock itself, decodes the body, and raises bare exceptions; the tests hold ours against it.

No way out is taken before each secret was compared with each signature, in constant time.
"""

import base64
import hashlib
import hmac
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from worker.triggers.headers import LONGEST, Repeated, every, single
from worker.triggers.models import Style
from worker.triggers.secrets import BadSecret, key

TOLERANCE_S = 300
"""A signed time may be so far off, either way: Standard Webhooks and Stripe agree on it."""
MOST_SIGNATURES = 20
"""In one header: a rotation has two."""
SHOPIFY = ("x-shopify-hmac-sha256", "shopify-hmac-sha256")
"""Newer deliveries drop the `X-`."""
WOOCOMMERCE = "x-wc-webhook-signature"
GITHUB = "x-hub-signature-256"
STRIPE = "stripe-signature"
_CARRIERS = frozenset({*SHOPIFY, WOOCOMMERCE, GITHUB, STRIPE, "webhook-signature", "authorization"})
PING_BYTES = 31
"""Of the longest `webhook_id=N`."""
_SECONDS = re.compile(r"[0-9]{1,12}")
_BEARER = re.compile(r"bearer +([!-~]+)", re.IGNORECASE)
_HEX = re.compile(r"[0-9a-f]{64}", re.IGNORECASE)


class BadSignature(Exception):
    """The message is not to be trusted. `reason` is for the log, and holds nothing of the message or a secret."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def verify(
    style: Style, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], *, now: float | None = None
) -> None:
    """Return where one of the secrets signed the message; `now` in seconds since 1970. Raises BadSignature, and nothing
    else, whatever the message is."""
    keys = _keys(style, secrets)
    try:
        _STYLES[style](headers, body, keys, time.time() if now is None else now)
    except Repeated:
        raise BadSignature("a header of the signature is there twice") from None


def carries(headers: Mapping[str, str]) -> bool:
    """Whether there is a header that a style has its signature in: without one a message is nobody's."""
    return bool(every(headers, _CARRIERS))


def _keys(style: Style, secrets: Sequence[str]) -> list[bytes]:
    keys: list[bytes] = []
    for secret in secrets:
        try:
            keys.append(key(style, secret))
        except BadSecret:
            continue  # the other one of a rotation may do
    if not keys:
        raise BadSignature("the trigger has no usable secret")
    return keys


def _shopify(headers: Mapping[str, str], body: bytes, keys: Sequence[bytes], now: float) -> None:
    given = {one for one in (single(headers, name) for name in SHOPIFY) if one is not None}
    if len(given) > 1:
        raise BadSignature("there are two signatures, and they differ")
    _compare(map(_base64, _digests(keys, body)), [_ascii(one) for one in given])


def _woocommerce(headers: Mapping[str, str], body: bytes, keys: Sequence[bytes], now: float) -> None:
    _compare(map(_base64, _digests(keys, body)), [_ascii(single(headers, WOOCOMMERCE))])


def _github(headers: Mapping[str, str], body: bytes, keys: Sequence[bytes], now: float) -> None:
    scheme, _, digest = _text(single(headers, GITHUB)).partition("=")
    if scheme != "sha256" or not _HEX.fullmatch(digest):
        raise BadSignature("the signature is not `sha256=` and 64 hexadecimal digits")
    _compare(map(_hex, _digests(keys, body)), [digest.lower().encode()])


def _standard(headers: Mapping[str, str], body: bytes, keys: Sequence[bytes], now: float) -> None:
    identifier = _ascii(single(headers, "webhook-id"))
    at = _fresh(_text(single(headers, "webhook-timestamp")), now)
    listed = _text(single(headers, "webhook-signature")).split(" ")
    signed = b".".join((identifier, at, body))
    _compare(map(_base64, _digests(keys, signed)), [one[3:].encode() for one in listed if one.startswith("v1,")])


def _stripe(headers: Mapping[str, str], body: bytes, keys: Sequence[bytes], now: float) -> None:
    parts = [part.strip().partition("=") for part in _text(single(headers, STRIPE)).split(",")]
    match [value for name, _, value in parts if name == "t"]:
        case [one]:
            at = _fresh(one, now)
        case _:
            raise BadSignature("there is not one time `t=` in the signature")
    given = [value.encode() for name, _, value in parts if name == "v1"]
    _compare(map(_hex, _digests(keys, at + b"." + body)), given)


def _bearer(headers: Mapping[str, str], body: bytes, keys: Sequence[bytes], now: float) -> None:
    token = _BEARER.fullmatch(_text(single(headers, "authorization")))
    if not token:
        raise BadSignature("`Authorization` is not `Bearer` and a secret")
    _compare(map(_hashed, keys), [_hashed(token[1].encode())])


_STYLES: Mapping[Style, Callable[[Mapping[str, str], bytes, Sequence[bytes], float], None]] = {
    Style.SHOPIFY: _shopify,
    Style.WOOCOMMERCE: _woocommerce,
    Style.STANDARD: _standard,
    Style.GITHUB: _github,
    Style.STRIPE: _stripe,
    Style.BEARER: _bearer,
}


def _compare(expected: Iterable[bytes], given: Sequence[bytes]) -> None:
    if not given:
        raise BadSignature("there is no signature")
    if len(given) > MOST_SIGNATURES:
        raise BadSignature(f"there are more than {MOST_SIGNATURES} signatures")
    same = [hmac.compare_digest(ours, theirs) for ours in expected for theirs in given]
    if not any(same):
        raise BadSignature("no signature is right")


def _fresh(text: str, now: float) -> bytes:
    """As it was signed."""
    if not _SECONDS.fullmatch(text):
        raise BadSignature("the time is no number of seconds")
    if abs(int(text) - now) > TOLERANCE_S:
        raise BadSignature(f"the time is more than {TOLERANCE_S} s off: a message of then, or a wrong clock")
    return text.encode()


def _text(value: str | None) -> str:
    if value is None or not value.strip():
        raise BadSignature("a header of the signature is missing")
    if len(value) > LONGEST:
        raise BadSignature(f"a header of the signature has more than {LONGEST:,} characters")
    if not value.isascii():
        raise BadSignature("a header of the signature is not ASCII")
    return value.strip()


def _ascii(value: str | None) -> bytes:
    return _text(value).encode()


def _digests(keys: Sequence[bytes], signed: bytes) -> list[bytes]:
    return [hmac.digest(one, signed, "sha256") for one in keys]


def _base64(digest: bytes) -> bytes:
    return base64.b64encode(digest)


def _hex(digest: bytes) -> bytes:
    return digest.hex().encode()


def _hashed(secret: bytes) -> bytes:
    """Of one length, whatever is compared."""
    return hashlib.sha256(secret).digest()


_PING = re.compile(rb"webhook_id=[0-9]{1,20}")
_FORM = "application/x-www-form-urlencoded"


def unsigned_ping(style: Style, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether it is the form `webhook_id=N` by which WooCommerce asks whether anybody is there, before it keeps a
    webhook: the only unsigned message that is answered with 200, and nothing is done about it."""
    if style is not Style.WOOCOMMERCE or not _PING.fullmatch(body) or every(headers, [WOOCOMMERCE]):
        return False
    kinds = every(headers, ["content-type"])
    return len(kinds) == 1 and kinds[0].partition(";")[0].strip().lower() == _FORM


def ping(style: Style, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether it only asks if anybody is there: WooCommerce's, or GitHub's event `ping`, which is signed as all of its
    are: verify it first."""
    if style is Style.GITHUB:
        return [one.strip() for one in every(headers, ["x-github-event"])] == ["ping"]
    return unsigned_ping(style, headers, body)
