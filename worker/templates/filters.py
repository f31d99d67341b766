"""The filters that a template may use, and the steps that stand behind its syntax, each with its price.

What makes a text is paid before it is made. Names, arguments and meaning are Jinja's where Jinja has the filter.
"""

import re
from collections.abc import Callable
from inspect import signature
from typing import Any, cast

from jinja2 import Undefined
from jinja2.filters import do_title

from worker.templates.budget import Budget
from worker.templates.errors import NotFilled
from worker.templates.values import Value, join, kind, missing, number, scalar, whole, written

Step = Callable[..., Any]

_WHOLE = re.compile(r"\s*[+-]?\d{1,15}\s*", re.ASCII)
_MOST_DIGITS = 10


def _text(budget: Budget, value: object) -> str:
    """The text that a filter works on, paid for."""
    text = written(budget, value)
    budget.read(len(text))
    return text


def _list(budget: Budget, value: object) -> list[Any]:
    """A list; nothing is an empty one."""
    if isinstance(value, Undefined):
        raise missing(value)
    if value is None:
        return []
    if not isinstance(value, list):
        raise NotFilled(f"{kind(value)} stands where a list is needed")
    budget.step(len(cast("list[Any]", value)) // 10)
    return cast("list[Any]", value)


def _made(budget: Budget, text: str) -> str:
    budget.make(len(text))
    return text


def capitalize(budget: Budget, value: object) -> str:
    """First letter large, the others small."""
    return _made(budget, _text(budget, value).capitalize())


def default(budget: Budget, value: object, default_value: object = "") -> object:
    """Another value in the place of nothing."""
    return default_value if value is None or isinstance(value, Undefined) else value


def first(budget: Budget, value: object) -> Value:
    """The first item, or nothing."""
    return next(iter(_list(budget, value)), None)


def last(budget: Budget, value: object) -> Value:
    """The last item, or nothing."""
    return next(reversed(_list(budget, value)), None)


def length(budget: Budget, value: object) -> int:
    """Items of a list, characters of anything else."""
    return len(cast("list[Any]", value)) if isinstance(value, list) else len(scalar(value))


def to_int(budget: Budget, value: object, default: object = 0) -> object:
    """The whole number in a text, or without the digits behind the point."""
    if isinstance(value, str):
        return int(value) if _WHOLE.fullmatch(_text(budget, value)) else default
    return int(number(value))


def joined(budget: Budget, value: object, d: object = "") -> str:
    """The items as one text with `d` in between."""
    return join(budget, _list(budget, value), scalar(d))


def lower(budget: Budget, value: object) -> str:
    """In small letters."""
    return _made(budget, _text(budget, value).lower())


def replace(budget: Budget, value: object, old: object, new: object) -> str:
    """Each `old` becomes `new`."""
    text, before, after = _text(budget, value), scalar(old), scalar(new)
    if not before:
        raise NotFilled("replace: there is nothing to look for in an empty text")
    budget.make(len(text) + text.count(before) * (len(after) - len(before)))
    return text.replace(before, after)


def rounded(budget: Budget, value: object, precision: object = 0) -> int | float:
    """With so many digits behind the point."""
    digits = whole(precision)
    if not 0 <= digits <= _MOST_DIGITS:
        raise NotFilled(f"round: 0 to {_MOST_DIGITS} digits")
    return round(number(value), digits)


def title(budget: Budget, value: object) -> str:
    """Each word's first letter large."""
    return _made(budget, do_title(_text(budget, value)))


def trim(budget: Budget, value: object) -> str:
    """Without white space at its ends."""
    return _made(budget, _text(budget, value).strip())


def truncate(budget: Budget, value: object, length: object = 255, end: object = "…") -> str:
    """At most so many characters, cut between words, with `end` where something was cut off."""
    text, most, mark = _text(budget, value), whole(length), scalar(end)
    if len(text) <= most:
        return text
    if most < len(mark):
        raise NotFilled(f"truncate: {most} characters have no room for {mark!r}")
    return _made(budget, text[: most - len(mark)].rsplit(" ", 1)[0] + mark)


def upper(budget: Budget, value: object) -> str:
    """In large letters."""
    return _made(budget, _text(budget, value).upper())


ALLOWED: dict[str, Step] = {
    "capitalize": capitalize,
    "default": default,
    "first": first,
    "int": to_int,
    "join": joined,
    "last": last,
    "length": length,
    "lower": lower,
    "replace": replace,
    "round": rounded,
    "title": title,
    "trim": trim,
    "truncate": truncate,
    "upper": upper,
}
"""By the names that templates use."""


def each(budget: Budget, value: object, price: int) -> list[Any]:
    """What a loop goes through: every turn is paid before the first."""
    items = _list(budget, value)
    budget.step(len(items) * price)
    return items


def concat(budget: Budget, *values: object) -> str:
    """`a ~ b`."""
    texts = [written(budget, value) for value in values]
    budget.make(sum(map(len, texts)))
    return "".join(texts)


def items(budget: Budget, value: list[Any]) -> list[Any]:
    """`[a, b]`: of plain values alone, or lists in lists would grow without a character being made."""
    for item in value:
        if not isinstance(item, str | int | float | bool):
            raise NotFilled(f"{kind(item)} in a list: only texts, numbers and booleans can be there")
    return value


def item(budget: Budget, value: object, place: object) -> Value:
    """`a[0]`, from the end where it is negative."""
    found, at = _list(budget, value), whole(place)
    if not -len(found) <= at < len(found):
        raise NotFilled(f"there is no item {at} in a list of {len(found)}")
    return found[at]


def part(budget: Budget, value: object, start: object, stop: object) -> list[Any]:
    """`a[1:3]`."""
    return _list(budget, value)[None if start is None else whole(start) : None if stop is None else whole(stop)]


def numbers(budget: Budget, start: object, stop: object = None, step: object = 1) -> list[int]:
    """`range(3)`, `range(1, 4)`, `range(10, 0, -2)`."""
    if not (by := whole(step)):
        raise NotFilled("range: a step of 0 never arrives")
    found = range(whole(start)) if stop is None else range(whole(start), whole(stop), by)
    # `len` fails beyond the machine's word, and the arguments are numbers up to 10**15.
    budget.step(len(found))
    return list(found)


def read(budget: Budget, value: object) -> object:
    """One side of a comparison, which goes through it."""
    if isinstance(value, str):
        budget.read(len(value))
    elif isinstance(value, list):
        budget.read(sum(len(one) for one in cast("list[object]", value) if isinstance(one, str)))
        _list(budget, cast("list[object]", value))
    return value


HIDDEN: dict[str, Step] = {
    "%each": each,
    "%concat": concat,
    "%items": items,
    "%item": item,
    "%part": part,
    "%range": numbers,
    "%read": read,
}
"""By names that no template can write."""
ARGUMENTS = {name: signature(step) for name, step in ALLOWED.items()} | {"range": signature(numbers)}


def combined(budget: Budget, operator: str, left: object, right: object) -> Value:
    """`a + b` and the like. Raises NotFilled for other than two numbers; texts are put together by `~`."""
    if operator == "+" and (isinstance(left, str) or isinstance(right, str)):
        return concat(budget, left, right)
    a, b = number(left), number(right)
    if operator in ("/", "//", "%") and b == 0:
        raise NotFilled("a number is divided by zero")
    return number(_OPERATORS[operator](a, b))


_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "//": lambda a, b: a // b,
    "%": lambda a, b: a % b,
}


TESTS: dict[str, Callable[[Any], bool]] = {
    "defined": lambda value: value is not None and not isinstance(value, Undefined),
    "undefined": lambda value: value is None or isinstance(value, Undefined),
    "none": lambda value: value is None,
    "even": lambda value: whole(value) % 2 == 0,
    "odd": lambda value: whole(value) % 2 == 1,
}
"""`x is defined`: for an optional variable that was not given there is no difference to nothing."""
