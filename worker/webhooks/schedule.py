"""When a webhook is tried again, and what an answer means. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from worker.addresses.errors import Busy

JITTER = 0.2
"""Up to a fifth later: those that failed together do not come back together."""

LONGEST = timedelta(hours=24)
"""That an answer's Retry-After is followed for."""

GONE = 410
_SAYS_WHEN = (429, 503)

REDIRECTED, GONE_AWAY, REFUSED = "webhook.redirected", "webhook.gone", "webhook.status"
UNSIGNABLE, FAULT = "webhook.unsignable", "webhook.fault"

BUSY = Busy.code
"""Nothing was sent, as there was no place to look the host's name up."""
BUSY_PAUSE = timedelta(seconds=15)
"""After that: as long as the C library's resolver asks for a name that nobody answers for, more or less."""
LONGEST_BUSY_PAUSE = timedelta(minutes=5)

OURS = frozenset({UNSIGNABLE, FAULT, BUSY})
"""Faults that say nothing of the receiver."""

MARGIN = timedelta(hours=1)
"""By which a try may be late."""


def fault(status: int) -> str | None:
    """Why an answer counts as failed; None for 2xx. A redirect is never followed: it could lead anywhere."""
    if 200 <= status < 300:
        return None
    if status == GONE:
        return GONE_AWAY
    return REDIRECTED if 300 <= status < 400 else REFUSED


def wait(failures: int, waits: Sequence[timedelta], *, asked: timedelta | None, chance: float) -> timedelta | None:
    """How long after the try that was the `failures`-th to fail (from 1) the next one comes; None where there is none.

    `asked` by the receiver: it is left alone at least for that long. `chance` is between 0 and 1.
    """
    if failures > len(waits):
        return None
    planned = waits[failures - 1] * (1 + JITTER * chance)
    return max(planned, min(asked, LONGEST)) if asked is not None else planned


def busy_pause(for_so_long: timedelta) -> timedelta:
    """How long a delivery waits that found no place again and again for so long: as long once more, within bounds."""
    return min(max(for_so_long, BUSY_PAUSE), LONGEST_BUSY_PAUSE)


def longest_gap(waits: Sequence[timedelta]) -> timedelta:
    """No two tries of one delivery lie further apart: after a longer silence nothing is known of the receiver."""
    return max(max(waits, default=LONGEST) * (1 + JITTER), LONGEST) + MARGIN


def retry_after(status: int | None, header: str | None, now: datetime) -> timedelta | None:
    """What a 429 or 503 asks for, in seconds or as a date; None where it does not, or says what nobody can read."""
    if status not in _SAYS_WHEN or header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdecimal():
        return min(timedelta(seconds=int(text[:9])), LONGEST)
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if until.tzinfo is None:  # `-0000`: a time of no zone that is told, which is UTC
        until = until.replace(tzinfo=UTC)
    return min(max(until - now, timedelta(0)), LONGEST)
