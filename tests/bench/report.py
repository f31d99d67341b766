"""Prints the figures, each with its aim where there is one, and counts the aims missed."""

import os
import platform
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

Cell = str | float | int


class Report:
    """`quick` runs are too short to judge times by: those aims are printed without a verdict."""

    def __init__(self, *, quick: bool = False) -> None:
        self.quick = quick
        self.missed = 0

    def machine(self, home: Path) -> None:
        """What it ran on, and what a commit costs there: the time of one `fdatasync` in `home`."""
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
        self.say(f"{os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}")
        self.say(f"8 KiB written and synchronised: {_synchronised(home) * 1000:.2f} ms (median of 50)")

    def say(self, line: str) -> None:
        """A line, at once."""
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    def aim(self, what: str, value: object, met: bool, aim: str) -> None:
        """A figure that has to be so."""
        self.missed += not met
        self.say(f"{what}: {value} (aim {aim}: {'met' if met else 'MISSED'})")

    def timed(self, what: str, value: object, met: bool, aim: str) -> None:
        """As `aim`, for a figure that depends on the machine's speed."""
        if self.quick:
            self.say(f"{what}: {value} (aim {aim}; not judged in a quick run)")
        else:
            self.aim(what, value, met, aim)

    def table(self, heads: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
        """Columns as wide as they need to be; figures to three digits."""
        cells = [list(heads), *([_cell(one) for one in row] for row in rows)]
        widths = [max(len(row[place]) for row in cells) for place in range(len(heads))]
        for row in cells:
            self.say("  " + "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _cell(value: Cell) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _synchronised(home: Path) -> float:
    took: list[float] = []
    with (home / "synchronised").open("wb", buffering=0) as file:
        for _ in range(50):
            file.write(b"\0" * 8192)
            began = time.monotonic()
            os.fdatasync(file.fileno())
            took.append(time.monotonic() - began)
    return statistics.median(took)
