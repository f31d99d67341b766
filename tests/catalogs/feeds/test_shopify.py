"""Shopify's two dialects: rows of a handle make a product, wherever they stand."""

import random

import pytest

from tests.catalogs.feeds.reading import read, table
from worker.catalogs.feeds import Product, open_feed

CLASSIC = (
    "Handle,Title,Body (HTML),Vendor,Option1 Value,Variant Inventory Tracker,Variant Inventory Qty,"
    "Variant Inventory Policy,Variant Price,Variant Compare At Price,Image Src,Image Position,"
    "Variant Image,Status"
)
NEW = (
    "Title,URL handle,Description,Vendor,Option1 value,Inventory tracker,Inventory quantity,"
    "Continue selling when out of stock,Price,Compare-at price,Product image URL,Image position,"
    "Variant image URL,Status"
)
SHOP = "https://cdn.example"


def row(handle: str, title: str = "", html: str = "", option: str = "", stock: str = "", price: str = "",
        compare: str = "", picture: str = "", position: str = "", variant: str = "",
        status: str = "") -> list[str]:  # fmt: skip
    """A row in the classic order."""
    tracker = "shopify" if stock else ""
    picture, variant = (f"{SHOP}/{name}" if name else "" for name in (picture, variant))
    return [
        handle,
        title,
        html,
        "Oak",
        option,
        tracker,
        stock,
        "deny",
        price,
        compare,
        picture,
        position,
        variant,
        status,
    ]


HTML = "<p>One</p>\n<p>Two &amp; three</p>"
ROWS = [
    row(
        "lamp",
        "Lamp",
        "<p>One</p>\n<p>Two &amp; three</p>",
        "Oak",
        "0",
        "9.90",
        "12.00",
        "1.jpg",
        "1",
        "v.jpg",
        "active",
    ),
    row("lamp", "", "", "Linen", "3", "8.00", "", "2.jpg", "2", "2.jpg"),
    row("lamp", picture="3.jpg", position="3"),
    row("chair", "Chair", "", "Oak", "0", "5.00", "", "4.jpg", "1", "", "draft"),
    row("stool", "Stool", "", "Oak", "", "5.00", "", "", "", "", "archived"),
]


def as_new(rows: list[list[str]]) -> list[list[str]]:
    return [[one[1], one[0], *one[2:]] for one in rows]


@pytest.mark.parametrize(("header", "rows"), [(CLASSIC, ROWS), (NEW, as_new(ROWS))], ids=["classic", "new"])
def test_both_dialects(tmp_path, header: str, rows: list[list[str]]):
    """Variants and pictures are the product's; drafts, archived and sold out ones are marked."""
    feed = read(tmp_path, table(header, rows))
    assert feed.reading.format == "shopify_csv"
    lamp, chair, stool = feed.products
    assert lamp == Product(
        ref="lamp", title="Lamp", description="One\nTwo & three", price="12.00", currency=None, sale_price="9.90",
        brand="Oak", link=None, pictures=tuple(f"{SHOP}/{name}.jpg" for name in ("1", "2", "3", "v")),
        status="active", available=True, place=2,
    )  # fmt: skip
    assert (chair.status, chair.available) == ("draft", False)
    assert (stool.status, stool.available, stool.pictures) == ("archived", True, ())


def test_a_mix_of_the_dialects(tmp_path):
    """As people make by hand."""
    feed = read(
        tmp_path, "Handle,Title,Description,Price,Image Src\nlamp,Lamp,Text,5,https://cdn.example/1.jpg\nlamp,,,6,\n"
    )
    assert feed.reading.format == "shopify_csv"
    assert (feed.only.price, feed.only.description, len(feed.only.pictures)) == ("5", "Text", 1)


def test_titles_say_nothing_about_what_belongs_together(tmp_path):
    """Some files repeat the title on each row, and two products may have the same: the handle alone tells."""
    rows = [
        row("a", "Mug", "first", "Red", "", "5", "", "a1.jpg", "1"),
        row("a", "Mug", "second", "Blue", "", "6", "", "a2.jpg", "2"),
        row("b", "Mug", "other", "Red", "", "7", "", "b1.jpg", "1"),
        row("a", "Mug", "", "", "", "", "", "a3.jpg", "3"),
    ]
    feed = read(tmp_path, table(CLASSIC, rows))
    assert [(one.ref, one.description, one.price, len(one.pictures)) for one in feed.products] == [
        ("a", "first", "5", 3),
        ("b", "other", "7", 1),
    ]
    assert feed.problems == []


def test_lines_within_its_html(tmp_path):
    """CRLF between records, LF within: the text keeps its lines, and the next row's place is its physical line."""
    html = '<h2>Über "uns"</h2>\n<p>one,\n two</p>\n'
    rows = [row("a", "A", html, "x", "", "5", "", "1.jpg", "1"), row("b", "B", "", "x", "", "5", "", "1.jpg", "1")]
    feed = read(tmp_path, table(CLASSIC, rows))
    assert [(one.description, one.place) for one in feed.products] == [('Über "uns"\none, two', 2), ("", 6)]


def test_rows_may_stand_anywhere(tmp_path):
    """Shuffled, with titles repeated: grouped by handle, pictures by their position, products by their first row."""
    rows = [
        row(f"p{number}", "Same title" if place == 1 else "", "", "x", "", "5", "", f"{number}-{place}.jpg", str(place))
        for number in range(40)
        for place in (1, 2, 3)
    ]
    random.Random(7).shuffle(rows)
    feed = read(tmp_path, table(CLASSIC, rows))
    assert [one.ref for one in feed.products] == list(dict.fromkeys(one[0] for one in rows))
    for product in feed.products:
        assert product.pictures == tuple(f"{SHOP}/{product.ref[1:]}-{place}.jpg" for place in (1, 2, 3))
    assert feed.problems == []


def test_what_is_no_product(tmp_path):
    """A row without handle; a handle that nowhere has a title; a row with a shifted cell."""
    text = table(
        CLASSIC, [row("", "No handle", picture="1.jpg"), row("untitled", picture="1.jpg"), [*row("x", "X"), "more"]]
    )
    feed = read(tmp_path, text)
    assert feed.products == []
    assert sorted(feed.codes) == [("item.no_ref", 2), ("item.no_title", 3), ("row.too_many_cells", 4)]


def test_unpublished_is_a_draft(tmp_path):
    """Files from before `Status` say it so."""
    feed = read(tmp_path, "Handle,Title,Published,Variant Price\na,A,false,1\nb,B,TRUE,1\n")
    assert [one.status for one in feed.products] == ["draft", "active"]


def test_problems_come_while_reading(tmp_path):
    """Products wait for the file's end, since any row may add to them."""
    path = tmp_path / "upload"
    path.write_text(table(CLASSIC, [*ROWS, row("", "No handle"), row("lamp", picture="9.jpg")]))
    items = list(open_feed(path).items())
    assert getattr(items[0], "code", "product") == "item.no_ref"
    assert items[1].pictures[-2:] == (f"{SHOP}/9.jpg", f"{SHOP}/v.jpg")  # type: ignore[union-attr]
