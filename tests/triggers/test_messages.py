"""What messages say about themselves, by the documentation of each style."""

import hashlib
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.datastructures import Headers

from tests.triggers.bodies import JSON, SHOPIFY, encoded
from worker.triggers.messages import KEPT, Message, read
from worker.triggers.models import Style

BODY = b'{"id":788032119674292922,"title":"Example T-Shirt"}'
SUM = "d01a940b9e06249ac120b3b3a531cd7b6d2e668d3cf2abed8c4ab00c28156e29"
"""`printf '%s' "$BODY" | sha256sum`."""
ID = "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043"


def _of_shopify(before: str) -> dict[str, str]:
    return {
        f"{before}Shopify-Topic": "products/update",
        f"{before}Shopify-Hmac-Sha256": "XWmrwMey6OsLMeiZKwP4FppHH3cmAiiJJAweH5Jo4bM=",
        f"{before}Shopify-Shop-Domain": "johns-apparel.myshopify.com",
        f"{before}Shopify-API-Version": "2026-10",
        f"{before}Shopify-Webhook-Id": ID,
        f"{before}Shopify-Triggered-At": "2023-03-29T18:00:27.877041743Z",
        f"{before}Shopify-Event-Id": "98880550-7158-44d4-b7cd-2c97c8a091b5",
    }


@pytest.mark.parametrize("before", ["X-", ""])
def test_shopify(before: str):
    """With the names of its headers as they were and as they become."""
    message = read(Style.SHOPIFY, _of_shopify(before), encoded(SHOPIFY))
    assert (message.key, message.topic) == (ID, "products/update")
    assert message.sent_at == datetime(2023, 3, 29, 18, 0, 27, 877041, UTC)
    assert message.payload == SHOPIFY
    assert message.kept[f"{before}shopify-topic".lower()] == "products/update"


WOOCOMMERCE = {
    "X-WC-Webhook-Source": "https://example.com:8443/shop/",
    "X-WC-Webhook-Topic": "product.updated",
    "X-WC-Webhook-Resource": "product",
    "X-WC-Webhook-Event": "updated",
    "X-WC-Webhook-ID": "142",
    "X-WC-Webhook-Delivery-ID": "0f2b2d7d2e1f5d6c",
}


def test_woocommerce_tells_messages_by_their_body_too():
    """Two products that are saved in one second have the same delivery id."""
    one, other = (read(Style.WOOCOMMERCE, WOOCOMMERCE, body) for body in (BODY, BODY + b" "))
    assert (one.key, one.topic) == (f"0f2b2d7d2e1f5d6c:{SUM}", "product.updated")
    assert other.key != one.key
    assert one.key == read(Style.WOOCOMMERCE, WOOCOMMERCE, BODY).key


def test_standard_webhooks():
    """The id is the header's, the topic the body's `type`."""
    headers = {"webhook-id": "msg_1", "webhook-timestamp": "1770000000", "webhook-signature": "v1,x"}
    message = read(Style.STANDARD, headers, b'{"type": "product.updated", "timestamp": "2025-10-09T08:53", "data": {}}')
    assert (message.key, message.topic, message.sent_at) == (
        "msg_1",
        "product.updated",
        datetime(2025, 10, 9, 8, 53, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("body", "topic"),
    [(b'{"action": "published"}', "release.published"), (b"{}", "release"), (b'{"action": 1}', "release")],
)
def test_github(body: bytes, topic: str):
    """The event, and what happened where the body says so."""
    message = read(Style.GITHUB, {"X-GitHub-Event": "release", "X-GitHub-Delivery": ID}, body)
    assert (message.key, message.topic) == (ID, topic)


def test_stripe():
    """All is in the body."""
    body = b'{"id": "evt_1", "object": "event", "type": "product.updated", "created": 1760000000, "account": "acct_1"}'
    message = read(Style.STRIPE, {"Stripe-Signature": "t=1,v1=x"}, body)
    assert (message.key, message.topic) == ("evt_1", "product.updated")
    assert message.sent_at == datetime(2025, 10, 9, 8, 53, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "body", "key", "topic"),
    [
        ({"Idempotency-Key": "k1", "webhook-id": "w1", "X-Topic": "a/b"}, b'{"type": "c"}', "k1", "a/b"),
        ({"webhook-id": "w1"}, b'{"type": "c", "event": "d"}', "w1", "c"),
        ({"webhook-id": "w1"}, b'{"event": "d"}', "w1", "d"),
        ({}, BODY, f"body:{SUM}", None),
    ],
)
def test_bearer(headers: dict[str, str], body: bytes, key: str, topic: str | None):
    """Whatever a program of one's own likes to send."""
    message = read(Style.BEARER, headers, body)
    assert (message.key, message.topic) == (key, topic)


@pytest.mark.parametrize("style", Style)
def test_a_message_without_an_id_is_its_body(style: Style):
    """Also where the id is blank or no text: the same body is the same message, another one is not."""
    blank = {"X-Shopify-Webhook-Id": " ", "webhook-id": "", "X-GitHub-Delivery": " ", "Idempotency-Key": "\t"}
    for headers in ({}, blank):
        assert read(style, headers, BODY).key == f"body:{SUM}"
        assert read(style, headers, b'{"id": 2}').key != f"body:{SUM}"


@pytest.mark.parametrize("key", ["x" * 201, "ключ", "a b"])
def test_a_strange_id_is_told_by_its_sum(key: str):
    """Which is as good a key, and can be kept."""
    expected = f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"
    assert read(Style.BEARER, {"Idempotency-Key": key}, BODY).key == expected


SECRET = ("signature", "hmac", "authorization", "cookie", "x-forwarded-for", "x-real-ip", "token")


def test_no_secret_is_kept():
    """Of all that any style signs with, of cookies, and of what a proxy says about a person."""
    headers = (
        _of_shopify("X-")
        | _of_shopify("")
        | WOOCOMMERCE
        | {
            "X-WC-Webhook-Signature": "x",
            "webhook-signature": "x",
            "X-Hub-Signature-256": "x",
            "X-Hub-Signature": "x",
            "Stripe-Signature": "x",
            "Authorization": "Bearer x",
            "Cookie": "x",
            "X-Forwarded-For": "x",
            "X-GitHub-Token": "x",
            "User-Agent": "WooCommerce/10 Hookshot (WordPress/6)",
        }
    )
    kept = read(Style.SHOPIFY, headers, BODY).kept
    assert not [name for name in (*kept, *KEPT) if any(word in name for word in SECRET)]
    assert kept["user-agent"] == "WooCommerce/10 Hookshot (WordPress/6)"
    assert "x" not in kept.values()


HEADERS = st.lists(
    st.tuples(
        st.sampled_from(sorted(KEPT | {"stripe-signature", "x-other"})),
        st.one_of(st.text(alphabet=st.characters(max_codepoint=255)), st.text(alphabet="0123456789-T:Z.")),
    ),
    max_size=8,
)
BODIES = st.one_of(st.binary(), JSON.map(encoded))


def _storable(message: Message) -> None:
    for text in (message.key, message.topic, *message.kept, *message.kept.values()):
        if text is not None:
            text.encode()
            assert "\0" not in text
            assert 0 < len(text) <= 500
    assert message.key.isascii()
    assert not message.sent_at or message.sent_at.tzinfo


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(Style), HEADERS, BODIES)
def test_any_message_can_be_kept_and_replayed(style: Style, headers, body: bytes):
    """Nothing raises, all is bounded text, and what is kept leads to the same key and topic again."""
    message = read(style, Headers(raw=[(name.encode(), value.encode("latin-1")) for name, value in headers]), body)
    _storable(message)
    again = read(style, message.kept, body)
    if all(len(value) <= 500 for _, value in headers):
        assert (again.key, again.topic) == (message.key, message.topic)
