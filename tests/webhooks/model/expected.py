"""Deliveries as they must be: no database, a clock of its own."""

from collections.abc import Iterable
from dataclasses import dataclass, field

LEASE = 30.0
REDISPATCH = 30.0
TRIES = 4
"""The first and one after each wait of tests/webhooks/conftest.py."""


@dataclass
class Row:
    """A delivery."""

    id: str
    endpoint: str
    subject: str
    sequence: int
    final: bool
    state: str = "pending"
    tries: int = 0
    overtaken: bool = False
    lease: int = 0
    until: float | None = None
    """Of the lease."""
    sent: float | None = None
    begun_anew: bool = False
    """It was sent again by its owner: what follows is no longer in the order of events."""

    def held(self, now: float) -> bool:
        """By a worker that is thought alive."""
        return self.until is not None and self.until >= now

    def told(self) -> tuple[str, int, bool, int, bool]:
        """What is compared with the table."""
        return self.state, self.tries, self.overtaken, self.lease, self.sent is not None


@dataclass
class Book:
    """All of them."""

    now: float = 0.0
    rows: dict[str, Row] = field(default_factory=dict[str, Row])
    disabled: set[str] = field(default_factory=set[str])
    failing: set[str] = field(default_factory=set[str])
    first: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    """The sequence that was last claimed for the first time, by endpoint and subject."""

    def pending(self, endpoint: str) -> list[Row]:
        return [row for row in self.rows.values() if row.endpoint == endpoint and row.state == "pending"]

    def arrive(self, made: Iterable[Row]) -> None:
        """The relay made these: a final one overtakes what is pending of its subject."""
        made = list(made)
        self.rows |= {row.id: row for row in made}
        for final in (row for row in made if row.final):
            for row in self.pending(final.endpoint):
                if row.subject == final.subject and row.sequence < final.sequence:
                    row.overtaken = True
                    if not row.held(self.now):
                        row.state, row.sent = "superseded", None

    def forget_lost(self) -> None:
        """Messages that nobody took in time, and workers that did not come back: from the last try nobody will."""
        for row in self.rows.values():
            late = row.sent is not None and row.sent < self.now - REDISPATCH
            if row.state == "pending" and late and not row.held(self.now):
                row.sent = None
                given_up = row.until is not None and row.tries + 1 >= TRIES
                row.state = "superseded" if row.overtaken else "failed" if given_up else row.state

    def may_go(self, endpoint: str, ready: set[str]) -> list[Row]:
        """What may be handed out there now, whatever the places."""
        waiting = [row for row in self.pending(endpoint) if row.sent is None and row.id in ready]
        return [row for row in waiting if endpoint not in self.disabled and not self.held_back(row)]

    def held_back(self, row: Row) -> bool:
        """By an earlier one of its subject whose first try is to come, or under way."""
        return any(
            one.subject == row.subject
            and one.sequence < row.sequence
            and one.tries == 0
            and (one.until is None or one.held(self.now))
            for one in self.pending(row.endpoint)
        )

    def claimable(self, row: Row, lease: int) -> bool:
        """By whoever was told of it with this lease number."""
        free = row.state == "pending" and row.lease == lease and not row.held(self.now)
        return free and row.endpoint not in self.disabled

    def claim(self, row: Row) -> None:
        """It is somebody's from now on."""
        assert not row.overtaken, "tried again after the end was told"
        if row.lease == 0 and not row.begun_anew:
            assert self.first.get((row.endpoint, row.subject), -1) < row.sequence, "out of order"
            self.first[row.endpoint, row.subject] = row.sequence
        row.tries += row.until is not None
        row.lease += 1
        row.until, row.sent = self.now + LEASE, self.now

    def written(self, row: Row, lease: int) -> bool:
        """Whether a try's outcome counts."""
        return row.state == "pending" and row.lease == lease and row.held(self.now)

    def outcome(self, row: Row, status: int) -> None:
        """What a try came to."""
        row.tries += 1
        row.sent = row.until = None
        if status == 204:
            row.state = "delivered"
            self.failing.discard(row.endpoint)
            return
        self.failing.add(row.endpoint)
        if status == 410:
            self.disabled.add(row.endpoint)
        if row.overtaken:
            row.state = "superseded"
        elif status == 410 or row.tries >= TRIES:
            row.state = "failed"

    def begin_anew(self, row: Row) -> None:
        """Its owner wants it sent again."""
        row.state, row.tries, row.overtaken, row.begun_anew = "pending", 0, False, True
