"""A table of products: its rows become the fields of records, and these products."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from worker.catalogs.feeds import shopify, woocommerce
from worker.catalogs.feeds.encodings import Encoding
from worker.catalogs.feeds.header import Header
from worker.catalogs.feeds.lines import Lines
from worker.catalogs.feeds.merchant import first, read_record
from worker.catalogs.feeds.plain_text import MAX_HTML
from worker.catalogs.feeds.problems import Item, Items, Problem, problem
from worker.catalogs.feeds.products import Fields
from worker.catalogs.feeds.rows import read_rows
from worker.catalogs.feeds.scratch import Part, Parts
from worker.catalogs.feeds.unique import unique

MAX_CELL = MAX_HTML
"""Characters of a cell that are looked at."""
Record = tuple[int, Fields]


@dataclass(frozen=True, slots=True)
class Table:
    """Where the rows are and how they are read."""

    path: Path
    encoding: Encoding
    header: Header

    def items(self) -> Items:
        if self.header.format == "shopify_csv":
            return self._shopify()
        if self.header.format == "woocommerce_csv":
            return self._woocommerce()
        return unique(self._merchant())

    def _merchant(self) -> Items:
        for record in self._records():
            if isinstance(record, Problem):
                yield record
            else:
                yield from read_record(*record)

    def _shopify(self) -> Items:
        parts = Parts()
        try:
            for record in self._records():
                if isinstance(record, Problem):
                    yield record
                elif handle := first(record[1], "ref").strip():
                    parts.begin(record[0], [handle], record[1])
                else:
                    yield problem("item.no_ref", record[0], name="handle")
            for _, group in groupby(parts.products(), key=itemgetter(0)):
                yield from _shopify_product(part for _, part in group)
        finally:
            parts.close()

    def _woocommerce(self) -> Items:
        parts = Parts()
        try:
            for record in self._records():
                yield from [record] if isinstance(record, Problem) else woocommerce.put(parts, *record)
            for owner, group in groupby(parts.products(), key=itemgetter(0)):
                rows = (part for _, part in group)
                yield from map(woocommerce.orphan, rows) if owner is None else woocommerce.merge(rows)
        finally:
            parts.close()

    def _records(self) -> Iterator[Record | Problem]:
        columns = [(field, at) for field, places in self.header.fields.items() for at in places]
        with self.encoding.open(self.path) as text:
            lines = Lines(text)
            lines.skip(self.header.skipped)
            for row in read_rows(lines, self.header.delimiter, len(self.header.cells)):
                yield row if isinstance(row, Problem) else (row.place, _fields(row.cells, columns))


def _fields(cells: list[str], columns: list[tuple[str, int]]) -> Fields:
    fields: dict[str, list[str]] = {}
    for field, at in columns:
        if at < len(cells) and (cell := cells[at]) and not cell.isspace():
            fields.setdefault(field, []).append(cell[:MAX_CELL])
    return fields


def _shopify_product(parts: Iterator[Part]) -> Iterator[Item]:
    place, fields = next(parts)

    def rows() -> Iterator[Part]:
        yield place, fields
        yield from parts

    return shopify.merge(first(fields, "ref"), rows())
