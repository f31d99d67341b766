"""`vivideo batch run` on a terminal: one bar for all, one for each of some that are at work."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from rich.console import Console

from api.cli.running.bars import Bars, Lines, board
from api.client import Batch, Render

NOW = datetime(2027, 1, 31, tzinfo=UTC)


@dataclass
class Fetched:
    """Videos here and on their way."""

    fetched: int = 0
    there: int = 0
    waiting: int = 0


def a_batch(succeeded: int, total: int = 4, status: str = "running") -> Batch:
    """So much of a batch is made."""
    return Batch.model_validate(
        {
            "id": "bat_1",
            "status": status,
            "source": "csv",
            "priority": "normal",
            "total": total,
            "rejected": 0,
            "counts": {"succeeded": succeeded, "running": total - succeeded},
            "progress": succeeded / total,
            "credits": {"known": 100.0 * succeeded, "unknown_count": 0},
            "created_at": NOW,
        }
    )


def at_work(ref: str | None, progress: float) -> Render:
    """One that is being made."""
    return Render.model_validate(
        {
            "id": f"rnd_{ref}",
            "run": 1,
            "status": "running",
            "stage": "export",
            "progress": progress,
            "prompt": "a kite",
            "language": "en",
            "priority": "normal",
            "on_unconfirmed": "fail",
            "external_ref": ref,
            "charge": {"state": "none"},
            "created_at": NOW,
            "updated_at": NOW,
        }
    )


class Terminal:
    """What stands on one of 120 columns; the bars' own thread draws it too, elsewhere."""

    def __init__(self) -> None:
        self.board = board(Console(file=io.StringIO(), force_terminal=True, width=120))
        assert isinstance(self.board, Bars)

    def lines(self, batch: Batch, running: Sequence[Render], videos: Fetched) -> list[str]:
        """The picture of this moment, a line each bar."""
        self.board.show(batch, running, videos)
        paper = Console(file=io.StringIO(), width=120)
        paper.print(self.board._progress.get_renderable())
        return [line.rstrip() for line in paper.file.getvalue().splitlines()]


def test_there_is_a_bar_for_all_and_one_for_each_at_work() -> None:
    """They come and go with the renders; the first line counts what is over and what is here."""
    terminal = Terminal()
    with terminal.board:
        first = terminal.lines(a_batch(1), [at_work("mug", 0.25), at_work("lamp", 0.5)], Fetched(fetched=1))
        later = terminal.lines(a_batch(2), [at_work("lamp", 0.75), at_work("sofa", 0.0)], Fetched(1, 0, 1))
    assert [line.split()[1] for line in first] == ["running", "mug", "lamp"]
    assert "1/4  1 here, 100 credits" in first[0]
    assert [line.split()[1] for line in later] == ["running", "lamp", "sofa"]
    assert "2/4  1 here, 1 being fetched, 200 credits" in later[0]
    assert first[2].count("━") < later[1].count("━")


@pytest.mark.parametrize(
    ("ref", "shown"), [("a" * 60, "a" * 29 + "…"), ("[red]x[/red]", "[red]x[/red]"), ("a\x1b[2Jb", "a_[2Jb")]
)
def test_a_reference_is_shown_as_it_is_and_draws_nothing(ref: str, shown: str) -> None:
    """However long, and whatever a terminal or the bars would make of it."""
    terminal = Terminal()
    with terminal.board:
        assert terminal.lines(a_batch(0), [at_work(ref, 0.5)], Fetched())[1].split()[1] == shown


def test_without_a_terminal_there_are_lines() -> None:
    """One for each state, and none for progress that comes sooner than anybody reads; no running renders are asked
    for."""
    file = io.StringIO()
    shown = board(Console(file=file))
    assert (isinstance(shown, Lines), shown.bars) == (True, False)
    with shown:
        for made in (0, 1, 2):
            shown.show(a_batch(made), [], Fetched())
        shown.show(a_batch(4, status="finished"), [], Fetched(fetched=4))
    assert [line.partition(" s  ")[2] for line in file.getvalue().splitlines()] == [
        "0/4  running: 0 here, 0 credits",
        "4/4  finished: 4 here, 400 credits",
    ]
