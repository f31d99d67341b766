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


RETRY_SECONDS = 10


class Places:
    """So many at once of one key in this process, which takes 10,000: no key shuts out the others. Belongs to the event
    loop."""

    def __init__(self, most: int, what: str) -> None:
        self._most, self._what = most, what
        self._taken: Counter[str] = Counter()

    def demand(self, key_id: str) -> None:
        """Raises Problem `rate.limited` where the key has as many open as it may."""
        if self._taken[key_id] >= self._most:
            words = f"This key has {self._most} {self._what} open."
            raise Problem("rate.limited", words, headers={"Retry-After": str(RETRY_SECONDS)})

    @contextmanager
    def taken(self, key_id: str) -> Generator[None]:
        """One of them, for as long as it lasts."""
        self._taken[key_id] += 1
        try:
            yield
        finally:
            self._taken[key_id] -= 1
            if not self._taken[key_id]:
                del self._taken[key_id]


OF_RENDERS = Places(2_500, "streams and waits")
"""Each is told of its own render's events."""
OF_EVENTS = Places(100, "waits for events")
"""Each is woken by every event of the owner, and reads."""


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
