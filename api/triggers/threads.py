"""Threads of shops' messages alone: whatever other calls wait for, a shop is answered within the seconds it gives; and
whatever one trigger's messages wait for, the other triggers' are.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from typing import TypeVar

from anyio import CapacityLimiter, Semaphore, to_thread

from api.limits import OF_ONE_TRIGGER_BYTES, SMALL_MESSAGE_BYTES, VERIFIED_BYTES
from api.problems import Problem
from api.triggers.busy import busy
from api.triggers.unverified import crowded, room

THREADS = 20
"""As many as the database's pool holds connections open for: more would wait for those."""
OF_ONE = 5
"""Of these, for one trigger's messages at once."""
LARGE_AT_ONCE = 2
"""Of these, for large messages of all triggers: they are read one at a time (`payloads.read`), and more threads of
them would only wait for that."""
COUNTED_BYTES = 4 * 1024
"""As so many a smaller one counts, with its request around it."""
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


async def in_turn(trigger_id: str, work: Callable[[], T], by: float | None = None, *, size: int = 0) -> T:
    """As `run`, for what may wait for others that have the trigger in hand; `size`: the message's, in bytes.

    Raises:
        Problem: `trigger.busy`, where it is not taken in time, or at once where more of the trigger's bytes wait than
            are its share; `trigger.crowded`, the same of all triggers'.
    """
    return await _run(work, _its_turn(trigger_id, size), by, busy(trigger_id))


@asynccontextmanager
async def _its_turn(trigger_id: str, size: int) -> AsyncGenerator[None]:
    """All that it takes, until the block's end: its bytes are in hand as long as its thread is."""
    large = size > SMALL_MESSAGE_BYTES
    # In this order: whatever waits for a place among large ones holds one of its trigger's turns and no more.
    alone = _alone.taken(trigger_id) if large else nullcontext()
    place = _large.taken("") if large else nullcontext()
    with _shares.taken(trigger_id, max(size, COUNTED_BYTES)):
        async with alone, _turns.taken(trigger_id), place:
            yield


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


class _Shares:
    """Bytes of messages that are verified, and being decided; of the event loop's thread alone."""

    def __init__(self) -> None:
        self._of: Counter[str] = Counter()

    @contextmanager
    def taken(self, trigger_id: str, size: int) -> Generator[None]:
        """So many more of the trigger's, until the block's end. Raises Problem `trigger.busy`, `trigger.crowded`."""
        if self._of[trigger_id] + size > OF_ONE_TRIGGER_BYTES:
            raise busy(trigger_id)
        if self._of.total() + size > room(VERIFIED_BYTES, size):
            raise crowded()
        self._of[trigger_id] += size
        try:
            yield
        finally:
            self._of[trigger_id] -= size
            if not self._of[trigger_id]:
                del self._of[trigger_id]


class _Turns:
    """Of triggers whose messages are in hand in this process; of the event loop's thread alone."""

    def __init__(self, places: int) -> None:
        self._most = places
        self._places: dict[str, Semaphore] = {}
        self._here: Counter[str] = Counter()

    @asynccontextmanager
    async def taken(self, trigger_id: str) -> AsyncGenerator[None]:
        """A place of the trigger's, until the block's end."""
        places = self._places.setdefault(trigger_id, Semaphore(self._most))
        self._here[trigger_id] += 1
        try:
            async with places:
                yield
        finally:
            self._here[trigger_id] -= 1
            if not self._here[trigger_id]:
                del self._here[trigger_id], self._places[trigger_id]


_shares = _Shares()
_turns = _Turns(OF_ONE)
_alone = _Turns(1)
"""Of a trigger's large messages: one of them leaves the other turns to small ones, and a place to other triggers'."""
_large = _Turns(LARGE_AT_ONCE)
"""Of all triggers' together."""
