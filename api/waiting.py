"""`Prefer: wait=N` (RFC 7240): the answer comes when the render is final, at the latest after N seconds.

Whoever waits holds neither a thread nor a connection to the database: the process's one feed reader wakes it.
"""

import re
import time
from typing import Annotated

from fastapi import Depends, Header, Request
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from api.database import transact
from api.feed import Feed, Subscription
from worker.renders.models import Render

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


async def until_final(feed: Feed, render_id: str, seconds: float) -> None:
    """Return when the render is final or the time is over. The caller checked that it may see the render.

    Raises DBAPIError where the database cannot say how the render stands.
    """
    deadline = time.monotonic() + seconds
    with feed.subscribe(render_id) as subscription:
        # Only what is read after the reader has its place leaves no gap to what it will tell.
        while await feed.opened(_left(deadline)) and not await run_in_threadpool(_is_final, render_id):
            if not await _ended(subscription, deadline):
                return


async def _ended(subscription: Subscription, deadline: float) -> bool:
    """Whether an event came that ends a run, before the time was over."""
    while (event := await subscription.next(_left(deadline))) is not None:
        if event.final:
            return True
    return False


def _left(deadline: float) -> float:
    return max(deadline - time.monotonic(), 0.0)


def _is_final(render_id: str) -> bool:
    def look(session: Session) -> bool:
        render = session.get(Render, render_id)
        return render is None or render.finished_at is not None

    return transact(look)
