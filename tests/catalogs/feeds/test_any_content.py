"""Every reader, whatever its cells hold, however its lines end, in each encoding, and wherever a piece of it is cut."""

import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.sax.saxutils import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.catalogs.feeds.reading import PICTURE, Feed, read, rss, table
from tests.catalogs.feeds.test_round_trip import WORDS
from tests.catalogs.feeds.test_shopify import CLASSIC, NEW, as_new, row
from tests.catalogs.feeds.test_woocommerce import HEADER as WOO
from tests.catalogs.feeds.test_woocommerce import row as woo_row
from worker.catalogs.feeds import encodings, json_text, markup

LINE_ENDS = st.sampled_from(["\n", "\r\n", "\r"])
ENCODINGS = st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])
DELIMITERS = st.sampled_from(",;\t|")
PLAIN = WORDS.filter(lambda text: "&" not in text and "<" not in text)
"""Titles lose markup and entities, which is another test's matter."""
SHOP = st.lists(st.tuples(PLAIN, PLAIN), min_size=1, max_size=5, unique_by=lambda one: one[0])
"""Ref and title."""


def _read(content: str | bytes, encoding: str = "utf-8") -> Feed:
    with TemporaryDirectory() as folder:
        return read(Path(folder), content, encoding)


def _told(feed: Feed) -> list[tuple[str, str]]:
    assert feed.codes == []
    return [(one.ref, one.title) for one in feed.products]


@settings(max_examples=30, deadline=None)
@given(SHOP, st.booleans(), DELIMITERS, LINE_ENDS, ENCODINGS, st.integers(0, 99))
def test_shopify(shop, new: bool, delimiter: str, end: str, encoding: str, seed: int):
    """Both dialects, rows of variants and pictures in any order, titles repeated or not."""
    rows = [
        row(
            ref,
            title if place == 1 or seed % 2 else "",
            f"one{end}two",
            "x",
            "",
            "5",
            "",
            f"{at}-{place}.jpg",
            str(place),
        )
        for at, (ref, title) in enumerate(shop)
        for place in (1, 2)
    ]
    random.Random(seed).shuffle(rows)
    feed = _read(table(NEW if new else CLASSIC, as_new(rows) if new else rows, delimiter, end), encoding)
    assert feed.reading.format == "shopify_csv"
    assert sorted(_told(feed)) == sorted(shop)
    assert {len(one.pictures) for one in feed.products} == {2}


KEYS = st.text("abcXYZ019-_.ßé漢 ", min_size=1, max_size=12).map(lambda text: " ".join(text.split())).filter(bool)
WOO_SHOP = st.lists(st.tuples(KEYS, PLAIN), min_size=1, max_size=5, unique_by=lambda one: one[0].casefold())


@settings(max_examples=30, deadline=None)
@given(WOO_SHOP, DELIMITERS, LINE_ENDS, ENCODINGS, st.integers(0, 99))
def test_woocommerce(shop, delimiter: str, end: str, encoding: str, seed: int):
    """Guards before what a spreadsheet would run, escaped commas, variations anywhere."""
    rows = [
        one
        for at, (ref, title) in enumerate(shop)
        for one in (
            woo_row("", "variable", ref, _guarded(title), rf"https://x.example/w_1\,h_{at}.jpg", price=""),
            woo_row("", "variation", "", "V", f"https://x.example/{at}.jpg", ref.upper(), price="7"),
        )
        if len(ref.upper().casefold()) == len(ref.casefold())
    ]
    random.Random(seed).shuffle(rows)
    feed = _read(table(WOO, rows, delimiter, end), encoding)
    wanted = [(ref, title) for ref, title in shop if len(ref.upper().casefold()) == len(ref.casefold())]
    if rows:
        assert feed.reading.format == "woocommerce_csv"
        assert sorted(_told(feed)) == sorted(wanted)
        assert {(one.price, len(one.pictures)) for one in feed.products} == {("7", 2)}


def _guarded(text: str) -> str:
    return f"'{text}" if text[0] in "=+-@" else text


@settings(max_examples=30, deadline=None)
@given(SHOP, st.booleans(), LINE_ENDS, ENCODINGS)
def test_atom_and_rss(shop, atom: bool, end: str, encoding: str):
    """With Google's elements under any prefix; line ends between them say nothing."""
    items = [
        f"<g:id>{escape(ref)}</g:id>{end}<title>{escape(title)}</title>{end}<g:image_link>{PICTURE}</g:image_link>"
        for ref, title in shop
    ]
    text = rss(*items)
    if atom:
        entries = end.join(f"<entry>{one}</entry>" for one in items).replace("g:", "z:")
        head = 'xmlns="http://www.w3.org/2005/Atom" xmlns:z="http://base.google.com/ns/1.0"'
        text = f"<feed {head}>{entries}</feed>"
    feed = _read(text, encoding)
    assert feed.reading.format == ("google_atom" if atom else "google_rss")
    assert _told(feed) == shop


@settings(max_examples=30, deadline=None)
@given(SHOP, st.sampled_from(["list", "object", "lines"]), LINE_ENDS, ENCODINGS, st.booleans())
def test_json(shop, wrapping: str, end: str, encoding: str, ascii_only: bool):
    """In each wrapping."""
    values = [{"id": ref, "title": title, "image": PICTURE} for ref, title in shop]
    written = [json.dumps(value, ensure_ascii=ascii_only) for value in values]
    text = end.join(written) if wrapping == "lines" else f"[{f',{end}'.join(written)}]"
    feed = _read(f'{{"products":{end}{text}}}' if wrapping == "object" else text, encoding)
    assert feed.reading.format == ("jsonl" if wrapping == "lines" else "json")
    assert _told(feed) == shop


HEADS: dict[str, bytes] = {
    "shopify": f"{CLASSIC}\n".encode() + b"a,Lamp\n" * 200,
    "woocommerce": f"{WOO}\n".encode() + b"1,simple,a,Lamp\n" * 200,
    "tsv": b"id\ttitle\tprice\timage_link\n" + b"a\tLamp\t1\t\n" * 200,
    "rss": rss("<g:id>a</g:id><g:title>Lamp</g:title><g:price>1</g:price>", "x" * 2000, end="").encode(),
    "jsonl": b'{"id": "a", "title": "Lamp", "price": 1}\n' * 100,
    "json": b'[{"id": "a", "title": "Lamp", "price": 1},' + b" " * 2000,
}


@pytest.mark.parametrize("head", HEADS)
@settings(max_examples=25, deadline=None)
@given(content=st.binary(max_size=300))
def test_any_bytes_behind_a_sound_beginning(head: str, content: bytes):
    """Are read to their end; what comes out can be stored, and the product before them is there."""
    feed = _read(HEADS[head] + content)
    assert feed.products[0].title == "Lamp"
    for one in (*feed.products, *feed.problems):
        assert "\0" not in repr(one).encode().decode()


def _xml(shop: list[tuple[str, str]]) -> str:
    said = (
        "<g:id>{}</g:id><g:title>{}</g:title><link>https://x.example</link><!-- {} -->"
        "<g:description><![CDATA[{}]]></g:description>"
    )
    return rss(*(said.format(escape(ref), escape(title), "no " * 5, "<p>x</p>") for ref, title in shop))


CUT: dict[str, Callable[[list[tuple[str, str]]], str]] = {
    "xml": _xml,
    "json": lambda shop: json.dumps([{"id": ref, "title": f"{title}", "price": 1} for ref, title in shop]),
    "table": lambda shop: table("id,title,price,link", [[ref, title, "1", "a\nb"] for ref, title in shop]),
}


@pytest.mark.parametrize("kind", CUT)
@settings(max_examples=25, deadline=None)
@given(shop=SHOP, size=st.integers(1, 70))
def test_wherever_a_piece_is_cut(kind: str, shop: list[tuple[str, str]], size: int):
    """Read in pieces of a few characters, the same comes out as from the whole: no mark, escape, pair or quote is
    lost at a border."""
    text = CUT[kind](shop)
    whole = _read(text)
    with pytest.MonkeyPatch.context() as here:
        here.setattr(markup, "_PIECE", size)
        here.setattr(json_text, "PIECE", max(size, 4))
        here.setattr(encodings.Encoding, "open", _in_small_pieces(size))
        pieces = _read(text)
    assert [(one.ref, one.title, one.description) for one in pieces.products] == [
        (one.ref, one.title, one.description) for one in whole.products
    ]
    assert pieces.codes == whole.codes


def _in_small_pieces(size: int) -> Callable[[encodings.Encoding, Path], io.TextIOWrapper]:
    whole = encodings.Encoding.open

    def open_(self: encodings.Encoding, path: Path) -> io.TextIOWrapper:
        text = whole(self, path)
        text._CHUNK_SIZE = size  # type: ignore[attr-defined] # bytes that are decoded at a time
        return text

    return open_
