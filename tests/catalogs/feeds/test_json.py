"""JSON in a list, in an object, and one a line."""

import json

import pytest

from tests.catalogs.feeds.reading import PICTURE, read
from worker.catalogs.feeds.json_text import MAX_ITEM

ITEMS = [
    {"id": 1, "title": "One", "price": 19.5, "image_link": PICTURE, "availability": "out of stock"},
    {"id": "2", "name": "Two", "price": {"value": "5.00", "currency": "eur"}, "brand": {"name": "Oak"},
     "images": ["https://shop.example/a.jpg", {"src": PICTURE}, {"alt": "none"}, None]},
    {"id": 3, "title": "Three", "body_html": "<p>a</p>b", "variants": [{"price": "8.00", "compare_at_price": "9.00"}],
     "image": None, "images": []},
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "format"),
    [
        (json.dumps(ITEMS), "json"),
        (json.dumps({"products": ITEMS}), "json"),
        (json.dumps({"version": [1], "data": {"items": ITEMS}}, indent=2), "json"),
        ("\n".join(map(json.dumps, ITEMS)), "jsonl"),
        ("\r\n".join(map(json.dumps, ITEMS)) + "\r\n\r\n", "jsonl"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_every_wrapping(tmp_path, text: str, format: str, encoding: str):
    """Gives the same products; prices are as they were written."""
    feed = read(tmp_path, text, encoding)
    assert feed.reading.format == format
    one, two, three = feed.products
    assert (one.ref, one.price, one.available, one.place, one.pictures) == ("1", "19.5", False, 1, (PICTURE,))
    assert (two.title, two.price, two.currency, two.brand) == ("Two", "5.00", "EUR", "Oak")
    assert two.pictures == ("https://shop.example/a.jpg", PICTURE)
    assert (three.description, three.price, three.sale_price, three.pictures) == ("a\nb", "9.00", "8.00", ())


def test_one_product_in_its_wrapper(tmp_path):
    """Shopify's REST answer for one."""
    assert read(tmp_path, json.dumps({"product": ITEMS[0]}, indent=1)).only.ref == "1"


SOLD = {"price": "8.00", "inventory_quantity": 0, "inventory_policy": "deny", "inventory_management": "shopify"}


@pytest.mark.parametrize(
    ("variants", "available"),
    [
        ([SOLD, SOLD], False),
        ([SOLD, SOLD | {"inventory_quantity": 3}], True),
        ([SOLD | {"inventory_policy": "continue"}], True),
        ([SOLD | {"inventory_management": None}], True),
        ([{"inventory_quantity": -2, "inventory_policy": "DENY"}], False),
        ([{"available": False}, {"available": False}], False),
        ([{"available": False}, {"available": True}], True),
        ([{"available": True} | SOLD], True),
        ([{"inventory_quantity": 0}], True),
        ([{"inventory_quantity": "0", "inventory_policy": "deny"}], False),
        ([SOLD, "x", None], False),
        (["x"], True),
        ([], True),
        (None, True),
    ],
)
def test_a_shops_product_is_sold_out_when_all_its_variants_are(tmp_path, variants, available: bool):
    """By `available`, or by a stock that is kept and not sold below nothing."""
    value = {"id": 1, "title": "One", "variants": variants, "image": PICTURE}
    assert read(tmp_path, json.dumps({"products": [value]})).only.available is available
    own = value | {"availability": "in stock"}
    assert read(tmp_path, json.dumps({"products": [own]})).only.available is True


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"published_at": None}, "draft"),
        ({"published_at": None, "status": "active"}, "draft"),
        ({"published_at": None, "status": "archived"}, "archived"),
        ({"published_at": "2026-01-01T00:00:00Z"}, "active"),
        ({"published_at": "2026-01-01T00:00:00Z", "status": "DRAFT"}, "draft"),
        ({"published_at": None, "published": True}, "active"),
        ({}, "active"),
    ],
)
def test_what_a_shop_has_not_published_is_a_draft(tmp_path, more: dict[str, object], status: str):
    """Shopify says so by a time that is null."""
    value = {"id": 1, "title": "One", "image": PICTURE} | more
    assert read(tmp_path, json.dumps({"product": value})).only.status == status
    assert read(tmp_path, json.dumps(value)).only.status == status


def test_a_broken_line_costs_itself(tmp_path):
    """And only that: no JSON, no object, nested without end."""
    lines = [json.dumps(ITEMS[0]), "{broken", "[1]", "[" * 100_000, json.dumps(ITEMS[1])]
    feed = read(tmp_path, "\n".join(lines))
    assert [one.ref for one in feed.products] == ["1", "2"]
    assert feed.codes == [("item.broken", 2), ("item.broken", 3), ("item.broken", 4)]


def test_a_broken_list_ends_there(tmp_path):
    """What came before is read, the rest is told of."""
    feed = read(tmp_path, json.dumps(ITEMS)[:-40])
    assert [one.ref for one in feed.products] == ["1", "2"]
    assert feed.codes == [("feed.broken", 3)]


def test_an_item_that_is_too_large(tmp_path):
    """Is not held in memory."""
    feed = read(tmp_path, json.dumps([ITEMS[0], {"id": 2, "title": "x" * (MAX_ITEM + 70_000)}, ITEMS[2]]))
    assert [one.ref for one in feed.products] == ["1"]
    assert [code for code, _ in feed.codes] == ["item.too_large", "feed.broken"]


@pytest.mark.parametrize("wrap", [lambda text: f"[{text}]", lambda text: text], ids=["json", "jsonl"])
def test_half_surrogates_are_cleaned_away(tmp_path, wrap):
    """Escaped ones too; whole pairs and escaped backslashes stay."""
    text = r'{"id": "1", "title": "a\ud800b\udc00c\ud83d\ude00 \\ud800 \u0000d"}'.replace(
        "}", f', "image": "{PICTURE}"}}'
    )
    assert read(tmp_path, wrap(text)).only.title == "abc😀 \\ud800 d"


@pytest.mark.parametrize("number", ["9" * 5_000, "-" + "9" * 70_000, "0." + "9" * 70_000, "1" + "0" * 999])
@pytest.mark.parametrize("before", [0, 60_000, 64_500, 65_500], ids=str)
def test_a_number_without_end_costs_nothing_but_itself(tmp_path, number: str, before: int):
    """Wherever it stands, also between two pieces: without care ijson's C code takes the whole process down."""
    second = f'{{"id": "2", "title": "b", "stock":{" " * before}{number}, "image": "{PICTURE}"}}'
    feed = read(tmp_path, f"[{json.dumps(ITEMS[0])}, {second}, {json.dumps(ITEMS[2])}]")
    assert [one.ref for one in feed.products] == ["1", "2", "3"]


@pytest.mark.parametrize("wrap", [lambda lines: f"[{','.join(lines)}]", "\n".join], ids=["json", "jsonl"])
def test_a_number_beyond_any_exponent_is_broken(tmp_path, wrap):
    """Of lines that one alone, of a list what follows."""
    lines = [json.dumps(ITEMS[0]), '{"id": 2, "title": "b", "price": 1e9999999999999999999}', json.dumps(ITEMS[2])]
    feed = read(tmp_path, wrap(lines))
    told = feed.codes[0], [one.ref for one in feed.products]
    assert told in ((("feed.broken", 2), ["1"]), (("item.broken", 2), ["1", "3"]))


def test_many_digits_of_a_product_stay(tmp_path):
    """Only what no number has is cut."""
    assert read(tmp_path, json.dumps([ITEMS[0] | {"title": "9" * 400, "code": 10**900}])).only.title == "9" * 400
