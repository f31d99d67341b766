"""Headers as a message carried them, by any case of their names.

A mapping that shows one name twice in `items()` (Starlette's does) is told from one that had it once.
"""

from collections.abc import Iterable, Mapping

from worker.catalogs.feeds.text import one_line

LONGEST = 4_096
"""Characters of one that is looked at; the longest honest one is some signatures of a rotation."""


class Repeated(Exception):
    """One that can be there once came twice; which of them its sender meant nobody knows."""


def every(headers: Mapping[str, str], names: Iterable[str]) -> list[str]:
    """The values of all that have one of these names (lower case), in the order in which they came."""
    wanted = frozenset(names)
    return [value for name, value in headers.items() if name.lower() in wanted]


def single(headers: Mapping[str, str], name: str) -> str | None:
    """The only value of a name (lower case). Raises Repeated."""
    match every(headers, [name]):
        case []:
            return None
        case [value]:
            return value
        case _:
            raise Repeated(name)


def first(headers: Mapping[str, str], *names: str) -> str | None:
    """The first value that is not blank, by the first of these names (lower case) that has one; in one clean line."""
    for name in names:
        for value in every(headers, [name]):
            if line := one_line(value[:LONGEST]):
                return line
    return None
