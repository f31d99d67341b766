"""The WHATWG event-stream algorithm, on bytes.

Our own because the two at hand are wrong for this stream: httpx's `iter_lines` splits text at U+2028, U+2029 and
U+0085, which JSON may hold raw; httpx-sse dispatches blocks without data and keeps a byte order mark. Here bytes are
split at `\\n`, `\\r\\n` and `\\r` alone, and each event's UTF-8 is decoded by itself.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

LARGEST_EVENT = 8 * 1024 * 1024
"""Bytes of one event: a tool's result may hold a whole draft; more is a broken stream, not an answer."""

_LINE_END = re.compile(rb"\r\n|\n|\r")
_DIGITS = re.compile(rb"[0-9]{1,15}")


class EventTooLarge(Exception):
    """One event grew past the bound."""


@dataclass(frozen=True, slots=True)
class Event:
    """A dispatched event; `type` is "message" unless the stream named another."""

    data: str
    type: str = "message"
    id: str = ""


class Parser:
    """Fed any pieces of a stream, yields its events; what no blank line has ended is never dispatched."""

    def __init__(self, largest: int = LARGEST_EVENT) -> None:
        self.comments = 0
        """Comment lines so far: signs of life that dispatch nothing."""
        self.retry: int | None = None
        """Milliseconds the server asks a client to wait before it connects again."""
        self._largest = largest
        self._first = True
        self._after_cr = False
        self._line: list[bytes] = []
        self._line_size = 0
        self._data: list[bytes] = []
        self._data_size = 0
        self._type = b""
        self._id = b""

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """The events that this piece completes; `EventTooLarge` when one exceeds the bound."""
        if self._after_cr and chunk:
            self._after_cr = False
            chunk = chunk.removeprefix(b"\n")
        position = 0
        for end in _LINE_END.finditer(chunk):
            line, position = chunk[position : end.start()], end.end()
            if self._line:
                line = b"".join((*self._line, line))
                self._line.clear()
                self._line_size = 0
            self._after_cr = end[0] == b"\r" and position == len(chunk)
            event = self._read(line)
            if event:
                yield event
        if position < len(chunk):
            self._line.append(chunk[position:])
            self._line_size += len(chunk) - position
        if self._line_size + self._data_size > self._largest:
            raise EventTooLarge

    def _read(self, line: bytes) -> Event | None:
        if self._first:
            self._first = False
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not line:
            return self._dispatch()
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._data_size += len(value) + 1
        elif name == b"event":
            self._type = value
        elif name == b"id" and b"\0" not in value:
            self._id = value
        elif name == b"retry" and _DIGITS.fullmatch(value):
            self.retry = int(value)
        elif not name:
            self.comments += 1
        return None

    def _dispatch(self) -> Event | None:
        data, kind = self._data, self._type
        self._data, self._data_size, self._type = [], 0, b""
        return Event(_text(b"\n".join(data)), _text(kind) or "message", _text(self._id)) if data else None


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
