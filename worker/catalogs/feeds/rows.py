"""Rows of a table out of its text: quoting, line numbers, and what to do where quoting is broken."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass, replace

from worker.catalogs.feeds.lines import MAX_RECORD, Lines, TooLarge
from worker.catalogs.feeds.problems import Problem, problem


@dataclass(frozen=True, slots=True)
class Row:
    """`place` is the physical line that it begins on; `cells` are as many as there are columns, or fewer."""

    place: int
    cells: list[str]


def read_rows(lines: Lines, delimiter: str, columns: int) -> Iterator[Row | Problem]:
    """Each row under a header of `columns` cells; blank rows are passed over."""
    # The limit is the process's, 128 KiB at first; `Lines` bounds a record before this does.
    csv.field_size_limit(max(csv.field_size_limit(), 2 * MAX_RECORD))
    reader = csv.reader(lines, delimiter=delimiter)
    lost = False
    while True:
        lines.begin()
        try:
            cells = next(reader, None)
        except TooLarge:
            yield _overlong(lines)
            lost = True
            continue
        if cells is None and not lines.record:
            return
        row = Row(lines.place, cells or [])
        if len(lines.record) > 1 or lines.ended:
            if literal := _without_quotes(lines, row, delimiter, columns):
                found = problem("row.stray_quote", row.place)
                row, lost = Row(row.place, literal), lines.ended
                yield _apart(lines, found)
                yield from _checked(row, columns)
                continue
            elif lines.ended:
                yield _apart(lines, problem("row.unclosed_quote", row.place))
                lost = True
                continue
        if lost and len(row.cells) != columns:
            continue  # the inside of a cell whose beginning was lost
        lost = False
        yield from _checked(row, columns)


def _overlong(lines: Lines) -> Problem:
    """One line that is too long is passed over; of several, a quote was opened and never closed, the first is."""
    if len(lines.record) == 1:
        return problem("row.too_large", lines.place, limit=MAX_RECORD)
    return _apart(lines, problem("row.unclosed_quote", lines.place))


def _apart(lines: Lines, found: Problem) -> Problem:
    """The first line is a row of its own, the others are read again; or it is said that they are not."""
    last = lines.place + len(lines.record) - 1
    if lines.give_back(keep=1):
        return found
    return replace(
        found, detail=f"{found.detail} Everything up to line {last} is left out with it: too many rows are like this."
    )


def _without_quotes(lines: Lines, row: Row, delimiter: str, columns: int) -> list[str] | None:
    """The cells of the first line alone, where a quote in it was a mere sign ("12 pipe), not one around a cell.

    It was, where the line by itself has a cell for each column, and the record that the quote made of it and of the
    next lines has another number of cells, no end, or text behind a closing quote.
    """
    cells = lines.record[0].rstrip("\r\n").replace("\0", "").split(delimiter)
    if len(cells) != columns or len(lines.record) == 1:
        return None
    sound = not lines.ended and len(row.cells) == columns and _is_strict(lines.record, delimiter)
    return None if sound else cells


def _is_strict(record: list[str], delimiter: str) -> bool:
    try:
        next(csv.reader(record, delimiter=delimiter, strict=True))
    except csv.Error:
        return False
    return True


def _checked(row: Row, columns: int) -> list[Row | Problem]:
    cells = row.cells
    if not any(cell and not cell.isspace() for cell in cells):
        return []
    if len(cells) < columns:
        return [problem("row.too_few_cells", row.place, cells=len(cells), columns=columns), row]
    if any(cell and not cell.isspace() for cell in cells[columns:]):
        return [problem("row.too_many_cells", row.place, cells=len(cells), columns=columns)]
    return [Row(row.place, cells[:columns])] if len(cells) > columns else [row]
