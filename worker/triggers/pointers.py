"""Places in a JSON value: RFC 6901, and `*` for each of a list.

`/images/0/src` is the first picture's address, `/images/*/src` the list of all of them, "" the whole. In a name `~1`
is a slash and `~0` a tilde. `*` is each of a list and the name "*" of an object, so that no name is out of reach.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, cast

from worker.templates.grammar import unprintable

LONGEST = 500
"""Characters of a pointer."""
DEEPEST = 32
"""Names in a pointer."""
MOST = 1_000
"""Values that one with `*` finds; what is behind them is passed over."""
_ESCAPE = re.compile(r"~(?![01])")
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")


class BadPointer(ValueError):
    """Its text says why."""


@dataclass(frozen=True, slots=True)
class Got:
    """What is at a place. One that has passed a list by `*` may be many."""

    values: tuple[Any, ...]
    many: bool = False

    @property
    def found(self) -> bool:
        """Whether there is anything; null is something."""
        return bool(self.values)

    @property
    def value(self) -> Any:
        """The value; the list of all of many; None where there is nothing."""
        if self.many:
            return list(self.values)
        return self.values[0] if self.values else None


def names(pointer: str) -> tuple[str, ...]:
    """The names on the way. Raises BadPointer."""
    if len(pointer) > LONGEST:
        raise BadPointer(f"a pointer has at most {LONGEST} characters")
    if reason := unprintable(pointer):
        raise BadPointer(reason)
    if not pointer:
        return ()
    if not pointer.startswith("/"):
        raise BadPointer("a pointer begins with /, or is empty for the whole")
    if _ESCAPE.search(pointer):
        raise BadPointer("in a pointer ~ is written as ~0, and / in a name as ~1")
    found = tuple(part.replace("~1", "/").replace("~0", "~") for part in pointer[1:].split("/"))
    if len(found) > DEEPEST:
        raise BadPointer(f"a pointer has at most {DEEPEST} names")
    return found


def get(payload: Any, pointer: str) -> Got:
    """What is there. Raises BadPointer."""
    values: list[Any] = [payload]
    many = False
    for name in names(pointer):
        many = many or (name == "*" and any(isinstance(one, list) for one in values))
        values = list(islice((inner for one in values for inner in _inner(one, name)), MOST))
    return Got(tuple(values), many)


def _inner(value: Any, name: str) -> Sequence[Any]:
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        return [fields[name]] if name in fields else []
    if not isinstance(value, list):
        return []
    items = cast("list[Any]", value)
    if name == "*":
        return items
    if not _INDEX.fullmatch(name) or int(name) >= len(items):
        return []
    return [items[int(name)]]
