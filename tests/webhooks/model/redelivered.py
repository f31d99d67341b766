"""All that an endpoint missed since a moment, as it must be sent again: in pieces, the oldest first."""

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.webhooks.model.expected import ENDS, Book, Endpoint, Happened, Row

PIECE = 2
"""Deliveries of one; two thousand would be one piece of everything here."""


@dataclass
class Redelivery:
    """What somebody asked for: of what happened between a moment and now what failed and what is missing, or all."""

    book: Book
    endpoint: Endpoint
    since: int
    everything: bool
    known: bool = True
    """It is not done yet with what there is a delivery of."""
    after: int = 0
    finished: bool = False
    number: int = 0
    events: list[Happened] = field(default_factory=list[Happened])

    def __post_init__(self) -> None:
        self.events = list(self.book.since(self.since))

    def piece(self, made: Callable[[list[Happened]], list[Row]]) -> None:
        """The next one; `made` of those events that have no delivery, as the table has them."""
        room = PIECE
        if self.known:
            again = self._again()[:room]
            for row in again:
                self.book.begin_anew(row, asked=self.everything)
            room -= len(again)
            self._moved([row.event for row in again], full=not room)
        if not self.known and room and not self.finished:
            missing = self.book.missing(self.endpoint, self._rest())
            events = [one for one in missing if self._wanted(one)][:room]
            self.book.rows |= {row.id: row for row in made(events)}
            for one in events:
                self.book.end_wins(self.endpoint.id, one) if one.type in ENDS else None
            self._moved(events, full=len(events) == room)

    def _moved(self, events: list[Happened], *, full: bool) -> None:
        self.number += len(events)
        if full:
            self.after = events[-1].id
        elif self.known:
            self.known, self.after = False, 0
        else:
            self.finished = True

    def _rest(self) -> list[Happened]:
        return [one for one in self.events if one.id > self.after]

    def _again(self) -> list[Row]:
        """Those that somebody has in hand, too: should that try fail, more are to come."""
        rest = {one.id for one in self._rest()}
        mine = [row for row in self.book.rows.values() if row.endpoint == self.endpoint.id and row.event.id in rest]
        asked = [row for row in mine if self._wanted(row.event)]
        failed = [row for row in asked if row.state == "failed" or (row.state == "pending" and row.tries > 0)]
        return sorted(asked if self.everything else failed, key=lambda row: row.event.id)

    def _wanted(self, event: Happened) -> bool:
        return self.everything or not self.book.has_ended(self.endpoint, event)
