"""Opaque places in a list: base64 of a small JSON array. They give no access: every query is bound to its owner."""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from api.problems import FieldError, Problem
from worker.renders.events import Cursor

Row = TypeVar("Row")

_XID8 = 2**64
_BIGINT = 2**63
_INTEGER = 2**31


def _pack(*parts: str | int) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts, separators=(",", ":")).encode()).rstrip(b"=").decode()


def _unpack(text: str, parameter: str, *types: type) -> list[Any]:
    try:
        parts = json.loads(base64.b64decode(text.encode() + b"=" * (-len(text) % 4), altchars=b"-_", validate=True))
        if isinstance(parts, list) and [type(part) for part in parts] == list(types):
            return parts
    except (ValueError, binascii.Error, RecursionError):
        pass
    raise _invalid(parameter)


def _invalid(parameter: str) -> Problem:
    errors = [FieldError(f"?{parameter}", "not a cursor of this list")]
    return Problem("cursor.invalid", f"The parameter {parameter} is not a cursor of this list.", errors=errors)


def page(rows: Sequence[Row], limit: int, place: Callable[[Row], str]) -> tuple[Sequence[Row], str | None]:
    """Up to `limit` of the rows, of which one more was asked for, and where there is more of them the cursor behind
    the last one, by its `place`."""
    shown = rows[:limit]
    return shown, place(shown[-1]) if len(rows) > limit else None


def pack_moment(created_at: datetime, id: str) -> str:
    """A place in a list ordered by creation time and id."""
    return _pack(created_at.isoformat(), id)


def unpack_moment(text: str, parameter: str = "cursor") -> tuple[datetime, str]:
    """Raises Problem `cursor.invalid`."""
    moment, id = _unpack(text, parameter, str, str)
    try:
        created_at = datetime.fromisoformat(moment)
    except ValueError:
        raise _invalid(parameter) from None
    if created_at.tzinfo is None or not id.isascii() or "\0" in id:
        raise _invalid(parameter)
    return created_at, id


def pack_feed(place: Cursor) -> str:
    """A place in the feed of events."""
    return place.text


def unpack_feed(text: str, parameter: str = "after") -> Cursor:
    """Raises Problem `cursor.invalid`."""
    transaction, id = _unpack(text, parameter, int, int)
    if not (0 <= transaction < _XID8 and 0 <= id < _BIGINT):
        raise _invalid(parameter)
    return Cursor(transaction, id)


def pack_number(id: int) -> str:
    """A place in a list ordered by a growing number."""
    return _pack(id)


def unpack_number(text: str, parameter: str = "cursor") -> int:
    """Raises Problem `cursor.invalid`."""
    (id,) = _unpack(text, parameter, int)
    if not 0 <= id < _BIGINT:
        raise _invalid(parameter)
    return id


def pack_line(line: int, id: int) -> str:
    """A place in a list ordered by line and a growing number."""
    return _pack(line, id)


def unpack_line(text: str, parameter: str = "cursor") -> tuple[int, int]:
    """Raises Problem `cursor.invalid`."""
    line, id = _unpack(text, parameter, int, int)
    if not (0 <= line < _INTEGER and 0 <= id < _BIGINT):
        raise _invalid(parameter)
    return line, id


def unpack_position(text: str, parameter: str = "cursor") -> int:
    """Of a batch. Raises Problem `cursor.invalid`."""
    position = unpack_number(text, parameter)
    if position >= _INTEGER:
        raise _invalid(parameter)
    return position


def pack_id(id: str) -> str:
    """A place in a list ordered by ids that grow."""
    return _pack(id)


def unpack_id(text: str, parameter: str = "cursor") -> str:
    """Raises Problem `cursor.invalid`."""
    (id,) = _unpack(text, parameter, str)
    if not id.isascii() or "\0" in id:
        raise _invalid(parameter)
    return id
