"""One render's events as server-sent events: history first, then what happens, until the final one."""

import asyncio
from collections.abc import AsyncIterator

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from api.bodies import EventBody
from api.database import transact
from api.feed import Feed
from api.lasting import LastingKey, check_seconds
from api.limits import EVENTS_PAGE
from api.views import event_body
from worker.renders import events
from worker.renders.models import Render

KEEP_ALIVE_SECONDS = 15.0
"""Proxies close connections that are silent for 30 to 60 s."""
AWAY_SECONDS = 1.0

_COMMENT = b": still here\n\n"


def sent(event: EventBody) -> bytes:
    """One event on the wire; JSON has no raw line breaks, so its data is one line."""
    return f"id: {event.number}\nevent: {event.type}\ndata: {event.model_dump_json()}\n\n".encode()


def history(session: Session, render_id: str, after: int) -> tuple[list[EventBody], bool]:
    """A page of events, and whether nothing more will come: the render is final and these are its last."""
    render = session.get(Render, render_id)
    page = [event_body(event) for event in events.of_render(session, render_id, after=after, limit=EVENTS_PAGE)]
    # Both reads may see different moments: only a final row whose last event is in hand is at its end.
    last = page[-1].number if page else after
    return page, render is None or (render.finished_at is not None and last >= render.event_number)


async def follow(feed: Feed, render_id: str, after: int, key: LastingKey) -> AsyncIterator[bytes]:
    """The stream's pieces. Subscribes first and reads history then, so nothing falls between the two.

    A render's numbers have no gaps, but the feed's order is that of transactions: where a number is missing it is read
    from the table. While the database is away the connection is kept with comments. It ends with its key.
    """
    yield b"retry: 1000\n: following\n\n"
    with feed.subscribe(render_id) as subscription:
        while not await feed.opened(KEEP_ALIVE_SECONDS):
            yield _COMMENT
        behind = True
        while await key.works():
            if behind:
                try:
                    page, over = await run_in_threadpool(_read, render_id, after)
                except (DBAPIError, PoolTimeout):
                    yield _COMMENT
                    await asyncio.sleep(AWAY_SECONDS)
                    continue
                for event in page:
                    yield sent(event)
                    after = event.number
                if over:
                    return
                behind = len(page) == EVENTS_PAGE
                continue
            event = await subscription.next(min(KEEP_ALIVE_SECONDS, check_seconds()))
            if event is None:
                yield _COMMENT
            elif event.number == after + 1:
                yield sent(event)
                after = event.number
                behind = event.final  # whether that was the last is for the row to say
            else:
                behind = event.number > after


def _read(render_id: str, after: int) -> tuple[list[EventBody], bool]:
    return transact(lambda session: history(session, render_id, after), retry_for=0)
