"""The key of an answer that lasts: a stream of events, or a wait for the end. It may be revoked meanwhile."""

import time

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


class LastingKey:
    """The key a request came with, looked at again now and then."""

    def __init__(self, request: Request) -> None:
        self._text = auth.key_text(request.headers.get("authorization"))
        self._looked = time.monotonic()

    async def works(self) -> bool:
        """Whether it does, as far as is known: a database that is away says nothing against it."""
        if time.monotonic() - self._looked < check_seconds():
            return True
        self._looked = time.monotonic()
        try:
            return await run_in_threadpool(lambda: look(lambda session: owners.key(session, self._text) is not None))
        except (DBAPIError, PoolTimeout):
            return True

    async def demand(self) -> None:
        """Raises Problem `auth.invalid` where it no longer works."""
        if not await self.works():
            raise Problem("auth.invalid", "The key was revoked, or expired, during the wait.")
