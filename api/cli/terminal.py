"""The terminal as Rich writes to it, apart from what it does when the reader is gone."""

from typing import NoReturn

from rich.console import Console

WIDE = 1000
"""Columns where nobody looks: what reads a pipe wants a row on a line."""


class Words(Console):
    """Standard output for people."""

    def on_broken_pipe(self) -> NoReturn:
        """Leave it to who runs the command; Rich would end it with the status of a failure."""
        raise BrokenPipeError


def words() -> Words:
    """As wide as the terminal, or as the rows are where there is none."""
    console = Words(soft_wrap=True, highlight=False)
    return console if console.is_terminal else Words(soft_wrap=True, highlight=False, width=WIDE)
