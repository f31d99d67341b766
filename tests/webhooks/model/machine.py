"""Renders, a relay, a dispatcher, workers that die or come late, receivers, owners; in any order."""

from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import func, select, text

from tests.renders.conftest import a_render, a_worker
from tests.webhooks import conftest as real
from tests.webhooks.model.expected import LEASE, Book, Row
from worker.database import transact
from worker.renders.events import EventType
from worker.renders.models import Event
from worker.webhooks import claims, deliveries, due, endpoints, outcomes, schedule
from worker.webhooks.claims import Claimed
from worker.webhooks.due import Due
from worker.webhooks.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint
from worker.webhooks.outcomes import Tried

which = st.integers(0, 20)
"""Chooses one of however many there are."""
ROUNDS = 80


class Machine(RuleBasedStateMachine):
    """Two endpoints of one owner, a few renders."""

    @initialize()
    def begins(self) -> None:
        transact(lambda s: s.execute(text("TRUNCATE renders, workers, lanes, accounts, owners CASCADE")))
        a_worker(capacity=1000)
        self.book = Book()
        self.endpoints = [real.an_endpoint(events=("render.*",)) for _ in range(2)]
        self.open: list[str] = []
        """Renders that are not over."""
        self.broker: list[Due] = []
        self.workers: list[Claimed] = []
        self.attempts = 0

    # What happens to renders

    @rule()
    @precondition(lambda self: len(self.open) < 3)
    def a_render_is_queued(self) -> None:
        self.open.append(a_render())

    @rule(which=which, types=st.lists(st.sampled_from((EventType.STARTED, EventType.PROGRESS)), min_size=1, max_size=3))
    @precondition(lambda self: self.open)
    def goes_on(self, which: int, types: list[EventType]) -> None:
        real.happens(self.open[which % len(self.open)], *types)

    @rule(which=which, end=st.sampled_from((EventType.SUCCEEDED, EventType.FAILED)))
    @precondition(lambda self: self.open)
    def ends(self, which: int, end: EventType) -> None:
        real.happens(self.open.pop(which % len(self.open)), end)

    # The dispatcher

    @rule()
    def relays(self) -> None:
        """One delivery, with one id, of each event that an open endpoint asks for."""
        known = set(self.book.rows)
        events = self._events_after(getattr(self, "relayed", 0))
        real.relayed()
        made = [row for row in real.deliveries() if row.id not in known]
        wanted = [(one, event.id) for event in events for one in self.endpoints if one not in self.book.disabled]
        assert sorted((row.endpoint_id, row.event_id or 0) for row in made) == sorted(wanted)
        made.sort(key=lambda row: row.event_id or 0)
        self.book.arrive(Row(one.id, one.endpoint_id, one.subject, one.sequence, one.final) for one in made)
        self.relayed = events[-1].id if events else getattr(self, "relayed", 0)

    def _events_after(self, last: int) -> list[Event]:
        query = select(Event).where(Event.id > last, Event.type.startswith("render.")).order_by(Event.id)
        return transact(lambda s: list(s.scalars(query)))

    @rule()
    def looks(self) -> None:
        """All that may go and has a place goes, nothing else."""
        ready = self._ready()
        found = real.handed_out()
        self.book.forget_lost()
        for endpoint in self.endpoints:
            self._shared([self.book.rows[one.id] for one in found], endpoint, ready)
        for one in found:
            row = self.book.rows[one.id]
            assert one.lease == row.lease
            row.sent = self.book.now
        self.broker += found

    def _shared(self, found: list[Row], endpoint: str, ready: set[str]) -> None:
        may = self.book.may_go(endpoint, ready)
        mine = [row for row in found if row.endpoint == endpoint]
        assert {row.id for row in mine} <= {row.id for row in may}
        in_hand = sum(row.sent is not None for row in self.book.pending(endpoint))
        places = (1 if endpoint in self.book.failing else due.AT_ONCE) - in_hand
        assert len(mine) == max(0, min(places, len(may)))

    def _ready(self) -> set[str]:
        query = select(WebhookDelivery.id).where(WebhookDelivery.ready_at <= func.now())
        return transact(lambda s: set(s.scalars(query)))

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

    @rule(which=which)
    def goes_on_at_an_endpoint(self, which: int) -> None:
        endpoint = self.endpoints[which % 2]
        may = {row.id for row in self.book.may_go(endpoint, self._ready())}
        claimed = transact(lambda s: claims.claim_next(s, endpoint, for_=timedelta(seconds=LEASE)))
        assert (claimed.id in may) if claimed is not None else not may
        if claimed is not None:
            self._has(claimed)

    def _has(self, claimed: Claimed) -> None:
        self.book.claim(self.book.rows[claimed.id])
        self.workers.append(claimed)

    @rule(which=which, status=st.sampled_from((204, 204, 204, 500, 500, 410)), stays=st.booleans())
    @precondition(lambda self: self.workers)
    def is_answered(self, which: int, status: int, stays: bool) -> None:
        """Who lost it meanwhile writes nothing. `stays`: the same worker writes once more later."""
        place = which % len(self.workers)
        claimed = self.workers[place] if stays else self.workers.pop(place)
        row = self.book.rows[claimed.id]
        counts = self.book.written(row, claimed.lease)
        tried = Tried(claimed.at, 0.1, status, schedule.fault(status))
        state = transact(lambda s: outcomes.write(s, claimed, tried))
        assert (state is not None) == counts
        if counts:
            self.attempts += 1
            self.book.outcome(row, status)

    @rule(which=which)
    @precondition(lambda self: self.workers)
    def dies(self, which: int) -> None:
        self.workers.pop(which % len(self.workers))

    @rule(seconds=st.sampled_from((7.0, 50.0, 250.0)))
    def time_passes(self, seconds: float) -> None:
        real.later(seconds)
        self.book.now += seconds

    # Owners

    @rule(which=which)
    def switches(self, which: int) -> None:
        endpoint = self.endpoints[which % 2]
        closed = endpoint in self.book.disabled
        self._switch(endpoint, on=closed)

    def _switch(self, endpoint: str, *, on: bool) -> None:
        def work(session):
            row = session.get_one(WebhookEndpoint, endpoint, with_for_update=True)
            _ = endpoints.enable(session, row) if on else endpoints.disable(session, row)

        transact(work)
        if on:
            self.book.disabled.discard(endpoint)
            self.book.failing.discard(endpoint)
        else:
            self.book.disabled.add(endpoint)

    @rule(which=which)
    @precondition(lambda self: self.book.rows)
    def sends_again(self, which: int) -> None:
        row = list(self.book.rows.values())[which % len(self.book.rows)]
        transact(lambda s: deliveries.redeliver(s, s.get_one(WebhookDelivery, row.id)))
        self.book.begin_anew(row)

    # What holds

    @invariant()
    def the_table_is_as_the_book_says(self) -> None:
        if not hasattr(self, "book"):
            return
        rows = real.deliveries()
        said = {one.id: (one.state, one.tries, one.overtaken, one.lease, one.sent_at is not None) for one in rows}
        assert said == {row.id: row.told() for row in self.book.rows.values()}
        assert len({(one.endpoint_id, one.event_id) for one in rows}) == len(rows)
        count = select(func.count()).select_from(WebhookAttempt)
        assert transact(lambda s: s.scalar(count)) == self.attempts

    def teardown(self) -> None:
        """Everybody works again: nothing pending is left, and each end was told last but for what was sent again."""
        if not hasattr(self, "book"):
            return
        self.workers.clear()
        self.broker.clear()
        for endpoint in self.book.disabled.copy():
            self._switch(endpoint, on=True)
        self.relays()
        for _ in range(ROUNDS):
            if not any(self.book.pending(one) for one in self.endpoints):
                break
            self.time_passes(250.0)
            self.looks()
            while self.broker:
                self.takes_a_message(0, stays=False)
                self.is_answered(0, 204, stays=False)
        self.the_table_is_as_the_book_says()
        assert not any(self.book.pending(one) for one in self.endpoints)
