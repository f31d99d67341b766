"""Physical lines of a text, bounded, counted, and given back where a record turns out to be none."""

import io
from collections import deque
from collections.abc import Iterator

MAX_RECORD = 16 << 20
"""Characters of one record of a table: far above what a shop writes, and 64 MB of memory at most."""


MAX_GIVEN_BACK = 4 * MAX_RECORD
"""Characters read again, beside twice what was read: quotes that are never closed cost that much, and then their
records are left out whole."""


class TooLarge(Exception):
    """A record went on for more than `MAX_RECORD` characters."""


class Lines(Iterator[str]):
    """What `csv.reader` draws from. Between records, `begin` marks where the next one starts."""

    def __init__(self, text: io.TextIOBase) -> None:
        self._text = text
        self._again: deque[str] = deque()
        self._taken = 0
        self._size = self._read = self._given_back = 0
        self.record: list[str] = []
        """Lines taken since `begin`."""
        self.ended = False
        """Whether the record asked for a line that is not there."""

    @property
    def place(self) -> int:
        """Number of the record's first line, from 1."""
        return self._taken - len(self.record) + 1

    def begin(self) -> None:
        self.record = []
        self._size = 0
        self.ended = False

    def skip(self, lines: int) -> None:
        """Leave out the next lines."""
        for _ in range(lines):
            next(self, None)
        self.begin()

    def give_back(self, keep: int) -> bool:
        """All lines of the record but its first `keep` are lines to come again, unless too many were already.
        Whether they are."""
        again = self.record[keep:]
        self.record = self.record[:keep]
        self._given_back += sum(map(len, again))
        if self._given_back > MAX_GIVEN_BACK + 2 * self._read:
            return False  # a file that is all broken quotes: reading each line to the end of the next record never ends
        self._again.extendleft(reversed(again))
        self._taken -= len(again)
        return True

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else self._new()
        if not line:
            self.ended = True
            raise StopIteration
        if len(line) == MAX_RECORD and line[-1] not in "\r\n":
            self._leave_rest()
        self._taken += 1
        self.record.append(line)
        self._size += len(line)
        if self._size >= MAX_RECORD:
            raise TooLarge
        return line.replace("\0", "") if "\0" in line else line

    def _new(self) -> str:
        line = self._text.readline(MAX_RECORD)
        self._read += len(line)
        return line

    def _leave_rest(self) -> None:
        """Up to the end of a line that is too long to be held."""
        while (piece := self._text.readline(MAX_RECORD)) and piece[-1] not in "\r\n":
            pass
