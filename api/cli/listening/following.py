"""The feed from a place on, for as long as anybody listens: an outage of the service is waited for."""

import time
from collections.abc import Callable, Iterator
from datetime import datetime

from api import cursors
from api.client import Client, ClientError, FeedEvent, NotTheService, RateLimited, ServerFault, Unreachable
from worker.renders.events import Cursor

WAIT_SECONDS = 10
"""The service holds an answer without events for so long; the client tries about so long before it tells of a fault."""
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 10.0
PASSING = (Unreachable, ServerFault, RateLimited, NotTheService)
"""A service that restarts, or a proxy before one that does."""


def begin(client: Client, since: datetime | None, after: str | None = None) -> tuple[list[FeedEvent], str]:
    """The first events, from a moment or behind a place, and the place behind them. Raises ClientError: a wrong
    address, key or place is told at once."""
    page = client.feed(after or "now") if since is None else client.feed(since=since)
    return page.data, page.next_cursor or ""


def follow(client: Client, after: str, say: Callable[[str], None]) -> Iterator[FeedEvent]:
    """Every event behind a place, in order, as they happen. Raises what no repetition changes."""
    away = _Away(say)
    while True:
        try:
            page = client.feed(after, wait=WAIT_SECONDS)
        except PASSING as fault:
            away.pause(fault)
            continue
        away.over()
        yield from page.data
        after = page.next_cursor or after


def place_before(event: FeedEvent) -> str:
    """From which on the feed begins with this event."""
    place = cursors.unpack_feed(event.cursor or "")
    return Cursor(place.transaction, max(place.id - 1, 0)).text


class _Away:
    """An outage: told of once, and so is its end."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._seconds = 0.0

    def pause(self, fault: ClientError) -> None:
        if not self._seconds:
            self._say(f"the service does not answer, waiting for it: {fault}")
        self._seconds = min(max(self._seconds * 2, FIRST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
        asked = fault.retry_after if isinstance(fault, RateLimited) else None
        time.sleep(max(self._seconds, asked or 0))  # the service is away: nothing tells when it is back

    def over(self) -> None:
        if self._seconds:
            self._say("the service is back; nothing was left out")
        self._seconds = 0.0
