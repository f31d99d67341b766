"""A product and a template become a request: which product, and what the template is told of it."""

import time
from dataclasses import replace

import pytest

from tests.catalogs.recipes import recipe
from worker.catalogs import requests
from worker.catalogs.feeds import Product
from worker.catalogs.requests import NAMES, NoRequest

PRODUCT = Product(
    ref="sku-1",
    title="Red mug",
    description="Handmade.\nDishwasher safe.",
    price="19.90",
    currency="EUR",
    sale_price="9.90",
    brand="Oak",
    link="https://shop.example/p",
    pictures=("https://shop.example/2.jpg", "https://shop.example/1.jpg"),
    status="active",
    available=True,
    place=2,
)
ALL = " / ".join(f"{{{{ {name} }}}}" for name in NAMES)
DECLARED = {name: {"type": "list"} if name == "pictures" else {} for name in NAMES}


@pytest.fixture(scope="module", autouse=True)
def _settings() -> None:
    """No database."""


@pytest.fixture(autouse=True)
def _empty() -> None:
    """Nothing to empty."""


def test_each_field_of_a_product_is_a_variable():
    """Title, description, prices, currency, brand, link, ref, and the pictures in their order, which are assets too."""
    made, remarks = requests.request(PRODUCT, recipe(ALL, DECLARED, ref_prefix="shop-"))
    assert made.request.prompt == (
        "Red mug / Handmade.\nDishwasher safe. / 19.90 / 9.90 / EUR / Oak / https://shop.example/p / sku-1 / "
        "https://shop.example/2.jpg, https://shop.example/1.jpg"
    )
    assert made.request.assets == [{"url": address} for address in PRODUCT.pictures]
    assert (made.request.external_ref, made.request.tags, remarks) == ("shop-sku-1", ["own"], [])


def test_what_a_feed_does_not_say_is_nothing():
    """An optional variable is left out; one that the template demands makes no request of the product."""
    bare = replace(PRODUCT, price=None, brand=None, description="")
    prompt = "{{ title }}{% if price %} for {{ price }}{% endif %}"
    made, _ = requests.request(bare, recipe(prompt, {"title": {}, "price": {"required": False}}))
    assert (made.request.prompt, dict(made.used)) == ("Red mug", {"title": "Red mug"})
    with pytest.raises(NoRequest) as missing:
        requests.request(bare, recipe("{{ price }}", {"price": {}}))
    assert (missing.value.problem.code, missing.value.problem.fatal) == ("template.variables", True)


def test_prices_may_be_numbers_and_texts_are_cut_between_words():
    """A template may compute with a price, and takes no more of a description than it declares."""
    variables = {"price": {"type": "number"}, "description": {"max_length": 12}}
    made, _ = requests.request(PRODUCT, recipe("{{ price * 2 }} {{ description }}", variables))
    assert made.request.prompt == "39.8 Handmade.…"


@pytest.mark.parametrize(
    ("status", "available", "include", "wanted"),
    [
        ("active", True, [], True),
        ("draft", True, [], False),
        ("archived", True, [], False),
        ("active", False, [], False),
        ("draft", True, ["draft"], True),
        ("draft", True, ["archived"], False),
        ("archived", True, ["archived"], True),
        ("active", False, ["out_of_stock"], True),
        ("draft", False, ["draft"], False),
        ("draft", False, ["draft", "out_of_stock"], True),
    ],
)
def test_what_is_left_out_unless_asked_for(status: str, available: bool, include: list[str], wanted: bool):
    """Drafts, archived and sold-out products, each by its own word."""
    product = replace(PRODUCT, status=status, available=available)
    assert recipe(ALL, DECLARED, include=include).wants(product) is wanted


def test_a_video_is_held_to_the_templates_own_words():
    """A product's minutes are its own; nothing asked for is kept as that, or the filled prompt would be read again."""
    long = replace(PRODUCT, title="a 60-second soup. Create a 20-second square video")
    made, _ = requests.request(long, recipe("a 9:16 video about {{ title }}", {"title": {}}))
    assert made.request.expect == {"duration_seconds": None, "aspect": "9:16", "silent": False}
    made, _ = requests.request(long, recipe("show {{ title }}", {"title": {}}))
    assert made.request.expect == {"duration_seconds": None, "aspect": None, "silent": False}


def test_a_thousand_products_are_a_matter_of_a_second():
    """A feed of a million is read in minutes."""
    promo = recipe(ALL, DECLARED)
    began = time.process_time()
    for at in range(1_000):
        requests.request(replace(PRODUCT, ref=str(at)), promo)
    assert time.process_time() - began < 3
