"""The kinds of values in a template, text, number, boolean, list and nothing, and how each is written into a prompt."""

from decimal import Decimal
from typing import Any, cast

from jinja2 import Undefined
from jinja2.exceptions import UndefinedError

from worker.templates.budget import Budget
from worker.templates.errors import NotFilled
from worker.templates.limits import LARGEST

Value = str | int | float | bool | list[Any] | None


def kind(value: object) -> str:
    """Its name for people."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            return "a list"
        case dict():
            return "an object"
        case _:
            return "no value"


def written(budget: Budget, value: object) -> str:
    """As it stands in the prompt: texts as they are, `true`, `9.5`, lists with commas, nothing as nothing.

    Raises NotFilled for a name that has no value, TooMuch.
    """
    return join(budget, cast("list[object]", value), ", ") if isinstance(value, list) else scalar(value)


def scalar(value: object) -> str:
    """As `written`, for all but lists."""
    match value:
        case str():
            return value
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return str(int(value)) if value.is_integer() else _fraction(value)
        case Undefined():
            raise missing(value)
        case _:
            raise NotFilled(f"{kind(value)} cannot be written here")


def _fraction(value: float) -> str:
    """To the fifteen digits that a float holds exactly, so that 0.1 + 0.2 is 0.3; never with an exponent."""
    return format(Decimal(f"{value:.15g}"), "f")


def join(budget: Budget, items: list[object], separator: str) -> str:
    """The items with the separator in between. Raises NotFilled for lists in lists, TooMuch before there is a text."""
    texts = [scalar(item) for item in items]
    budget.make(sum(map(len, texts)) + len(separator) * max(len(texts) - 1, 0))
    return separator.join(texts)


def number(value: object) -> int | float:
    """Raises NotFilled for what is none, and for one that is too large."""
    if isinstance(value, Undefined):
        raise missing(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise NotFilled(f"{kind(value)} stands where a number is needed")
    if not -LARGEST <= value <= LARGEST:  # neither do infinity and NaN fit
        raise NotFilled(f"a number is beyond {LARGEST:,}")
    return value


def whole(value: object) -> int:
    """Raises NotFilled for what is no whole number."""
    found = number(value)
    if found != int(found):
        raise NotFilled(f"{found} stands where a whole number is needed")
    return int(found)


def missing(value: Undefined) -> NotFilled:
    """The problem of a name without a value."""
    try:
        str(value)
    except UndefinedError as problem:
        return NotFilled(problem.message or "a name has no value")
    return NotFilled("a name has no value")
