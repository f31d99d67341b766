"""What is drawn: letters, pictures, sound, and a whole film."""

import hashlib
import io
import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path

import av
import pytest
from PIL import Image, ImageDraw

from deploy.sandbox.ffmpeg import ffmpeg
from deploy.sandbox.lettering import NOWHERE, draw_line, font_for, fonts, runs, width_of, wrapped
from deploy.sandbox.music import write_music
from deploy.sandbox.overlays import caption_overlay, mark_overlay, title_overlay
from deploy.sandbox.stills import ZOOM, card, fitted
from tests.sandbox.driver import Caller, Sandbox


@pytest.fixture(scope="module")
def drawing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A sandbox that draws."""
    sandbox = Sandbox(tmp_path_factory.mktemp("drawing"), "--stream-seconds", "0", "--min-poll-seconds", "0")
    yield sandbox
    sandbox.terminate()


def drawn(words: str) -> bytes:
    """The pixels of a line of words."""
    picture = Image.new("RGBA", (300, 80), (0, 0, 0, 0))
    draw_line(picture, (5, 60), words, 48, 0)
    return picture.tobytes()


def a_photo(colour: str, size: tuple[int, int]) -> bytes:
    """A JPEG file."""
    held = io.BytesIO()
    Image.new("RGB", size, colour).save(held, "JPEG")
    return held.getvalue()


@pytest.mark.parametrize("letter", list("A漢字春茶あカżéß，。“”￥€"))
def test_letters_are_drawn_not_boxed(letter: str):
    """Latin, Chinese and Japanese letters have pixels of their own, unlike the box for a missing letter."""
    font = font_for(letter, 48)
    assert font is not None
    assert font.getmask(letter).getbbox() is not None
    assert drawn(letter) != drawn_with_box()


def drawn_with_box() -> bytes:
    """The pixels of the box the font draws for a letter it lacks."""
    picture = Image.new("RGBA", (300, 80), (0, 0, 0, 0))
    ImageDraw.Draw(picture).text((5, 60), NOWHERE, font=fonts(48)[0], fill=(255, 255, 255, 255), anchor="ls")
    assert any(picture.tobytes())
    return picture.tobytes()


def test_letters_no_font_has_are_left_out_or_plain():
    """An emoji is dropped, a stroked letter loses its stroke; a box is never drawn."""
    assert "".join(run for run, _ in runs("ok 🎉 Łódź\u0000", 48)) == "ok  Lódź"


@pytest.mark.parametrize(
    "words", ["海拔一千二百米的手工采摘，今年第一批新茶，限时优惠。", "A warm light for small rooms and late evenings"]
)
def test_lines_fit_and_break_where_they_may(words: str):
    """No line is wider than allowed or begins with a closing mark, and nothing is lost."""
    lines = wrapped(words, 40, 420)
    assert len(lines) > 1
    assert all(width_of(line, 40) <= 420 for line in lines)
    assert not any(line[0] in "，。" for line in lines)
    assert "".join(lines).replace(" ", "") == words.replace(" ", "")


@pytest.mark.parametrize("size", [(1080, 1920), (1920, 1080), (1080, 1080)])
@pytest.mark.parametrize("words", ["Lamp", "城市之梦" * 12, "Donaudampfschifffahrtselektrizitätenwerk", "a " * 24])
def test_overlays_stay_inside_the_frame(size: tuple[int, int], words: str):
    """However long the words, their picture lies within the frame, and its letters within the margins."""
    for overlay in (title_overlay(words, *size), caption_overlay(words, *size), mark_overlay(*size)):
        assert 0 <= overlay.x <= overlay.x + overlay.picture.width <= size[0]
        assert 0 <= overlay.y <= overlay.y + overlay.picture.height <= size[1]
    title = title_overlay(words, *size).picture
    edge = round(size[0] * 0.06)
    letters = title.getchannel("R").point(lambda value: 255 if value > 200 else 0)
    left, _, right, _ = letters.getbbox() or (0, 0, 0, 0)
    assert edge < left < right < size[0] - edge


@pytest.mark.parametrize("size", [(1600, 900), (900, 1600), (500, 500), (7, 900)])
def test_any_picture_fills_the_frame(tmp_path: Path, size: tuple[int, int]):
    """Cropped where it nearly fits, on a blurred ground where it does not."""
    path = tmp_path / "picture.jpg"
    path.write_bytes(a_photo("red", size))
    assert fitted(path, 1080, 1920).size == (round(1080 * ZOOM), round(1920 * ZOOM))


def test_cards_and_music_are_deterministic(tmp_path: Path):
    """The same numbers make the same card, the same mood the same music; others make others."""
    assert card(1, 1, 200, 300).tobytes() == card(1, 1, 200, 300).tobytes() != card(1, 2, 200, 300).tobytes()
    sums = set[str]()
    for mood in ("calm", "upbeat", "cinematic", "calm"):
        write_music(tmp_path / "music.wav", mood, 2.5)
        sums.add(hashlib.sha256((tmp_path / "music.wav").read_bytes()).hexdigest())
    assert len(sums) == 3


def test_a_real_film(drawing: Sandbox):
    """Three pictures become three seconds of H.264, yuv420p and AAC in 1080x1920, each picture in its turn."""
    caller = Caller(drawing)
    session = caller.session()
    photos = [(f"{colour}.jpg", a_photo(colour, (1080, 1920))) for colour in ("red", "lime", "blue")]
    assert caller.upload(session, *photos).status_code == 200
    caller.say(session, "制作一个3秒的关于春茶的视频。清新自然。")
    done = caller.exported(session, 60)
    assert done["status"] == "completed", done
    film = drawing.http.get(done["output"]["url"]).content
    assert film.index(b"moov") < film.index(b"mdat")  # it starts to play before it is all there
    with av.open(io.BytesIO(film)) as container:
        video, sound = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, video.pix_fmt, sound.codec_context.name) == ("h264", "yuv420p", "aac")
        assert (video.width, video.height, video.average_rate) == (1080, 1920, 30)
        assert abs((container.duration or 0) / 1_000_000 - 3) < 0.15
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) == 90
    assert [int(frames[at][300, 540].argmax()) for at in (15, 45, 75)] == [0, 1, 2]
    with av.open(io.BytesIO(film)) as container:
        loud = [abs(frame.to_ndarray()).max() for frame in container.decode(audio=0)]
    assert statistics.median(loud) > 0.01


def test_a_film_of_a_video_and_a_sound(drawing: Sandbox, tmp_path: Path):
    """Uploaded clips are repeated to their length, an uploaded sound becomes the music."""
    clip, tone = tmp_path / "clip.mp4", tmp_path / "tone.wav"
    make = [ffmpeg(), "-loglevel", "error", "-f", "lavfi", "-i"]
    subprocess.run([*make, "color=c=lime:s=320x180:d=0.5", str(clip)], check=True)
    subprocess.run([*make, "sine=440:d=0.5", str(tone)], check=True)
    caller = Caller(drawing)
    session = caller.session()
    caller.upload(session, ("clip.mp4", clip.read_bytes()), ("tone.wav", tone.read_bytes()))
    caller.say(session, "Create a 2-second square video about green")
    done = caller.exported(session, 60)
    assert done["status"] == "completed", done
    with av.open(io.BytesIO(drawing.http.get(done["output"]["url"]).content)) as container:
        video = container.streams.video[0]
        assert (video.width, video.height) == (1080, 1080)
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) == 60
    assert [frames[at][400, 540].argmax() for at in (5, 30, 55)] == [1, 1, 1]
