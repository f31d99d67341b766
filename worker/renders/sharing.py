"""Who is next: places shared out between owners, between an owner's priorities, and between the lanes of one priority.

Three levels, so that nobody gains by spreading his work. On each the one is next who holds the fewest places for his
weight (weighted max-min fairness): a batch whose streams last for minutes has all the places when somebody else comes,
and would keep them if only beginnings were shared, so what it frees goes to the newcomer until both hold as much.

Of those who hold as much it is fair queueing by virtual time: each place costs 1 / weight, the one furthest behind is
served, and who slept starts level with him. Lanes of one owner and priority take turns; a new
one queues up behind them.

The times are the dispatcher's own and kept in its memory: a new dispatcher begins with everybody level.
"""

import heapq
import math
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

PRIORITY_WEIGHT = {"high": 8.0, "normal": 4.0, "low": 1.0}
"""Shares of the workers between priorities that all have work: high gets eight times low's, and low still moves. An
owner weighs as much as the most urgent of his work."""

KEPT_FREE = 16
"""Batches leave one place in so many to renders that are in none: those need not wait until a stream of the batch ends,
which takes minutes. A larger share would idle where there are batches alone."""
KEPT_FREE_FROM = 4
"""Places from which on one is kept free: of three, a third would be lost to the batch."""

STARTING = 8
"""Batches have at most one place in so many at renders that have no session yet. A batch that comes to an idle service
would begin on all of them in the same second, and whoever asks just then would wait behind its tokens and sessions; at
this pace the last of them has its stream no later."""
STARTING_AT_LEAST = 16

Key = TypeVar("Key")


def kept_free(places: int) -> int:
    """How many of so many places batches do not take: one in sixteen, at least one of four and more."""
    return max(places // KEPT_FREE, 1) if places >= KEPT_FREE_FROM else 0


def starting(places: int) -> int:
    """How many renders of batches may be without a session at once: one in eight places, sixteen at least."""
    return max(places // STARTING, STARTING_AT_LEAST)


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


class Holding:
    """The places held now: by renders begun, or on their way, whose stream has not ended."""

    def __init__(self) -> None:
        self.owners = Counter[str]()
        self.priorities = Counter[tuple[str, str]]()
        self.lanes = Counter[int]()

    def add(self, lane: Waiting, places: int = 1) -> None:
        """So many more are held by a lane's renders."""
        self.owners[lane.owner_id] += places
        self.priorities[lane.owner_id, lane.priority] += places
        self.lanes[lane.lane_id] += places


class Times(Generic[Key]):
    """Virtual times on one level: until when each has had its share. `behind`: how far behind the
    others somebody begins of whom nothing is known."""

    def __init__(self, behind: float = 0.0) -> None:
        self._now = 0.0
        self._until: dict[Key, float] = {}
        self._behind = behind

    def of(self, key: Key) -> float:
        """Where it stands: the least is next."""
        return max(self._until.get(key, self._now + self._behind), self._now)

    def charge(self, key: Key, cost: float) -> None:
        """It was served."""
        self._until[key] = self.of(key) + cost

    def advance(self, waiting: Iterable[Key]) -> None:
        """Of these who wait the one furthest behind says what time it is: who comes now starts level with him."""
        self._now = max(self._now, min(map(self.of, waiting), default=self._now))

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
        holding: Holding | None = None,
    ) -> list[Turn]:
        """Give `places` one by one, as if no lane ran empty: at most `of_batches` to lanes of batches, and to each
        batch in `allowances` as many as it says. Fewer where nobody may take any more. Charges nobody."""
        given, held = _Limits(of_batches, dict(allowances or {})), holding or Holding()
        costs = {owner: 1 / most_urgent(mine) for owner, mine in _by_owner(lanes).items()}
        root = self._tree(lanes, held, places)
        turns: list[Turn] = []
        while len(turns) < places and (lane := root.next(given)) is not None:
            turns.append(Turn(lane, costs[lane.owner_id]))
        return turns

    def _tree(self, lanes: Sequence[Waiting], held: Holding, places: int) -> "_Node":
        """Owners, their priorities, and the lanes of each."""
        owners: list[_Child] = []
        for owner, mine in _by_owner(lanes).items():
            weight, priorities = most_urgent(mine), list[_Child]()
            own = self.owned(owner)
            for priority, of_it in _by_priority(mine).items():
                times = own.of(priority)
                for lane in of_it:
                    times.expect(lane.lane_id)
                leaves = [
                    _Child((lane.lane_id,), held.lanes[lane.lane_id], 1.0, times.of(lane.lane_id), lane)
                    for lane in of_it
                ]
                urgency = PRIORITY_WEIGHT[priority]
                # Of those that are level the most urgent goes first.
                priorities.append(
                    _Child((-urgency,), held.priorities[owner, priority], urgency, own.priorities.of(priority), leaves)
                )
            owners.append(_Child((owner,), held.owners[owner], weight, self._owners.of(owner), priorities))
        return _Node(owners, places)

    def charge(self, turns: Sequence[Turn], waiting: Sequence[Waiting], *, among_all: bool = True) -> None:
        """These were taken of those that `turns` gave to `waiting`; not `among_all` where the places were one owner's
        own: he has had them, and the others did not wait for them."""
        for turn in turns:
            lane = turn.lane
            own = self._owned[lane.owner_id]
            self._owners.charge(lane.owner_id, turn.cost)
            own.priorities.charge(lane.priority, 1 / PRIORITY_WEIGHT[lane.priority])
            own.of(lane.priority).charge(lane.lane_id, 1.0)
        by_owner = _by_owner(waiting)
        if among_all:
            self._owners.advance(by_owner)
        for owner in {turn.lane.owner_id for turn in turns}:
            own, by_priority = self._owned[owner], _by_priority(by_owner[owner])
            own.priorities.advance(by_priority)
            for priority, mine in by_priority.items():
                own.of(priority).advance(lane.lane_id for lane in mine)

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


@dataclass
class _Child:
    """Somebody on one level: an owner, one of his priorities, or a lane."""

    name: tuple[Any, ...]
    held: int
    weight: float
    at: float
    """In virtual time."""
    below: "Waiting | list[_Child]"

    @property
    def share(self) -> float:
        """What it holds for its weight."""
        return self.held / self.weight

    def key(self, line: float) -> tuple[Any, ...]:
        """The least is next: first whole places up to the line, then, by virtual time, the one that crosses it; who is
        above it comes when nobody else takes any."""
        crosses, above = (self.held + 1) / self.weight > line, self.share >= line
        return (crosses + above, self.share if above else 0.0, self.at, self.name)


class _Node:
    """A level in one round, with as many places for it as are expected."""

    def __init__(self, children: Sequence[_Child], places: int) -> None:
        self._line = waterline([(one.share, one.weight) for one in children], places)
        self._nodes: dict[tuple[Any, ...], _Node] = {}
        self._heap = [(one.key(self._line), one) for one in children]
        heapq.heapify(self._heap)

    def next(self, limits: _Limits) -> Waiting | None:
        """The lane that is next; None where none may take any more. What is not allowed now is not later either."""
        while self._heap:
            child = self._heap[0][1]
            lane = self._below(child, limits)
            if lane is not None:
                child.held += 1
                child.at += 1 / child.weight
                heapq.heapreplace(self._heap, (child.key(self._line), child))
                return lane
            heapq.heappop(self._heap)
        return None

    def _below(self, child: _Child, limits: _Limits) -> Waiting | None:
        if isinstance(child.below, Waiting):
            return child.below if limits.take(child.below) else None
        if child.name not in self._nodes:
            expected = math.ceil(max(self._line * child.weight - child.held, 1.0))
            self._nodes[child.name] = _Node(child.below, expected)
        return self._nodes[child.name].next(limits)


def waterline(holders: Sequence[tuple[float, float]], places: int) -> float:
    """Up to which share so many places bring those who hold least, poured out like water; each has his share now, and
    his weight."""
    line, weights = 0.0, 0.0
    left = float(places)
    for share, weight in sorted(holders):
        if weights and line + left / weights <= share:
            break
        left -= (share - line) * weights
        line, weights = share, weights + weight
    return line + left / weights if weights else 0.0


def most_urgent(lanes: Sequence[Waiting]) -> float:
    """What an owner weighs."""
    return max(PRIORITY_WEIGHT[lane.priority] for lane in lanes)


def _by_priority(lanes: Sequence[Waiting]) -> dict[str, list[Waiting]]:
    found: dict[str, list[Waiting]] = {}
    for lane in lanes:
        found.setdefault(lane.priority, []).append(lane)
    return found


def _by_owner(lanes: Sequence[Waiting]) -> dict[str, list[Waiting]]:
    found: dict[str, list[Waiting]] = {}
    for lane in lanes:
        found.setdefault(lane.owner_id, []).append(lane)
    return found
