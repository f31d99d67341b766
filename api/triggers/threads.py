"""Threads of shops' messages alone: whatever other calls wait for, a shop is answered within the seconds it gives; and
whatever one trigger's messages wait for, the other triggers' are.
"""

from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from anyio import CapacityLimiter, Semaphore, fail_after, to_thread

from api.triggers.busy import busy

THREADS = 20
"""As many as the database's pool holds connections open for: more would wait for those."""
OF_ONE = 5
"""Of these, for one trigger's messages at once."""
TURN_SECONDS = 10.0
"""For which a message waits for its trigger's others: twice what most sources give, by when nobody listens any more."""
_limiter = CapacityLimiter(THREADS)

T = TypeVar("T")


async def run(work: Callable[[], T]) -> T:
    """What `work` returns, or raises; it waits for none but other messages."""
    return await to_thread.run_sync(work, limiter=_limiter)


async def in_turn(trigger_id: str, work: Callable[[], T]) -> T:
    """As `run`, for what may wait for others that have the trigger in hand. Raises Problem `trigger.busy` too."""
    async with _turns.taken(trigger_id):
        return await run(work)


class _Turns:
    """Of triggers whose messages are in hand in this process; of the event loop's thread alone."""

    def __init__(self) -> None:
        self._places: dict[str, Semaphore] = {}
        self._here: Counter[str] = Counter()

    @asynccontextmanager
    async def taken(self, trigger_id: str) -> AsyncGenerator[None]:
        """A place of the trigger's, until the block's end. Raises Problem `trigger.busy`."""
        places = self._places.setdefault(trigger_id, Semaphore(OF_ONE))
        self._here[trigger_id] += 1
        try:
            await self._wait(trigger_id, places)
            try:
                yield
            finally:
                places.release()
        finally:
            self._here[trigger_id] -= 1
            if not self._here[trigger_id]:
                del self._here[trigger_id], self._places[trigger_id]

    async def _wait(self, trigger_id: str, places: Semaphore) -> None:
        try:
            with fail_after(TURN_SECONDS):
                await places.acquire()
        except TimeoutError:
            raise busy(trigger_id) from None


_turns = _Turns()
