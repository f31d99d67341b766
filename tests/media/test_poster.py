"""The poster shows something, upright, small."""

import pytest
from PIL import Image, ImageChops, ImageStat

from worker.media.playing import NotPlayable
from worker.media.poster import LONGEST_SIDE, poster


def colour(path) -> tuple[int, ...]:
    with Image.open(path) as picture:
        return tuple(round(mean) for mean in ImageStat.Stat(picture.convert("RGB")).mean)


def test_it_is_a_small_jpeg(ffmpeg, tmp_path):
    """A 1080x1920 video gives a 540x960 JPEG whose size is the one reported."""
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=1080x1920:r=10:d=1", "-c:v", "libx264", "-preset", "ultrafast",
           "-pix_fmt", "yuv420p", tmp_path / "v.mp4")  # fmt: skip
    made = poster(tmp_path / "v.mp4", tmp_path / "out")
    with Image.open(made.path) as picture:
        assert (picture.format, picture.size) == ("JPEG", (made.width, made.height)) == ("JPEG", (540, LONGEST_SIDE))
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["v.jpg"]


@pytest.mark.parametrize(("shown", "missed"), [("between(t,1.3,1.8)", "half"), ("between(t,0.2,0.8)", "a sixth")])
def test_black_is_skipped(ffmpeg, tmp_path, shown, missed):
    """A video that is black at a third of its length gives the frame at half or a sixth that is not."""
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=160x90:r=25:d=3", "-vf", f"drawbox=c=black:t=fill:enable='not({shown})'",
           "-c:v", "libx264", "-pix_fmt", "yuv420p", tmp_path / "v.mp4")  # fmt: skip
    assert sum(colour(poster(tmp_path / "v.mp4", tmp_path).path)) > 100, missed


def test_a_video_of_one_colour_still_has_a_poster(ffmpeg, tmp_path):
    """Nothing to see anywhere is no failure."""
    ffmpeg("-f", "lavfi", "-i", "color=blue:s=160x90:r=25:d=1", "-c:v", "libx264", "-pix_fmt", "yuv420p",
           tmp_path / "v.mp4")  # fmt: skip
    red, green, blue = colour(poster(tmp_path / "v.mp4", tmp_path).path)
    assert blue > 200
    assert red < 30
    assert green < 30


def test_the_asked_moment_is_shown(ffmpeg, tmp_path):
    """`at` picks the frame of that second, far from a key frame, and the last one when it lies behind the end."""
    ffmpeg("-f", "lavfi", "-i", "color=red:s=160x90:r=25:d=2", "-vf", "drawbox=c=lime:t=fill:enable='gte(t,1)'",
           "-c:v", "libx264", "-g", "250", "-pix_fmt", "yuv420p", tmp_path / "v.mp4")  # fmt: skip
    assert colour(poster(tmp_path / "v.mp4", tmp_path, at=0.5).path)[0] > 200
    assert colour(poster(tmp_path / "v.mp4", tmp_path, at=1.5).path)[1] > 200
    assert colour(poster(tmp_path / "v.mp4", tmp_path, at=99).path)[1] > 200


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation_is_undone_as_players_do(clip, ffmpeg, tmp_path, degrees):
    """The poster equals what the encoder's own player side, which rotates by itself, makes of the same frame."""
    ffmpeg("-display_rotation", str(degrees), "-i", clip("end.mp4"), "-c", "copy", tmp_path / "r.mp4")
    ffmpeg("-i", tmp_path / "r.mp4", "-frames:v", "1", tmp_path / "shown.png")
    made = poster(tmp_path / "r.mp4", tmp_path, at=0)
    with Image.open(made.path) as ours, Image.open(tmp_path / "shown.png") as shown:
        assert ours.size == shown.size
        assert max(ImageStat.Stat(ImageChops.difference(ours.convert("RGB"), shown.convert("RGB"))).mean) < 12


@pytest.mark.parametrize(
    ("form", "codec", "name"),
    [
        ("rgba", "png", "v.mov"),
        ("yuv444p10le", "libx264", "v.mp4"),
        ("gray", "libx264", "v.mp4"),
        ("pal8", "png", "v.mov"),
    ],
)
def test_odd_pixel_formats(ffmpeg, tmp_path, form, codec, name):
    """Transparency, ten bits, grey and palettes give a JPEG like any other; odd side lengths too."""
    ffmpeg(
        "-f",
        "lavfi",
        "-i",
        "testsrc2=s=160x90:r=25:d=1",
        "-vf",
        "scale=161:91,setsar=1",
        "-c:v",
        codec,
        "-pix_fmt",
        form,
        tmp_path / name,
    )
    made = poster(tmp_path / name, tmp_path)
    assert (made.width, made.height) == (161, 91)
    with Image.open(made.path) as picture:
        assert picture.convert("L").getextrema()[1] > 100


def test_wide_pixels_are_stretched(ffmpeg, tmp_path):
    """Pixels twice as wide as high give a picture twice as wide."""
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=160x160:r=25:d=1,setsar=2/1", "-c:v", "libx264", "-pix_fmt", "yuv420p",
           tmp_path / "v.mp4")  # fmt: skip
    made = poster(tmp_path / "v.mp4", tmp_path)
    assert (made.width, made.height) == (320, 160)


def test_no_poster_of_what_is_no_video(clip, tmp_path):
    """Sound gives NotPlayable and leaves nothing behind."""
    with pytest.raises(NotPlayable):
        poster(clip("sound.mp4"), tmp_path / "out")
    assert not (tmp_path / "out").exists()
