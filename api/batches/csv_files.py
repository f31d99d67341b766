"""CSV: a header, and a request in each row after it."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from api.batches import csv_records
from api.batches.columns import Columns
from api.batches.csv_records import Record
from api.batches.rows import MALFORMED, Row, lines
from api.batches.text_files import open_text
from api.limits import ROW_BYTES
from api.problems import Problem


def read(path: Path, defaults: Mapping[str, Any]) -> tuple[list[str], Iterator[Row]]:
    """The header's names, and the rows behind it. Raises Problem `batch.header`."""
    found = _records(path)
    header = next(found, None)
    if header is None or header.why is not None:
        raise Problem("batch.header", header.why if header and header.why else "The file has no first row.")
    columns = Columns(header.cells, defaults)
    return columns.header, _rows(found, columns)


def _records(path: Path) -> Iterator[Record]:
    with open_text(path) as file:
        source = lines(file, ROW_BYTES, "\n")
        skipped: list[tuple[int, str | None]] = []
        for number, text in source:
            skipped.append((number, text))
            if text is None or text.strip():
                break
        first = skipped[-1][1] if skipped else None
        yield from csv_records.records(chain(skipped[-1:], source), csv_records.delimiter_of(first or ""))


def _rows(found: Iterable[Record], columns: Columns) -> Iterator[Row]:
    for record in found:
        if row := _row(record, columns):
            yield row


def _row(record: Record, columns: Columns) -> Row | None:
    size = len(record.raw)
    if record.why is not None:
        return Row(record.line, None, record.raw, size, MALFORMED, record.why)
    cells = tuple(record.cells)
    if not any(map(str.strip, cells)):
        return None
    if len(cells) != len(columns.header):
        detail = f"The row has {len(cells)} cells, the header {len(columns.header)}."
        return Row(record.line, None, cells, size, MALFORMED, detail)
    try:
        return Row(record.line, columns.value(cells), cells, size)
    except ValueError as why:
        return Row(record.line, None, cells, size, MALFORMED, f"{why}.")
