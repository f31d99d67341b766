"""Who gets how much, by the rule alone: no database."""

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from worker.renders.sharing import PRIORITY_WEIGHT, Holding, Shares, Waiting, kept_free, waterline

priorities = st.sampled_from(["high", "normal", "low"])
TINY = 1e-9
quick = settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
owners = st.dictionaries(
    st.sampled_from(["anna", "ben", "carl", "dora"]), st.lists(priorities, min_size=1, max_size=12), min_size=1
)
"""Whose lanes are of which priorities."""


def lanes_of(whose: dict[str, list[str]]) -> list[Waiting]:
    named = [(owner, priority) for owner, mine in whose.items() for priority in mine]
    return [Waiting(number, owner, priority) for number, (owner, priority) in enumerate(named, start=1)]


def served(shares: Shares, lanes: Sequence[Waiting], places: int, at_once: int = 1) -> list[Waiting]:
    """So many places, in looks with `at_once` each, to lanes that never run empty."""
    given_away: list[Waiting] = []
    while len(given_away) < places:
        turns = shares.turns(lanes, min(at_once, places - len(given_away)))
        shares.charge(turns, lanes)
        shares.forget_all_but({lane.owner_id for lane in lanes})
        given_away += [turn.lane for turn in turns]
    return given_away


def most_urgent(mine: Sequence[str]) -> float:
    return max(PRIORITY_WEIGHT[priority] for priority in mine)


@quick
@given(whose=owners, at_once=st.integers(1, 40))
def test_an_owner_gets_by_the_most_urgent_of_his_work_however_many_lanes_he_has(
    whose: dict[str, list[str]], at_once: int
):
    """Fifty batches get no more than one lane of the same priority does: whatever the lanes, and however few places a
    look has, owners differ by their weight alone, to within two turns."""
    got = Counter(lane.owner_id for lane in served(Shares(), lanes_of(whose), 200, at_once))
    turns = {owner: got[owner] / most_urgent(mine) for owner, mine in whose.items()}
    for owner, mine in whose.items():
        for other in whose:
            assert abs(turns[owner] - turns[other]) <= 2 / most_urgent(mine) + 2 / most_urgent(whose[other])


@quick
@given(mine=st.lists(priorities, min_size=1, max_size=12), at_once=st.integers(1, 40))
def test_within_an_owner_priorities_share_by_weight_and_lanes_of_one_take_turns(mine: list[str], at_once: int):
    """Eight to four to one, however many lanes there are of each; and no lane is two turns ahead of its neighbour."""
    lanes = lanes_of({"anna": mine})
    given_away = served(Shares(), lanes, 200, at_once)
    by_priority = Counter(lane.priority for lane in given_away)
    shares = {priority: by_priority[priority] / PRIORITY_WEIGHT[priority] for priority in set(mine)}
    assert max(shares.values()) - min(shares.values()) <= 2
    by_lane = Counter(lane.lane_id for lane in given_away)
    for priority in set(mine):
        counts = [by_lane[lane.lane_id] for lane in lanes if lane.priority == priority]
        assert max(counts) - min(counts) <= 1


@quick
@given(whose=owners, sleeper=priorities, slept=st.integers(0, 200), at_once=st.integers(1, 10))
def test_who_slept_starts_level(whose: dict[str, list[str]], sleeper: str, slept: int, at_once: int):
    """He is served within one turn of everybody else, and then gets his share: he neither catches up nor is late."""
    shares, lanes = Shares(), lanes_of(whose)
    late = Waiting(1000, "zoe", sleeper)
    served(shares, [late], slept % 7)
    served(shares, lanes, slept, at_once)
    got = Counter(lane.owner_id for lane in served(shares, [*lanes, late], 200, at_once))
    own = got["zoe"] / PRIORITY_WEIGHT[sleeper]
    for owner, mine in whose.items():
        his = got[owner] / most_urgent(mine)
        assert abs(own - his) <= 2 / PRIORITY_WEIGHT[sleeper] + 2 / most_urgent(mine)


@quick
@given(whose=owners)
def test_a_newcomer_is_among_the_first(whose: dict[str, list[str]]):
    """An owner with a single render waits for one place of each other owner at most, whatever they have queued."""
    shares, lanes = Shares(), lanes_of(whose)
    served(shares, lanes, 50)
    first = served(shares, [*lanes, Waiting(1000, "zoe", "low")], len(whose) + 1)
    assert "zoe" in {lane.owner_id for lane in first}


def test_endless_newcomers_do_not_keep_a_lane_waiting():
    """An owner who makes a batch for every render: each new lane queues up behind the one that was there before."""
    shares, old = Shares(), Waiting(1, "anna", "normal")
    got = [served(shares, [old, Waiting(number, "anna", "normal")], 1)[0].lane_id for number in range(2, 42)]
    assert got.count(1) >= 19


@quick
@given(
    whose=owners,
    batches=st.lists(st.booleans(), min_size=48, max_size=48),
    of_batches=st.none() | st.integers(0, 30),
    allowed=st.integers(0, 10),
    places=st.integers(0, 60),
)
def test_bounds_are_kept_and_no_place_is_kept_back(
    whose: dict[str, list[str]], batches: list[bool], of_batches: int | None, allowed: int, places: int
):
    """Batches get no more than is open to them, one with an allowance no more than that; all else is given away."""
    lanes = [
        Waiting(lane.lane_id, lane.owner_id, lane.priority, f"bat_{lane.lane_id % 3}" if is_batch else None)
        for lane, is_batch in zip(lanes_of(whose), batches, strict=False)
    ]
    turns = Shares().turns(lanes, places, of_batches=of_batches, allowances={"bat_0": allowed})
    got = Counter(turn.lane.batch_id for turn in turns)
    batched = sum(count for batch, count in got.items() if batch is not None)
    assert of_batches is None or batched <= of_batches
    assert got["bat_0"] <= allowed
    unbounded = any(lane.batch_id is None or (of_batches is None and lane.batch_id != "bat_0") for lane in lanes)
    assert len(turns) == places if unbounded else len(turns) <= places


def test_what_is_known_of_those_who_left_is_forgotten():
    """A hundred thousand owners who each had a render leave nothing behind once the others are as far."""
    shares, steady = Shares(), Waiting(1, "anna", "normal")
    for number in range(2, 300):
        served(shares, [steady, Waiting(number, f"own_{number}", "normal")], 2)
    assert len(shares._owners._until) < 10
    assert set(shares._owned) == {"anna", "own_299"}


@pytest.mark.parametrize(("places", "free"), [(0, 0), (1, 0), (3, 0), (4, 1), (16, 1), (31, 1), (32, 2), (1500, 93)])
def test_batches_leave_one_place_in_sixteen(places: int, free: int):
    """At least one where there are four, none where that would be a third of them."""
    assert kept_free(places) == free


@pytest.mark.parametrize("at_once", [70, 500])
def test_a_thousand_lanes_of_a_hundred_owners_each_get_their_turn(at_once: int):
    """A thousand places: one for each, before anybody has a second, in looks of any size."""
    lanes = [Waiting(number, f"own_{number % 100}", "normal") for number in range(1000)]
    got = Counter(lane.lane_id for lane in served(Shares(), lanes, 1000, at_once))
    assert set(got.values()) == {1}


@quick
@given(
    whose=owners,
    held=st.lists(st.integers(0, 60), min_size=48, max_size=48),
    places=st.integers(1, 60),
)
def test_what_becomes_free_goes_to_who_holds_least(whose: dict[str, list[str]], held: list[int], places: int):
    """A batch that holds every place gets nothing before the others hold as much for their weight: places are poured
    out like water, and whole ones end within one of its level. Who was given any holds less than one above it, and
    nobody is left more than one below."""
    lanes, holding = lanes_of(whose), Holding()
    for lane, count in zip(lanes, held, strict=False):
        holding.add(lane, count)
    before = Counter(holding.owners)
    given_away = Counter(turn.lane.owner_id for turn in Shares().turns(lanes, places, holding=holding))
    shares = {owner: (before[owner] + given_away[owner]) / most_urgent(mine) for owner, mine in whose.items()}
    line = waterline([(before[owner] / most_urgent(mine), most_urgent(mine)) for owner, mine in whose.items()], places)
    for owner, mine in whose.items():
        assert shares[owner] > line - 1 / most_urgent(mine) - TINY
        assert owner not in given_away or shares[owner] < line + 1 / most_urgent(mine) + TINY


@quick
@given(
    holders=st.lists(st.tuples(st.integers(0, 60), st.sampled_from([8.0, 4.0, 1.0])), min_size=1, max_size=6),
    places=st.integers(1, 60),
)
def test_water_stands_level_and_none_is_spilt(holders: list[tuple[int, float]], places: int):
    """The line is where what is missing to it, over all who are below, is what there was to pour."""
    line = waterline([(held / weight, weight) for held, weight in holders], places)
    assert sum(max(line * weight - held, 0.0) for held, weight in holders) == pytest.approx(places)


def test_within_an_owner_too():
    """His single render need not wait behind his batch's share: of its freed places the next is the single's."""
    holding, batch, single = Holding(), Waiting(1, "anna", "normal", "bat_1"), Waiting(2, "anna", "normal")
    holding.add(batch, 45)
    assert [turn.lane for turn in Shares().turns([batch, single], 3, holding=holding)] == [single] * 3
