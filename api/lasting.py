"""The key of an answer that lasts: a stream of events, or a wait for the end. It may be revoked meanwhile."""

import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager

from fastapi import Request
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.concurrency import run_in_threadpool

from api import auth
from api.database import look
from api.problems import Problem
from config.settings import settings
from worker.owners import store as owners


def check_seconds() -> float:
    """Between two looks at the key."""
    return settings().waits.key_check_seconds.total_seconds()


MOST_OF_A_KEY = 2_500
"""Streams and waits of one key at once in this process, which takes 10,000: no key shuts out the others."""
RETRY_SECONDS = 10

_open: Counter[str] = Counter()


def demand_place(key_id: str) -> None:
    """Raises Problem `rate.limited` where the key has as many streams and waits open as it may."""
    if _open[key_id] >= MOST_OF_A_KEY:
        words = f"This key has {MOST_OF_A_KEY} streams and waits open."
        raise Problem("rate.limited", words, headers={"Retry-After": str(RETRY_SECONDS)})


@contextmanager
def place(key_id: str) -> Generator[None]:
    """One stream or wait of the key, for as long as it lasts. Belongs to the event loop."""
    _open[key_id] += 1
    try:
        yield
    finally:
        _open[key_id] -= 1
        if not _open[key_id]:
            del _open[key_id]


class LastingKey:
    """The key a request came with, looked at again now and then."""

    def __init__(self, request: Request) -> None:
        self._text = auth.key_text(request.headers.get("authorization"))
        self._looked = time.monotonic()

    async def works(self) -> bool:
        """Whether it does, as far as is known: a database that is away says nothing against it."""
        if time.monotonic() - self._looked < check_seconds():
            return True
        return await self._look()

    async def _look(self) -> bool:
        self._looked = time.monotonic()
        try:
            return await run_in_threadpool(lambda: look(lambda session: owners.key(session, self._text) is not None))
        except (DBAPIError, PoolTimeout):
            return True

    async def demand(self) -> None:
        """Raises Problem `auth.invalid` where it no longer works."""
        if not await self._look():
            raise Problem("auth.invalid", "The key was revoked, or expired, during the wait.")
