"""Long polls of the feed: many of one owner cost the event loop and the database little."""

import asyncio
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from threading import Lock

import pytest

from api.bodies import EventBody, FeedEventBody, FeedPage
from api.feed import READERS, Feed
from api.lasting import OF_EVENTS, Places
from api.problems import Problem
from api.waiting import until_told
from worker.renders.events import EventType

EVENT = EventBody(
    render_id="rnd_1", run=1, number=1, type=EventType.PROGRESS, data={}, final=False, at=datetime.now(UTC)
)


class Reads:
    """A feed that is read through here: empty until `page` says otherwise."""

    def __init__(self) -> None:
        self.number = self.at_once = self.most = 0
        self.page = FeedPage(data=[], next_cursor="x")
        self._lock = Lock()

    def __call__(self) -> FeedPage:
        with self._lock:
            self.number, self.at_once = self.number + 1, self.at_once + 1
            self.most = max(self.most, self.at_once)
        time.sleep(0.002)  # as long as a read takes: several are there at once
        with self._lock:
            self.at_once -= 1
        return self.page


def opened() -> Feed:
    """A feed whose reader has its place."""
    feed = Feed()
    feed._open.set()
    return feed


def test_a_batch_of_events_wakes_each_once_and_few_read_at_once():
    """However many events it has and however many wait: all are answered, and other owners' are not."""

    async def all_told() -> None:
        feed, mine, theirs = opened(), Reads(), Reads()
        waits = [asyncio.create_task(until_told(feed, "own", 20, mine)) for _ in range(60)]
        other = asyncio.create_task(until_told(feed, "other", 0.5, theirs))
        while mine.number < 60 or mine.at_once or not theirs.number:  # noqa: ASYNC110 - threads count
            await asyncio.sleep(0.001)
        mine.page = FeedPage(data=[FeedEventBody.model_construct()], next_cursor="y")
        feed._deliver([("own", EVENT)] * 1000)
        assert [page.next_cursor for page in await asyncio.gather(*waits)] == ["y"] * 60
        assert (await other).data == []
        assert (mine.number, theirs.number) == (120, 1)
        assert mine.most <= READERS
        assert feed.listening == 0

    asyncio.run(all_told())


def test_what_happens_during_a_read_is_not_missed():
    """The mark is asked for before the feed is read."""

    async def told() -> None:
        feed, reads = opened(), Reads()
        loop = asyncio.get_running_loop()

        def read() -> FeedPage:
            if not reads.number:
                empty = reads()
                reads.page = FeedPage(data=[FeedEventBody.model_construct()], next_cursor="y")
                loop.call_soon_threadsafe(feed._deliver, [("own", EVENT)])
                return empty
            return reads()

        assert (await until_told(feed, "own", 20, read)).next_cursor == "y"

    asyncio.run(told())


def test_a_batch_costs_the_loop_no_more_with_many_that_wait():
    """A mark is one for all of an owner."""
    feed = opened()
    with ExitStack() as open_ones:
        marks = {id(open_ones.enter_context(feed.watch("own"))) for _ in range(2_500)}
        assert (len(marks), feed.listening) == (1, 2_500)
    assert feed.listening == 0


def test_a_key_has_a_hundred_waits_for_events():
    """Then `rate.limited`; another key's are its own, and what ends leaves its place."""
    places = Places(2, "waits for events")
    with places.taken("a"), places.taken("a"):
        with pytest.raises(Problem) as refused:
            places.demand("a")
        assert refused.value.code == "rate.limited"
        places.demand("b")
    places.demand("a")
    assert OF_EVENTS._most == 100
