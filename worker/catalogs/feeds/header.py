"""Which line is a table's header, and which sign parts its cells: told by the names in it, not by counting signs."""

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from worker.catalogs.feeds.names import (
    MERCHANT,
    MERCHANT_MARKS,
    META_MARKS,
    SHOPIFY,
    SHOPIFY_MARKS,
    WOOCOMMERCE,
    WOOCOMMERCE_MARKS,
    Names,
    are_of_products,
    fields_of,
    foreign,
    is_numbered_picture,
    plain,
)
from worker.catalogs.feeds.refusals import NotAFeed

DELIMITERS = ",;\t|"
_LINES = 60
"""Among which the header is looked for: Meta's template has comments before it, Excel a `sep=;`."""
_KNOWN = fields_of(MERCHANT) | fields_of(SHOPIFY) | fields_of(WOOCOMMERCE)


@dataclass(frozen=True, slots=True)
class Header:
    """A table's header and what follows from it."""

    delimiter: str
    skipped: int
    """Lines up to its end."""
    cells: tuple[str, ...]
    format: str
    fields: Mapping[str, tuple[int, ...]]
    """Indices of cells by field, best first."""

    @property
    def recognised(self) -> dict[str, str]:
        return {self.cells[at]: field for field, places in self.fields.items() for at in places}

    @property
    def unknown(self) -> tuple[str, ...]:
        used = {at for places in self.fields.values() for at in places}
        return tuple(cell for at, cell in enumerate(self.cells) if at not in used and cell.strip())


def find_header(head: str) -> Header:
    """The header in a text's beginning. Raises NotAFeed where there is none of products."""
    best = max(_candidates(head), key=lambda one: one[0], default=None)
    if best is None or best[0] < 2:
        raise NotAFeed("feed.not_products", _seen(head))
    _, delimiter, skipped, cells = best
    names = [plain(cell) for cell in cells]
    if code := foreign(names):
        raise NotAFeed(code)
    format, table = _dialect(set(names), delimiter)
    fields = _indices(names, table)
    recognised = {"ref" if field in {"id", "sku"} else field for field in fields}
    if not are_of_products(recognised):
        raise NotAFeed("feed.not_products", f"Its columns: {', '.join(cells)[:300]}.")
    return Header(delimiter, skipped, tuple(cells), format, fields)


def _candidates(head: str) -> Iterator[tuple[int, str, int, list[str]]]:
    """How many names are known, for each line and delimiter."""
    lines = list(io.StringIO(head.replace("\0", ""), newline=""))[:_LINES]
    for at in range(len(lines)):
        for delimiter in DELIMITERS:
            if delimiter in lines[at]:
                reader = csv.reader(lines[at:], delimiter=delimiter)
                try:
                    cells = _uncommented(next(reader, []))
                except csv.Error:
                    continue
                yield _score(cells), delimiter, at + reader.line_num, cells


def _uncommented(cells: list[str]) -> list[str]:
    """Some mark the header itself as a comment: "#id"."""
    if cells and cells[0].startswith("#") and plain(cells[0].lstrip("#")) in _KNOWN:
        return [cells[0].lstrip("#"), *cells[1:]]
    return cells


def _score(cells: list[str]) -> int:
    names = {plain(cell) for cell in cells}
    known = sum(name in _KNOWN or is_numbered_picture(name) for name in names)
    return known + 2 * bool(foreign(names))


def _dialect(names: set[str], delimiter: str) -> tuple[str, Names]:
    if names & {"handle", "url handle"} and "title" in names and names & SHOPIFY_MARKS:
        return "shopify_csv", SHOPIFY
    if {"type", "name"} <= names and len(names & WOOCOMMERCE_MARKS) >= 1 and names & {"id", "sku"}:
        return "woocommerce_csv", WOOCOMMERCE
    tabs = delimiter == "\t"
    if names & META_MARKS or any("[0]." in name for name in names):
        return ("meta_tsv" if tabs else "meta_csv"), MERCHANT
    if {"id", "title"} <= names and names & MERCHANT_MARKS:
        return ("google_tsv" if tabs else "meta_csv"), MERCHANT
    return ("tsv" if tabs else "csv"), MERCHANT


def _indices(names: list[str], table: Names) -> dict[str, tuple[int, ...]]:
    known = fields_of(table)
    found: dict[str, list[tuple[int, int]]] = {}
    for at, name in enumerate(names):
        if name in known:
            field, rank = known[name]
            found.setdefault(field, []).append((rank, at))
        elif is_numbered_picture(name) and table is MERCHANT:
            found.setdefault("images", []).append((-1, at))
    return {field: tuple(at for _, at in sorted(places)) for field, places in found.items()}


def _seen(head: str) -> str:
    start = " ".join(head[:200].split())[:80]
    return f"It begins with: {start}"
