"""Which scenario reaches which point, as played; run by `python -m tests.chaos.points record` alone."""

import os

import pytest

from tests.chaos.points import reached, run
from tests.chaos.points.every import SCENARIOS
from tests.chaos.points.ground import Ground

pytestmark = pytest.mark.skipif("VIVIDEO_POINTS_RECORD" not in os.environ, reason="writes the table anew")


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_a_scenario_reaches(ground: Ground, name: str):
    """The scenario goes well when nobody dies, and the points it passes are written down."""
    run.play(ground, name)
    reached.write(name, ground.passed(name))
