"""Signatures of webhooks: what the service signed is told from everything else."""

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.client import BadSignature, verify_webhook

# Published test vectors of Standard Webhooks.
ID, AT, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
RIGHT = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
WRONG = "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc="
OTHER_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"


def _headers(signature: str = RIGHT, **changed: str) -> dict[str, str]:
    given = {"webhook-id": ID, "webhook-timestamp": str(AT), "webhook-signature": signature}
    return given | {f"webhook-{name}": value for name, value in changed.items()}


def _signed(body: bytes, secret: str = SECRET) -> dict[str, str]:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.digest(key, b".".join((ID.encode(), str(AT).encode(), body)), hashlib.sha256)
    return _headers(f"v1,{base64.b64encode(digest).decode()}")


def test_published_vectors_are_accepted() -> None:
    """Both vectors, as bytes and as text, the secret with its prefix and without, headers in any case."""
    assert verify_webhook(BODY, _headers(), SECRET, now=AT) == {"test": 2432232314}
    assert verify_webhook(BODY.decode(), _headers(), SECRET.removeprefix("whsec_"), now=AT) == {"test": 2432232314}
    shouted = {name.title(): value for name, value in _headers().items()}
    assert verify_webhook(BODY, shouted, [SECRET], now=AT)
    other = {
        "webhook-id": "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
        "webhook-timestamp": "1649367553",
        "webhook-signature": "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
    }
    body = b'{"email":"test@example.com","username":"test_user"}'
    assert verify_webhook(body, other, OTHER_SECRET, now=1649367553)["username"] == "test_user"


def test_several_signatures_and_several_secrets() -> None:
    """During a rotation one of either must fit; versions not known are passed over."""
    several = f"{WRONG} v2,{RIGHT[3:]} {RIGHT} {WRONG}"
    assert verify_webhook(BODY, _headers(several), SECRET, now=AT)
    assert verify_webhook(BODY, _headers(), [OTHER_SECRET, SECRET], now=AT)
    for signature, secrets in ((f"{WRONG} v2,{RIGHT[3:]}", [SECRET]), (RIGHT, [OTHER_SECRET]), (RIGHT, [])):
        with pytest.raises(BadSignature, match="fits none"):
            verify_webhook(BODY, _headers(signature), secrets, now=AT)


@pytest.mark.parametrize(
    "signature",
    ["", "v1,", "v1", "garbage", "v1,a,b", "v1,a", "v1,\udc80", "v1,ü", RIGHT[:-2] + "A=", RIGHT[3:], WRONG],
)
def test_other_signatures_are_refused(signature: str) -> None:
    """Cut, changed, of another version, or no signature at all."""
    with pytest.raises(BadSignature):
        verify_webhook(BODY, _headers(signature), SECRET, now=AT)


def test_replays_are_refused_on_both_sides() -> None:
    """300 seconds to either side pass, one more does not; the tolerance can be another."""
    for apart in (-300, 300):
        assert verify_webhook(BODY, _headers(), SECRET, now=AT + apart)
    for apart in (-301, 301):
        with pytest.raises(BadSignature, match="too long ago, or in the future"):
            verify_webhook(BODY, _headers(), SECRET, now=AT + apart)
    assert verify_webhook(BODY, _headers(), SECRET, tolerance=1000, now=AT + 999)
    with pytest.raises(BadSignature):
        verify_webhook(BODY, _headers(), SECRET)


def test_a_changed_body_id_or_time_is_refused() -> None:
    """Each of the three is signed."""
    for body, headers in (
        (BODY + b" ", _headers()),
        (BODY, _headers(id=f"{ID}x")),
        (BODY, _headers(timestamp=str(AT + 1))),
    ):
        with pytest.raises(BadSignature, match="fits none"):
            verify_webhook(body, headers, SECRET, now=AT)


@pytest.mark.parametrize("timestamp", ["", "x", "1e9", "-1", "nan", "٣", "1614265330.0", " 1614265330", "9" * 5000])
def test_a_time_that_is_none_is_refused(timestamp: str) -> None:
    """Only plain digits are a number of seconds."""
    with pytest.raises(BadSignature, match="webhook-timestamp"):
        verify_webhook(BODY, _headers(timestamp=timestamp), SECRET, now=AT)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_!", "whsec_a", "whsec_ü", "\udc80"])
def test_a_secret_that_is_none_is_never_signed_with(secret: str) -> None:
    """Anybody could sign with an empty key: a broken secret among good ones refuses everything."""
    empty = base64.b64encode(hmac.digest(b"", b".".join((ID.encode(), str(AT).encode(), BODY)), "sha256")).decode()
    for secrets in (secret, [SECRET, secret]):
        with pytest.raises(BadSignature, match="whsec_"):
            verify_webhook(BODY, _headers(f"v1,{empty}"), secrets, now=AT)


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b"\xff", b"{", b"[" * 100_000, b'{"a":' * 100_000])
def test_what_is_signed_and_no_event_is_refused(body: bytes) -> None:
    """A right signature over something that is no JSON object."""
    with pytest.raises(BadSignature, match="no JSON object"):
        verify_webhook(body, _signed(body), SECRET, now=AT)


_anything = st.one_of(st.text(), st.binary(), st.integers(), st.none())


@given(st.binary() | st.text(), st.dictionaries(st.sampled_from(sorted(_headers())), _anything), st.text(), st.text())
def test_no_input_raises_anything_else(body: Any, headers: Any, signature: str, secret: str) -> None:
    """Whatever comes in, the answer is BadSignature."""
    with pytest.raises(BadSignature):
        verify_webhook(body, headers, secret, now=AT)
    with pytest.raises(BadSignature):
        verify_webhook(body, _headers() | headers | {"webhook-signature": signature}, [SECRET, secret], now=AT)


@given(st.dictionaries(st.text(), st.text() | st.integers()), st.binary(min_size=1, max_size=64))
def test_what_was_signed_comes_back(event: dict[str, Any], key: bytes) -> None:
    """Any JSON object signed with any key."""
    secret, body = f"whsec_{base64.b64encode(key).decode()}", json.dumps(event).encode()
    assert verify_webhook(body, _signed(body, secret), secret, now=AT) == event
