"""Whether a message is worth a render: by what it says, and by what has changed since the last one about the thing that
was rendered, or found unchanged.

    [{"pointer": "/status", "equals": "active"}, {"pointer": "/title", "changed": true}]

`equals`, `not_equals`, `in` and `exists` all have to hold. Of those that say `changed`, one change is enough, and a
thing that was never seen has changed. Values are compared as JSON: 1 and 1.0 are the same, "1" is another. Where a
pointer passes a list by `*`, one that equals is enough for `equals` and `in`, none may for `not_equals`, and `changed`
is about the whole list. What is not there equals nothing, not even null.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from worker.templates.grammar import unprintable
from worker.triggers import pointers
from worker.triggers.payloads import canonical, digest
from worker.triggers.pointers import BadPointer, Got

MOST = 20
MOST_VALUES = 100
"""In one `in`."""
LONGEST_VALUE = 1_000
"""Characters of one that is compared with."""
_ABSENT = ""
"""Stands for the digest of what is not there."""
_TESTS = ("equals", "not_equals", "in", "exists", "changed")
Condition = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Checked:
    """Whether they hold, and a sentence about the first that does not; "" where they do."""

    holds: bool
    why: str = ""
    watched: Mapping[str, str] = field(default_factory=dict[str, str])
    """As `watched` has it, where it came to that."""


def check(conditions: Sequence[Condition], payload: Any, watched_before: Mapping[str, str] | None) -> Checked:
    """Whether a message of this body is to render. `watched_before` is what `watched` gave for the last message about
    the same thing that was rendered or found unchanged, None where there was none. Conditions are `valid`."""
    for condition in conditions:
        if "changed" not in condition and not _holds(condition, pointers.get(payload, condition["pointer"])):
            return Checked(False, f"{_place(condition)} {_said(condition)} does not hold.")
    now = watched(conditions, payload)
    before = watched_before or {}
    if now and all(before.get(pointer) == value for pointer, value in now.items()):
        said = f"Unchanged since the last message that was rendered: {', '.join(map(_named, now))[:300]}."
        return Checked(False, said, now)
    return Checked(True, watched=now)


def watched(conditions: Sequence[Condition], payload: Any) -> dict[str, str]:
    """SHA-256 of what is at each pointer that a `changed` is about, "" where nothing is: to be kept with the thing."""
    about = dict.fromkeys(one["pointer"] for one in conditions if "changed" in one)
    return {pointer: _digest(pointers.get(payload, pointer)) for pointer in about}


def valid(conditions: Any) -> list[tuple[str, str]]:
    """What is wrong with conditions: JSON pointer (below the list) and reason; `check` takes what has nothing wrong."""
    if not isinstance(conditions, list) or len(cast("list[Any]", conditions)) > MOST:
        return [("", f"a list of at most {MOST} conditions")]
    given = cast("list[Any]", conditions)
    wrong = [one for at, each in enumerate(given) for one in _wrong(f"/{at}", each)]
    return wrong or list(_watched_twice(given))


def _watched_twice(conditions: Sequence[Condition]) -> Iterator[tuple[str, str]]:
    """Where one `changed` is about a part of what another is about, it says nothing more: a change of the part is one
    of the whole. A large value that twenty of them are about would be looked through twenty times."""
    places = [(at, one["pointer"]) for at, one in enumerate(conditions) if "changed" in one]
    for at, pointer in places:
        for other, whole in places:
            if at != other and _within(pointers.names(pointer), pointers.names(whole), same=at > other):
                yield f"/{at}/pointer", f"within {_named(whole)}, of which another condition says `changed` already"
                break


def _within(part: Sequence[str], whole: Sequence[str], *, same: bool) -> bool:
    """Whether all of a part is; `same`: also where it is the whole."""
    if len(part) < len(whole) or (part == whole and not same):
        return False
    # A `*` of the part's is many, of which one name of the whole's is one.
    return all(other in (one, "*") for one, other in zip(part, whole, strict=False))


def _holds(condition: Condition, got: Got) -> bool:
    if "exists" in condition:
        return got.found is condition["exists"]
    # No object or list is compared with: the texts of large ones would be written for nothing.
    there = {canonical(one) for one in got.values if not isinstance(one, dict | list)}
    if "in" in condition:
        return not there.isdisjoint(map(canonical, condition["in"]))
    if "equals" in condition:
        return canonical(condition["equals"]) in there
    return canonical(condition["not_equals"]) not in there


def _digest(got: Got) -> str:
    return digest(got.value) if got.found else _ABSENT


def _place(condition: Condition) -> str:
    return _named(condition["pointer"])


def _named(pointer: str) -> str:
    return pointer[:100] or "the whole body"


def _said(condition: Condition) -> str:
    name = next(name for name in _TESTS if name in condition)
    text = f"{name} {condition[name]!r}"
    return text if len(text) <= 100 else f"{text[:99]}…"


def _wrong(at: str, condition: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(condition, dict):
        yield at, "an object"
        return
    given = cast("dict[str, Any]", condition)
    tests = [name for name in given if name != "pointer"]
    if "pointer" not in given or len(tests) != 1 or tests[0] not in _TESTS:
        yield at, f"`pointer`, and one of {', '.join(_TESTS)}"
        return
    try:
        if not isinstance(given["pointer"], str):
            raise BadPointer("a JSON pointer, such as /status")
        pointers.names(given["pointer"])
    except BadPointer as error:
        yield f"{at}/pointer", str(error)
    (name,) = tests
    if reason := _VALUES[name](given[name]):
        yield f"{at}/{name}", reason


def _unfit(value: Any) -> str | None:
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, str):
        return unprintable(value) if len(value) <= LONGEST_VALUE else f"at most {LONGEST_VALUE:,} characters"
    if isinstance(value, int):
        return None if abs(value) < 10**300 else "a smaller number"
    if isinstance(value, float) and math.isfinite(value):
        return None
    return "a text, a number, true, false or null"


def _unfit_list(value: Any) -> str | None:
    if not isinstance(value, list) or not 0 < len(cast("list[Any]", value)) <= MOST_VALUES:
        return f"a list of 1 to {MOST_VALUES} values"
    return next(filter(None, map(_unfit, cast("list[Any]", value))), None)


def _no_boolean(value: Any) -> str | None:
    return None if isinstance(value, bool) else "true or false"


def _not_true(value: Any) -> str | None:
    return None if value is True else "true"


_VALUES: Mapping[str, Callable[[Any], str | None]] = {
    "equals": _unfit,
    "not_equals": _unfit,
    "in": _unfit_list,
    "exists": _no_boolean,
    "changed": _not_true,
}
