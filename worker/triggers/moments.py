"""How new a thing is, as one number."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DIGITS = re.compile(r"-?[0-9]{1,18}")
_LARGEST = 2**63 - 1
"""Of a column of 8 bytes. None is below 0: so sources write what was never set (.NET's time of the year 1, or -1)."""


def revision(value: Any) -> int | None:
    """A number as it is (fractions cut), an ISO 8601 time as microseconds since 1970, one without a zone taken as UTC;
    None for anything else, and below 0."""
    number = _number(value)
    return number if number is not None and 0 <= number <= _LARGEST else None


def _number(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | Decimal):
        return int(value) if abs(value) <= _LARGEST else None
    if not isinstance(value, str):
        return None
    text = value.strip()
    return int(text) if _DIGITS.fullmatch(text) else _microseconds(text)


def moment(text: str) -> datetime | None:
    """An ISO 8601 time with its zone, or UTC where it has none; None where it is none."""
    try:
        at = datetime.fromisoformat(text.strip())
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _microseconds(text: str) -> int | None:
    at = moment(text)
    return None if at is None else (at - _EPOCH) // timedelta(microseconds=1)
