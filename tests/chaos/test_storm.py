"""A short storm: the same blows as `make chaos` in a minute."""

import os
from pathlib import Path

import pytest

from tests.chaos.figures import head
from tests.chaos.storm import storm

pytestmark = pytest.mark.chaos

SEED = int(os.environ.get("CHAOS_SEED", "4"))


def test_nothing_is_lost_doubled_or_orphaned(tmp_path: Path):
    """Forty renders, nine kills, freezes, a broker that forgets, PostgreSQL restarted twice: every invariant holds, and
    most renders end with a video."""
    figures, violations = storm(SEED, renders=40, kills=9, home=tmp_path / "s", quick=True)
    print(head(), figures.row(), sep="\n")  # noqa: T201 - shown when it fails
    assert [str(one) for one in violations] == [], f"again: CHAOS_SEED={SEED}"
    assert figures.renders == 40
    assert figures.done["kill"] == 9
    assert figures.good >= 20
