"""Events: what happened to renders, batches and webhook endpoints, so far and as it happens."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import httpx
from pydantic import ValidationError

from .answers import Model, Page
from .connection import STREAM_TIMEOUT, Connection
from .errors import ApiError, ClientError, NotTheService, Unreachable
from .wire import at, lines, parameters


class Event(Model):
    """Something that happened to a render (`run` says in which of its runs, `final` that it ended), to a batch, or to a
    webhook endpoint; the id of one of them is there."""

    render_id: str | None = None
    batch_id: str | None = None
    endpoint_id: str | None = None
    run: int | None = None
    number: int
    type: str
    data: dict[str, Any] = {}
    final: bool
    at: datetime


class FeedEvent(Event):
    """An event in the feed: of a render also its batch and its reference; `cursor` is the place behind it."""

    external_ref: str | None = None
    cursor: str | None = None
    links: dict[str, str] = {}


class Events(Connection):
    """Calls about events."""

    def events(self, render_id: str, after: int = 0) -> list[Event]:
        """A render's events with a number above `after`, in order (up to 500)."""
        return self._list(Page[Event], at("renders", render_id, "events"), after=after).data

    def iter_events(self, render_id: str, after: int = 0) -> Iterator[Event]:
        """A render's events as they happen, until it is final; goes on after a cut where it stopped."""
        patience, over = self._patience(), False
        while True:
            try:
                for event in self._stream(render_id, after):
                    patience, after, over = self._patience(), event.number, event.final
                    yield event
                failure: ClientError = Unreachable(self.base_url, httpx.ReadError("the stream ended early"))
            except _Over:
                return
            except (httpx.RequestError, ApiError) as fault:
                failure = self._passing(fault)
            if over:
                over = False  # the next answer says that nothing more comes, or brings the next run
            else:
                patience.pause(failure)

    def feed(
        self,
        after: str | None = None,
        limit: int | None = None,
        *,
        since: datetime | None = None,
        wait: int | None = None,
    ) -> Page[FeedEvent]:
        """What happened to all that is yours, oldest first, from a cursor on; its `next_cursor` is always one.

        `after="now"` is where the feed ends at this moment, `since` a moment to begin at, and perhaps a little before
        it. With `wait` an answer without events comes after that many seconds (≤ 60).
        """
        given = parameters({"after": after, "limit": limit, "since": since})
        return self._ask(Page[FeedEvent], "GET", at("events"), params=given, wait=wait)

    def _stream(self, render_id: str, after: int) -> Iterator[Event]:
        """The events of one connection. Raises `_Over` where nothing more comes."""
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
        path = at("renders", render_id, "events")
        with self._streamed(path, accept=(200, 204), headers=headers, timeout=STREAM_TIMEOUT) as response:
            if response.status_code == 204:
                raise _Over
            try:
                yield from (Event.model_validate_json(data) for data in _data(response.iter_bytes()))
            except ValidationError:
                raise NotTheService(self.base_url) from None


class _Over(Exception):
    """There is nothing after the last event: the render is final."""


def _data(chunks: Iterable[bytes]) -> Iterator[str]:
    """The data of each event of a stream; comments and other fields are passed over."""
    held: list[str] = []
    for line in lines(chunks):
        if line.startswith("data:"):
            held.append(line[5:].removeprefix(" "))
        elif not line and held:
            yield "\n".join(held)
            held = []
