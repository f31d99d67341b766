"""Rows for people: a table, or, where the terminal is too narrow for one, a block for each row."""

from collections.abc import Sequence
from datetime import UTC, datetime

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

Cell = str | Text
GAP = 2
"""Columns between two cells."""


def table(console: Console, titles: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    """Nothing is cut off: an id that is cannot be copied."""
    widths = [max(cell_len(str(cell)) for cell in column) for column in zip(titles, *rows, strict=True)]
    if sum(widths) + GAP * (len(widths) - 1) > console.width:
        return _blocks(console, titles, rows)
    grid = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0))
    for title in titles:
        grid.add_column(title, no_wrap=True)
    for row in rows:
        grid.add_row(*map(_text, row))
    return console.print(grid)


def fields(console: Console, named: Sequence[tuple[str, Cell | None]]) -> None:
    """One name and value on each line; those without a value are left out."""
    width = max((len(name) for name, value in named if value), default=0)
    for name, value in named:
        if value:
            console.print(Text(f"{name:>{width}}  ", style="dim") + _text(value))


def when(moment: datetime | None) -> str:
    """A moment to the second, with its zone; empty for none."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}" if moment else ""


def _blocks(console: Console, titles: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    for place, row in enumerate(rows):
        if place:
            console.print()
        fields(console, list(zip(titles, row, strict=True)))


def _text(cell: Cell) -> Text:
    # What came from elsewhere must not reach the terminal as its commands.
    return (
        cell
        if isinstance(cell, Text)
        else Text("".join(one if one.isprintable() or one in "\n\t" else "�" for one in cell))
    )
