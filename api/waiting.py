"""`Prefer: wait=N` (RFC 7240): the answer comes when the render is final, or when something happened, at the latest
after N seconds.

Whoever waits holds neither a thread nor a connection to the database: the process's one feed reader wakes it.
"""

import asyncio
import re
import time
from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Header, Request
from starlette.concurrency import run_in_threadpool

from api.bodies import FeedPage, RenderBody
from api.feed import Feed, Subscription
from worker.renders.states import FINAL

LONGEST_SECONDS = 60
"""What is asked beyond it is cut to it: proxies give up on silent answers soon after."""

_WAIT = re.compile(r'wait\s*=\s*"?(\d{1,9})"?', re.IGNORECASE)


async def _wanted(request: Request, prefer: Annotated[str | None, Header(description="`wait=N`: up to 60 s.")] = None):
    """Seconds this request is ready to wait, or None. Of several the first counts; what is not understood is passed
    over (RFC 7240, 2)."""
    for header in request.headers.getlist("prefer"):
        for preference in header.split(","):
            found = _WAIT.fullmatch(preference.partition(";")[0].strip())
            if found:
                return min(int(found[1]), LONGEST_SECONDS)
    return None


Patience = Annotated[int | None, Depends(_wanted)]


def applied(seconds: int | None) -> dict[str, str]:
    """The header that says so."""
    return {} if seconds is None else {"Preference-Applied": f"wait={seconds}", "Vary": "Prefer"}


async def until_final(feed: Feed, render_id: str, seconds: float, read: Callable[[], RenderBody]) -> RenderBody:
    """The render as `read` finds it once it is final, or when the time is over.

    Raises what `read` raises, and DBAPIError where the database cannot say how the render stands.
    """
    deadline = time.monotonic() + seconds
    with feed.subscribe(render_id) as subscription:
        while True:
            # Only what is read after the reader has its place leaves no gap to what it will tell.
            placed = await feed.opened(_left(deadline))
            body = await run_in_threadpool(read)
            if body.status in FINAL or not placed:
                return body
            if not await _ended(subscription, deadline):
                return await run_in_threadpool(read)


async def until_told(feed: Feed, owner_id: str, seconds: float, read: Callable[[], FeedPage]) -> FeedPage:
    """A page of the owner's feed as `read` finds it once something is in it, or when the time is over.

    Raises what `read` raises.
    """
    deadline = time.monotonic() + seconds
    with feed.watch(owner_id) as mark:
        placed = await feed.opened(_left(deadline))
        while True:
            something = mark.next()
            async with mark.reading:
                page = await run_in_threadpool(read)
            if page.data or not placed or not await _set(something, deadline):
                return page


async def _set(something: asyncio.Event, deadline: float) -> bool:
    try:
        async with asyncio.timeout(_left(deadline)):
            await something.wait()
    except TimeoutError:
        return False
    return True


async def _ended(subscription: Subscription, deadline: float) -> bool:
    """Whether an event came that ends a run, before the time was over."""
    while (event := await subscription.next(_left(deadline))) is not None:
        if event.final:
            return True
    return False


def _left(deadline: float) -> float:
    return max(deadline - time.monotonic(), 0.0)
