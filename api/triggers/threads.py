"""Threads of shops' messages alone: whatever other calls wait for, a shop is answered within the seconds it gives."""

from collections.abc import Callable
from typing import TypeVar

from anyio import CapacityLimiter, to_thread

THREADS = 20
"""As many as the database's pool holds connections open for: more would wait for those."""
_limiter = CapacityLimiter(THREADS)

T = TypeVar("T")


async def run(work: Callable[[], T]) -> T:
    """What `work` returns, or raises; it waits for none but other messages."""
    return await to_thread.run_sync(work, limiter=_limiter)
