"""What csv, an XML writer or json writes is read back exactly, whatever the content."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.sax.saxutils import escape

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.catalogs.feeds.reading import PICTURE, Feed, read, rss, table

ANY = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff\ufeff"), max_size=40
)
"""Whatever can stand in a file, quotes, delimiters, brackets and ampersands included."""
WORDS = ANY.map(lambda text: " ".join(text.split())).filter(bool)
BROKEN_UP = st.lists(WORDS, min_size=1, max_size=4)
"""A text of several lines."""
PRODUCTS = st.lists(st.tuples(WORDS, WORDS, BROKEN_UP), min_size=1, max_size=8, unique_by=lambda one: one[0])
"""Ref, brand and description."""


def _read(content: str, encoding: str) -> Feed:
    with TemporaryDirectory() as folder:
        return read(Path(folder), content, encoding)


def _told(feed: Feed) -> list[tuple[str, str | None]]:
    assert feed.codes == []
    return [(one.ref, one.brand) for one in feed.products]


@settings(max_examples=50, deadline=None)
@given(
    PRODUCTS,
    st.sampled_from(",;\t|"),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_tables(products, delimiter: str, end: str, encoding: str):
    """Every cell, and the line that each record begins on."""
    rows = [[ref, "Title", PICTURE, brand, end.join(lines)] for ref, brand, lines in products]
    feed = _read(table("id,title,image_link,brand,note", rows, delimiter, end), encoding)
    assert _told(feed) == [(ref, brand) for ref, brand, _ in products]
    place, places = 2, []
    for *_, lines in products:
        places.append(place)
        place += len(lines)
    assert [one.place for one in feed.products] == places


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(st.characters(codec="cp1252", exclude_categories=["Cc"]), max_size=20), min_size=1, max_size=6))
def test_cp1252(texts: list[str]):
    """Every character of the code page, once one in the file is no UTF-8."""
    brands = [" ".join(f"ß {text}".split()) for text in texts]
    rows = [[str(at), "Größe", PICTURE, brand] for at, brand in enumerate(brands)]
    assert _told(_read(table("id,title,image_link,brand", rows), "cp1252")) == [
        (str(at), one) for at, one in enumerate(brands)
    ]


@settings(max_examples=40, deadline=None)
@given(PRODUCTS, st.booleans(), st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_xml(products, in_cdata: bool, encoding: str):
    """Escaped or in CDATA sections, one item beside the other."""

    def text(value: str) -> str:
        return f"<![CDATA[{value.replace(']]>', ']]]]><![CDATA[>')}]]>" if in_cdata else escape(value)

    items = [
        f"<g:id>{text(ref)}</g:id><g:title>Title</g:title><g:brand>{text(brand)}</g:brand><g:image_link>{PICTURE}</g:image_link>"
        for ref, brand, _ in products
    ]
    assert _told(_read(rss(*items), encoding)) == [(ref, brand) for ref, brand, _ in products]


@settings(max_examples=40, deadline=None)
@given(PRODUCTS, st.booleans(), st.booleans())
def test_json(products, as_lines: bool, ascii_only: bool):
    """In a list or one a line, escaped or not."""
    values = [{"id": ref, "title": "Title", "image": PICTURE, "brand": brand} for ref, brand, _ in products]
    written = [json.dumps(value, ensure_ascii=ascii_only) for value in values]
    text = "\n".join(written) if as_lines else f"[{','.join(written)}]"
    assert _told(_read(text, "utf-8")) == [(ref, brand) for ref, brand, _ in products]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text("a<>&;[]!-/\"'=DCATid:gtem ", max_size=60), min_size=1, max_size=4))
def test_any_markup_leaves_the_next_item_alone(broken: list[str]):
    """Between two sound items nothing raises; the sound ones are there, unless a comment that was opened holds them."""
    sound = "<g:id>{}</g:id><g:title>Sound</g:title><g:link>https://shop.example</g:link>"
    feed = _read(rss(sound.format("first"), *broken, sound.format("last")), "utf-8")
    assert feed.products[0].ref == "first"


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_below_a_header(content: bytes):
    """Are read to their end, and give what PostgreSQL can store."""
    rows = b"1,One,1,\n" * 200  # enough text for the whole not to be taken for no text
    with TemporaryDirectory() as folder:
        feed = read(Path(folder), b"id,title,price,image_link\n" + rows + content)
    assert feed.products[0].title == "One"
    for one in feed.products:
        assert "\0" not in f"{one.ref}{one.title}".encode().decode()
