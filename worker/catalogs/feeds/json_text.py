"""JSON of any size and encoding, item by item."""

import io
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import ijson

from worker.catalogs.feeds.encodings import Encoding

MAX_ITEM = 8 << 20
"""Bytes of one item: Shopify's largest (2,048 variants) take 3 MB."""
PIECE = 1 << 16


class ItemTooLarge(Exception):
    """Nothing ended for `MAX_ITEM` bytes, so what comes would not fit into memory."""


_ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)"
)
"""Any escape, so that a backslash that is escaped itself begins none; the group is half a surrogate pair."""
_LONGEST_ESCAPE = 12


def _without_half(match: re.Match[str]) -> str:
    """Half a surrogate pair is no character: ijson would make a question mark of it."""
    return "" if match[1] else match[0]


class BrokenJson(ValueError):
    """Its text says where and why."""


_DIGITS = "0123456789"
_LONG = 1_000
"""Digits in a row that no number of a product has. Past 4,300, Python's own limit, ijson's C code does not raise, it
takes the process down; of a row that two pieces share, one has more than these."""
_LONG_NUMBER = re.compile(r"(?<![0-9])([0-9]{50})[0-9]{950,}")
"""What is left of one is larger than any number that is read, or as good a fraction."""


def _has_long_number(piece: str) -> bool:
    """Whether so many digits stand in a row: one of them is then at a multiple of that number."""
    return any(one in _DIGITS and _row(piece, place * _LONG) >= _LONG for place, one in enumerate(piece[::_LONG]))


def _row(piece: str, at: int) -> int:
    before, behind = piece[max(at - _LONG, 0) : at], piece[at : at + _LONG]
    return len(before) - len(before.rstrip(_DIGITS)) + len(behind) - len(behind.lstrip(_DIGITS))


class Utf8:
    """A text as the UTF-8 bytes that ijson reads, so that no stray byte stops it; bounded between two items."""

    def __init__(self, text: io.TextIOBase) -> None:
        self._text = text
        self._since = 0

    def read(self, size: int) -> bytes:
        piece = self._text.read(size)
        while "\\" in piece[-_LONGEST_ESCAPE:] and (more := self._text.read(size)):
            piece += more
            if len(piece) > MAX_ITEM:
                raise ItemTooLarge
        if _has_long_number(piece):
            piece = _LONG_NUMBER.sub(r"\1", piece)
        if "\\u" in piece:
            piece = _ESCAPE.sub(_without_half, piece)
        self._since += len(piece)
        if self._since > MAX_ITEM:
            raise ItemTooLarge
        return piece.encode("utf-8", errors="ignore")

    def item(self) -> None:
        """One was complete."""
        self._since = 0


def values(path: Path, encoding: Encoding, prefix: str) -> Iterator[Any]:
    """What stands at ijson's `prefix`. Raises BrokenJson behind the last whole value, and ItemTooLarge."""
    with encoding.open(path) as text:
        file = Utf8(text)
        try:
            for value in ijson.items(file, prefix, buf_size=PIECE):
                file.item()
                yield value
        except ijson.JSONError as error:
            raise BrokenJson(_first_line(error)) from None
        except ArithmeticError:
            raise BrokenJson(_TOO_LARGE) from None


def list_prefix(path: Path, encoding: Encoding, lists: re.Pattern[str]) -> str | None:
    """ijson's prefix of the items of the first list whose own prefix is one of `lists`, or of one `product`."""
    with encoding.open(path) as text:
        try:
            for prefix, event, _ in ijson.parse(Utf8(text), buf_size=PIECE):
                if event == "start_array" and lists.fullmatch(prefix):
                    return f"{prefix}.item"
                if event == "start_map" and prefix == "product":
                    return prefix
        except (ijson.JSONError, ItemTooLarge, ArithmeticError):
            pass
    return None


_TOO_LARGE = "a number is too large for any use"
"""Decimal raises InvalidOperation, which is no ValueError, for an exponent of twenty digits."""


def loads(line: str) -> Any:
    """One line's value, its decimal fractions as they were written. Raises BrokenJson."""
    try:
        return json.loads(line, parse_float=Decimal)
    except RecursionError:
        raise BrokenJson("nested too deeply") from None
    except ArithmeticError:
        raise BrokenJson(_TOO_LARGE) from None
    except ValueError as error:
        raise BrokenJson(_first_line(error)) from None


def _first_line(error: Exception) -> str:
    """Libraries draw a picture of the place below it."""
    return str(error).partition("\n")[0].strip()
