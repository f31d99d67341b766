"""Moments as they are asked for: with date, time and zone, nothing guessed."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BeforeValidator

_DATE = re.compile(r"\d{4}-\d\d-\d\d[Tt ]")


def _no_number(moment: Any) -> Any:
    """A number would be read as seconds since 1970, or as milliseconds where it is large."""
    if isinstance(moment, int | float) or (isinstance(moment, str) and not _DATE.match(moment)):
        raise ValueError("give date, time and zone, for example 2026-03-01T00:00:00Z")
    return moment


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("this moment is beyond the calendar") from None


Moment = Annotated[AwareDatetime, BeforeValidator(_no_number), AfterValidator(_in_utc)]
"""A moment with its zone, in UTC."""
