"""A trigger that somebody has in hand: who comes for it waits for a bounded time, and is told to come again.

Without a bound each of its messages would hold a thread and a connection for as long as the other's change takes.
"""

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from api.database import transact
from api.problems import Problem
from worker.database import contended, impatient

MESSAGE_SECONDS = 1.5
"""For which a message waits for each lock: all of it has twice that (`threads.SECONDS`)."""
CHANGE_SECONDS = 5.0
"""For which a change waits for the messages that are being decided: each is a matter of milliseconds."""

T = TypeVar("T")


def for_message(trigger_id: str, work: Callable[[Session], T]) -> T:
    """As `transact`. Raises Problem `trigger.busy` where a lock was not had in time."""
    return _in_time(trigger_id, work, MESSAGE_SECONDS)


def for_change(trigger_id: str, work: Callable[[Session], T]) -> T:
    """As `transact`. Raises Problem `trigger.busy` where a lock was not had in time."""
    return _in_time(trigger_id, work, CHANGE_SECONDS)


def busy(trigger_id: str) -> Problem:
    """The problem of a trigger that has no turn to give now."""
    return Problem("trigger.busy", f"{trigger_id[:64]} has more in hand than it can take: send it again.")


def _in_time(trigger_id: str, work: Callable[[Session], T], seconds: float) -> T:
    try:
        return transact(lambda session: work(impatient(session, seconds)))
    except DBAPIError as error:
        if contended(error):
            raise busy(trigger_id) from None
        raise
