"""Threads of shops' messages alone: whatever other calls wait for, a shop is answered within the seconds it gives."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from anyio import CapacityLimiter, to_thread

from api.problems import Problem

THREADS = 20
"""As many as the database's pool holds connections open for: more would wait for those."""
SECONDS = 3.0
"""For one message: Shopify and WooCommerce give five, the way there and back included."""
_limiter = CapacityLimiter(THREADS)

T = TypeVar("T")


async def run(work: Callable[[], T]) -> T:
    """What `work` returns, or raises; it waits for none but other messages.

    One that is not taken in time goes on in its thread, and keeps its place among the `THREADS`; one that waits for a
    place still is dropped. The source sends it again: what was taken after all is a duplicate then.

    Raises:
        Problem: `database.unavailable`, where it is not taken in time.
    """
    begun = False

    def begin() -> T:
        nonlocal begun
        begun = True
        return work()

    task = asyncio.ensure_future(to_thread.run_sync(begin, limiter=_limiter))
    task.add_done_callback(_heard)
    done, _ = await asyncio.wait([task], timeout=SECONDS)
    if done:
        return task.result()
    if not begun:
        task.cancel()
    raise Problem("database.unavailable", "The message was not taken in time.")


def _heard(task: "asyncio.Future[T]") -> None:
    """Nobody may wait for what it raised any more, which asyncio would complain about."""
    if not task.cancelled():
        task.exception()
