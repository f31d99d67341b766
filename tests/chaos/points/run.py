"""One crash: a point is armed, its scenario played, a process seen to die there, and everything to end all the same."""

from tests.chaos.points import armed, books
from tests.chaos.points.every import SCENARIOS
from tests.chaos.points.ground import Ground
from tests.chaos.points.plays import Play

SIDES = ("before", "after")


TRIES = 3
"""Some points are passed by luck of timing: a heartbeat while a stream is open."""


def play(ground: Ground, name: str, where: str = "") -> None:
    """Play a scenario, perhaps with a death; its renders end, and the books hold."""
    ground.playing(name)
    try:
        for _ in range(TRIES):
            playing = Play(ground, name)
            if where:
                ground.arm(where)
            SCENARIOS[name](playing)
            playing.settled()
            if not where or ground.dead():
                break
        if where:
            pid = ground.dead()
            assert pid is not None, f"nobody came by {where}"
            assert ground.status(pid) in (armed.STATUS, None)
        books.check(playing, where)
    finally:
        ground.disarm()
        ground.forget_rules()
        ground.mend()
