"""A result counts as delivered only when it plays to its end."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from worker.media.playing import NotPlayable
from worker.media.probe import probe


def refusal(path: Path) -> str:
    with pytest.raises(NotPlayable) as refused:
        probe(path)
    return refused.value.reason


def changed(clip: Path, to: Path, change: Callable[[bytearray], bytes | bytearray]) -> Path:
    to.write_bytes(change(bytearray(clip.read_bytes())))
    return to


def test_the_facts_of_a_usual_result(clip):
    """An H.264/AAC MP4 gives its size, codecs, rate and length."""
    facts = probe(clip("end.mp4"))
    assert (facts.width, facts.height, facts.video_codec, facts.audio_codec) == (160, 90, "h264", "aac")
    assert (facts.pixel_format, facts.frame_rate, facts.container) == ("yuv420p", 25.0, "mp4")
    assert facts.duration_seconds == pytest.approx(1.0, abs=0.05)
    assert facts.bytes == clip("end.mp4").stat().st_size
    assert probe(clip("silent.mp4")).audio_codec is None


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("start.mp4", "h264"),
        ("fragments.mp4", "h264"),
        ("clip.mov", "h264"),
        ("clip.mkv", "h264"),
        ("live.mkv", "h264"),
        ("clip.avi", "mpeg4"),
        ("clip.webm", "vp9"),
    ],
)
def test_every_accepted_container_plays(clip, name, codec):
    """Each accepted video format, fragmented and written live too, is found whole."""
    facts = probe(clip(name))
    assert (facts.video_codec, facts.container) == (codec, name.partition(".")[2])
    assert facts.duration_seconds == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize(
    "name", ["start.mp4", "end.mp4", "fragments.mp4", "clip.mov", "clip.mkv", "clip.avi", "clip.webm"]
)
def test_a_file_cut_anywhere_is_refused(clip, tmp_path, name):
    """Cut at sixty places from the first byte to the last but one, no file passes."""
    data = clip(name).read_bytes()
    cut = tmp_path / "cut"
    for length in [*range(0, len(data), len(data) // 60), len(data) - 1]:
        cut.write_bytes(data[:length])
        assert refusal(cut) in ("truncated", "corrupted", "not_a_video", "no_picture", "no_duration"), length


def test_a_cut_that_hides_its_length_is_refused_by_the_packets(clip, tmp_path):
    """Where the outermost part is mended to state the cut file's length, the missing packets still show."""
    data = clip("start.mp4").read_bytes()
    media = data.index(b"mdat") - 4
    for part in (0.2, 0.5, 0.85):
        kept = int((len(data) - media) * part)
        mended = data[:media] + kept.to_bytes(4, "big") + data[media + 4 : media + kept]
        (tmp_path / "mended.mp4").write_bytes(mended)
        assert refusal(tmp_path / "mended.mp4") == "truncated", part


def test_a_hole_of_the_right_length_is_refused(clip, tmp_path):
    """A file whose second half was never written (zeros) has the right length and does not play."""

    def hole(data: bytearray) -> bytearray:
        media = data.index(b"mdat") + 4
        middle = media + (len(data) - media) // 2
        data[middle:] = bytes(len(data) - middle)
        return data

    assert refusal(changed(clip("start.mp4"), tmp_path / "hole.mp4", hole)) == "corrupted"


def test_noise_in_place_of_the_first_picture_is_refused(clip, tmp_path):
    """A key frame that does not decode is damage, though every packet is there."""

    def noise(data: bytearray) -> bytearray:
        media = data.index(b"mdat") + 4
        data[media : media + 3000] = bytes((at * 167 + 13) % 256 for at in range(3000))
        return data

    assert refusal(changed(clip("start.mp4"), tmp_path / "noise.mp4", noise)) == "corrupted"


def test_a_scratch_in_the_first_picture_is_refused(clip, tmp_path):
    """Forty wrong bytes inside a key frame, which a decoder papers over, are damage too."""

    def scratch(data: bytearray) -> bytearray:
        at = data.index(b"mdat") + 4 + 1500
        data[at : at + 40] = bytes((byte * 89 + 7) % 256 for byte in range(40))
        return data

    assert refusal(changed(clip("start.mp4"), tmp_path / "scratch.mp4", scratch)) == "corrupted"


def test_what_is_no_video_is_refused(clip, tmp_path):
    """Nothing, a web page, a picture, a sound, and an MP4 that holds sound alone."""
    for content in (b"", b"<!doctype html><html><title>404</title></html>", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"):
        (tmp_path / "x.mp4").write_bytes(content)
        assert refusal(tmp_path / "x.mp4") == "not_a_video"
    assert refusal(clip("sound.mp3")) == "not_a_video"
    assert refusal(clip("sound.mp4")) == "no_picture"


def test_a_playlist_reads_nothing_else(clip, tmp_path):
    """A playlist naming a real video beside it is refused, not followed."""
    (tmp_path / "p.mp4").write_text(
        f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{clip('clip.ts')}\n#EXT-X-ENDLIST\n"
    )
    assert refusal(tmp_path / "p.mp4") == "not_a_video"
    (tmp_path / "c.mp4").write_text(f"ffconcat version 1.0\nfile '{clip('end.mp4')}'\n")
    assert refusal(tmp_path / "c.mp4") == "not_a_video"


def test_a_rotated_video_has_the_size_that_is_shown(clip, ffmpeg, tmp_path):
    """An upright phone video, stored lying, is 90 wide and 160 high."""
    ffmpeg("-display_rotation", "90", "-i", clip("end.mp4"), "-c", "copy", tmp_path / "r.mp4")
    facts = probe(tmp_path / "r.mp4")
    assert (facts.width, facts.height) == (90, 160)


def test_sound_longer_than_the_picture_is_fine(ffmpeg, tmp_path):
    """A second of picture under two seconds of music is whole."""
    picture = ("-f", "lavfi", "-i", "testsrc2=s=160x90:r=25:d=1")
    ffmpeg(*picture, "-f", "lavfi", "-i", "sine=d=2", "-c:v", "libx264", "-c:a", "aac", tmp_path / "long.mp4")
    assert probe(tmp_path / "long.mp4").duration_seconds == pytest.approx(2.0, abs=0.1)


def test_pictures_beyond_8k_are_refused(ffmpeg, tmp_path):
    """45 million pixels of one grey fit into a few kilobytes and would decode into far more: refused undecoded."""
    huge = ("-f", "lavfi", "-i", "color=gray:s=9000x5000:r=25:d=0.04")
    ffmpeg(*huge, "-c:v", "png", "-pix_fmt", "gray", tmp_path / "huge.mov")
    assert refusal(tmp_path / "huge.mov") == "too_large"


def test_it_is_quick(ffmpeg, tmp_path):
    """Ten seconds of 1080x1920 at 30 frames a second take less than a second (measured: about 0.03 s)."""
    still = ("-f", "lavfi", "-i", "color=red:s=1080x1920:r=30:d=10")
    ffmpeg(*still, "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", tmp_path / "ten.mp4")
    start = time.perf_counter()
    facts = probe(tmp_path / "ten.mp4")
    assert time.perf_counter() - start < 1
    assert (facts.width, facts.height, facts.duration_seconds) == (1080, 1920, pytest.approx(10, abs=0.1))


def test_a_missing_file_is_no_verdict_on_a_video(tmp_path):
    """What cannot be read raises OSError, not NotPlayable: the render is not to blame."""
    with pytest.raises(FileNotFoundError):
        probe(tmp_path / "gone.mp4")
