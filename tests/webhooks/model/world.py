"""The real tables beside the book: made, read and compared."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine, invariant
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from tests.emptying import empty_tables
from tests.renders.conftest import a_worker
from tests.webhooks import conftest as real
from tests.webhooks.model.expected import Book, Endpoint, Happened, Row
from tests.webhooks.model.redelivered import Redelivery
from tests.webhooks.model.shares import AT_ONCE
from worker.database import transact
from worker.owners.models import Owner
from worker.renders.models import Event, Worker
from worker.webhooks.claims import Claimed
from worker.webhooks.due import SLOW_SECONDS, Due
from worker.webhooks.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint, WebhookRedelivery

OWNERS = ("default", "demo")
ALL, NO_ENDS = ("render.*",), ("render.queued", "render.started", "render.progress")
ENDPOINTS = ((0, ALL, False), (0, ALL, False), (1, ALL, True), (1, NO_ENDS, False))
"""Whose, what it asks for, and whether it answers with a Retry-After."""
PLACES = (6, 16, 40)


class World(RuleBasedStateMachine):
    """Two owners, each with two endpoints and a few renders."""

    def begins(self, places: int) -> None:
        """Nothing has happened."""
        transact(lambda s: empty_tables(s, "renders, workers, lanes, accounts, owners"))
        a_worker()
        self.has_places(places)
        self.book = Book()
        for owner, events, polite in ENDPOINTS:
            id = real.an_endpoint(events=events, owner_name=OWNERS[owner])
            self.book.endpoints[id] = Endpoint(id, OWNERS[owner], _asks(events), polite)
        self.names = transact(lambda s: {one.id: one.name for one in s.scalars(select(Owner))})
        self.open: list[tuple[str, str]] = []
        """Renders that are not over, with their owners."""
        self.relayed = 0
        """The last event that became deliveries."""
        self.broker: list[Due] = []
        self.workers: list[Claimed] = []
        self.redeliveries: list[tuple[str, Redelivery]] = []
        """Those under way, whose turn it is first."""
        self.attempts = self.moment = 0

    @property
    def endpoints(self) -> list[Endpoint]:
        return list(self.book.endpoints.values())

    def has_places(self, places: int) -> None:
        """So many of worker-io."""
        self.places = places
        transact(lambda s: s.execute(update(Worker).values(capacity=places)))

    def reads_the_feed(self) -> None:
        """What happened since the last time, in one change."""
        last = self.book.feed[-1].id if self.book.feed else 0
        query = select(Event).where(Event.id > last, Event.type.startswith("render.")).order_by(Event.id)
        found = transact(lambda s: list(s.scalars(query)))
        self.moment += 1
        self.book.feed += [
            Happened(one.id, self.names[one.owner_id], one.render_id or "", one.number, one.type, self.moment)
            for one in found
        ]

    def time_of(self, moment: int) -> datetime:
        first = next(one.id for one in self.book.feed if one.moment == moment)
        return transact(lambda s: s.get_one(Event, first).created_at)

    def made(self, wanted: Iterable[tuple[str, Happened]], *, made_up_for: bool) -> list[Row]:
        """The new rows of the table, which must be these: one of each."""
        wanted = {(endpoint, event.id): event for endpoint, event in wanted}
        query = select(WebhookDelivery.id, WebhookDelivery.endpoint_id, WebhookDelivery.event_id)
        rows = transact(lambda s: s.execute(query.where(WebhookDelivery.id.not_in(self.book.rows))).all())
        assert sorted((row[1], row[2]) for row in rows) == sorted(wanted)
        found = [Row(row[0], row[1], wanted[row[1], row[2]], self.book.now, made_up_for) for row in rows]
        places = [one.id for one in self.endpoints]
        return sorted(found, key=lambda row: (row.event.id, places.index(row.endpoint)))

    def on(self, endpoint: Endpoint, work: Callable[[Session, WebhookEndpoint], Any]) -> Any:
        """Done to an endpoint by its owner."""
        return transact(lambda s: work(s, s.get_one(WebhookEndpoint, endpoint.id, with_for_update=True)))

    def sorted(self, found: Sequence[Due]) -> list[Due]:
        """In an order that is the same each time."""
        places = list(self.book.rows)
        return sorted(found, key=lambda one: places.index(one.id))

    @invariant()
    def the_tables_are_as_the_book_says(self) -> None:
        if not hasattr(self, "book"):
            return
        rows, endpoints, attempts = transact(_read)
        said = {
            one.id: (one.state, one.tries, *(one.overtaken, one.asked_for, one.lease, one.sent, one.ready))
            for one in rows
        }
        assert said == {row.id: row.told(self.book.now) for row in self.book.rows.values()}
        assert len({(one.endpoint_id, one.event_id) for one in rows}) == len(rows)
        said = {one.id: (one.disabled, one.failing, one.slow, one.quiet) for one in endpoints}
        assert said == {one.id: one.told(self.book.now) for one in self.endpoints}
        assert attempts == self.attempts
        assert all(self.book.in_hand(one.id) <= AT_ONCE for one in self.endpoints)

    def number_of(self, redelivery_id: str) -> tuple[int, bool]:
        """How many a redelivery says it has sent, and whether it is done."""
        row = transact(lambda s: s.get_one(WebhookRedelivery, redelivery_id))
        return row.redelivered, row.finished_at is not None


def _read(session: Session) -> tuple[Sequence[Any], Sequence[Any], int]:
    one, its = WebhookDelivery, WebhookEndpoint
    rows = session.execute(
        select(
            *(one.id, one.endpoint_id, one.event_id, one.state, one.tries, one.overtaken, one.lease, one.asked_for),
            one.sent_at.is_not(None).label("sent"),
            (one.ready_at <= func.now()).label("ready"),
        )
    ).all()
    endpoints = session.execute(
        select(
            its.id,
            its.disabled_at.is_not(None).label("disabled"),
            its.failing_since.is_not(None).label("failing"),
            (func.coalesce(its.last_seconds, 0) > SLOW_SECONDS).label("slow"),
            func.coalesce(its.quiet_until > func.now(), False).label("quiet"),
        )
    ).all()
    return rows, endpoints, session.execute(select(func.count()).select_from(WebhookAttempt)).scalar_one()


def _asks(patterns: Sequence[str]) -> Callable[[str], bool]:
    return lambda type: "render.*" in patterns or type in patterns
