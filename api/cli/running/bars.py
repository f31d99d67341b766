"""A running batch as a person sees it: one bar for all and some for what is at work, or lines where nobody looks."""

import time
from collections.abc import Sequence
from typing import Protocol, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn

from api.cli.balances import amount
from api.cli.progress import label
from api.client import FINAL, Batch, Render

LINE_SECONDS = 5.0
"""Between two lines that tell of progress alone."""
NAME_CHARACTERS = 30


class Fetching(Protocol):
    """How many videos are here, and how many on their way."""

    fetched: int
    there: int

    @property
    def waiting(self) -> int: ...


class Board(Protocol):
    """Where a batch is shown, for as long as it is entered. `bars`: running renders are asked for."""

    bars: bool

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def show(self, batch: Batch, running: Sequence[Render], videos: Fetching) -> None:
        """How things stand."""


def board(console: Console) -> Board:
    """Bars on a terminal, lines elsewhere."""
    return Bars(console) if console.is_terminal else Lines(console)


def ended(batch: Batch) -> int:
    """How many of its renders are final."""
    return sum(batch.counts.get(status, 0) for status in FINAL)


def facts(batch: Batch, videos: Fetching) -> str:
    """What is worth saying beside the number."""
    failed = batch.counts.get("failed", 0) + batch.counts.get("expired", 0)
    unknown = f" and {batch.credits.unknown_count} unknown charges" if batch.credits.unknown_count else ""
    said = [f"{videos.fetched + videos.there} here"]
    said += [f"{videos.waiting} being fetched"] if videos.waiting else []
    said += [f"{failed} failed"] if failed else []
    said += [f"{amount(batch.credits.known)} credits{unknown}"]
    said += [f"over about {batch.estimate.p50.astimezone():%H:%M}"] if batch.estimate else []
    return ", ".join(said)


class Bars:
    """On a terminal."""

    bars = True

    def __init__(self, console: Console) -> None:
        self._console = console
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[said]}"))
        self._progress = Progress(*columns, console=self._console, transient=True)
        self._all = self._progress.add_task("all", total=None, said="")
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
        self._tasks = {}

    def show(self, batch: Batch, running: Sequence[Render], videos: Fetching) -> None:
        """Set the bars."""
        done, total = ended(batch), batch.total
        said = f"{done:,}/{total:,}  {facts(batch, videos)}"
        self._progress.update(
            self._all, description=batch.status.replace("_", " "), completed=done, total=total, said=escape(said)
        )
        for gone in set(self._tasks) - {one.id for one in running}:
            self._progress.remove_task(self._tasks.pop(gone))
        for one in running:
            if one.id not in self._tasks:
                self._tasks[one.id] = self._progress.add_task(escape(_name(one)), total=1.0, said="")
            self._progress.update(self._tasks[one.id], completed=one.progress, said=escape(label(one)))


class Lines:
    """In a pipe or a log."""

    bars = False

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()
        self._status, self._said, self._at = "", "", 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, batch: Batch, running: Sequence[Render], videos: Fetching) -> None:
        """A line where the status is another, or something changed and the last line is old enough."""
        said = f"{ended(batch):,}/{batch.total:,}  {batch.status.replace('_', ' ')}: {facts(batch, videos)}"
        now = time.monotonic()
        if batch.status == self._status and (said == self._said or now - self._at < LINE_SECONDS):
            return
        self._status, self._said, self._at = batch.status, said, now
        self._console.print(f"{now - self._began:6.1f} s  {said}", markup=False, highlight=False, soft_wrap=True)


def _name(render: Render) -> str:
    """Its reference, as far as it can be printed."""
    name = "".join(one if one.isprintable() else "_" for one in render.external_ref or render.id)
    return name if len(name) <= NAME_CHARACTERS else name[: NAME_CHARACTERS - 1] + "…"
