"""A batch's source as rows: each a value to be checked, or the reason why it is none, with the line it begins at."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any, AnyStr

RAW_CHARACTERS = 16 * 1024
"""Kept of a row that was rejected."""

MALFORMED = "row.malformed"
TOO_LARGE = "row.too_large"
INVALID = "row.invalid"


@dataclass(frozen=True, slots=True)
class Row:
    """One row. `value` is what was read, unless `code` and `detail` say why nothing could be.

    `line` is the physical line it begins at, from 1, or an item's number; `raw` is what was given: text, a CSV row's
    cells, or an item. `size` is about how many characters it has.
    """

    line: int
    value: Any = None
    raw: Any = None
    size: int = 0
    code: str | None = None
    detail: str = ""

    def text(self) -> str:
        """The row as it was given, cut to a bound; CSV with commas, whatever it was separated by."""
        if isinstance(self.raw, str):
            given = self.raw
        elif isinstance(self.raw, tuple):
            given = _csv(self.raw)
        else:
            given = json.dumps(self.value, ensure_ascii=False)
        return given[:RAW_CHARACTERS].replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _csv(cells: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(cells)
    return text.getvalue()


def of_items(items: Sequence[Any]) -> Iterator[Row]:
    """The items of a JSON body, by their number."""
    return (Row(number, item) for number, item in enumerate(items, start=1))


def lines(file: IO[AnyStr], longest: int, end: AnyStr) -> Iterator[tuple[int, AnyStr | None]]:
    """Physical lines with their numbers; None in the place of one that is longer than `longest`, which is passed over
    without being held in memory."""
    number = 0
    while piece := file.readline(longest + 1):
        number += 1
        if len(piece) <= longest or piece.endswith(end):
            yield number, piece
            continue
        while piece and not piece.endswith(end):
            piece = file.readline(longest)
        yield number, None
