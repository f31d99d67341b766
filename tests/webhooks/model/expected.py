"""Deliveries as they must be: no database, a clock of its own."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

LEASE = 30.0
REDISPATCH = 30.0
WAITS = (0.0, 100.0, 200.0)
"""Of tests/webhooks/conftest.py; no jitter, or the same steps would not lead to the same end each time."""
TRIES = len(WAITS) + 1
PATIENCE = 600.0
"""For which an endpoint may take nothing."""
ENDS = frozenset({"render.succeeded", "render.failed"})


@dataclass(frozen=True)
class Happened:
    """An event of the feed."""

    id: int
    owner: str
    subject: str
    number: int
    type: str
    moment: int
    """Those of one change have the same."""


@dataclass
class Endpoint:
    """An address of somebody's."""

    id: str
    owner: str
    asks: Callable[[str], bool]
    polite: bool
    """It answers with a Retry-After."""
    disabled: bool = False
    failing_since: float | None = None
    slow: bool = False
    quiet_until: float = 0.0

    @property
    def troubled(self) -> bool:
        return self.failing_since is not None or self.slow

    def quiet(self, now: float) -> bool:
        return now < self.quiet_until

    def open(self, now: float) -> bool:
        """Something may be sent there."""
        return not self.disabled and not self.quiet(now)

    def told(self, now: float) -> tuple[bool, bool, bool, bool]:
        """What is compared with the table."""
        return self.disabled, self.failing_since is not None, self.slow, self.quiet(now)


@dataclass
class Row:
    """A delivery."""

    id: str
    endpoint: str
    event: Happened
    ready: float
    made_up_for: bool = False
    """It was missed, and made when somebody asked."""
    state: str = "pending"
    tries: int = 0
    overtaken: bool = False
    asked: bool = False
    """Its owner wants it whatever came after it."""
    lease: int = 0
    until: float | None = None
    """Of the lease."""
    sent: float | None = None
    begun_anew: bool = False
    """It was sent again by its owner: what follows is no longer in the order of events."""

    @property
    def final(self) -> bool:
        return self.event.type in ENDS

    def held(self, now: float) -> bool:
        """By a worker that is thought alive."""
        return self.until is not None and self.until >= now

    def told(self, now: float) -> tuple[str, int, bool, bool, int, bool, bool]:
        """What is compared with the table."""
        marks = self.overtaken, self.asked, self.lease, self.sent is not None, self.ready <= now
        return self.state, self.tries, *marks


@dataclass
class Book:
    """All of them."""

    now: float = 0.0
    endpoints: dict[str, Endpoint] = field(default_factory=dict[str, Endpoint])
    feed: list[Happened] = field(default_factory=list[Happened])
    rows: dict[str, Row] = field(default_factory=dict[str, Row])
    first: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    """The number that was last claimed for the first time, by endpoint and subject."""

    def pending(self, endpoint: str) -> list[Row]:
        return [row for row in self.rows.values() if row.endpoint == endpoint and row.state == "pending"]

    def in_hand(self, endpoint: str) -> int:
        """On their way to a worker, or being tried."""
        return sum(row.sent is not None for row in self.pending(endpoint))

    def missing(self, endpoint: Endpoint, events: Iterable[Happened]) -> list[Happened]:
        """What the endpoint asks for of these and has no delivery of."""
        there = {row.event.id for row in self.rows.values() if row.endpoint == endpoint.id}
        return [
            one for one in events if one.owner == endpoint.owner and endpoint.asks(one.type) and one.id not in there
        ]

    # What a render's end does

    def has_ended(self, endpoint: Endpoint, event: Happened) -> bool:
        """Whether an end that the endpoint asks for came after it, delivered or not."""
        later = (one for one in self.feed if one.subject == event.subject and one.number > event.number)
        return any(one.type in ENDS and endpoint.asks(one.type) for one in later)

    def end_wins(self, endpoint: str, end: Happened) -> None:
        """What is pending of its render is overtaken, but for what was asked for."""
        mine = (row for row in self.pending(endpoint) if row.event.subject == end.subject)
        self._overtake(row for row in mine if row.event.number < end.number and not row.asked)

    def _overtake(self, rows: Iterable[Row]) -> None:
        for row in list(rows):
            row.overtaken = True
            if not row.held(self.now):
                row.state, row.sent, row.until = "superseded", None, None

    # Endpoints

    def enable(self, endpoint: Endpoint) -> None:
        """Its failures and the quiet are forgotten; what ended while it was disabled is not sent behind its end."""
        if endpoint.disabled:
            waiting = (row for row in self.pending(endpoint.id) if not row.overtaken and not row.asked)
            self._overtake([row for row in waiting if self.has_ended(endpoint, row.event)])
        endpoint.disabled, endpoint.failing_since, endpoint.quiet_until = False, None, 0.0

    # The dispatcher

    def forget_lost(self) -> None:
        """Messages that nobody took in time, and workers that did not come back: from the last try nobody will."""
        for row in self.rows.values():
            late = row.sent is not None and row.sent < self.now - REDISPATCH
            if row.state == "pending" and late and not row.held(self.now):
                row.sent = None
                given_up = row.until is not None and row.tries + 1 >= TRIES
                row.state = "superseded" if row.overtaken else "failed" if given_up else row.state
                row.until = row.until if row.state == "pending" else None

    def may_go(self, endpoint: str) -> list[Row]:
        """What may be handed out there now, whatever the places."""
        if not self.endpoints[endpoint].open(self.now):
            return []
        waiting = [row for row in self.pending(endpoint) if row.sent is None and row.ready <= self.now]
        return [row for row in waiting if not self.held_back(row)]

    def held_back(self, row: Row) -> bool:
        """By an earlier one of its subject whose first try is to come, or under way."""
        return any(
            one.event.subject == row.event.subject
            and one.event.number < row.event.number
            and one.tries == 0
            and (one.until is None or one.held(self.now))
            for one in self.pending(row.endpoint)
        )

    # Workers

    def claimable(self, row: Row, lease: int) -> bool:
        """By whoever was told of it with this lease number."""
        free = row.state == "pending" and row.lease == lease and not row.held(self.now)
        return free and self.endpoints[row.endpoint].open(self.now)

    def refused(self, row: Row, lease: int) -> None:
        """Who was told of it found its endpoint resting: it is nobody's again."""
        if row.state == "pending" and row.lease == lease and row.until is None:
            row.sent = row.sent if self.endpoints[row.endpoint].open(self.now) else None

    def claim(self, row: Row) -> None:
        """It is somebody's from now on."""
        assert not row.overtaken, "tried again after the end was told"
        others = [one for one in self.rows.values() if one.endpoint == row.endpoint]
        newer = [
            one for one in others if one.event.subject == row.event.subject and one.event.number > row.event.number
        ]
        assert row.asked or not any(one.final and one.lease for one in newer), "nothing older after the end"
        if not row.lease and not row.begun_anew and not row.made_up_for:
            place = row.endpoint, row.event.subject
            assert self.first.get(place, -1) < row.event.number, "out of order"
            self.first[place] = row.event.number
        row.tries += row.until is not None
        row.lease += 1
        row.until, row.sent = self.now + LEASE, self.now

    def written(self, row: Row, lease: int) -> bool:
        """Whether a try's outcome counts."""
        return row.state == "pending" and row.lease == lease and row.held(self.now)

    def outcome(self, row: Row, *, taken: bool, gone: bool = False, asked: float = 0.0) -> None:
        """What a try came to."""
        row.tries += 1
        row.sent = row.until = None
        if taken:
            row.state = "delivered"
        elif row.overtaken:
            row.state = "superseded"
        elif gone or row.tries >= TRIES:
            row.state = "failed"
        else:
            row.ready = self.now + max(WAITS[row.tries - 1], asked)

    def judge(self, endpoint: Endpoint, *, taken: bool, slow: bool, gone: bool, asked: float) -> None:
        """What it says of the endpoint."""
        endpoint.slow = slow
        endpoint.quiet_until = max(endpoint.quiet_until, self.now + asked)
        if taken:
            endpoint.failing_since = None
            return
        if endpoint.failing_since is None:
            endpoint.failing_since = self.now
        endpoint.disabled |= gone or self.now - endpoint.failing_since >= PATIENCE

    # Owners

    def begin_anew(self, row: Row, *, asked: bool) -> None:
        """Send it again, with the whole schedule before it: only a try that is under way counts as its first."""
        row.state, row.tries, row.overtaken, row.begun_anew = "pending", 0, False, True
        row.ready, row.asked = self.now, row.asked or asked
        if not row.held(self.now):
            row.until = None

    def since(self, moment: int) -> Sequence[Happened]:
        return [one for one in self.feed if one.moment >= moment]
