"""Real clips with one defect each, beside those that are just in order."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from worker.media.playing import NotPlayable
from worker.media.quality.asked import Asked
from worker.media.quality.examine import examine
from worker.media.quality.report import Check

MOVING = "testsrc2=s=160x90:r=10"
H264 = ("-threads", "1", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
Made = Callable[..., Path]


@pytest.fixture
def made(ffmpeg: Callable[..., None], tmp_path: Path) -> Made:
    """A clip of a picture and, unless it is None, a sound."""

    def make(picture: str = f"{MOVING}:d=4", sound: str | None = "sine=d=4", *more: str) -> Path:
        path = tmp_path / "clip.mp4"
        heard = ("-f", "lavfi", "-i", sound, "-c:a", "aac", "-ar", "8000") if sound else ()
        ffmpeg("-f", "lavfi", "-i", picture, *heard, *H264, *more, path)
        return path

    return make


def checks(path: Path, asked: Asked | None = None) -> dict[str, Check]:
    return {check.check: check for check in examine(path, asked or Asked()).checks}


def flagged(path: Path, asked: Asked | None = None) -> set[str]:
    return {name for name, check in checks(path, asked).items() if check.verdict == "flagged"}


def black(since: float, to: float) -> str:
    return f"{MOVING}:d=5,drawbox=t=fill:c=black:enable='between(t,{since},{to - 0.05})'"


def standing(seconds: float) -> str:
    """A clip whose picture stands still for so long after two seconds, and goes on."""
    return f"{MOVING}:d=4,loop=loop={round(seconds * 10) - 1}:size=1:start=20,setpts=N/10/TB"


def test_a_clip_in_order_passes(made: Made) -> None:
    """As asked for, moving and sounding to its end: nothing is flagged, and what was measured is said."""
    report = examine(made(), Asked(4, "16:9"))
    assert (report.verdict, [check.verdict for check in report.checks]) == ("passed", ["passed"] * 6)
    length, aspect = report.checks[:2]
    assert (length.measured, aspect.measured) == (pytest.approx(4.0, abs=0.1), "160x90")


@pytest.mark.parametrize(("seconds", "found"), [(1.4, set()), (1.6, {"black"})])
def test_black_is_flagged_once_it_lasts(made: Made, seconds: float, found: set[str]) -> None:
    """A cut through black passes, a hole is flagged with where it is."""
    path = made(black(1, 1 + seconds), "sine=d=5")
    assert flagged(path) == found
    assert [pytest.approx(one, abs=0.15) for one in checks(path)["black"].stretches] == (
        [(1, 1 + seconds)] if found else []
    )


def test_black_to_the_end_is_not_called_frozen(made: Made) -> None:
    """One defect has one name, and it reaches to the last frame."""
    path = made("color=black:s=160x90:r=10:d=4")
    assert flagged(path) == {"black"}
    assert checks(path)["black"].stretches == [(0.0, pytest.approx(4.0, abs=0.05))]


@pytest.mark.parametrize(("width", "height", "found"), [("iw*0.4", "ih*0.1", set()), ("iw*0.12", "ih*0.1", {"black"})])
def test_a_title_on_black_is_none_but_a_corner_mark_is(made: Made, width: str, height: str, found: set[str]) -> None:
    """Four per cent of the picture bright are something to read; one per cent in a corner is not."""
    title = f"drawbox=x=8:y=8:w={width}:h={height}:c=white:t=fill:enable='between(t,1,2.95)'"
    assert flagged(made(f"{black(1, 3)},{title}", "sine=d=5")) == found


@pytest.mark.parametrize(("seconds", "found"), [(5.5, set()), (6.5, {"frozen"})])
def test_a_picture_that_stands_is_flagged_once_it_lasts(made: Made, seconds: float, found: set[str]) -> None:
    """A slide passes, a hang is flagged with where it is."""
    path = made(standing(seconds), f"sine=d={4 + seconds}")
    assert flagged(path) == found
    assert [pytest.approx(one, abs=0.25) for one in checks(path)["frozen"].stretches] == (
        [(2, 2 + seconds)] if found else []
    )


@pytest.mark.parametrize(("seconds", "found"), [(3, set()), (8, set()), (13, {"frozen"})])
@pytest.mark.parametrize("rate", [("-vf", "fps=10"), ("-fps_mode", "vfr")])
def test_slides_may_stand_for_longer(made: Made, seconds: int, found: set[str], rate: tuple[str, ...]) -> None:
    """A video of nothing but slides hangs nowhere; one that stands for ever does. Repeated frames or single ones that
    are shown for long: it is the time that counts."""
    slides = f"testsrc2=s=160x90:r=1:d=4,setpts={seconds}*PTS"
    assert flagged(made(slides, f"sine=d={4 * seconds}", *rate)) - {"ends_early"} == found


def test_slides_with_fades_between_them_pass(made: Made) -> None:
    """Pictures of seven seconds, faded through for one: most of the time nothing moves, and nothing hangs."""
    stands = "=s=160x90:r=10:d=0.1,format=yuv420p,loop=loop=79:size=1,setpts=N/10/TB"
    slides = ";".join(f"{one}{stands}[s{at}]" for at, one in enumerate(("testsrc2", "smptebars", "testsrc")))
    faded = "[s0][s1]xfade=duration=1:offset=7[a];[a][s2]xfade=duration=1:offset=14"
    assert flagged(made(f"{slides};{faded}", "sine=d=22")) == set()


def test_a_slow_zoom_moves(made: Made) -> None:
    """A still picture zoomed by a tenth in ten seconds is what the backend makes of pictures."""
    zoom = "testsrc2=s=640x360:r=10:d=0.1,zoompan=z='1+0.001*on':d=100:s=320x180:fps=10"
    assert flagged(made(zoom, "sine=d=10")) == set()


def test_a_video_in_which_nothing_ever_moves_is_a_picture(made: Made) -> None:
    """Three seconds of one picture pass in a longer video; alone they are flagged. One second is too short to tell."""
    still = "testsrc2=s=160x90:r=10:d=0.1,loop=loop=-1:size=1,setpts=N/10/TB,trim=duration={}"
    assert flagged(made(still.format(3), "sine=d=3")) == {"frozen"}
    assert flagged(made(still.format(1), "sine=d=1")) == set()


def test_no_sound_is_flagged_unless_it_was_asked_for(made: Made) -> None:
    """No track and a silent one alike; a prompt that wants no sound gets none."""
    bare = made(sound=None)
    assert flagged(bare) == {"silence"}
    assert checks(bare, Asked(silent=True))["silence"].verdict == "not_asked"
    mute = made(sound="anullsrc=d=4")
    assert flagged(mute) == {"silence"}
    assert checks(mute)["silence"].stretches == [(0.0, pytest.approx(4.0, abs=0.1))]
    assert flagged(mute, Asked(silent=True)) == set()


@pytest.mark.parametrize(("seconds", "found"), [(3.7, set()), (4.3, {"silence"})])
def test_a_hole_in_the_sound_is_flagged_once_it_lasts(made: Made, seconds: float, found: set[str]) -> None:
    """A pause passes, a hole is flagged with where it is."""
    path = made(f"{MOVING}:d=8", f"sine=d=8,volume=0:enable='between(t,2,{2 + seconds})'")
    assert flagged(path) == found
    assert [pytest.approx(one, abs=0.2) for one in checks(path)["silence"].stretches] == (
        [(2, 2 + seconds)] if found else []
    )


@pytest.mark.parametrize(("decibels", "found"), [(-35, set()), (-50, {"silence"})])
def test_quiet_is_not_silent(made: Made, decibels: int, found: set[str]) -> None:
    """A tone at -53 dB of full scale is heard, one at -68 dB is not (FFmpeg's sine is at -18)."""
    assert flagged(made(f"{MOVING}:d=5", f"sine=d=5,volume={decibels}dB")) == found


def test_two_channels_in_opposite_phase_are_heard(made: Made) -> None:
    """Summed up they would be silence."""
    assert flagged(made(sound="aevalsrc='0.3*sin(2500*t)|-0.3*sin(2500*t)':d=4")) == set()


@pytest.mark.parametrize(
    ("picture", "sound", "found"),
    [(4, 3.3, set()), (4, 2.7, {"ends_early"}), (3.3, 4, set()), (2.7, 4, {"ends_early"})],
)
def test_picture_and_sound_end_about_together(made: Made, picture: float, sound: float, found: set[str]) -> None:
    """Less than a second apart is usual, either way; more is said."""
    assert flagged(made(f"{MOVING}:d={picture}", f"sine=d={sound}")) == found


def test_what_the_container_promises_and_nobody_can_decode(made: Made) -> None:
    """A file of the right length whose second half is noise is flagged, though its packets are all there."""
    path = made(f"{MOVING}:d=6", "sine=d=6", "-movflags", "+faststart", "-g", "10")
    data = bytearray(path.read_bytes())
    begins = data.index(b"mdat") + 4
    half = begins + (len(data) - begins) // 2
    data[half:] = random.Random(5).randbytes(len(data) - half)
    path.write_bytes(data)
    assert "ends_early" in flagged(path)


@pytest.mark.parametrize(
    ("asked", "verdict"),
    [
        (Asked(4.4), "passed"),
        (Asked(5.2), "flagged"),
        (Asked(2.8), "flagged"),
        (Asked(None), "not_asked"),
    ],
)
def test_the_length_that_was_asked_for(made: Made, asked: Asked, verdict: str) -> None:
    """Four seconds against others."""
    assert checks(made(), asked)["length"].verdict == verdict


def test_shape_is_what_a_player_shows(made: Made, ffmpeg: Callable[..., None], tmp_path: Path) -> None:
    """Rotation stands a picture up, and wide pixels widen it."""
    lying, upright, wide = made(), tmp_path / "upright.mp4", tmp_path / "wide.mp4"
    ffmpeg("-display_rotation", "90", "-i", lying, "-c", "copy", upright)
    assert flagged(upright, Asked(aspect="9:16")) == set()
    assert flagged(upright, Asked(aspect="portrait")) == set()
    assert flagged(upright, Asked(aspect="landscape")) == {"aspect"}
    ffmpeg("-i", lying, *H264, "-vf", "setsar=21/16", wide)
    assert flagged(wide, Asked(aspect="21:9")) == set()
    assert flagged(wide, Asked(aspect="16:9")) == {"aspect"}
    ffmpeg("-i", lying, *H264, "-vf", "setsar=27/32", wide)
    assert flagged(wide, Asked(aspect="3:2")) == set()
    ffmpeg("-display_rotation", "90", "-i", wide, "-c", "copy", upright)
    assert flagged(upright, Asked(aspect="2:3")) == set()


def test_what_cannot_be_examined_is_refused(made: Made, tmp_path: Path) -> None:
    """Out of time, or no video at all: an error, never a verdict."""
    with pytest.raises(NotPlayable) as late:
        examine(made(), Asked(), seconds=-1.0)
    assert late.value.reason == "too_slow"
    (tmp_path / "no.mp4").write_bytes(b"no video")
    with pytest.raises(NotPlayable):
        examine(tmp_path / "no.mp4", Asked())
