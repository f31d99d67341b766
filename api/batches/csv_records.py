"""CSV records with the physical line each begins at. What is no record costs that line alone: reading goes on with the
next one, also where a quote was never closed.
"""

import csv
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from api.limits import ROW_BYTES

DELIMITERS = (",", ";", "\t", "|")


@dataclass(frozen=True, slots=True)
class Record:
    """The cells of one record, or the reason why there are none."""

    line: int
    cells: list[str] = field(default_factory=list[str])
    raw: str = ""
    why: str | None = None


REREAD_BYTES = 64 * ROW_BYTES
"""Of rows that were read to find out that they are none: seconds of work."""


class _TooLong(Exception):
    pass


class _Feed:
    """Lines for the parser, which remembers those it gave for the record at hand and takes them back."""

    def __init__(self, source: Iterator[tuple[int, str | None]]) -> None:
        self._source = source
        self._back: deque[tuple[int, str | None]] = deque()
        self._size = self._again = 0
        self.given: list[tuple[int, str | None]] = []

    def __iter__(self) -> "_Feed":
        return self

    def __next__(self) -> str:
        one = self._back.popleft() if self._back else next(self._source)
        self.given.append(one)
        _, text = one
        self._size += len(text or "")
        if text is None or self._size > ROW_BYTES:
            raise _TooLong
        return text

    def begin(self) -> None:
        """The next record."""
        self.given, self._size = [], 0

    def take_back(self) -> bool:
        """All but the first line, to be read as records of their own, unless too much was already: a file that is all
        broken quotes would be read to the next one from each of its lines. Whether they are."""
        self._again += self._size
        if self._again > REREAD_BYTES:
            return False
        self._back.extendleft(reversed(self.given[1:]))
        return True


def records(source: Iterator[tuple[int, str | None]], delimiter: str) -> Iterator[Record]:
    """The records of some numbered lines; empty lines are none."""
    feed = _Feed(source)
    while True:
        feed.begin()
        try:
            cells = next(csv.reader(feed, delimiter=delimiter, strict=True))
        except StopIteration:
            return
        except _TooLong:
            yield _broken(feed, f"The row is longer than {ROW_BYTES // 1024} KiB, or a quote in it is never closed.")
        except csv.Error as error:
            yield _broken(feed, _words(str(error)))
        else:
            if cells:
                yield Record(feed.given[0][0], cells, "".join(text or "" for _, text in feed.given))


def _broken(feed: _Feed, why: str) -> Record:
    line, text = feed.given[0]
    if not feed.take_back():
        why += f" Everything up to line {feed.given[-1][0]} is left out with it: too many rows are broken like this."
    return Record(line, raw=(text or "").rstrip("\n"), why=why)


def _words(error: str) -> str:
    if "unexpected end of data" in error:
        return "A quote in the row is never closed."
    if "expected after" in error:
        return (
            'Something stands between a closing quote and the next cell: a quote inside a cell is written twice ("").'
        )
    return f"The row cannot be read: {error}."


def delimiter_of(header: str) -> str:
    """What a header's cells are separated by: whatever is in it most, outside of quotes."""
    outside = "".join(header.split('"')[::2])
    return max(DELIMITERS, key=outside.count)
