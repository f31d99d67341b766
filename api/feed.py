"""One reader of the event feed per process, however many listen.

A thread reads new events by cursor a few times a second while anybody listens, and hands them to the event loop, which
drops them into the listeners' boxes. A listener holds neither a thread nor a connection.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from api.bodies import EventBody
from api.database import transact
from api.views import event_body
from config.logging import get
from worker.renders import events
from worker.renders.events import Cursor

log = get(__name__)

LOOK_SECONDS = 0.2
AWAY_SECONDS = 1.0
"""Between two looks while the database is away."""
BATCH = 1000
READERS = 4
"""Of one owner's feed, all woken by the same event: the others' requests need connections too."""
BOX = 256
"""Events a slow listener may leave lying: the oldest fall out, and it finds the gap in their numbers."""


class Subscription:
    """One listener's box for the events of a render. Belongs to the event loop."""

    def __init__(self) -> None:
        self._box: deque[EventBody] = deque(maxlen=BOX)
        self._filled = asyncio.Event()

    def put(self, event: EventBody) -> None:
        """Drop an event in."""
        self._box.append(event)
        self._filled.set()

    async def next(self, seconds: float) -> EventBody | None:
        """The next event, or None after so many seconds without one."""
        if not self._box:
            self._filled.clear()
            try:
                async with asyncio.timeout(seconds):
                    await self._filled.wait()
            except TimeoutError:
                return None
        return self._box.popleft()


class Mark:
    """That something happened to an owner: not what, which whoever waits for it reads. Belongs to the event loop."""

    def __init__(self) -> None:
        self._next = asyncio.Event()
        self.waiting = 0
        self.reading = asyncio.Semaphore(READERS)
        """However many wait, so many of them read at once."""

    def set(self) -> None:
        """Wake all that wait."""
        woken, self._next = self._next, asyncio.Event()
        woken.set()

    def next(self) -> asyncio.Event:
        """Set as soon as anything happens from now on: asked for before the feed is read, nothing is missed."""
        return self._next


class Feed:
    """The reader and its listeners. All but the thread's own part runs on the event loop."""

    def __init__(self) -> None:
        self._listeners: dict[str, set[Subscription]] = {}
        self._marks: dict[str, Mark] = {}
        self._open = asyncio.Event()
        self._period = 0
        """Counts the times somebody began to listen after silence: a reader's start belongs to one of them."""
        self._wanted = threading.Event()
        self._closing = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._read, name="feed", daemon=True)

    def start(self) -> None:
        """Begin; called on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._closing.set()
        self._wanted.set()

    @property
    def listening(self) -> int:
        """Listeners at the moment."""
        return sum(map(len, self._listeners.values())) + sum(mark.waiting for mark in self._marks.values())

    @contextmanager
    def subscribe(self, render_id: str) -> Generator[Subscription]:
        """A box for the events of one render, from now on; see `opened`."""
        subscription = Subscription()
        self._begin()
        self._listeners.setdefault(render_id, set()).add(subscription)
        try:
            yield subscription
        finally:
            boxes = self._listeners[render_id]
            boxes.discard(subscription)
            if not boxes:
                del self._listeners[render_id]
            self._end()

    @contextmanager
    def watch(self, owner_id: str) -> Generator[Mark]:
        """The mark of an owner, which all that watch share, from now on; see `opened`. A box each would be all events
        for each."""
        self._begin()
        mark = self._marks.setdefault(owner_id, Mark())
        mark.waiting += 1
        try:
            yield mark
        finally:
            mark.waiting -= 1
            if not mark.waiting:
                del self._marks[owner_id]
            self._end()

    def _begin(self) -> None:
        if not self._anybody:
            self._period += 1
        self._wanted.set()

    def _end(self) -> None:
        if not self._anybody:
            self._wanted.clear()
            self._open.clear()

    @property
    def _anybody(self) -> bool:
        return bool(self._listeners or self._marks)

    async def opened(self, seconds: float) -> bool:
        """Wait until the reader has its starting place: only history read after that leaves no gap to what follows."""
        try:
            async with asyncio.timeout(seconds):
                await self._open.wait()
        except TimeoutError:
            return False
        return True

    def _opened(self, period: int) -> None:
        if period == self._period and self._anybody:
            self._open.set()

    def _deliver(self, batch: Sequence[tuple[str, EventBody]]) -> None:
        for _, event in batch:
            for subscription in self._listeners.get(event.render_id or "", ()):
                subscription.put(event)
        for owner_id in {owner_id for owner_id, _ in batch} & self._marks.keys():
            self._marks[owner_id].set()

    def _read(self) -> None:
        """The thread."""
        cursor, period = Cursor(), -1
        while not self._closing.is_set():
            if not self._wanted.is_set():
                self._wanted.wait()
                continue
            try:
                if period != self._period:
                    begun = self._period
                    cursor = transact(events.feed_end, retry_for=0)
                    period = begun
                    self._call(self._opened, period)
                cursor, full = self._hand_on(cursor)
            except (DBAPIError, PoolTimeout) as error:
                log.warning("feed.away", error=type(error).__name__)
                self._closing.wait(AWAY_SECONDS)
            except Exception:  # a bug of ours must not end the one reader that all listeners of this process share
                log.exception("feed.fault")
                self._closing.wait(AWAY_SECONDS)
            else:
                if not full:
                    self._closing.wait(LOOK_SECONDS)

    def _hand_on(self, cursor: Cursor) -> tuple[Cursor, bool]:
        """Deliver what is behind `cursor`; the new place, and whether there may be more at once."""
        found = transact(lambda session: events.feed(session, after=cursor, limit=BATCH), retry_for=0)
        if not found:
            return cursor, False
        self._call(self._deliver, [(event.owner_id, event_body(event)) for event in found])
        last = found[-1]
        return Cursor(last.transaction, last.id), len(found) == BATCH

    def _call(self, function: Callable[..., None], *args: object) -> None:
        assert self._loop is not None, "start() set it"
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *args)
