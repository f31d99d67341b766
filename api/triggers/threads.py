"""Threads of shops' messages alone: whatever other calls wait for, a shop is answered within the seconds it gives; and
whatever one trigger's messages wait for, the other triggers' are.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import TypeVar

from anyio import CapacityLimiter, Semaphore, to_thread

from api.problems import Problem
from api.triggers.busy import busy

THREADS = 20
"""As many as the database's pool holds connections open for: more would wait for those."""
OF_ONE = 5
"""Of these, for one trigger's messages at once."""
SECONDS = 3.0
"""For one message: Shopify and WooCommerce give five, the way there and back included."""
_limiter = CapacityLimiter(THREADS)

T = TypeVar("T")


def in_time() -> float:
    """By when a message that is here now has to be taken (`time.monotonic()`)."""
    return time.monotonic() + SECONDS


async def run(work: Callable[[], T], by: float | None = None) -> T:
    """What `work` returns, or raises; it waits for none but other messages.

    One that is not taken in time goes on in its thread, and keeps its place among the `THREADS`; one that waits for a
    place still is dropped. The source sends it again: what was taken after all is a duplicate then.

    Raises:
        Problem: `database.unavailable`, where it is not taken in time.
    """
    late = Problem("database.unavailable", "The message was not taken in time.")
    return await _run(work, nullcontext(), by, late)


async def in_turn(trigger_id: str, work: Callable[[], T], by: float | None = None) -> T:
    """As `run`, for what may wait for others that have the trigger in hand.

    Raises:
        Problem: `trigger.busy`, where it is not taken in time.
    """
    return await _run(work, _turns.taken(trigger_id), by, busy(trigger_id))


async def _run(work: Callable[[], T], turn: AbstractAsyncContextManager[None], by: float | None, late: Problem) -> T:
    begun = False

    def begin() -> T:
        nonlocal begun
        begun = True
        return work()

    async def in_a_thread() -> T:
        async with turn:
            return await to_thread.run_sync(begin, limiter=_limiter)

    task = asyncio.ensure_future(in_a_thread())
    task.add_done_callback(_heard)
    done, _ = await asyncio.wait([task], timeout=max(0.0, (in_time() if by is None else by) - time.monotonic()))
    if done:
        return task.result()
    if not begun:
        task.cancel()
    raise late


def _heard(task: "asyncio.Future[T]") -> None:
    """Nobody may wait for what it raised any more, which asyncio would complain about."""
    if not task.cancelled():
        task.exception()


class _Turns:
    """Of triggers whose messages are in hand in this process; of the event loop's thread alone."""

    def __init__(self) -> None:
        self._places: dict[str, Semaphore] = {}
        self._here: Counter[str] = Counter()

    @asynccontextmanager
    async def taken(self, trigger_id: str) -> AsyncGenerator[None]:
        """A place of the trigger's, until the block's end."""
        places = self._places.setdefault(trigger_id, Semaphore(OF_ONE))
        self._here[trigger_id] += 1
        try:
            async with places:
                yield
        finally:
            self._here[trigger_id] -= 1
            if not self._here[trigger_id]:
                del self._here[trigger_id], self._places[trigger_id]


_turns = _Turns()
