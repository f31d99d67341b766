"""The whole loop: a shop's signed webhook in, a render, its video on the product, and a signed webhook out."""

import base64
import hashlib
import hmac
import itertools
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook

from tests.journeys.conftest import ready_api
from tests.publishing.shopify_standin import TOKEN, Shopify
from tests.publishing.standin import running
from tests.receivers import Receiver, well
from tests.stack import Stack, WarmStack, here, until

SECRET = "shpss_a_secret_that_the_shop_shows"
SHOP = "lamps.myshopify.com"
PROMPT = "Create a 2 second video about {{ title }}{% if price %}, {{ price }} {% endif %}."
PRODUCT: dict[str, Any] = {
    "id": 632910392,
    "admin_graphql_api_id": "gid://shopify/Product/632910392",
    "title": "Brass Lamp",
    "handle": "brass-lamp",
    "body_html": "<p>It gives <b>light</b>.</p>",
    "vendor": "Lamps",
    "status": "active",
    "tags": "Brass, Light",
    "updated_at": "2026-11-26T10:00:00-05:00",
    "published_at": "2026-11-01T10:00:00-05:00",
    "variants": [{"id": 1, "price": "49.90", "sku": "LAMP-1", "inventory_management": None}],
    "images": [],
    "image": None,
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, database: str, broker_url: str) -> Iterator[Stack]:
    """Everything, with short waits at the shop."""
    waits = {"VIVIDEO_PUBLISH_POLL_SECONDS": "0.2"}
    home = tmp_path_factory.mktemp("stack")
    with WarmStack(home, database, broker_url, **waits) as all_of_it, here(all_of_it.environment):
        all_of_it.start_all()
        yield all_of_it


@pytest.fixture(scope="module")
def http(stack: Stack) -> Iterator[httpx.Client]:
    """The first owner, call by call."""
    with ready_api(stack) as connected:
        yield connected


@pytest.fixture(scope="module")
def shop() -> Iterator[Shopify]:
    """Shopify, with one product."""
    imitated = Shopify()
    with running(imitated):
        imitated.has(632910392, "brass-lamp")
        yield imitated


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    """The owner's own program."""
    with Receiver({"/hook": well}) as listening:
        yield listening


_numbers = itertools.count(1)


def sent(http: httpx.Client, trigger: dict[str, Any], product: dict[str, Any], **more: str) -> httpx.Response:
    """A message as the shop sends it: no API key, its signature over the bytes."""
    body = json.dumps(product).encode()
    digest = hmac.new(SECRET.encode(), body, hashlib.sha256).digest()
    headers = {
        "Content-Type": "application/json",
        "X-Shopify-Topic": "products/update",
        "X-Shopify-Shop-Domain": SHOP,
        "X-Shopify-Webhook-Id": f"b54557e4-{next(_numbers)}",
        "X-Shopify-Hmac-Sha256": base64.b64encode(digest).decode(),
    } | more
    return httpx.post(http.base_url.join(trigger["links"]["deliveries"]), content=body, headers=headers)


def made(http: httpx.Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """What a POST makes."""
    answer = http.post(path, json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_from_a_shops_webhook_to_the_video_on_its_product(http: httpx.Client, shop: Shopify, receiver: Receiver):
    """A product changes in the shop: a video is made and is on the product; the owner's program is told by webhooks
    that the published library takes. The same message again, and one that changes nothing, cost nothing. Another title
    gives another video in the first one's place; the old title again gives the first one back, without a render."""
    declared = {"title": {"type": "text"}, "price": {"type": "text", "default": ""}}
    made(http, "/v1/templates", {"name": "lamp", "prompt": PROMPT, "variables": declared})
    place = {"kind": "shopify", "settings": {"shop": shop.url}, "credentials": {"access_token": TOKEN}}
    publisher = made(http, "/v1/publishers", place)
    source = {"style": "shopify", "template": "lamp", "secret": SECRET, "publisher_id": publisher["id"]}
    trigger = made(http, "/v1/triggers", source)
    told = {"url": f"{receiver.url}/hook", "events": ["render.succeeded", "render.published"]}
    endpoint = made(http, "/v1/webhook-endpoints", told)

    first = sent(http, trigger, PRODUCT, **{"X-Shopify-Webhook-Id": "the-first"})
    assert (first.status_code, first.json()["verdict"]) == (200, "rendered"), first.text
    again = sent(http, trigger, PRODUCT, **{"X-Shopify-Webhook-Id": "the-first"}).json()
    assert (again["duplicate"], again["render_id"]) == (True, first.json()["render_id"])
    one = on_the_product(http, shop, receiver, first.json()["render_id"], published=1)

    (succeeded, published) = [one.event for one in receiver.on("/hook")]
    assert (succeeded["type"], published["type"]) == ("render.succeeded", "render.published")
    for received in receiver.on("/hook"):
        assert Webhook(endpoint["secret"]).verify(received.body, dict(received.headers)) == received.event
        assert received.event["data"]["render_id"] == one
    assert published["data"]["data"]["publisher_id"] == publisher["id"]

    retagged = PRODUCT | {"tags": "Brass, Light, Sale", "updated_at": "2026-11-26T11:00:00-05:00"}
    unchanged = sent(http, trigger, retagged).json()
    assert (unchanged["verdict"], unchanged["render_id"]) == ("unchanged", one)
    late = PRODUCT | {"title": "Of yesterday", "updated_at": "2026-11-25T11:00:00-05:00"}
    assert sent(http, trigger, late).json()["verdict"] == "stale"

    renamed = PRODUCT | {"title": "Silver Lamp", "updated_at": "2026-11-26T12:00:00-05:00"}
    other = sent(http, trigger, renamed).json()
    assert other["verdict"] == "rendered"
    on_the_product(http, shop, receiver, other["render_id"], published=2)

    back = PRODUCT | {"updated_at": "2026-11-26T13:00:00-05:00"}
    restored = sent(http, trigger, back).json()
    assert (restored["verdict"], restored["render_id"]) == ("unchanged", one)
    on_the_product(http, shop, receiver, one, published=3)
    listed = http.get("/v1/renders").json()["data"]
    assert {row["id"] for row in listed} == {one, other["render_id"]}, "two videos were made, and paid for"


def on_the_product(http: httpx.Client, shop: Shopify, receiver: Receiver, render: str, *, published: int) -> str:
    """Wait until a render's video was brought there for the `published`-th time; it is the only one, to the byte."""

    def times() -> int:
        return sum(one.event["type"] == "render.published" for one in receiver.on("/hook"))

    until(lambda: times() == published, 60, what="the video on the product")
    body = http.get(f"/v1/renders/{render}").json()
    (product,) = shop.products.values()
    (video,) = shop.videos(product)
    assert video["status"] == "READY"
    assert hashlib.sha256(shop.uploaded[video["source"]]).hexdigest() == body["result"]["sha256"]
    assert http.get(f"/v1/renders/{render}").json()["status"] == "succeeded"
    return body["id"]
