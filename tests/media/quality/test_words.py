"""What a prompt can be held to, and what it cannot."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.media.quality.asked import Asked
from worker.media.quality.words import read

LENGTHS = {
    "create a 30-second promotional video about our new running shoe": 30,
    "a quiet morning by the sea, 20 seconds": 20,
    "a 15 sec clip": 15,
    "30 s of waves": 30,
    "a 30s video, in the style of the 90s": 30,
    "video length: 12s": 12,
    "the 45-second film": 45,
    "1 minute about bread": 60,
    "one-minute film": 60,
    "half a minute of rain video": 30,
    "1 min 30 s trailer": 90,
    "1.5 minute ad": 90,
    "thirty-second ad": 30,
    "a 30-second video, the first 5 seconds show the logo": 30,
    "a 30-second video with a 5-second intro, cut every 3 seconds": 30,
    "A 10-SECOND video: ten seconds, no more words": 10,
    "10秒的视频": 10,
    "十五秒短片": 15,
    "一分半的宣传片": 90,
    "1分30秒": 90,
    "半分钟": 30,
    "视频长度20秒，前5秒展示logo": 20,
}

NO_LENGTHS = (
    "a video about the sea",
    "15-30 seconds of surf",
    "10 to 15 second clip",
    "between 10 and 20 seconds",
    "about 30 seconds",
    "up to 60 seconds",
    "at least 10 s",
    "~20s video",
    "30 seconds or less",
    "a 10-second version and a 20-second version",
    "cut every 3 seconds",
    "the first 5 seconds show the logo",
    "the title comes after 2 seconds",
    "a 90s video",
    "a woman in her 30s walking",
    "24-hour sale",
    "a 3-second exposure of stars",
    "0.5 seconds",
    "a 40 minute film",
    "ten to fifteen seconds",
    "10秒左右",
    "10-15秒",
    "十几秒",
    "前5秒展示logo",
    "每3秒换一个画面",
    "限时10秒杀",
    "第10秒出现标题",
)

SHAPES = {
    "9:16 video": "9:16",
    "a 60-second video for TikTok (9:16)": "9:16",
    "横版 16：9 广告": "16:9",
    "16:9 landscape": "16:9",
    "4:5 portrait": "4:5",
    "1:1 aspect ratio": "1:1",
    "a 15 sec clip, vertical": "portrait",
    "vertical 15-second promotional video": "portrait",
    "for 15 seconds, in portrait": "portrait",
    "a landscape format clip": "landscape",
    "square video": "1:1",
    "做一个30秒竖屏视频": "portrait",
    "横屏": "landscape",
    "正方形视频": "1:1",
}

NO_SHAPES = (
    "a train at 9:16 am",
    "a 1:1 meeting",
    "they won 3:2",
    "from 10:9:16 on",
    "Times Square at night",
    "a square table, landscape of mountains",
    "portrait of a woman",
    "vertical garden in a city",
    "both 9:16 and 16:9",
    "vertical 16:9",
    "one vertical video and one square video",
    "方形手表",
    "横向条纹",
)


@pytest.mark.parametrize("prompt", LENGTHS)
def test_a_length_said_plainly_is_read(prompt: str) -> None:
    """In figures and words, in English and Chinese, beside lengths of parts and decades."""
    assert read(prompt).duration_seconds == LENGTHS[prompt]


@pytest.mark.parametrize("prompt", NO_LENGTHS)
def test_what_could_be_another_length_is_not_read(prompt: str) -> None:
    """Ranges, bounds, several, parts, decades: nothing that a video could wrongly be held to."""
    assert read(prompt).duration_seconds is None


@pytest.mark.parametrize("prompt", SHAPES)
def test_a_shape_said_plainly_is_read(prompt: str) -> None:
    """A ratio, or which side is longer."""
    assert read(prompt).aspect == SHAPES[prompt]


@pytest.mark.parametrize("prompt", NO_SHAPES)
def test_what_could_be_something_else_is_no_shape(prompt: str) -> None:
    """Times of day, scores, gardens, squares; and two shapes that do not agree."""
    assert read(prompt).aspect is None


@pytest.mark.parametrize("prompt", ["a silent video", "waves without sound", "no audio please", "静音视频"])
def test_silence_can_be_asked_for(prompt: str) -> None:
    """Then none is missed."""
    assert read(prompt).silent


@pytest.mark.parametrize("prompt", ["a silent forest, 10 seconds", "no sound effects", "a sound video", "寂静的森林"])
def test_quiet_places_are_not_silent_videos(prompt: str) -> None:
    """The words may describe the picture, or a part of the sound."""
    assert not read(prompt).silent


@settings(max_examples=60)
@given(st.text(alphabet=st.sampled_from("19:0 s-ec秒分半十 minute~竖vertical\n,."), max_size=60) | st.text())
def test_any_prompt_is_read(prompt: str) -> None:
    """Whatever it holds: a length within bounds, or none."""
    found = read(prompt)
    assert found.duration_seconds is None or 1 <= found.duration_seconds <= 600
    assert Asked.from_json(found.as_json()) == found


@pytest.mark.parametrize(
    "piece", ["1", " ", "1 ", "-", "1-", "vertical ", "vertical 1-1-", "1 minute and ", "30s ", "一", "1:", "a ", "1."]
)
def test_no_prompt_takes_long(piece: str) -> None:
    """The longest prompt that the intake takes, made of whatever repeats worst."""
    began = time.perf_counter()
    read((piece * 8000)[:8000])
    assert time.perf_counter() - began < 1
