"""Who may say something: each style's signature against digests of another tool, and against everything else.

The digests are OpenSSL's, with B the body, S the secret and T the time below:

    printf '%s' "$B" | openssl dgst -sha256 -hmac "$S" -binary | openssl base64 -A     Shopify, WooCommerce
    printf '%s' "$B" | openssl dgst -sha256 -hmac "$S" -r                              GitHub
    printf '%s' "$T.$B" | openssl dgst -sha256 -hmac "$S" -r                           Stripe
    printf '%s' "msg_1.$T.$B" | openssl dgst -sha256 -mac HMAC -macopt hexkey:$K …     Standard Webhooks, K the secret's
                                                                                       bytes: base64 -d | od -An -tx1
"""

import base64
import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
import standardwebhooks
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.datastructures import Headers

from worker.triggers import secrets
from worker.triggers.models import Style
from worker.triggers.signatures import BadSignature, ping, unsigned_ping, verify

VECTORS = Path(__file__).parents[3] / "shared" / "samples" / "webhooks" / "webhook_vectors.json"
BODY = b'{"id":788032119674292922,"title":"Example T-Shirt"}'
ONE, TWO = "shop-secret-one", "shop-secret-two"
AT = 1_760_000_000
IN_BASE64 = "egaLu20A9UgkvKcXhxc35pVJrwFX4EKCijl6+26HUPY="
IN_BASE64_BY_TWO = "j3fbZLvNf0ra8FMHhQM3T9G/HBL3gzT3SUAfoGTskdU="
IN_HEX = "7a068bbb6d00f54824bca717871737e69549af0157e042828a397afb6e8750f6"
STRIPE = "1291c8cdf3f6fdd799bc28b9eff3c06d7c2a7ea4479f9fd9d8c07dd476bf834e"
STRIPE_BY_TWO = "560c766fdfce045b889655f99489394375d291c007eeea3ea56bbb532afe1b83"
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
STANDARD = "v1,DmypnGJYdxxTsUkV99vAby6lFfG53MuVOfilkeU6gxg="
LONGER = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwBg=="
STANDARD_BY_LONGER = "v1,KBZOHNABZSQyaT23QvCUt4aO4Vlwq9qssoAqHlBaAp0="


def _standard(signature: str = STANDARD, at: object = AT, identifier: str = "msg_1") -> dict[str, str]:
    return {"webhook-id": identifier, "webhook-timestamp": str(at), "webhook-signature": signature}


SIGNED: dict[str, tuple[Style, Mapping[str, str], str]] = {
    "shopify": (Style.SHOPIFY, {"X-Shopify-Hmac-Sha256": IN_BASE64}, ONE),
    "shopify without X": (Style.SHOPIFY, {"Shopify-Hmac-Sha256": IN_BASE64}, ONE),
    "shopify both": (Style.SHOPIFY, {"Shopify-Hmac-Sha256": IN_BASE64, "X-Shopify-Hmac-Sha256": IN_BASE64}, ONE),
    "woocommerce": (Style.WOOCOMMERCE, {"X-WC-Webhook-Signature": IN_BASE64}, ONE),
    "github": (Style.GITHUB, {"x-hub-signature-256": f"sha256={IN_HEX}"}, ONE),
    "stripe": (Style.STRIPE, {"Stripe-Signature": f"t={AT},v1={STRIPE},v0=6ffbb59b"}, ONE),
    "stripe in rotation": (Style.STRIPE, {"Stripe-Signature": f"t={AT}, v1={STRIPE_BY_TWO}, v1={STRIPE}"}, ONE),
    "standard": (Style.STANDARD, _standard(), WHSEC),
    "standard without prefix": (Style.STANDARD, _standard(), WHSEC.removeprefix("whsec_")),
    "standard without padding": (Style.STANDARD, _standard(STANDARD_BY_LONGER), LONGER.rstrip("=")),
    "standard with padding": (Style.STANDARD, _standard(STANDARD_BY_LONGER), LONGER),
    "standard among others": (Style.STANDARD, _standard(f"v1,AAAA v2,AAAA {STANDARD} garbage v1,AAAA"), WHSEC),
    "bearer": (Style.BEARER, {"Authorization": "Bearer a-secret-of-one's-own"}, "a-secret-of-one's-own"),
    "bearer in another case": (Style.BEARER, {"authorization": "bearer  a-secret"}, "a-secret"),
}
EACH = pytest.mark.parametrize(("style", "headers", "secret"), SIGNED.values(), ids=SIGNED)


@EACH
def test_what_the_secret_signed_is_taken(style: Style, headers: Mapping[str, str], secret: str):
    """Alone, and as the older or the newer of two; not by others, and not for another body."""
    other = secrets.made(style)
    for good in ([secret], [secret, other], [other, secret]):
        verify(style, headers, BODY, good, now=AT)
    for bad in ([other], [other, other], []):
        with pytest.raises(BadSignature):
            verify(style, headers, BODY, bad, now=AT)
    if style is not Style.BEARER:
        with pytest.raises(BadSignature, match="no signature is right"):
            verify(style, headers, BODY + b" ", [secret], now=AT)


@EACH
def test_a_header_twice_is_none(style: Style, headers: Mapping[str, str], secret: str):
    """Even where both are right: what stands between may have checked the other one."""
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    verify(style, Headers(raw=raw), BODY, [secret], now=AT)
    for one in raw:
        with pytest.raises(BadSignature, match="twice"):
            verify(style, Headers(raw=[*raw, one]), BODY, [secret], now=AT)


@EACH
@pytest.mark.parametrize(
    "value", [None, "", " ", "é", "x" * 5000, "\0", "v1,", "sha256=", "t=,v1=", "Bearer ", ",", "="]
)
def test_a_header_that_is_none(style: Style, headers: Mapping[str, str], secret: str, value: str | None):
    """Missing, empty, no ASCII, without end, or only its own beginning."""
    for name in headers:
        others = {one: text for one, text in headers.items() if one != name and "hopify" not in one}
        changed = others if value is None else others | {name: value}
        with pytest.raises(BadSignature):
            verify(style, changed, BODY, [secret], now=AT)


@EACH
def test_almost_right_is_wrong(style: Style, headers: Mapping[str, str], secret: str):
    """Each header cut by a character, or with one more; the published vectors' own ways to be wrong are below."""
    for name, value in headers.items():
        for wrong in (value[:-1], value + "A", value + "=", value + "\t."):
            if name == "webhook-signature" and " " in value:
                continue  # one of several that are wrong already
            if "v0=" in value:
                continue
            with pytest.raises(BadSignature):
                verify(style, dict(headers) | {name: wrong}, BODY, [secret], now=AT)


def test_a_secret_need_not_be_ascii():
    """It is signed with as UTF-8: `printf '%s' "$B" | openssl dgst -sha256 -hmac "Zauberschlüssel" -binary`."""
    headers = {"X-WC-Webhook-Signature": "UklH0B7AnX0YfPxt2e/gcJx4KsBBmY39KAmsKss0PDg="}
    verify(Style.WOOCOMMERCE, headers, BODY, ["Zauberschlüssel"])


def test_a_body_need_not_be_text():
    """`printf '\\xff\\x00\\xfe' | openssl dgst -sha256 -hmac shop-secret-one -binary | openssl base64`."""
    headers = {"X-Shopify-Hmac-Sha256": "k6IaxOF+Y7d7PqoyTemhdgBOte29o3LqJ3wxbw4aXn4="}
    verify(Style.SHOPIFY, headers, b"\xff\x00\xfe", [ONE])


@pytest.mark.parametrize("style", [Style.STANDARD, Style.STRIPE])
@pytest.mark.parametrize(("off", "taken"), [(0, 1), (300, 1), (-300, 1), (301, 0), (-301, 0), (300.5, 0), (1e9, 0)])
def test_a_signed_time_is_of_these_minutes(style: Style, off: float, taken: int):
    """300 seconds either way, both ends included."""
    _, headers, secret = SIGNED[style.value]
    if taken:
        verify(style, headers, BODY, [secret], now=AT + off)
    else:
        with pytest.raises(BadSignature, match="300 s off"):
            verify(style, headers, BODY, [secret], now=AT + off)


def test_the_clock_is_asked_where_no_time_is_given():
    """A message of 2025 is old."""
    with pytest.raises(BadSignature, match="300 s off"):
        verify(Style.STANDARD, _standard(), BODY, [WHSEC])


@pytest.mark.parametrize("at", ["1e9", "-1", "+1760000000", "1760000000.0", "nan", "inf", "١٧٦", "9" * 13, "0x1"])
def test_a_time_is_digits(at: str):
    """Of ASCII, and not as many as make a number too large."""
    with pytest.raises(BadSignature):
        verify(Style.STANDARD, _standard(at=at), BODY, [WHSEC], now=AT)
    with pytest.raises(BadSignature):
        verify(Style.STRIPE, {"Stripe-Signature": f"t={at},v1={STRIPE}"}, BODY, [ONE], now=AT)


@pytest.mark.parametrize(
    "signature",
    [
        f"v1={STRIPE}",
        f"t={AT}",
        f"t={AT},v0={STRIPE}",
        f"t={AT},t={AT},v1={STRIPE}",
        f"t={AT},{STRIPE}",
        f"t={AT};v1={STRIPE}",
        f"t={AT}" + f",v1={STRIPE_BY_TWO}" * 20 + f",v1={STRIPE}",
    ],
)
def test_stripes_parts(signature: str):
    """One time, and a few signatures of the scheme that is in use."""
    with pytest.raises(BadSignature):
        verify(Style.STRIPE, {"Stripe-Signature": signature}, BODY, [ONE], now=AT)


def test_shopifys_two_names_may_not_differ():
    """During its change of names it may send both."""
    headers = {"X-Shopify-Hmac-Sha256": IN_BASE64, "Shopify-Hmac-Sha256": IN_BASE64_BY_TWO}
    with pytest.raises(BadSignature, match="differ"):
        verify(Style.SHOPIFY, headers, BODY, [ONE, TWO])


PUBLISHED = [
    ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, '{"test": 2432232314}',
     "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
    ("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", 1649367553,
     '{"email":"test@example.com","username":"test_user"}', "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw="),
]  # fmt: skip
"""Standard Webhooks' own: libraries/python/tests/test_webhooks.py, libraries/rust/src/lib.rs."""


@pytest.mark.parametrize(("secret", "identifier", "at", "body", "signature"), PUBLISHED)
def test_the_published_vectors_of_standard_webhooks(secret: str, identifier: str, at: int, body: str, signature: str):
    """Those that are right."""
    verify(Style.STANDARD, _standard(signature, at, identifier), body.encode(), [secret], now=at)


WRONG = [
    "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OA=",
    "v1,",
    "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc=",
    "garbage",
    "v1,a,b",
    "v1,a",
    "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
]


@pytest.mark.parametrize("signature", WRONG)
def test_the_published_ways_to_be_wrong(signature: str):
    """On some of which the published library raises what is not its own."""
    secret, identifier, at, body, right = PUBLISHED[0]
    for one in (signature, f"{signature} {signature}"):
        with pytest.raises(BadSignature):
            verify(Style.STANDARD, _standard(one, at, identifier), body.encode(), [secret], now=at)
    verify(Style.STANDARD, _standard(f"{signature} {right}", at, identifier), body.encode(), [secret], now=at)


def test_githubs_published_vector():
    """docs.github.com, "Validating webhook deliveries", "Testing the webhook payload validation"."""
    digest = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    verify(Style.GITHUB, {"X-Hub-Signature-256": digest}, b"Hello, World!", ["It's a Secret to Everybody"])
    for wrong in (digest[7:], digest.replace("256=", "1="), digest[:-1], digest + "0", digest.replace("7", "8")):
        with pytest.raises(BadSignature):
            verify(Style.GITHUB, {"X-Hub-Signature-256": wrong}, b"Hello, World!", ["It's a Secret to Everybody"])


@pytest.mark.skipif(not VECTORS.is_file(), reason="the samples are not on this machine")
def test_the_vectors_on_file():
    """All of them, as somebody else collected them."""
    vectors = json.loads(VECTORS.read_text())
    for one in vectors["standard_webhooks"]:
        headers = _standard(one["signature"], one["timestamp"], one["id"])
        verify(Style.STANDARD, headers, one["body"].encode(), [one["secret"]], now=one["timestamp"])
    first = vectors["standard_webhooks"][0]
    rejected = [text for one in vectors["standard_webhooks_must_reject"] for text in one.get("signatures", [])]
    rejected += [one["signature"] for one in vectors["standard_webhooks_must_reject"] if "signature" in one]
    assert len(rejected) == 6
    for signature in rejected:
        headers = _standard(signature, first["timestamp"], first["id"])
        with pytest.raises(BadSignature):
            verify(Style.STANDARD, headers, first["body"].encode(), [first["secret"]], now=first["timestamp"])
    hub = vectors["github"]
    headers = {"X-Hub-Signature-256": hub["X-Hub-Signature-256"]}
    verify(Style.GITHUB, headers, hub["body"].encode(), [hub["secret"]])


@settings(max_examples=50, deadline=None)
@given(st.binary(min_size=1, max_size=64), st.text(), st.from_regex(r"[!-~]{1,40}", fullmatch=True))
def test_what_the_published_library_signs(key: bytes, text: str, identifier: str):
    """Is right to us, whatever the secret, the id and the body are."""
    webhook, at = standardwebhooks.Webhook(key), int(time.time())
    body = text.encode(errors="ignore")
    signature = webhook.sign(identifier, datetime.fromtimestamp(at, UTC), body.decode())
    secret = _in_base64(key)
    for form in (secret, secret.rstrip("="), f"whsec_{secret}"):
        verify(Style.STANDARD, _standard(signature, at, identifier), body, [form], now=at)


def _in_base64(key: bytes) -> str:
    return base64.b64encode(key).decode()


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature"]), st.data())
def test_what_is_taken_the_published_library_takes(name: str, data: st.DataObject):
    """A right message with a few characters of one header changed, dropped or put in: ours is never the laxer one."""
    webhook, at = standardwebhooks.Webhook(WHSEC), int(time.time())
    headers = _standard(webhook.sign("msg_1", datetime.fromtimestamp(at, UTC), BODY.decode()), at)
    start, end = sorted(data.draw(st.tuples(st.integers(0, 12), st.integers(0, 12))))
    new = data.draw(st.text(alphabet="v1,2 =+.AZ09", max_size=4))
    changed = headers | {name: headers[name][:start] + new + headers[name][end:]}
    try:
        verify(Style.STANDARD, changed, BODY, [WHSEC])
    except BadSignature:
        return
    webhook.verify(BODY, {one: text.strip() for one, text in changed.items()})


LIKELY = st.sampled_from(
    [
        IN_BASE64,
        f"sha256={IN_HEX}",
        f"t={AT},v1={STRIPE}",
        STANDARD,
        "Bearer x",
        str(AT),
        "msg_1",
        "v1,",
        "t=",
        ",",
        " ",
    ]
)
NAMES = st.sampled_from(sorted({name.lower() for _, headers, _ in SIGNED.values() for name in headers}))
ANY = st.one_of(st.text(), LIKELY, st.lists(st.one_of(st.text(max_size=3), LIKELY), max_size=5).map("".join))


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(Style),
    st.lists(st.tuples(NAMES, ANY)),
    st.binary(),
    st.lists(st.one_of(st.text(), st.sampled_from([ONE, WHSEC])), max_size=3),
    st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False), st.just(AT)),
)
def test_whatever_comes_is_right_or_refused(style: Style, headers, body: bytes, given_secrets: list[str], now):
    """There is no third way: nothing else is ever raised, and nobody guesses a secret."""
    with pytest.raises(BadSignature) as refused:
        verify(style, _Many(headers), body, [f"{one}-" for one in given_secrets], now=now)
    assert refused.value.reason


class _Many(dict[str, str]):
    """Headers of which a name may come twice, as Starlette's."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        super().__init__(pairs)
        self._pairs = pairs

    def items(self):
        return list(self._pairs)


@pytest.mark.parametrize("style", Style)
def test_a_secret_that_we_make_is_usable(style: Style):
    """And no two are the same."""
    made = secrets.made(style)
    assert secrets.checked(style, made) == made
    assert made != secrets.made(style)


@pytest.mark.parametrize(
    ("style", "secret"),
    [
        *((style, secret) for style in Style for secret in ("", "short", "x" * 501, " with spaces ", "line\nline")),
        (Style.STANDARD, "whsec_"),
        (Style.STANDARD, "whsec_===="),
        (Style.STANDARD, "no base64 at all"),
        (Style.STANDARD, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwB"),
        (Style.STANDARD, "ключ-ключ-ключ"),
        (Style.BEARER, "only15character"),
        (Style.BEARER, "a secret with spaces"),
        (Style.SHOPIFY, "\ud800" * 20),
    ],
)
def test_a_secret_that_nothing_can_be_signed_with(style: Style, secret: str):
    """Is refused when it is given; none of them ever verifies."""
    with pytest.raises(secrets.BadSecret) as refused:
        secrets.checked(style, secret)
    assert not secret.strip() or secret not in str(refused.value)


FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    ("headers", "body", "is_ping"),
    [
        (FORM, b"webhook_id=1", True),
        (
            {"content-type": "Application/X-WWW-Form-Urlencoded; charset=UTF-8"},
            b"webhook_id=12345678901234567890",
            True,
        ),
        (FORM, b"webhook_id=", False),
        (FORM, b"webhook_id=1&a=b", False),
        (FORM, b"webhook_id=1\n", False),
        (FORM, b"webhook_id=-1", False),
        (FORM, "webhook_id=١".encode(), False),
        (FORM, b"webhook_id=" + b"1" * 21, False),
        (FORM, b'{"webhook_id": 1}', False),
        (FORM, b"", False),
        ({}, b"webhook_id=1", False),
        ({"Content-Type": "application/json"}, b"webhook_id=1", False),
        (FORM | {"X-WC-Webhook-Signature": IN_BASE64}, b"webhook_id=1", False),
    ],
)
def test_woocommerces_ping(headers: dict[str, str], body: bytes, is_ping: bool):
    """Exactly that form, and of no other style."""
    assert ping(Style.WOOCOMMERCE, headers, body) is unsigned_ping(Style.WOOCOMMERCE, headers, body) is is_ping
    assert not any(unsigned_ping(style, headers, body) for style in Style if style is not Style.WOOCOMMERCE)


def test_githubs_ping():
    """An event of that name; it is signed, so nothing unsigned is one."""
    headers = {"X-GitHub-Event": "ping"}
    assert ping(Style.GITHUB, headers, b"{}")
    assert not unsigned_ping(Style.GITHUB, headers, b"{}")
    assert not ping(Style.GITHUB, {"X-GitHub-Event": "push"}, b"{}")
    assert not ping(Style.SHOPIFY, headers, b"{}")
