"""Who is next: places shared out between owners, between an owner's priorities, and between the lanes of one priority.

Three levels, so that nobody gains by spreading his work. Between owners and between an owner's priorities it is
start-time fair queueing: each place costs 1 / weight of virtual time, the one furthest behind is served, and who slept
starts level with the one served last. Lanes of one owner and priority take turns; a new one queues up behind them.

The times are the dispatcher's own and kept in its memory: a new dispatcher begins with everybody level.
"""

import heapq
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

PRIORITY_WEIGHT = {"high": 8.0, "normal": 4.0, "low": 1.0}
"""Shares of the workers between priorities that all have work: high gets eight times low's, and low still moves. An
owner weighs as much as the most urgent of his work."""

KEPT_FREE = 16
"""Batches leave one place in so many to renders that are in none: those need not wait until a stream of the batch ends,
which takes minutes. A larger share would idle where there are batches alone."""
KEPT_FREE_FROM = 4
"""Places from which on one is kept free: of three, a third would be lost to the batch."""

Key = TypeVar("Key")


def kept_free(places: int) -> int:
    """How many of so many places batches do not take: one in sixteen, at least one of four and more."""
    return max(places // KEPT_FREE, 1) if places >= KEPT_FREE_FROM else 0


@dataclass(frozen=True)
class Waiting:
    """A lane that has a render to begin."""

    lane_id: int
    owner_id: str
    priority: str
    batch_id: str | None = None


@dataclass(frozen=True)
class Turn:
    """A place given to a lane, and the virtual time that it costs its owner."""

    lane: Waiting
    cost: float


class Times(Generic[Key]):
    """Virtual times on one level: until when each has had its share. `behind`: how far behind the one served last
    somebody begins of whom nothing is known."""

    def __init__(self, behind: float = 0.0) -> None:
        self._now = 0.0
        self._until: dict[Key, float] = {}
        self._behind = behind

    def of(self, key: Key) -> float:
        """Where it stands: the least is next."""
        return max(self._until.get(key, self._now + self._behind), self._now)

    def charge(self, key: Key, cost: float, *, among_all: bool = True) -> None:
        """It was served; not `among_all` where the others could not have been."""
        start = self.of(key)
        if among_all:
            self._now = start
        self._until[key] = start + cost

    def expect(self, key: Key) -> None:
        """It waits from now on: whoever comes later queues up behind it."""
        self._until.setdefault(key, self._now + self._behind)

    def forget_the_level(self) -> None:
        """Whom the others have left behind starts level when he comes back: nothing need be known of him."""
        self._until = {key: until for key, until in self._until.items() if until >= self._now}


@dataclass
class _Owned:
    """One owner's own order."""

    priorities: Times[str] = field(default_factory=Times[str])
    lanes: dict[str, Times[int]] = field(default_factory=dict[str, Times[int]])

    def of(self, priority: str) -> Times[int]:
        return self.lanes.setdefault(priority, Times(behind=1.0))


class Shares:
    """What everybody has had so far."""

    def __init__(self) -> None:
        self._owners = Times[str]()
        self._owned: dict[str, _Owned] = {}

    def turns(
        self,
        lanes: Sequence[Waiting],
        places: int,
        *,
        of_batches: int | None = None,
        allowances: Mapping[str, int] | None = None,
    ) -> list[Turn]:
        """Give `places` one by one, as if no lane ran empty: at most `of_batches` to lanes of batches, and to each
        batch in `allowances` as many as it says. Fewer where nobody may take any more. Charges nobody."""
        given = _Limits(of_batches, dict(allowances or {}))
        owners = [_Queue(self, owner, mine) for owner, mine in _by_owner(lanes).items()]
        heap = [(self._owners.of(queue.owner), queue.owner, queue) for queue in owners]
        heapq.heapify(heap)
        turns: list[Turn] = []
        while heap and len(turns) < places:
            at, owner, queue = heapq.heappop(heap)
            lane = queue.next(given)
            if lane is not None:
                turns.append(Turn(lane, queue.cost))
                heapq.heappush(heap, (at + queue.cost, owner, queue))
        return turns

    def charge(self, turns: Sequence[Turn], *, among_all: bool = True) -> None:
        """These were taken, in this order, of those that `turns` gave; not `among_all` where the places were one
        owner's own: he has had them, and the others did not wait for them."""
        for turn in turns:
            lane = turn.lane
            own = self._owned[lane.owner_id]
            self._owners.charge(lane.owner_id, turn.cost, among_all=among_all)
            own.priorities.charge(lane.priority, 1 / PRIORITY_WEIGHT[lane.priority])
            own.of(lane.priority).charge(lane.lane_id, 1.0)

    def forget_all_but(self, owners: Container[str]) -> None:
        """Only these may wait: the order within any other owner is made anew when he comes back, and of his own time
        is kept what the others have not caught up with."""
        self._owned = {owner: own for owner, own in self._owned.items() if owner in owners}
        for times in (self._owners, *(lanes for own in self._owned.values() for lanes in own.lanes.values())):
            times.forget_the_level()

    def owned(self, owner: str) -> _Owned:
        """The order within one owner."""
        return self._owned.setdefault(owner, _Owned())

    def level(self, owner: str) -> float:
        """Where an owner stands in virtual time."""
        return self._owners.of(owner)


@dataclass
class _Limits:
    """What lanes of batches may still take in one round."""

    of_batches: int | None
    allowances: dict[str, int]

    def take(self, lane: Waiting) -> bool:
        """One place for this lane; False where it may not have it."""
        if lane.batch_id is None:
            return True
        if self.of_batches is not None and self.of_batches <= 0:
            return False
        if self.allowances.get(lane.batch_id, 1) <= 0:
            return False
        if self.of_batches is not None:
            self.of_batches -= 1
        if lane.batch_id in self.allowances:
            self.allowances[lane.batch_id] -= 1
        return True


class _Queue:
    """One owner's lanes in one round."""

    def __init__(self, shares: Shares, owner: str, lanes: Sequence[Waiting]) -> None:
        self.owner = owner
        self.cost = 1 / max(PRIORITY_WEIGHT[lane.priority] for lane in lanes)
        own = shares.owned(owner)
        self._lanes: dict[str, list[tuple[float, int, Waiting]]] = {}
        for lane in lanes:
            times = own.of(lane.priority)
            times.expect(lane.lane_id)
            self._lanes.setdefault(lane.priority, []).append((times.of(lane.lane_id), lane.lane_id, lane))
        for heap in self._lanes.values():
            heapq.heapify(heap)
        # Of those that are level the most urgent goes first.
        self._priorities = [(own.priorities.of(one), -PRIORITY_WEIGHT[one], one) for one in self._lanes]
        heapq.heapify(self._priorities)

    def next(self, limits: _Limits) -> Waiting | None:
        """The lane that is next; None where none may take any more. What is not allowed now is not later either."""
        while self._priorities:
            at, weight, priority = self._priorities[0]
            lane = self._next_of(self._lanes[priority], limits)
            if lane is not None:
                heapq.heapreplace(self._priorities, (at - 1 / weight, weight, priority))
                return lane
            heapq.heappop(self._priorities)
        return None

    def _next_of(self, lanes: list[tuple[float, int, Waiting]], limits: _Limits) -> Waiting | None:
        while lanes:
            at, lane_id, lane = lanes[0]
            if limits.take(lane):
                heapq.heapreplace(lanes, (at + 1.0, lane_id, lane))
                return lane
            heapq.heappop(lanes)
        return None


def _by_owner(lanes: Sequence[Waiting]) -> dict[str, list[Waiting]]:
    found: dict[str, list[Waiting]] = {}
    for lane in lanes:
        found.setdefault(lane.owner_id, []).append(lane)
    return found
