"""A product that is asked for without a reference has one video, whatever reference it has had."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

from api.idempotency import Key
from api.publishing import intake
from api.publishing.schemas import ProductPlace, PublicationRequest
from tests.publishing.conftest import asked, at_shopify, deleted, owner_id, published, settled
from tests.publishing.shopify_standin import Shopify
from worker.publishing import driving
from worker.publishing.driving import Tools

Make = Callable[..., str]


def _brought(publisher: str, render: str, *handles: str) -> list[tuple[str, str]]:
    """Asked for in this order, without a reference; ids and references."""
    caller: Any = SimpleNamespace(owner_id=owner_id())
    wishes = [PublicationRequest(render_id=render, product=ProductPlace(handle=handle)) for handle in handles]
    made = [intake.ask(caller, Key(uuid4().hex, given=False), publisher, wish).body for wish in wishes]
    return [(one.id, one.ref) for one in made]


def test_a_product_whose_reference_went_to_another_has_one_video(shopify: Shopify, tools: Tools, render: Make):
    """What it had under the bare one is found under its own, and nothing of the other's is touched."""
    red, blue, publisher = shopify.has(7, "red"), shopify.has(9, "blue"), at_shopify(shopify)
    first, second = render(external_ref="lamp-7"), render(external_ref="lamp-7")
    _brought(publisher, first, "red")
    settled(tools)
    new = _brought(publisher, second, "blue", "red")
    assert [ref for _, ref in new] == ["lamp-7", "lamp-7 (handle red)"]
    settled(tools)
    for (publication, _), product in zip(new, (blue, red), strict=True):
        assert [one["id"] for one in shopify.videos(product)] == [published(publication).remote["media_id"]]


def test_a_product_whose_own_reference_is_left_has_one_video(shopify: Shopify, tools: Tools, render: Make):
    """The other way round: it had its own, and now the bare one, as its owner says."""
    shopify.has(7, "red")
    green, publisher = shopify.has(8, "green"), at_shopify(shopify)
    _brought(publisher, render(external_ref="lamp-7"), "red", "green")
    settled(tools)
    new = asked(publisher, render(), ref="lamp-7", handle="green")
    settled(tools)
    assert [one["id"] for one in shopify.videos(green)] == [published(new).remote["media_id"]]


def test_one_that_comes_late_under_its_own_reference_removes_no_newer_one(shopify: Shopify, tools: Tools, render: Make):
    """They do not supersede each other: two are there until the next one, and none is lost."""
    green, publisher = shopify.has(8, "green"), at_shopify(shopify)
    late = asked(publisher, render(), ref="lamp-7 (handle green)", handle="green")
    new = asked(publisher, render(), ref="lamp-7", handle="green")
    driving.drive(new, 0, tools)
    settled(tools)
    assert {one["id"] for one in shopify.videos(green)} == {published(one).remote["media_id"] for one in (late, new)}
    last = asked(publisher, render(), ref="lamp-7", handle="green")
    settled(tools)
    assert [one["id"] for one in shopify.videos(green)] == [published(last).remote["media_id"]]


def test_a_product_keeps_its_reference_after_its_render_was_deleted(shopify: Shopify, tools: Tools, render: Make):
    """Nothing but a digest of it is on file by then: in whatever order the next one is asked for, each product's video
    is replaced."""
    products, publisher = [shopify.has(8, "green"), shopify.has(7, "red")], at_shopify(shopify)
    first, second = render(external_ref="lamp-7"), render(external_ref="lamp-7")
    _brought(publisher, first, "red", "green")
    settled(tools)
    deleted(first)
    new = _brought(publisher, second, "green", "red")
    assert [ref for _, ref in new] == ["lamp-7 (handle green)", "lamp-7"]
    settled(tools)
    for (publication, _), product in zip(new, products, strict=True):
        assert [one["id"] for one in shopify.videos(product)] == [published(publication).remote["media_id"]]


def test_what_a_deleted_render_brought_under_the_bare_reference_is_replaced(
    shopify: Shopify, tools: Tools, render: Make
):
    """Also where another product has taken that since."""
    red, publisher = shopify.has(7, "red"), at_shopify(shopify)
    shopify.has(9, "blue")
    first, second = render(external_ref="lamp-7"), render(external_ref="lamp-7")
    _brought(publisher, first, "red")
    settled(tools)
    deleted(first)
    _, (new, ref) = _brought(publisher, second, "blue", "red")
    assert ref == "lamp-7 (handle red)"
    settled(tools)
    assert [one["id"] for one in shopify.videos(red)] == [published(new).remote["media_id"]]
