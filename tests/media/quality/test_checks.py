"""Where a verdict tips, on made-up facts: both sides of each tolerance."""

from dataclasses import replace

import pytest

from worker.media.quality.asked import ASPECTS, Asked
from worker.media.quality.checks import Facts, judged
from worker.media.quality.report import MOST_STRETCHES, Report

GOOD = Facts(
    width=1080,
    height=1920,
    pixel_aspect=1.0,
    stated_end=30.0,
    picture_end=30.0,
    lost=0.0,
    sound_end=30.0,
    black=(),
    frozen=(),
    silent=(),
    anything_heard=True,
)


def flagged(asked: Asked | None = None, **changed: object) -> set[str]:
    return {check.check for check in judged(replace(GOOD, **changed), asked or Asked()).flagged}


@pytest.mark.parametrize(
    ("measured", "asked", "off"),
    [(27.1, 30, False), (26.9, 30, True), (32.9, 30, False), (33.1, 30, True), (4.1, 5, False), (3.9, 5, True)],
)
def test_a_length_may_be_off_by_a_tenth_or_a_second(measured: float, asked: float, off: bool) -> None:
    """Whichever of the two is more."""
    ends = {"picture_end": measured, "sound_end": measured, "stated_end": measured}
    assert flagged(Asked(asked), **ends) == ({"length"} if off else set())


@pytest.mark.parametrize("aspect", ASPECTS)
def test_every_shape_fits_itself_alone(aspect: str) -> None:
    """Of the exact size, and of one rounded up to 16 pixels; a square passes for no other."""
    sizes = {"portrait": (1080, 1350), "landscape": (1350, 1080)}
    width, height = sizes.get(aspect) or tuple(240 * int(part) for part in aspect.split(":"))
    asked = Asked(aspect=aspect)  # pyright: ignore[reportArgumentType]
    assert flagged(asked, width=width, height=height) == set()
    assert flagged(asked, width=width, height=-(-height // 16) * 16) == set()
    assert flagged(asked, width=1000, height=1000) == (set() if aspect == "1:1" else {"aspect"})


@pytest.mark.parametrize(("width", "off"), [(1047, True), (1049, False), (1111, False), (1114, True)])
def test_a_shape_may_be_off_by_three_hundredths(width: int, off: bool) -> None:
    """Either way."""
    assert flagged(Asked(aspect="9:16"), width=width) == ({"aspect"} if off else set())


@pytest.mark.parametrize(
    ("changed", "off"),
    [
        ({"picture_end": 29.6}, False),
        ({"picture_end": 29.4}, True),
        ({"lost": 0.4}, False),
        ({"lost": 0.6}, True),
        ({"sound_end": 28.6}, False),
        ({"sound_end": 28.4}, True),
        ({"sound_end": 31.6}, True),
        ({"stated_end": None, "picture_end": 29.0}, False),
    ],
)
def test_a_file_may_end_a_little_early(changed: dict[str, float], off: bool) -> None:
    """By half a second of what it promises, and by a twentieth between picture and sound."""
    assert flagged(**changed) == ({"ends_early"} if off else set())


def test_the_report_stays_small() -> None:
    """A video that flickers to black for an hour is told of in a few lines, all of it JSON."""
    many = [(float(at), at + 2.0) for at in range(0, 4000, 4)]
    report = judged(replace(GOOD, black=many), Asked()).as_json()
    (check,) = [one for one in report["checks"] if one["check"] == "black"]
    assert (report["verdict"], len(check["stretches"])) == ("flagged", MOST_STRETCHES)
    assert check["detail"] == "black for 2000.0 s in 1000 stretches of 30.0 s"


def test_a_video_nobody_looked_at_has_no_verdict() -> None:
    """`unknown` is neither passed nor flagged, and says why."""
    report = Report(why="out of time")
    assert (report.verdict, report.flagged) == ("unknown", [])
    assert report.as_json() == {"verdict": "unknown", "detail": "out of time", "checks": []}
