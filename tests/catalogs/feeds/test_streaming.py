"""A feed of any size is read in bounded memory: `tests/bench` does it with a gigabyte, this with enough to show."""

import json
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

import pytest

from tests.catalogs.feeds.test_shopify import CLASSIC
from tests.catalogs.feeds.test_woocommerce import HEADER as WOO
from worker.catalogs.feeds import Product, open_feed

COUNT = 200
TEXT = ("lamp" * 250 + " ") * 40
"""40 kB of each product, 8 MB of a file."""
G = "http://base.google.com/ns/1.0"


def _each(line: Callable[[int], str]) -> Iterator[str]:
    return (line(at) for at in range(COUNT))


FEEDS: dict[str, Callable[[], Iterator[str]]] = {
    "csv": lambda: chain(["id,title,description,price\n"], _each(lambda at: f"{at},Lamp,{TEXT},1\n")),
    "shopify": lambda: chain([f"{CLASSIC}\n"], _each(lambda at: f"{at},Lamp,{TEXT}{',' * 11}\n")),
    "woocommerce": lambda: chain([f"{WOO}\n"], _each(lambda at: f"{at},simple,s{at},Lamp,1,,{TEXT},1,,5,,\n")),
    "rss": lambda: chain(
        [f'<rss xmlns:g="{G}"><channel>'],
        _each(
            lambda at: (
                f"<item><g:id>{at}</g:id><title>L</title><g:price>1</g:price><description>{TEXT}</description></item>"
            )
        ),
        ["</channel></rss>"],
    ),
    "json": lambda: chain(
        ['{"products": [{"id": "x", "title": "L", "price": 1}'],
        _each(lambda at: "," + json.dumps({"id": at, "title": "L", "price": 1, "description": TEXT})),
        ["]}"],
    ),
    "jsonl": lambda: _each(lambda at: json.dumps({"id": at, "title": "L", "price": 1, "description": TEXT}) + "\n"),
}


@pytest.mark.parametrize("kind", FEEDS)
def test_memory_does_not_grow_with_the_file(kind: str, tmp_path: Path):
    """Eight megabytes leave less than three in Python's memory, beside SQLite's bounded cache."""
    path = tmp_path / "feed"
    with path.open("w", encoding="utf-8") as file:
        file.writelines(FEEDS[kind]())
    assert path.stat().st_size > 7_500_000
    items = open_feed(path).items()
    tracemalloc.start()
    try:
        count = sum(isinstance(one, Product) for one in items)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == COUNT + (kind == "json")
    assert peak < 3_000_000
