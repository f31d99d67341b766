"""A message's body as JSON: bounded, its decimal fractions as they were written, and one text for what is equal."""

import hashlib
import json
import math
from decimal import Decimal
from typing import Any, NoReturn, cast

from worker.catalogs.feeds.text import clean

DEEPEST = 64
"""Values inside one another; what is deeper is no product's or event's."""
_LONGEST_NUMBER = 400
"""Characters. A float of JSON has at most 330 where it is written out."""
_SMALLEST = Decimal("1e-400")
"""What is nearer to nothing is nothing as a float."""


class NotJson(ValueError):
    """Its text says why."""


def read(body: bytes) -> Any:
    """The value: dict, list, str, int, Decimal, bool or None. Raises NotJson."""
    try:
        value = json.loads(body.decode("utf-8-sig"), parse_float=_fraction, parse_int=_whole, parse_constant=_constant)
    except UnicodeDecodeError:
        raise NotJson("it is not UTF-8") from None
    except RecursionError:
        raise NotJson("it is nested too deeply") from None
    except ValueError as error:
        raise NotJson(str(error).partition("\n")[0]) from None
    if _is_deep(value):
        raise NotJson(f"it is nested more than {DEEPEST} levels deep")
    return value


def plain(value: Any) -> Any:
    """As it may be kept as JSON: fractions as floats, texts without what PostgreSQL refuses."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, list):
        return [plain(one) for one in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {clean(name): plain(one) for name, one in cast("dict[str, Any]", value).items()}
    return value


def canonical(value: Any) -> str:
    """One text for values that are the same JSON: 1 and 1.0 are, 1 and true are not, the order of names is nothing."""
    return json.dumps(_told_apart(value), sort_keys=True, separators=(",", ":"))


def digest(value: Any) -> str:
    """SHA-256 of `canonical`, hexadecimal."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def _fraction(text: str) -> Decimal:
    if len(text) > _LONGEST_NUMBER:
        raise ValueError("a number is too long")
    try:
        value = Decimal(text)
    except ArithmeticError:  # no ValueError, and what is larger than Python's largest
        raise ValueError("a number is too large") from None
    if not math.isfinite(float(value)):
        raise ValueError("a number is too large")
    return value if abs(value) > _SMALLEST else Decimal(0)


def _whole(text: str) -> int:
    if len(text) > _LONGEST_NUMBER:
        raise ValueError("a number is too long")
    return int(text)


def _constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(DEEPEST + 1):
        level = [inner for one in level for inner in _inner(one) if isinstance(inner, dict | list)]
        if not level:
            return False
    return True


def _inner(value: Any) -> Any:
    if isinstance(value, dict):
        return cast("dict[str, Any]", value).values()
    return cast("list[Any]", value) if isinstance(value, list) else ()


def _told_apart(value: Any) -> Any:
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int | float | Decimal):
        return {"number": _number(Decimal(str(value)) if isinstance(value, float) else Decimal(value))}
    if isinstance(value, dict):
        return {"object": {name: _told_apart(one) for name, one in cast("dict[str, Any]", value).items()}}
    return [_told_apart(one) for one in cast("list[Any]", value)]


def _number(value: Decimal) -> list[Any]:
    sign, digits, exponent = value.as_tuple()
    text = "".join(map(str, digits)).lstrip("0")
    bare = text.rstrip("0")
    return [sign, bare, int(exponent) + len(text) - len(bare)] if bare else [0, "", 0]
