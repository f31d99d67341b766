"""What is no feed of products is refused with a reason and a remedy."""

import gzip
import io
import zipfile

import pytest

from tests.catalogs.feeds.reading import rss
from worker.catalogs.feeds import NotAFeed, open_feed
from worker.catalogs.feeds.refusals import REFUSALS


def _zip(name: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, "id,title")
    return file.getvalue()


FILES = [
    ("feed.empty", b""),
    ("feed.empty", b"\xef\xbb\xbf \r\n"),
    ("feed.html", b"<!DOCTYPE html><html><body>id,title,price</body></html>"),
    ("feed.html", b"\n<!-- x --><HTML><head>"),
    ("feed.spreadsheet", _zip("xl/workbook.xml")),
    ("feed.spreadsheet", bytes.fromhex("d0cf11e0a1b11ae1") + bytes(600)),
    ("feed.compressed", _zip("feed.csv")),
    ("feed.compressed", gzip.compress(b"id,title,price\n", mtime=0)),
    ("feed.picture", b"\x89PNG\r\n\x1a\n" + bytes(100)),
    ("feed.picture", b"\xff\xd8\xff\xe0" + bytes(100)),
    ("feed.picture", b"\0\0\0\x18ftypmp42" + bytes(100)),
    ("feed.binary", b"%PDF-1.7\n"),
    ("feed.binary", bytes(range(256)) * 40),
    ("feed.flights", b"origin_airport,destination_airport,price,url\nHKG,SDK,1 USD,https://x.example\n"),
    ("feed.hotels", b"hotel_id,name,description,base_price,image[0].url\n1,a,b,5 USD,https://x.example/1.jpg\n"),
    ("feed.hotels", b"<listings><listing><hotel_id>1</hotel_id><name>x</name></listing></listings>"),
    (
        "feed.flights",
        rss("<g:origin_airport>HKG</g:origin_airport><g:destination_airport>SDK</g:destination_airport>").encode(),
    ),
    ("feed.travel", b"vehicle_id,title,price,image[0].url\n1,Car,1,https://x.example/1.jpg\n"),
    ("feed.not_products", b"id,name,email\n1,Ann,ann@shop.example\n"),
    ("feed.not_products", b"title,price\nNo id,1\n"),
    ("feed.not_products", b"Dear reader,\nthis is a letter, about prices and titles.\n"),
    ("feed.not_products", rss("<title>News</title><link>https://x.example</link><guid>1</guid>").encode()),
    ("feed.not_products", b"<?xml version='1.0'?><urlset><url><loc>https://x.example</loc></url></urlset>"),
    ("feed.not_products", b'{"error": "unauthorized"}'),
    ("feed.not_products", b"[1, 2, 3]"),
    ("feed.not_products", b"[[["),
]


@pytest.mark.parametrize(("code", "content"), FILES)
@pytest.mark.parametrize("name", ["feed.csv", "feed.xml"])
def test_refused(tmp_path, code: str, content: bytes, name: str):
    """By the content: the name has no say."""
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(NotAFeed) as refusal:
        open_feed(path)
    assert refusal.value.code == code
    assert refusal.value.reason
    assert refusal.value.remedy


def test_every_refusal_is_met():
    """The files above reach each code."""
    assert {code for code, _ in FILES} == REFUSALS.keys()
