"""Write a feed, read it, and tell products from problems."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from worker.catalogs.feeds import Problem, Product, Reading, open_feed

PICTURE = "https://shop.example/1.jpg"


class Feed:
    """What came out of a file."""

    def __init__(self, path: Path) -> None:
        self.reading: Reading = open_feed(path)
        items = list(self.reading.items())
        self.products = [item for item in items if isinstance(item, Product)]
        self.problems = [item for item in items if isinstance(item, Problem)]

    @property
    def only(self) -> Product:
        (product,) = self.products
        return product

    @property
    def codes(self) -> list[tuple[str, int]]:
        """Code and place of each problem but a missing picture."""
        return [(one.code, one.place) for one in self.problems if one.code != "item.no_picture"]


def read(folder: Path, content: str | bytes, encoding: str = "utf-8") -> Feed:
    """What is read from a file of that content. Its name says nothing."""
    path = folder / "upload"
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return Feed(path)


def table(header: str, rows: Iterable[Sequence[str]], delimiter: str = ",", end: str = "\r\n") -> str:
    """A table as csv writes it; `header` is divided by commas."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter, lineterminator=end)
    writer.writerow(header.split(","))
    writer.writerows(rows)
    return file.getvalue()


def rss(*items: str, head: str = 'xmlns:g="http://base.google.com/ns/1.0"', end: str = "</channel></rss>") -> str:
    """A feed of these items, each without its own tags."""
    inner = "\n".join(f"<item>{item}</item>" for item in items)
    return f'<?xml version="1.0"?>\n<rss version="2.0" {head}><channel><title>Shop</title>\n{inner}{end}'


def item(ref: str, more: str = "") -> str:
    """The inside of a sound item."""
    return f"<g:id>{ref}</g:id><g:title>Lamp {ref}</g:title><g:image_link>{PICTURE}</g:image_link>{more}"
