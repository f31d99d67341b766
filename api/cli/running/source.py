"""What a file is, by its content: rows of a batch, rows that fill a template, or a shop's products."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from api.cli import asking
from api.cli.reporting import Mistake
from api.client import Client
from worker.catalogs.feeds import NotAFeed, Reading, open_feed

SHOPS = {
    "shopify_csv": "products exported from Shopify",
    "woocommerce_csv": "products exported from WooCommerce",
    "google_rss": "a Google Merchant feed (RSS)",
    "google_atom": "a Google Merchant feed (Atom)",
    "google_tsv": "a Google Merchant feed",
    "meta_csv": "a Meta product feed",
    "meta_tsv": "a Meta product feed",
}
"""Formats that nothing but a shop writes."""
_OF_ROWS = frozenset({"prompt", "template", "variables"})
_LINE_BYTES = 256 * 1024
"""The longest row."""


@dataclass(frozen=True)
class Source:
    """What is asked for: a batch of the file's rows, or a catalog; `said` tells a person so."""

    given: Path | str
    kind: Literal["rows", "catalog"]
    said: str
    rows: Literal["jsonl", "csv"] | None = None


def understand(client: Client, given: str, template: str | None) -> Source:
    """Look at what was named. Raises Mistake where it is nothing that videos can be made of, and what client raises."""
    if given.startswith(("http://", "https://")):
        _demand(template, f"{given} is read as a product feed")
        return Source(given, "catalog", f"the address of a product feed, for the template {template}")
    path = asking.a_table(Path(given))
    feed = _feed(path)
    shop = SHOPS.get(feed.format) if isinstance(feed, Reading) else None
    columns = _columns(path)
    if shop and (template or "prompt" not in columns.names):
        _demand(template, f"{path} is {shop}")
        return Source(path, "catalog", f"{shop}: a video of each product, by the template {template}")
    if template is None:
        return _rows_of_their_own(path, columns)
    return _rows_for(client, path, columns, template, feed)


@dataclass(frozen=True)
class _Columns:
    """How a file would be read as a batch, and the names in its first row."""

    kind: Literal["jsonl", "csv"]
    names: frozenset[str]


def _rows_of_their_own(path: Path, columns: _Columns) -> Source:
    if not columns.names & {"prompt", "template"}:
        raise Mistake(
            f"{path} has no column `prompt`, so its rows do not say what the videos should be\n"
            "  → name a template that they fill: --template NAME (`vivideo templates list`)"
        )
    return Source(path, "rows", f"{_words(columns)}, each with what its video should be", columns.kind)


def _rows_for(client: Client, path: Path, columns: _Columns, template: str, feed: Reading | NotAFeed) -> Source:
    """Rows that the template's variables name, or else products."""
    demanded = _demanded(client, template)
    fills = columns.names & _OF_ROWS if columns.kind == "jsonl" else demanded <= columns.names
    if fills:
        return Source(path, "rows", f"{_words(columns)} for the template {template}", columns.kind)
    if isinstance(feed, Reading):
        said = f"products ({feed.format}): a video of each, by the template {template}"
        return Source(path, "catalog", said)
    missing = ", ".join(sorted(demanded - columns.names))
    raise Mistake(
        f"{path} does not fill the template {template}: it has no {missing or 'variables'}, and is no product feed "
        f"either ({feed.reason} {feed.remedy})"
    )


def _demanded(client: Client, template: str) -> frozenset[str]:
    """The variables that each row must have. Raises NotFound, Invalid."""
    name, _, number = template.partition("@")
    if number and not number.isdecimal():
        raise Mistake(f"{template!r} names no version: write {name}@3")
    version = client.template_version(name, int(number)) if number else client.template(name).version
    return frozenset(name for name, one in version.variables.items() if one.required and one.default is None)


def _feed(path: Path) -> Reading | NotAFeed:
    try:
        return open_feed(path)
    except NotAFeed as why:
        return why


def _columns(path: Path) -> _Columns:
    first = _first_object(path)
    if first is not None:
        return _Columns("jsonl", frozenset(first))
    return _Columns("csv", frozenset(one for cell in _header(path) for one in _spellings(cell)))


def _first_object(path: Path) -> Mapping[str, Any] | None:
    """That of the first line, in JSON Lines."""
    with path.open("rb") as file:
        line = file.readline(_LINE_BYTES).removeprefix(b"\xef\xbb\xbf").strip()
        while not line and (more := file.readline(_LINE_BYTES)):
            line = more.strip()
    try:
        found: Any = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _header(path: Path) -> Sequence[str]:
    """The cells of a table's first row, as the service reads it; none where there is none."""
    from api.batches import csv_files
    from api.problems import Problem

    try:
        return csv_files.read(path, {"template": "any"})[0]
    except Problem:
        return ()


def _spellings(cell: str) -> set[str]:
    """What a column may mean: as it is written, and as the service compares names."""
    plain = "_".join(cell.lower().replace("-", " ").split())
    return {cell, plain, cell.removeprefix("variables."), plain.removeprefix("variables.")}


def _demand(template: str | None, found: str) -> None:
    if template is None:
        raise Mistake(f"{found}: name the template of its videos\n  → --template NAME (`vivideo templates list`)")


def _words(columns: _Columns) -> str:
    return "JSON Lines" if columns.kind == "jsonl" else "a table of rows"
