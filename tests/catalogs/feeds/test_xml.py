"""Google Merchant as it is found: well-formed or not, and hostile."""

import time

import pytest

from tests.catalogs.feeds.reading import PICTURE, item, read, rss
from worker.catalogs.feeds.markup import MAX_ITEM

ATOM = """<?xml version="1.0" encoding="utf-8"?>
<feed xmlns="http://www.w3.org/2005/Atom" xmlns:z="http://base.google.com/ns/1.0" xmlns:m="urn:media">
<title>Shop</title>
<entry><id>tag:shop,1</id><z:id>A1</z:id><title>Plain</title><m:title>Other</m:title>
<summary type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml"><p>One</p><p>Two</p></div></summary>
<link rel="self" href="https://shop.example/self"/><link rel="alternate" href="https://shop.example/a"/>
<z:image_link>https://shop.example/1.jpg</z:image_link><z:price>EUR 5.00</z:price></entry></feed>"""


def test_rss(tmp_path):
    """`g:shipping` has a price of its own; further pictures are repeated elements, or a list."""
    more = (
        "<description>&lt;p&gt;One&lt;/p&gt;&lt;p&gt;Two&lt;/p&gt;</description><link>https://shop.example/p</link>"
        "<g:shipping><g:country>DE</g:country><g:price>4.90 EUR</g:price></g:shipping><g:price>19.90 EUR</g:price>"
        "<g:sale_price>9.90 EUR</g:sale_price><g:availability>out_of_stock</g:availability><g:brand>Oak</g:brand>"
        "<g:additional_image_link>https://shop.example/2.jpg</g:additional_image_link>"
        "<g:additional_image_link>https://shop.example/3.jpg,https://shop.example/4.jpg</g:additional_image_link>"
    )
    feed = read(tmp_path, rss(item("1", more), item("2")))
    assert feed.reading.format == "google_rss"
    assert feed.reading.columns["g:image_link"] == "image"
    assert feed.reading.unknown == ("g:shipping",)
    one = feed.products[0]
    assert (one.price, one.sale_price, one.currency, one.available) == ("19.90", "9.90", "EUR", False)
    assert (one.description, one.brand, one.link) == ("One\nTwo", "Oak", "https://shop.example/p")
    assert one.pictures == (PICTURE, *(f"https://shop.example/{number}.jpg" for number in (2, 3, 4)))
    assert (feed.products[1].place, feed.problems) == (2, [])


def test_titles_and_pictures_as_they_come(tmp_path):
    """`g:title` or `title`, the former first; ten further pictures; and an item without any, which stays a product."""
    more = "".join(
        f"<g:additional_image_link>https://shop.example/{at}.jpg</g:additional_image_link>" for at in range(10)
    )
    feed = read(
        tmp_path,
        rss(
            f"<g:id>1</g:id><title>Plain</title><g:image_link>{PICTURE}?0</g:image_link>{more}",
            f"<g:id>2</g:id><title>Plain</title><g:title>Google's</g:title><g:image_link>{PICTURE}</g:image_link>",
            "<g:id>3</g:id><title>Bare</title><g:price>1 EUR</g:price>",
        ),
    )
    assert [(one.title, len(one.pictures)) for one in feed.products] == [("Plain", 11), ("Google's", 1), ("Bare", 0)]
    assert [(one.code, one.place, one.fatal) for one in feed.problems] == [("item.no_picture", 3, False)]


def test_atom(tmp_path):
    """Any prefix that is bound to Google's namespace; other vocabularies are not read."""
    feed = read(tmp_path, ATOM)
    assert feed.reading.format == "google_atom"
    one = feed.only
    assert (one.ref, one.title, one.description, one.price) == ("A1", "Plain", "One\nTwo", "5.00")
    assert (one.link, one.pictures) == ("https://shop.example/a", (PICTURE,))


@pytest.mark.parametrize(
    ("encoding", "mark"), [("utf-16-le", "\ufeff"), ("utf-16-be", ""), ("utf-8", "\ufeff"), ("cp1252", "")]
)
def test_encodings(tmp_path, encoding: str, mark: str):
    """By the bytes, whatever the declaration says."""
    text = mark + rss(item("1", "<g:brand>Größe</g:brand>")).replace("?>", ' encoding="utf-8"?>', 1)
    assert read(tmp_path, text, encoding).only.brand == "Größe"


def test_a_declared_code_page(tmp_path):
    """Counts where the bytes are no UTF-8."""
    text = rss(item("1", "<g:brand>Łódź</g:brand>")).replace("?>", ' encoding="iso-8859-2"?>', 1)
    assert read(tmp_path, text, "iso-8859-2").only.brand == "Łódź"


@pytest.mark.parametrize(
    ("broken", "title"),
    [
        ("<g:title>Salt & Pepper</g:title>", "Salt & Pepper"),
        ("<g:title>Caf&eacute;&nbsp;au lait</g:title>", "Café au lait"),
        ("<g:title>R&D; &unknown; AT&T</g:title>", "R&D; &unknown; AT&T"),
        ("<g:title>One<br>two</g:title>", "One two"),
        ("<g:title><![CDATA[A <b>& </item> B]]></g:title>", "A & B"),
        ("<g:title>One</g:title><g:description><p>open <b>tags</g:description>", "One"),
        ("<g:title>One</g:title><c:label>undeclared</c:label>", "One"),
        ("<g:title>One\x0b\x00</g:title>", "One"),
        ("<g:title>One&#xD800;&#0;</g:title>", "One"),
        ("<g:title>One</g:title><g:link>https://shop.example/?a=1&b=2&copy=3</g:link>", "One"),
    ],
)
def test_broken_markup_is_recovered(tmp_path, broken: str, title: str):
    """Without loss, so without a word; what follows in the item and in the feed is whole."""
    after = f"<g:image_link>{PICTURE}?a=1&b=2</g:image_link><g:price>5 EUR</g:price>"
    feed = read(tmp_path, rss(f"<g:id>1</g:id>{broken}{after}", item("2")))
    one, two = feed.products
    assert (one.title, one.pictures, one.price, two.ref) == (title, (f"{PICTURE}?a=1&b=2",), "5", "2")
    assert feed.problems == []


def test_a_missing_declaration(tmp_path):
    """`g:` is Google's though nobody said so."""
    assert read(tmp_path, rss(item("1"), head="")).only.pictures == (PICTURE,)


def test_items_that_are_repaired_or_lost(tmp_path):
    """One by one: their neighbours are untouched, and each is told of."""
    text = rss(
        item("1"),
        "<g:id>2</g:id><g:title>Two</g:title><g:brand>x</wrong><g:price>1 EUR</g:price>",
        "no element at all",
        "<g:title>no id</g:title>",
        "<g:id>5</g:id><g:description><![CDATA[never closed</g:description><g:title>Five</g:title>",
        "<g:id>6</g:id><g:title><![CDATA[Six]]></g:title>",
    ).replace("</item>", "", 1)
    feed = read(tmp_path, text)
    assert [(one.ref, one.place) for one in feed.products] == [("1", 1), ("2", 2), ("5", 5), ("6", 6)]
    assert feed.codes == [("item.repaired", 1), ("item.repaired", 2), ("item.no_ref", 3), ("item.no_ref", 4)]
    assert feed.products[2].title == "Five"


def test_a_file_that_is_cut(tmp_path):
    """In an item: that one is left out. Between two: products may be missing."""
    assert read(tmp_path, rss(item("1"), item("2"), end="")[:-20]).codes == [("item.cut", 2)]
    assert read(tmp_path, rss(item("1"), item("2"), end="")).codes == [("feed.cut", 2)]


def test_an_item_that_is_too_large(tmp_path):
    """Is passed over in bounded memory."""
    feed = read(tmp_path, rss(item("1"), item("2", f"<x>{'y' * MAX_ITEM}</x>"), item("3")))
    assert [one.ref for one in feed.products] == ["1", "3"]
    assert feed.codes == [("item.too_large", 2)]


def test_entity_bombs_and_files_from_outside(tmp_path):
    """A document type is not read: what it defines stays as it is written, at once."""
    secret = tmp_path / "secret"
    secret.write_text("SECRET")
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    doctype = f'<!DOCTYPE rss [<!ENTITY l0 "ha">{laughs}<!ENTITY file SYSTEM "{secret.as_uri()}">]>'
    hostile = item("1").replace("Lamp 1", "&l11; &file;")
    began = time.perf_counter()
    feed = read(tmp_path, rss(hostile).replace("<rss", f"{doctype}<rss", 1))
    assert feed.only.title == "&l11; &file;"
    assert time.perf_counter() - began < 5


@pytest.mark.parametrize(
    "hostile",
    [
        "<g:title>" * 10_000,
        "<![CDATA[" * 10_000,
        "<!--" * 10_000,
        "<!--</" * 100_000 + "-->",
        "<!--" * 100_000 + "</x>" * 100_000 + "-->",
        "<a>" * 20_000,
        "&" * 100_000,
    ],
)
def test_hostile_items_take_no_time(tmp_path, hostile: str):
    """Quadratic work would be minutes; the next item is read."""
    began = time.process_time()
    feed = read(tmp_path, rss(item("1", hostile), item("2")))
    assert "2" in {one.ref for one in feed.products}
    assert time.process_time() - began < 10
