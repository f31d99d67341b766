"""When a batch will be over: the formula of docs/batches.md, on figures that can be worked out by hand."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.batches.estimate import Left, before_its_last, seconds
from worker.batches.pace import Pace, Queue, Spread
from worker.renders.states import Stage

EXACT = {stage: Spread(0.0, 0.0) for stage in Stage} | {Stage.GENERATE: Spread(100.0, 0.0)}
PLACES = {"stream": 10, "io": 1000, "media": 1000}
CALM = Pace(EXACT, PLACES, slots=None, under_way=20, queues=())


def test_a_batch_alone_takes_its_renders_by_the_rate_and_one_render_more():
    """Ten places for 100 s each begin a render every 10 s; 100 of them begin within 1,000 s."""
    p50, p90 = seconds(CALM, Left(100, 0), "mine") or (0, 0)
    assert 1_000 + 100 <= p50 <= 1_000 + 150  # what the shortest waits of verify and poll add
    assert p90 == pytest.approx(p50)


def test_the_narrowest_place_decides():
    """Slots of accounts where they are fewer than streams."""
    wide, narrow = (seconds(replace(CALM, slots=slots), Left(100, 0), "mine") for slots in (100, 5))
    assert wide is not None
    assert narrow is not None
    assert narrow[0] > 1.7 * wide[0]


def test_others_have_their_share_and_no_more_than_they_want():
    """By weight, up to what they have in their queue."""
    queues = (Queue("mine", 4.0, 100), Queue("high", 8.0, 1_000), Queue("few", 4.0, 7), Queue("low", 1.0, 1_000))
    assert before_its_last(replace(CALM, queues=queues), 100, "mine") == 100 + 200 + 7 + 25


def test_what_varies_makes_the_late_end_later():
    """And a place that is free now is filled at once."""
    loose = replace(CALM, stages=EXACT | {Stage.GENERATE: Spread(100.0, 900.0)})
    p50, p90 = seconds(loose, Left(100, 0), "mine") or (0, 0)
    assert p90 > p50 + 30
    idle = seconds(replace(CALM, under_way=0), Left(10, 0), "mine") or (0, 0)
    assert idle[0] < (seconds(CALM, Left(10, 0), "mine") or (0, 0))[0]


@pytest.mark.parametrize(
    "pace",
    [replace(CALM, stages={}), replace(CALM, places={}), replace(CALM, places={"stream": 1, "io": 0, "media": 1})],
)
def test_nothing_is_guessed(pace: Pace):
    """No stream measured, no worker, or none of one kind; nor where nothing is left."""
    assert seconds(pace, Left(10, 0), "mine") is None
    assert seconds(CALM, Left(0, 0), "mine") is None


@given(st.integers(0, 10**6), st.integers(0, 10**4), st.integers(1, 5_000), st.floats(0, 1e6), st.integers(0, 10**5))
def test_the_late_end_is_never_before_the_usual_one(queued: int, going: int, places: int, variance: float, other: int):
    """Whatever the figures, both are there and in order."""
    stages = EXACT | {Stage.GENERATE: Spread(200.0, variance)}
    pace = Pace(stages, dict.fromkeys(PLACES, places), None, going, (Queue("other", 4.0, other),))
    found = seconds(pace, Left(queued, going), "mine")
    assert (found is None) == (queued + going == 0)
    assert found is None or 0 <= found[0] <= found[1]
