"""The intake's way to the database: the workers' transactions with an impatient retry."""

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.orm import Session

from worker import database

Result = TypeVar("Result")

RETRY_FOR_SECONDS = 1.0
"""A broken pooled connection is replaced within this; a caller waiting longer is better told to come again."""


def transact(work: Callable[[Session], Result], *, retry_for: float = RETRY_FOR_SECONDS) -> Result:
    """Run `work` in one transaction. Raises DBAPIError, which becomes a 503 where it will pass."""
    return database.transact(work, retry_for=retry_for)


def look(work: Callable[[Session], Result]) -> Result:
    """Run `work`, which only reads and needs no common moment: saves the round trips of BEGIN and COMMIT. Raises
    DBAPIError."""
    return database.at_once(work, retry_for=RETRY_FOR_SECONDS)
