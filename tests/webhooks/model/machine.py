"""Renders, a relay, a dispatcher, workers that die or come late, receivers, owners; in any order."""

from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from tests.renders.conftest import a_render
from tests.webhooks import conftest as real
from tests.webhooks.model.answers import ANSWERS, BUSY, GONE, OURS, REFUSED, SLOW, TAKEN, Answer
from tests.webhooks.model.expected import ENDS, LEASE, Endpoint, Row
from tests.webhooks.model.owners import Owners, which
from tests.webhooks.model.shares import Look
from tests.webhooks.model.world import ENDPOINTS, OWNERS, PLACES
from worker.database import transact
from worker.renders.events import EventType
from worker.webhooks import claims, endpoints, outcomes
from worker.webhooks.claims import Claimed
from worker.webhooks.outcomes import Tried

ROUNDS = 80


class Machine(Owners):
    """What may happen."""

    # To renders

    @initialize(places=st.sampled_from(PLACES))
    def has_begun(self, places: int) -> None:
        """Something is under way, or most examples would be over before anything is."""
        self.begins(places)
        self.open = [(a_render(owner), owner) for owner in OWNERS for _ in range(3)]
        self.reads_the_feed()
        self.ticks()

    @rule(owner=st.sampled_from(OWNERS))
    @precondition(lambda self: len(self.open) < 8)
    def a_render_is_queued(self, owner: str) -> None:
        self.open.append((a_render(owner), owner))
        self.reads_the_feed()

    @rule(which=which, types=st.lists(st.sampled_from((EventType.STARTED, EventType.PROGRESS)), min_size=1, max_size=3))
    @precondition(lambda self: self.open)
    def goes_on(self, which: int, types: list[EventType]) -> None:
        real.happens(self.open[which % len(self.open)][0], *types)
        self.reads_the_feed()

    @rule(which=which, end=st.sampled_from((EventType.SUCCEEDED, EventType.FAILED)))
    @precondition(lambda self: self.open)
    def ends(self, which: int, end: EventType) -> None:
        real.happens(self.open.pop(which % len(self.open))[0], end)
        self.reads_the_feed()

    # The dispatcher

    @rule()
    def relays(self) -> None:
        """One delivery, with one id, of each event that an open endpoint asks for."""
        events = [one for one in self.book.feed if one.id > self.relayed]
        enabled = [one for one in self.endpoints if not one.disabled]
        real.relayed()
        wanted = [(one.id, event) for one in enabled for event in self.book.missing(one, events)]
        self.book.rows |= {row.id: row for row in self.made(wanted, made_up_for=False)}
        for event in events:
            for one in enabled:
                if event.type in ENDS and event.owner == one.owner and one.asks(event.type):
                    self.book.end_wins(one.id, event)
        self.relayed = self.book.feed[-1].id if self.book.feed else 0

    @rule()
    def looks(self) -> None:
        """Until nothing is left to give: each time what may go goes to who is next."""
        self.book.forget_lost()
        given = True
        while given:
            given = self.sorted(real.handed_out())
            rows = [self.book.rows[one.id] for one in given]
            Look(self.book, max(1, self.places // 2), max(1, self.places // 4), rows).check()
            assert [one.lease for one in given] == [row.lease for row in rows]
            for row in rows:
                row.sent = self.book.now
            self.broker += given

    @rule()
    def ticks(self) -> None:
        self.relays()
        self.looks()

    @rule(places=st.sampled_from(PLACES))
    def workers_come_and_go(self, places: int) -> None:
        self.has_places(places)

    # Workers

    @rule(which=which, stays=st.booleans())
    @precondition(lambda self: self.broker)
    def takes_a_message(self, which: int, stays: bool) -> None:
        """`stays`: the broker gives it out twice."""
        place = which % len(self.broker)
        one = self.broker[place] if stays else self.broker.pop(place)
        row = self.book.rows[one.id]
        claimed = transact(lambda s: claims.claim(s, one.id, one.lease, for_=timedelta(seconds=LEASE)))
        assert (claimed is not None) == self.book.claimable(row, one.lease)
        if claimed is not None:
            self._has(claimed)
        else:
            self.book.refused(row, one.lease)

    def _has(self, claimed: Claimed) -> None:
        self.book.claim(self.book.rows[claimed.id])
        self.workers.append(claimed)

    @rule(moods=st.tuples(*[st.sampled_from(ANSWERS)] * len(ENDPOINTS)), most=st.integers(2, 8), next=st.booleans())
    @precondition(lambda self: self.broker)
    def works(self, moods: tuple[Answer, ...], most: int, next: bool) -> None:
        """Without an accident: each receiver has its mood."""
        answers = dict(zip(self.book.endpoints, moods, strict=True))
        for _ in range(min(most, len(self.broker))):
            before = len(self.workers)
            self.takes_a_message(0, stays=False)
            if len(self.workers) > before:
                mood = answers[self.workers[before].endpoint_id]
                self.is_answered(before, mood, stays=False, next=next)

    @rule(which=which, answer=st.sampled_from(ANSWERS), stays=st.booleans(), next=st.booleans())
    @precondition(lambda self: self.workers)
    def is_answered(self, which: int, answer: Answer, stays: bool, next: bool) -> None:
        """Who lost it meanwhile writes nothing. `stays`: the same worker writes once more later; `next`: it goes on."""
        place = which % len(self.workers)
        claimed = self.workers[place] if stays else self.workers.pop(place)
        row = self.book.rows[claimed.id]
        endpoint = self.book.endpoints[row.endpoint]
        answer = BUSY[which % 2] if endpoint.polite and answer == REFUSED else answer
        counts = self.book.written(row, claimed.lease)
        asked = timedelta(seconds=answer.asks) if answer.asks else None
        tried = Tried(claimed.at, answer.seconds, answer.status, answer.error, asked=asked)
        state = transact(lambda s: outcomes.write(s, claimed, tried))
        assert (state is not None) == counts
        if counts:
            self._counts(row, endpoint, answer)
            if next and answer == TAKEN:
                self._goes_on_at(endpoint)

    def _counts(self, row: Row, endpoint: Endpoint, answer: Answer) -> None:
        self.attempts += 1
        said = {"taken": answer.error is None, "gone": answer == GONE, "asked": answer.asks}
        self.book.outcome(row, **said)
        if answer != OURS:
            self.book.judge(endpoint, **said, slow=answer == SLOW)

    def _goes_on_at(self, endpoint: Endpoint) -> None:
        may = {row.id for row in self.book.may_go(endpoint.id)}
        claimed = transact(lambda s: claims.claim_next(s, endpoint.id, for_=timedelta(seconds=LEASE)))
        assert (claimed.id in may) if claimed is not None else not may
        if claimed is not None:
            self._has(claimed)

    @rule(which=which)
    @precondition(lambda self: self.workers)
    def dies(self, which: int) -> None:
        self.workers.pop(which % len(self.workers))

    @rule(seconds=st.sampled_from((20.0, 50.0, 250.0)))
    def time_passes(self, seconds: float) -> None:
        """No sum of them is near to the end of a lease, and what takes place in between takes no seconds."""
        real.later(seconds)
        self.book.now += seconds

    def teardown(self) -> None:
        """Everybody works again: nothing pending is left, and nothing that was missed."""
        if not hasattr(self, "book"):
            return
        self.workers.clear()
        self.broker.clear()
        for endpoint in self.endpoints:
            self.on(endpoint, endpoints.enable)
            self.book.enable(endpoint)
        self.relays()
        while self.redeliveries:
            self.goes_on_sending_again()
        for _ in range(ROUNDS):
            if not any(self.book.pending(one.id) for one in self.endpoints):
                break
            self.time_passes(250.0)
            self.looks()
            while self.broker:
                self.takes_a_message(0, stays=False)
                while self.workers:
                    self.is_answered(0, TAKEN, stays=False, next=True)
        self.the_tables_are_as_the_book_says()
        assert not any(self.book.pending(one.id) for one in self.endpoints)
