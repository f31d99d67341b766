"""Progress: it grows, never backwards within a run, and ends at one with success alone."""

from typing import Any

import pytest

from api.progress import TYPICAL, HighWater, estimate
from worker.renders.models import Render
from worker.renders.states import ORDER, Stage, Status


def _render(stage: Stage, status: Status = Status.RUNNING, **fields: Any) -> Render:
    given: dict[str, Any] = {"id": "rnd_1", "run": 1, "assets": [{"url": "u"}], "fraction": 0.0, "started_at": 1}
    return Render(stage=stage.value, status=status.value, **(given | fields))


def test_progress_grows_along_the_way_and_the_rest_shrinks() -> None:
    """Stage by stage and second by second it only grows; the seconds left only shrink until a stage is overdue."""
    shown = [
        estimate(_render(stage), elapsed, TYPICAL)
        for stage in ORDER
        for elapsed in (0.0, TYPICAL[stage] / 2, TYPICAL[stage], TYPICAL[stage] * 1000)
    ]
    progress = [one for one, _ in shown]
    assert progress == sorted(progress)
    assert 0 <= progress[0] < progress[-1] < 1
    on_time = [left for place, (_, left) in enumerate(shown) if place % 4 < 2 and left is not None]
    assert on_time == sorted(on_time, reverse=True)
    assert on_time[0] == sum(TYPICAL[stage] for stage in ORDER)


@pytest.mark.parametrize(
    ("render", "expected"),
    [
        (_render(Stage.TOKEN, Status.QUEUED, started_at=None), (0.0, None)),
        (_render(Stage.STORE, Status.SUCCEEDED), (1.0, None)),
    ],
)
def test_progress_at_both_ends(render: Render, expected: tuple[float, None]) -> None:
    """Nothing is promised before a worker begins; success is exactly one."""
    assert estimate(render, 1e9, TYPICAL) == expected


def test_waiting_moves_nothing() -> None:
    """While a render waits (for credits, say), time in the stage counts for nothing and no end is foretold."""
    waiting = _render(Stage.GENERATE, Status.WAITING, reason="credits")
    assert estimate(waiting, 0, TYPICAL) == estimate(waiting, 1e6, TYPICAL)
    assert estimate(waiting, 0, TYPICAL)[1] is None


def test_what_the_backend_tells_outranks_the_clock() -> None:
    """An export reported at 90 % after a second is shown so, and the rest is what is left of it."""
    told, left = estimate(_render(Stage.POLL, fraction=0.9), 1, TYPICAL)
    guessed, longer = estimate(_render(Stage.POLL), 1, TYPICAL)
    assert told > guessed
    assert left is not None
    assert longer is not None
    assert left < longer


def test_a_step_back_is_not_shown_within_a_run() -> None:
    """A second export does not take back what was reached; a new run begins anew; old marks are dropped."""
    marks = HighWater(size=2)
    assert marks.raised(_render(Stage.POLL), 0.8) == 0.8
    assert marks.raised(_render(Stage.EXPORT), 0.7) == 0.8
    assert marks.raised(_render(Stage.TOKEN, run=2), 0.1) == 0.1
    assert marks.raised(_render(Stage.TOKEN, id="rnd_2"), 0.2) == 0.2
    assert marks.raised(_render(Stage.EXPORT), 0.7) == 0.7
