"""What a look of the dispatcher may give to whom, in plain Python: pace, quarter, half, and turns of the owners."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.webhooks.model.expected import Book, Endpoint, Row

AT_ONCE = 3
"""Of one endpoint that is well; sixteen would never be reached here."""


@dataclass
class Look:
    """What was in hand before it, and what it gave. `half`: places of all; `quarter`: of those that are troubled."""

    book: Book
    half: int
    quarter: int
    given: Sequence[Row]

    def __post_init__(self) -> None:
        self.endpoints = list(self.book.endpoints.values())
        self.had = {one.id: self.book.in_hand(one.id) for one in self.endpoints}
        self.gets = Counter(row.endpoint for row in self.given)
        self.may = {one.id: self.book.may_go(one.id) for one in self.endpoints}
        given = {row.id for row in self.given}
        self.left = {id: [row for row in rows if row.id not in given] for id, rows in self.may.items()}
        self.free = max(0, self.half - sum(self.had.values()))
        troubled = [one for one in self.endpoints if one.troubled]
        self.free_of_troubled = max(0, self.quarter - sum(self.had[one.id] for one in troubled))
        self.gets_troubled = sum(self.gets[one.id] for one in troubled)
        self.ask_troubled = sum(self._wants(one) for one in troubled)

    def check(self) -> None:
        """Nothing goes that may not, nobody has more than is his, and nobody waits while others have more."""
        assert {row.id for row in self.given} <= {row.id for rows in self.may.values() for row in rows}
        assert len(self.given) <= self.free, "more than half"
        assert self.gets_troubled <= self.free_of_troubled, "more than a quarter for those that are troubled"
        for one in self.endpoints:
            assert self.gets[one.id] <= self._pace(one), "more than its pace"
            self._longest_first(one)
            if self._wants(one):
                self._waits_for_a_reason(one)

    def _pace(self, one: Endpoint) -> int:
        return max(0, (1 if one.troubled else AT_ONCE) - self.had[one.id])

    def _wants(self, one: Endpoint) -> bool:
        """It could be given more, were there places."""
        return bool(self.left[one.id]) and self.gets[one.id] < self._pace(one)

    def _longest_first(self, one: Endpoint) -> None:
        mine = [row.ready for row in self.given if row.endpoint == one.id]
        assert not mine or max(mine) <= min((row.ready for row in self.left[one.id]), default=self.book.now)

    def _waits_for_a_reason(self, one: Endpoint) -> None:
        full = len(self.given) == self.free
        if one.troubled and self.gets_troubled == self.free_of_troubled:
            if not full:
                self._in_turn(one, self._troubled)
        elif not full:
            assert self.given, "a place stays empty while somebody waits"
        elif one.troubled:
            if self.gets_troubled + self.ask_troubled <= self.free_of_troubled:
                self._in_turn(one, self._all)
        elif self.gets[one.id] < self._even_share(one):
            self._in_turn(one, self._all)

    def _even_share(self, one: Endpoint) -> int:
        """Of the free places, for each of an owner's addresses: beyond it the next look decides."""
        owners = {other.owner for other in self.endpoints}
        his = [other for other in self.endpoints if other.owner == one.owner]
        return self.free // len(owners) // len(his) + 1

    def _in_turn(self, one: Endpoint, given: Callable[[str], int]) -> None:
        """Who has least in hand is next: nobody else was given what puts him further ahead."""
        his = self._of(one.owner) + given(one.owner)
        for other in {other.owner for other in self.endpoints} - {one.owner}:
            if number := given(other):
                assert self._of(other) + number <= his + 1, "another owner's turn"

    def _of(self, owner: str) -> int:
        return sum(self.had[one.id] for one in self.endpoints if one.owner == owner)

    def _all(self, owner: str) -> int:
        return sum(self.gets[one.id] for one in self.endpoints if one.owner == owner)

    def _troubled(self, owner: str) -> int:
        return sum(self.gets[one.id] for one in self.endpoints if one.owner == owner and one.troubled)
