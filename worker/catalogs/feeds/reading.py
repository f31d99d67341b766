"""Open a file as a feed: what it is, told by its content, and then its products one by one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from worker.catalogs.feeds.encodings import HEAD_BYTES, Encoding, detect, unheard
from worker.catalogs.feeds.header import find_header
from worker.catalogs.feeds.json_items import find_list
from worker.catalogs.feeds.kinds import is_html, is_json, is_xml, refuse_binary, refuse_other_files
from worker.catalogs.feeds.problems import Items
from worker.catalogs.feeds.refusals import NotAFeed
from worker.catalogs.feeds.tables import Table
from worker.catalogs.feeds.xml_items import find_items


@dataclass(frozen=True)
class Reading:
    """What was understood of a file. `items` may be called again and begins anew each time."""

    format: str
    """shopify_csv, woocommerce_csv, google_rss, google_atom, google_tsv, meta_csv, meta_tsv, csv, tsv, jsonl, json."""
    encoding: str
    """Python's name: utf-8, utf-16-le, cp1252."""
    delimiter: str | None
    """Of tables."""
    columns: Mapping[str, str]
    """Columns, elements or keys that were recognised, with the field that each is read into."""
    unknown: tuple[str, ...]
    """Those that were not, and are not read."""
    _start: Callable[[], Items] = field(repr=False, compare=False)

    def items(self) -> Items:
        """Products and problems in a bounded memory, remarks before the product that they are about.

        Google, Meta, JSON and plain tables come as they stand in the file. Of Shopify and WooCommerce the rows of a
        product may be anywhere, so products come when the file has been read to its end, in the order of their first
        rows; up to then rows wait in a temporary file. Raises OSError where the file cannot be read.
        """
        return self._start()


def open_feed(path: Path, *, heard: Callable[[], None] = unheard) -> Reading:
    """Look at the beginning of a file; `heard` is called whenever a piece of it is read: some formats give their first
    product behind the last. Raises NotAFeed, and OSError."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    refuse_other_files(head)
    encoding = replace(detect(head), heard=heard)
    text = encoding.decode(head)
    refuse_binary(text)
    if is_html(text):
        raise NotAFeed("feed.html")
    if is_xml(text):
        feed = find_items(text, path, encoding)
        return _named(feed.format, encoding, feed.names(), feed.items)
    if is_json(text):
        feed = find_list(text, path, encoding)
        return _named(feed.format, encoding, feed.names(), feed.items)
    table = Table(path, encoding, find_header(text))
    header = table.header
    return Reading(
        header.format, encoding.name, header.delimiter, header.recognised, header.unknown, table.items
    )  # fmt: skip


def _named(format: str, encoding: Encoding, names: Mapping[str, str | None], start: Callable[[], Items]) -> Reading:
    known = {name: field for name, field in names.items() if field}
    unknown = tuple(name for name, field in names.items() if not field)
    return Reading(format, encoding.name, None, known, unknown, start)
