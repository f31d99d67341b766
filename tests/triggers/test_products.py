"""A message's product is what a catalog would read, and becomes a catalog's request."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.catalogs.recipes import recipe
from tests.triggers.bodies import JSON, SHOPIFY, WOOCOMMERCE, encoded
from worker.catalogs import requests
from worker.catalogs.feeds import Product, open_feed
from worker.catalogs.feeds.problems import KINDS
from worker.catalogs.requests import NAMES, NoRequest
from worker.triggers import payloads
from worker.triggers.models import Style
from worker.triggers.products import wanted
from worker.triggers.wanted import CODES, NotWanted, Wanted

SAMPLES = Path(__file__).parents[3] / "shared" / "samples" / "webhooks"
PICTURE = "https://cdn.shopify.com/s/files/1/1/1.jpg?v=1"


def _wanted(style: Style, value: object) -> Wanted:
    return wanted(style, payloads.read(encoded(value)))


def _product(style: Style, value: object) -> Product:
    product = _wanted(style, value).product
    assert product
    return product


def test_shopify():
    """Prices by the first variant and what it was before, no picture though there is a list of them."""
    made = _wanted(Style.SHOPIFY, SHOPIFY)
    assert made.product == Product(
        ref="788032119674292922",
        title="Example T-Shirt",
        description="An example T-Shirt\nCotton",
        price="24.99",
        currency=None,
        sale_price="19.99",
        brand="Acme",
        link=None,
        pictures=(),
        status="active",
        available=True,
        place=1,
    )
    assert (made.ref, made.pictures) == ("788032119674292922", ())
    assert made.revision == 1_640_995_200_000_000  # 2022-01-01T00:00:00Z
    assert made.locator == {
        "id": "788032119674292922",
        "gid": "gid://shopify/Product/788032119674292922",
        "handle": "example-t-shirt",
        "sku": "example-shirt-s",
    }


@pytest.mark.parametrize(
    ("change", "status", "available", "pictures"),
    [
        ({"status": "draft"}, "draft", True, ()),
        ({"status": "archived"}, "archived", True, ()),
        ({"published_at": None}, "draft", True, ()),
        ({"variants": [{"price": "1.00", "inventory_quantity": 0, "inventory_policy": "deny"}]}, "active", False, ()),
        (
            {"variants": [{"price": "1.00", "inventory_quantity": 0, "inventory_policy": "continue"}]},
            "active",
            True,
            (),
        ),
        ({"variants": []}, "active", True, ()),
        ({"images": [{"src": PICTURE}, {"src": "x"}], "image": {"src": PICTURE}}, "active", True, (PICTURE,)),
        (
            {"images": [{"src": PICTURE + "2"}, {"src": PICTURE}], "image": None},
            "active",
            True,
            (PICTURE + "2", PICTURE),
        ),
    ],
)
def test_shopifys_ways_to_say_it(change: dict[str, Any], status: str, available: bool, pictures: tuple[str, ...]):
    """Drafts, what is sold out, pictures that are there twice or are none."""
    product = _product(Style.SHOPIFY, SHOPIFY | change)
    assert (product.status, product.available, product.pictures) == (status, available, pictures)


def test_woocommerce():
    """As its REST interface has it; told by its id where it has no SKU."""
    made = _wanted(Style.WOOCOMMERCE, WOOCOMMERCE)
    assert made.product == Product(
        ref="794",
        title="Premium Quality",
        description="Pellentesque habitant morbi tristique.",
        price="21.99",
        currency=None,
        sale_price=None,
        brand="Oak & Sons",
        link="https://example.com/product/premium-quality-19/",
        pictures=(
            "https://example.com/wp-content/uploads/2017/03/T_2_front-4.jpg",
            "https://example.com/wp-content/uploads/2017/03/T_2_back-2.jpg",
        ),
        status="active",
        available=True,
        place=1,
    )
    assert made.revision == 1_490_299_274_000_000  # 2017-03-23T20:01:14Z, the zone unsaid
    assert made.locator == {"id": "794", "handle": "premium-quality-19"}


SALE = {"price": "15.00", "regular_price": "21.99", "sale_price": "15.00"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (SALE | {"on_sale": True}, {"price": "21.99", "sale_price": "15.00"}),
        (SALE | {"on_sale": False, "price": "21.99"}, {"price": "21.99", "sale_price": None}),
        ({"type": "variable", "regular_price": "", "price": "9.00"}, {"price": "9.00", "sale_price": None}),
        ({"type": "variable", "regular_price": "", "price": ""}, {"price": None}),
        ({"status": "draft"}, {"status": "draft"}),
        ({"status": "pending"}, {"status": "draft"}),
        ({"status": "private"}, {"status": "draft"}),
        ({"status": "future"}, {"status": "draft"}),
        ({"status": "trash"}, {"status": "archived"}),
        ({"status": "trash", "catalog_visibility": "hidden"}, {"status": "archived"}),
        ({"catalog_visibility": "hidden"}, {"status": "draft"}),
        ({"catalog_visibility": "search"}, {"status": "active"}),
        ({"stock_status": "outofstock"}, {"available": False}),
        ({"stock_status": "onbackorder", "stock_quantity": -1}, {"available": True}),
        ({"description": ""}, {"description": "Short."}),
        ({"brands": []}, {"brand": None}),
        ({"images": []}, {"pictures": ()}),
        ({"sku": "woo-1"}, {"ref": "woo-1"}),
    ],
)
def test_woocommerces_ways_to_say_it(change: dict[str, Any], expected: dict[str, Any]):
    """Sales that are on and those that are planned, prices of variations, what is hidden, planned or thrown away."""
    product = _product(Style.WOOCOMMERCE, WOOCOMMERCE | change)
    assert {name: getattr(product, name) for name in expected} == expected


def test_a_sku_is_kept_beside_the_id():
    """Whoever brings the video back finds the product by either."""
    assert _wanted(Style.WOOCOMMERCE, WOOCOMMERCE | {"sku": "woo-1"}).locator == {
        "id": "794",
        "handle": "premium-quality-19",
        "sku": "woo-1",
    }


PLAIN = {"id": 7, "title": "Mug", "price": 19.5, "image": PICTURE, "updated_at": "2026-01-01T00:00:00.000001+00:00"}


@pytest.mark.parametrize(
    ("style", "wrap"),
    [
        *(
            (style, wrap)
            for style in (Style.BEARER, Style.GITHUB)
            for wrap in (lambda one: one, lambda one: {"product": one})
        ),
        (Style.STANDARD, lambda one: {"type": "product.updated", "timestamp": "2026-01-01T00:00:00Z", "data": one}),
        (Style.STANDARD, lambda one: {"type": "product.updated", "data": {"product": one}}),
        (Style.STRIPE, lambda one: {"id": "evt_1", "type": "product.updated", "data": {"object": one}}),
    ],
)
def test_other_styles_wrap_it(style: Style, wrap: Any):
    """Or send it as it is; the event's own id and time are not the product's."""
    made = _wanted(style, wrap(PLAIN))
    assert made.product
    assert (made.ref, made.product.price, made.pictures) == ("7", "19.5", (PICTURE,))
    assert made.revision == 1_767_225_600_000_001


@pytest.mark.parametrize(
    ("style", "value", "code"),
    [
        *((style, value, "trigger.no_product") for style in Style for value in ([], "x", None, 1, [SHOPIFY])),
        (Style.SHOPIFY, {"id": 1}, "item.no_title"),
        (Style.SHOPIFY, {"title": "x"}, "item.no_ref"),
        (Style.SHOPIFY, {}, "item.no_ref"),
        (Style.SHOPIFY, {"id": "x" * 256, "title": "x"}, "item.bad_ref"),
        (Style.WOOCOMMERCE, {"id": 1}, "item.no_title"),
        (Style.WOOCOMMERCE, WOOCOMMERCE | {"type": "variation", "parent_id": 794}, "trigger.variation"),
    ],
)
def test_what_is_no_product(style: Style, value: object, code: str):
    """Is told why: what a deletion sends, a variation, nothing to tell it by."""
    with pytest.raises(NotWanted) as refused:
        _wanted(style, value)
    assert refused.value.code == code
    assert code in CODES or code in KINDS
    assert refused.value.detail


ALL = " / ".join(f"{{{{ {name} }}}}" for name in NAMES)
DECLARED = {name: {"type": "list", "required": False} if name == "pictures" else {"required": False} for name in NAMES}


@pytest.mark.parametrize(("style", "value"), [(Style.SHOPIFY, SHOPIFY), (Style.WOOCOMMERCE, WOOCOMMERCE)])
def test_it_becomes_a_catalogs_request(style: Style, value: dict[str, Any]):
    """With the same variables, and under the owner's prefix."""
    made = _wanted(style, value)
    assert made.product
    requested, _ = requests.request(made.product, recipe(ALL, DECLARED, ref_prefix="shop-", speaks="en"))
    assert requested.request.external_ref == f"shop-{made.ref}"
    assert dict(requested.used) == made.variables
    assert requested.request.assets == [{"url": one} for one in made.pictures]


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the samples are not on this machine")
@pytest.mark.parametrize("name", ["product", "products"])
def test_real_products_are_what_a_catalog_reads(tmp_path: Path, name: str):
    """Each as a message of its own, and all of them as a file."""
    content = json.loads((SAMPLES / f"shopify_python_api_{name}.json").read_text())
    bodies = content if isinstance(content, list) else [content["product"]]
    (tmp_path / "feed.json").write_text(json.dumps({"products": bodies}))
    read = [item for item in open_feed(tmp_path / "feed.json").items() if isinstance(item, Product)]
    assert len(read) == len(bodies)
    for body, product in zip(bodies, read, strict=True):
        made = _product(Style.SHOPIFY, body)
        assert {one: getattr(made, one) for one in DECLARED} == {one: getattr(product, one) for one in DECLARED}
        assert (made.status, made.available) == (product.status, product.available)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(Style), st.one_of(JSON, st.dictionaries(st.sampled_from([*SHOPIFY, *WOOCOMMERCE]), JSON)))
def test_any_json_is_a_product_or_told_why_not(style: Style, value: object):
    """Nothing else is ever raised, and what comes out can be kept."""
    try:
        made = _wanted(style, value)
    except NotWanted as refused:
        code = refused.code
    else:
        assert made.product
        json.dumps([made.variables, made.locator, made.pictures], ensure_ascii=False, allow_nan=False).encode()
        assert made.revision is None or abs(made.revision) < 2**63
        code = _code(made.product)
    assert code in {*CODES, *KINDS, "template.not_filled", "requested"}


def _code(product: Product) -> str:
    try:
        requests.request(product, recipe(ALL, DECLARED, speaks="en"))
    except NoRequest as refused:
        return refused.problem.code
    return "requested"
