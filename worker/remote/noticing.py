"""What the client meets and does not know, counted in this process until it is written down.

Names, kinds and lengths only, never a value. A name can be data too (an object keyed by ids), so one that does not read
like a name is told by its length.
"""

import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from worker.remote.text import redact

Kind = Literal["field", "shape", "event", "code"]
Key = tuple[Kind, str, str]
"""Kind, the call it was met in, and the name."""

DISTINCT = 500
"""Different ones a process tells apart: more is no change of the contract but data used as names."""
OVERFLOW: Key = ("shape", "*", "overflow")
"""Where everything beyond that is counted."""

_WORD = re.compile(r"[A-Za-z_$][\w$-]*", re.ASCII)
_LONGEST = 40
_NUMBER = re.compile(r"-?[0-9]{1,6}")
_DIGITS = 4
"""Digits from which a word is rather an id, a date or a hash."""
_DEPTH = 100
"""Characters of a field's whole path."""


@dataclass(slots=True)
class Tally:
    """How often one was met; `first` and `last` on `time.monotonic()`'s clock."""

    count: int
    example: str | None
    first: float
    last: float


class Notices:
    """The counts of one process; safe between threads and greenlets."""

    def __init__(self, distinct: int = DISTINCT) -> None:
        self._distinct = distinct
        self._lock = threading.Lock()
        self._met: set[Key] = set()
        """All since the process began: what was written down still counts for the bound."""
        self._pending: dict[Key, Tally] = {}

    def add(self, kind: Kind, place: str, name: str, example: str | None = None) -> None:
        """Count one."""
        key: Key = (kind, place, name)
        now = time.monotonic()
        with self._lock:
            if key not in self._met:
                if len(self._met) >= self._distinct:
                    key, example = OVERFLOW, None
                else:
                    self._met.add(key)
            self._merge(key, Tally(1, example, now, now))

    def pending(self) -> dict[Key, Tally]:
        """What is not yet written down; it stays so."""
        with self._lock:
            return dict(self._pending)

    def take(self) -> dict[Key, Tally]:
        """What is not yet written down, now the caller's to write (or to give back)."""
        with self._lock:
            taken, self._pending = self._pending, {}
            return taken

    def give_back(self, taken: Mapping[Key, Tally]) -> None:
        """It could not be written: keep it for the next time."""
        with self._lock:
            for key, tally in taken.items():
                self._merge(key, tally)

    def _merge(self, key: Key, more: Tally) -> None:
        known = self._pending.get(key)
        if known is None:
            self._pending[key] = more
            return
        known.count += more.count
        known.example = more.example or known.example
        known.first, known.last = min(known.first, more.first), max(known.last, more.last)


NOTICES = Notices()
"""This process's."""


def fields(place: str, holder: Mapping[str, object], known: frozenset[str], under: str = "") -> None:
    """Count the members of `holder` that are not `known`; nothing but a look at the keys where all are."""
    if holder.keys() <= known:
        return
    for name in holder.keys() - known:
        path = f"{under}.{tidy(name)}" if under else tidy(name)
        NOTICES.add("field", place, path[:_DEPTH], kind_of(holder[name]))


def shape(place: str, name: str, example: str | None = None) -> None:
    """Count an answer of a form nobody foresaw; `name` is one of our own words."""
    NOTICES.add("shape", place, name, example)


def event(name: str, example: str | None = None) -> None:
    """Count an event of the stream that could not be used."""
    NOTICES.add("event", "send_message", name, example)


def code(place: str, what: str, word: str = "") -> None:
    """Count a code or status that no table has; `what` is our own word for where it stood."""
    NOTICES.add("code", place, f"{what} {word if _NUMBER.fullmatch(word) else tidy(word)}" if word else what)


def tidy(name: str) -> str:
    """The name, where it reads like one; else only how long it is."""
    return name if len(name) <= _LONGEST and _is_name(name) else f"<{len(name)} characters>"


@lru_cache(maxsize=1024)
def _is_name(word: str) -> bool:
    """Remembered: a field that is new comes with every event of every stream."""
    return bool(_WORD.fullmatch(word)) and sum(map(str.isdigit, word)) < _DIGITS and redact(word) == word


def kind_of(value: object) -> str:
    """What a value is, never what it says: `text of 12`, `number`, `list of 3`, `object of 2`, `null`."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "number"
        case str():
            return f"text of {len(value)}"
        case list():
            return f"list of {len(value)}"  # pyright: ignore[reportUnknownArgumentType] - only counted
        case dict():
            return f"object of {len(value)}"  # pyright: ignore[reportUnknownArgumentType] - only counted
        case _:
            return type(value).__name__
