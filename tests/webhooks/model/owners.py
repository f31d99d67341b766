"""What owners do to endpoints and deliveries, in any order."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.webhooks.model.expected import Happened, Row
from tests.webhooks.model.redelivered import Redelivery
from tests.webhooks.model.world import World
from worker.database import transact
from worker.webhooks import chores, deliveries, endpoints, redeliveries
from worker.webhooks.models import WebhookDelivery

which = st.integers(0, 20)
"""Chooses one of however many there are."""


class Owners(World):
    """Switched off and on, moved, and sent again."""

    @rule(which=which)
    @precondition(lambda self: not any(one.disabled for one in self.endpoints))
    def disables(self, which: int) -> None:
        endpoint = self.endpoints[which % len(self.endpoints)]
        self.on(endpoint, endpoints.disable)
        endpoint.disabled = True

    @rule(which=which)
    def enables(self, which: int) -> None:
        """Also one that is enabled: it has asked for quiet, and its owner knows better."""
        closed = [one for one in self.endpoints if one.disabled] or self.endpoints
        endpoint = closed[which % len(closed)]
        self.on(endpoint, endpoints.enable)
        self.book.enable(endpoint)

    @rule(which=which)
    @precondition(lambda self: any(one.quiet(self.book.now) for one in self.endpoints))
    def moves(self, which: int) -> None:
        """To an address that asked for no quiet."""
        endpoint = next(one for one in self.endpoints if one.quiet(self.book.now))
        url = f"http://127.0.0.1:9/{which}-{self.book.now}"
        self.on(endpoint, lambda s, row: endpoints.change(s, row, url=url))
        endpoint.quiet_until = 0.0

    @rule(which=which)
    @precondition(lambda self: self.book.rows)
    def sends_again(self, which: int) -> None:
        row = list(self.book.rows.values())[which % len(self.book.rows)]
        transact(lambda s: deliveries.redeliver(s, s.get_one(WebhookDelivery, row.id)))
        self.book.begin_anew(row, asked=True)

    @rule(which=which, since=which, everything=st.booleans())
    @precondition(lambda self: self.book.feed)
    def sends_all_again(self, which: int, since: int, everything: bool) -> None:
        """What an endpoint missed since some moment; one at a time."""
        endpoint, moment = self.endpoints[which % len(self.endpoints)], 1 + since % self.moment
        moment = next(one.moment for one in self.book.feed if one.moment >= moment)
        if any(mine.endpoint is endpoint for _, mine in self.redeliveries):
            return
        only, time = "all" if everything else "failed", self.time_of(moment)
        id = self.on(endpoint, lambda s, row: redeliveries.begin(s, row, time, only=only).id)
        self._piece(id, Redelivery(self.book, endpoint, moment, everything))

    @rule()
    @precondition(lambda self: self.redeliveries)
    def goes_on_sending_again(self) -> None:
        assert chores.send_again()
        self._piece(*self.redeliveries.pop(0))

    def _piece(self, id: str, mine: Redelivery) -> None:
        def made(events: list[Happened]) -> list[Row]:
            rows = self.made([(mine.endpoint.id, one) for one in events], made_up_for=True)
            for row in rows:
                row.asked = mine.everything
            return rows

        mine.piece(made)
        assert self.number_of(id) == (mine.number, mine.finished)
        self.redeliveries += [] if mine.finished else [(id, mine)]
