"""Real files, counted by hand: tests/catalogs/feeds has the same traps in files of its own."""

from pathlib import Path

import pytest

from tests.catalogs.feeds.reading import Feed
from worker.catalogs.feeds import NotAFeed, open_feed

SAMPLES = Path(__file__).parents[4] / "shared" / "samples"
pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason="the samples are not on this machine")


@pytest.mark.parametrize(
    ("file", "format", "products", "pictures"),
    [
        ("shopify/packt_Product-data.csv", "shopify_csv", 20, 21),
        ("woocommerce/e2e_sample_products.csv", "woocommerce_csv", 18, 26),
        ("woocommerce/e2e_sample_products_override.csv", "woocommerce_csv", 18, 26),
        ("meta/hostedfb_dpa_product_catalog_sample_feed.csv", "meta_csv", 9, 99),
        ("meta/hostedfb_da_sales_training_products.csv", "meta_csv", 6, 6),
        ("webhooks/shopify_python_api_product.json", "json", 1, 1),
        ("webhooks/shopify_python_api_products.json", "json", 4, 4),
    ],
)
def test_every_product_and_picture_is_there(file: str, format: str, products: int, pictures: int):
    """And not one row is skipped or remarked upon."""
    feed = Feed(SAMPLES / file)
    assert feed.reading.format == format
    assert (len(feed.products), sum(len(product.pictures) for product in feed.products)) == (products, pictures)
    assert feed.problems == []


def test_shopify_in_detail():
    """A record over several lines moves the places of the ones below it."""
    products = Feed(SAMPLES / "shopify/packt_Product-data.csv").products
    lamp, chairs, *_, gloves = products
    assert (lamp.ref, lamp.title, lamp.price, lamp.sale_price) == ("floor-lamp", "Floor Lamp", "85.00", "69.99")
    assert (lamp.description, lamp.status, lamp.available, lamp.place) == ("Black floor lamp", "active", True, 2)
    assert (chairs.place, products[2].place) == (3, 9)
    assert chairs.description.startswith("Description\nLorem ipsum")
    assert "Ingredients\nPellentesque" in chairs.description
    assert (gloves.price, len(gloves.pictures)) == ("9.99", 2)


def test_woocommerce_in_detail():
    """Variations are no products; of three without a price two have their variations'; SKUs are the refs."""
    products = {product.ref: product for product in Feed(SAMPLES / "woocommerce/e2e_sample_products.csv").products}
    assert [ref for ref, product in products.items() if product.price is None] == ["logo-collection"]
    vneck, hoodie = products["woo-vneck-tee"], products["woo-hoodie"]
    assert (vneck.price, vneck.sale_price, hoodie.price, hoodie.sale_price) == ("20", None, "45", "42")
    beanie = products["woo-beanie"]
    assert (beanie.price, beanie.sale_price, beanie.title) == ("20", "18", "Beanie")
    assert len(products["woo-hoodie"].pictures) == 4


def test_meta_in_detail():
    """Price and currency in one column, or in two."""
    first = Feed(SAMPLES / "meta/hostedfb_dpa_product_catalog_sample_feed.csv").products[0]
    assert (first.ref, first.price, first.currency, len(first.pictures)) == ("DB_1", "1", "USD", 11)
    assert first.pictures[0].endswith("91123916-a12eb400-e6d0-11ea-8041-a07095220918.png")
    coffee = Feed(SAMPLES / "meta/hostedfb_da_sales_training_products.csv").products[0]
    assert (coffee.price, coffee.currency, coffee.brand) == ("3.99", "USD", "FBCoffee Ltd.")


def test_flights_are_refused():
    """With the reason, though they have a price and pictures."""
    with pytest.raises(NotAFeed, match="flights") as refusal:
        open_feed(SAMPLES / "meta/hostedfb_flights_NOT_PRODUCTS.csv")
    assert refusal.value.code == "feed.flights"
