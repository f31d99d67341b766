"""A message's body as JSON: bounded, its decimal fractions as they were written, and one text for what is equal."""

import hashlib
import json
import math
import re
import threading
from contextlib import nullcontext
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from typing import Any, NoReturn, cast

from worker.catalogs.feeds.text import clean

DEEPEST = 64
"""Values inside one another; what is deeper is no product's or event's."""
MOST_VALUES = 200_000
"""In one body: a product of 2,000 variants has a quarter of it. Four megabytes could hold two million objects."""
LARGE_BYTES = 256 * 1024
"""What is longer is read one at a time in a process: twenty threads would each hold the interpreter and its memory."""
_LONGEST_NUMBER = 400
"""Characters. A float of JSON has at most 330 where it is written out."""
_SMALLEST = Decimal("1e-400")
"""What is nearer to nothing is nothing as a float."""
_EXACT = Context(prec=_LONGEST_NUMBER, Emax=MAX_EMAX, Emin=MIN_EMIN)
"""No digit of a number that is read gets lost by it."""
_STANDS_IN = 0.5
"""For a fraction in `canonical`; read values hold no floats, so that nothing else is written like it."""
_TEXT = re.compile(rb'"(?:[^"\\]++|\\.?)*+"?', re.DOTALL)
"""A text of JSON, or what begins like one: possessive, so that no body makes it look twice."""
_large = threading.Lock()


class NotJson(ValueError):
    """Its text says why."""


def read(body: bytes) -> Any:
    """The value: dict, list, str, int, Decimal, bool or None. Raises NotJson.

    A byte order mark is passed over, and of a name given twice the last one counts, which our own callers are refused
    (`api.json_body`): a shop that sends such cannot be told to mend it, and nobody else reads this body.
    """
    if not _has_at_most(MOST_VALUES, body):
        raise NotJson(f"it has more than {MOST_VALUES:,} values")
    with _large if len(body) > LARGE_BYTES else nullcontext():
        return _read(body)


def _has_at_most(values: int, body: bytes) -> bool:
    """By what stands before a value; texts, which may be full of commas, are passed over only where those matter."""
    if _openings(body, 0, len(body)) <= values:
        return True
    found = end = 0
    for texts, text in enumerate(_TEXT.finditer(body)):
        found += _openings(body, end, text.start())
        end = text.end()
        if found > values or texts > 2 * values:  # each is a value, or the name of one
            return False
    return found + _openings(body, end, len(body)) <= values


def _openings(body: bytes, start: int, end: int) -> int:
    return sum(body.count(one, start, end) for one in (b",", b"[", b"{"))


def _read(body: bytes) -> Any:
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
    """One text for values that are the same JSON: 1 and 1.0 are, 1 and true are not, the order of names is nothing.
    `value` is as `read` has it; a float may be the whole of it, and nowhere inside.

    Written by the library's own loop; only a fraction comes here, of which a stand-in is written, and behind the whole
    which ones they were, in order.
    """
    fractions: list[str] = []

    def stand_in(one: Decimal) -> int | float:
        exact = one.normalize(_EXACT)
        if exact == exact.to_integral_value():
            return int(exact)
        fractions.append(str(exact))
        return _STANDS_IN

    whole = Decimal(str(value)) if isinstance(value, float) else value
    text = json.dumps(whole, default=stand_in, sort_keys=True, separators=(",", ":"), check_circular=False)
    return "\n".join((text, *fractions))


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
