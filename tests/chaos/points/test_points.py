"""Die just before and just after every commit, send, remote call and file move: each run ends once, and nothing is paid
for twice.

`make test` plays a few of each kind; `python -m tests.chaos.points` all of them.
"""

import os

import pytest

from tests.chaos.points import reached, run
from tests.chaos.points.enumeration import Point, points
from tests.chaos.points.ground import Ground

SOME = (
    "after commit worker.stages.generate._commit_intent transact 1",
    "after call worker.stages.generate._send send_message 1",
    "before send worker.pipeline.act send 1",
    "after commit worker.dispatch.Dispatcher.look transact 1",
    "after move worker.stages.store._keep put_file 1",
    "after commit api.intake._once transact 1",
)
"""The short form: a few of each kind, in each program."""


def _chosen() -> list[tuple[str, Point]]:
    everything = [(side, point) for point in points() if str(point) in reached.table() for side in run.SIDES]
    wanted = os.environ.get("VIVIDEO_CRASHES", "")
    if wanted:
        words = wanted.split(",")
        found = [one for one in everything if wanted == "all" or any(word in f"{one[0]} {one[1]}" for word in words)]
    else:
        found = [one for one in everything if f"{one[0]} {one[1]}" in SOME]
    return sorted(found, key=lambda one: reached.table()[str(one[1])])


@pytest.mark.parametrize(("side", "point"), _chosen(), ids=lambda one: str(one).replace(" ", "-"))
def test_dying_there_loses_nothing_and_pays_once(ground: Ground, side: str, point: Point):
    """A process dies at the point, once; another is started; everything ends, and the books agree with the ledger."""
    run.play(ground, reached.table()[str(point)], f"{side} {point}")
