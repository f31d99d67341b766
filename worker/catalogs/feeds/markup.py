"""Items of an XML feed, cut out of its text one by one before any of them is parsed.

So one broken item harms no other, a document type is never read (no entity bomb, no file or address from outside), and
a file of any size takes the memory of one item.
"""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass

MAX_ITEM = 2 << 20
"""Characters of one item, its description included."""
_PIECE = 1 << 18
_LONGEST_MARK = 64
"""Characters that may be the beginning of a mark which the end of a piece cuts."""
_CLOSING = {"<![CDATA[": "]]>", "<!--": "-->"}


@dataclass(frozen=True, slots=True)
class Segment:
    """An item's markup, its own tags included. `state` is one of
    "whole", "open" (its end tag is missing), "cut" (the file ends in it) and "large" (left out)."""

    number: int
    markup: str
    state: str = "whole"


class Splitter:
    """Cuts `name` elements (`item` or `entry`) out of a text. Positions count from `_start`, which moves on."""

    def __init__(self, text: io.TextIOBase, name: str) -> None:
        self._text = text
        self._buffer = ""
        self._start = 0
        self._drained = False
        self._before = 0
        """Characters that were read and are no longer kept."""
        self._unclosed: dict[str, int] = {}
        """Up to where, from the file's start, a search for a closing sign found none: nothing is searched twice."""
        self._closed: dict[str, tuple[int, int]] = {}
        """Where a closing sign was found, from the file's start, and up to where one is opened anew before it."""
        tag = rf"(?:[A-Za-z][\w.-]{{0,30}}:)?{name}"
        self._mark = re.compile(rf"<!\[CDATA\[|<!--|<{tag}(?=[\s>/])|</{tag}\s*>")

    def segments(self) -> Iterator[Segment]:
        number = 0
        while self._find_start():
            number += 1
            end, state = self._find_end()
            yield Segment(number, "" if state == "large" else self._buffer[self._start : self._start + end], state)
            self._start += end

    @property
    def tail(self) -> str:
        """What follows the last item."""
        return self._buffer[self._start :]

    def _find_start(self) -> bool:
        """Move on to the next item; False where there is none."""
        at = 0
        while True:
            match, at = self._next(at)
            if match is None:
                self._start += max(at - _LONGEST_MARK, 0)  # what is passed over is not kept
                if not self._more():
                    return False
                at = 0
            elif match[0] in _CLOSING:
                at = self._behind(match)
            elif match[0].startswith("</"):
                self._start = match.end()
                at = 0
            else:
                self._start = match.start()
                return True

    def _find_end(self) -> tuple[int, str]:
        """Where the item ends, and what there is of it."""
        at = 1
        while True:
            match, at = self._next(at)
            if at > MAX_ITEM:
                return at, "large"
            if match is None:
                at = max(at - _LONGEST_MARK, 1)
                if not self._more():
                    return self._length, "cut"
            elif match[0] in _CLOSING:
                at = self._behind(match)
            elif match[0].startswith("</"):
                return match.end() - self._start, "whole"
            else:  # the next item begins: the end of this one is missing
                return match.start() - self._start, "open"

    def _next(self, at: int) -> tuple[re.Match[str] | None, int]:
        """The next mark, and where it is, or where the text read so far ends."""
        match = self._mark.search(self._buffer, self._start + at)
        return match, match.start() - self._start if match else self._length

    def _behind(self, match: re.Match[str]) -> int:
        """Behind a comment or a CDATA section; only behind its mark where that is never closed within an item."""
        mark, closing = match[0], _CLOSING[match[0]]
        inner = match.end() - self._start
        behind = self._before + self._start
        end, anew = self._closed.get(closing, (-1, -1))
        if end - behind < inner:  # else found before, and still ahead: a thousand openings are not a thousand searches
            at = max(inner, self._unclosed.get(closing, 0) - behind)
            while (found := self._buffer.find(closing, self._start + at)) < 0:
                at = max(self._length - len(closing), inner)
                self._unclosed[closing] = self._before + self._start + at
                if self._length - inner > MAX_ITEM or not self._more():
                    return inner
            between = self._start + inner, found
            last = min(self._buffer.rfind(mark, *between), self._buffer.rfind("</", *between))
            behind = self._before + self._start
            end, anew = self._before + found, self._before + last if last >= 0 else -1
            self._closed[closing] = end, anew
        if anew - behind >= inner:
            return inner  # a second one is opened in it: the end of this one was forgotten
        return end - behind + len(closing)

    @property
    def _length(self) -> int:
        return len(self._buffer) - self._start

    def _more(self) -> bool:
        """Read on, keeping what begins at `_start`."""
        piece = "" if self._drained else self._text.read(_PIECE)
        self._drained = not piece
        self._before += self._start
        self._buffer = self._buffer[self._start :] + piece.replace("\0", "")
        self._start = 0
        return bool(piece)
