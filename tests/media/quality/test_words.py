"""What a prompt can be held to, and what it cannot."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.media.quality.asked import Asked
from worker.media.quality.words import read, read_filled
from worker.templates.filling import Filler
from worker.templates.variables import declared

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
    "please make a stunning, cinematic 20-second video for our bakery": 20,
    "we need a 15-second vertical ad.": 15,
    "using the attached pictures, create a 30-second video": 30,
    "turn these pictures into a 20 second video": 20,
    "a video of 30 seconds about bread": 30,
    "a product video lasting 12 seconds": 12,
    "waves at night. make it 30 seconds long": 30,
    "a film about tea. the whole video should be 40 seconds.": 40,
    "duration: 30 s. a dog runs": 30,
    "a dog runs, 15 seconds, vertical, 9:16": 15,
    "a dog runs (30 seconds)": 30,
    "create a 30-second video about our 5 minute meditation app": 30,
    "用这些图片生成一个20秒的产品宣传视频": 20,
    "视频时长：15秒，介绍新款跑鞋": 15,
    "介绍新款跑鞋，30秒": 30,
    "create an ad for our bakery, 90 seconds": 90,
    "做一个面包店的视频，15秒，竖屏": 15,
    "a video about bread. 20 seconds, vertical.": 20,
    "make it 20 seconds, with music": 20,
    "a video of 30 seconds for our bakery": 30,
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
    # of what the video is about
    "a video for my 5 minute meditation app",
    "promote our 10-minute grocery delivery",
    "a video about an app that saves 10 minutes a day",
    "a video about the new iPhone 5s",
    "promo video: 60-second setup",
    "show how it takes 2 minutes to set up",
    "8 minute abs promo",
    "15 seconds to perfect coffee",
    "a phone ad: charge 5 minutes, talk 2 hours",
    "our app lets you record a 10-second video and share it",
    "a video about our app. record a 10-second clip and share it",
    "a 5-minute video call with grandma",
    "a 5-minute video course is included",
    "10 seconds. that is all it takes",
    "a film about our kettle, tea in 3 minutes",
    "pasta al dente, 8 minutes",
    "a watch with a battery that lasts 300 seconds",
    'the sign says "create a 10-second video"',
    "30-second videos are our business",
    "a 90-second boil, a video about eggs",
    "5 minutes of meditation a day change your life",
    "one 30-second spot on TV costs 7 million",
    "a 90-second short story about love",
    "our 90-second story of coffee: bean, roast, cup",
    "countdown: ten seconds, nine seconds",
    "show a runner. I want a 10 second head start",
    "make it 5 minutes on the grill, then flip",
    "scene 1 (5 seconds): a dog. scene 2 (5 seconds): a cat",
    "create a video: 0-3s logo, 6-10s call to action",
    "手机广告：充电5分钟，通话2小时",
    "10分钟送达",
    "3分钟学会做蛋糕",
    "5秒上手",
    "介绍一款能拍10秒视频的玩具",
    "通话时长5分钟",
    "看15秒视频教程就会",
    # what the viewer is to do, or one of the parts
    "Boil the egg. 90 seconds",
    "Pasta al dente, 2 minutes",
    "Meditate - 2 minutes",
    "A plank, 60 seconds",
    "A video about eggs. Put one in. Boil it, 90 seconds",
    "面膜，2分钟",
    "介绍面膜，2分钟",
    "我们的视频课程，时长10分钟",
    "Make it 3 seconds for each scene",
    "Make it 3 seconds long for each scene",
    "Make it 3 seconds in every scene",
    "A video of 3 seconds for each scene",
    "A 10 minute video, summarised",
    "A 5 minute film - cut into clips",
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
    "aspect ratio: 9:16": "9:16",
    "a dog runs, in 16:9": "16:9",
    "format: vertical. a dog runs": "portrait",
    "please create a short vertical video about bread": "portrait",
    "a video in landscape about bread": "landscape",
    "a dog runs. make it square.": "1:1",
    "the video should be vertical": "portrait",
    "a dog runs, landscape format": "landscape",
    "竖版，介绍新款跑鞋": "portrait",
    "画面比例16:9": "16:9",
    "9:16": "9:16",
    "a promo for our bakery, 9:16, 15 seconds. show bread": "9:16",
    "a video in portrait mode": "portrait",
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
    "Square, the payment app",
    "a film about our app, Square",
    "Portrait. A film about my grandmother",
    "Psalm 9:16 reading",
    "John 21:9",
    "a portrait of John 21:9",
    "a video about our vertical video editor",
    "an app for square video and more",
    "the train leaves at 9:16",
    "in portrait, the light comes from the side",
    "a landscape story for kids",
    "a square spot on the map",
    "竖版包装的牛奶",
    "横屏手机游戏广告",
    "一款能拍竖屏视频的手机",
    # of screens, times, and modes
    "Ad for a monitor, 16:9, 144 Hz",
    "Ad for a monitor, 16:9",
    "Promo for the Dell monitor: 27 inch, 16:9, IPS",
    "显示器，16：9，高清",
    "Sunday, 9:16, train leaves",
    "A film about Sunday, 9:16, train leaves",
    "Tablet ad. Display: 10 inch, 4:3",
    "features: night mode, portrait mode, 4k",
    "features: 4k, portrait mode",
    "vertical mode, washing",
    "supports portrait mode, landscape mode",
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


SILENT = (
    "a silent video",
    "waves without sound",
    "no audio please",
    "a dog runs, no sound, vertical",
    "a video without any audio track",
    "静音视频",
    "介绍跑鞋，静音",
    "全程静音",
    "无声短片",
    "视频没有声音",
    "un video sin sonido",
    "ein Video ohne Ton",
    "une vidéo sans son",
    "un video senza audio",
    "um vídeo sem som",
    "видео без звука",
    "音声なしの動画",
    "소리 없는 영상",
    "a video that makes no sound, to be used with music later",
    "没有声音的视频，以后配上音乐",
    "our fan makes no sound",
)
NOT_SILENT = (
    "a silent forest, 10 seconds",
    "no sound effects",
    "a sound video",
    "寂静的森林",
    "earbuds without audio lag",
    "headphones: no sound leakage",
    "no sound is heard in the forest, then birds sing",
    "静音风扇",
    "介绍一款静音耳机",
    "超静音洗衣机",
    "她悄无声息地走过",
    "ohne Tonnen von Müll",
    "没有声音的风扇，配上音乐",
    "Our fan makes no sound. Create a video with upbeat music",
)


@pytest.mark.parametrize("prompt", SILENT)
def test_silence_can_be_asked_for(prompt: str) -> None:
    """Then none is missed, in whatever language the service speaks."""
    assert read(prompt).silent


@pytest.mark.parametrize("prompt", NOT_SILENT)
def test_quiet_places_are_not_silent_videos(prompt: str) -> None:
    """The words may describe the picture, or a part of the sound."""
    assert not read(prompt).silent


@pytest.mark.parametrize(
    ("template", "given", "asked"),
    [
        (
            '{% if x == "tiktok" %}Create a vertical 15-second video{% else %}Create a horizontal 60-second video'
            "{% endif %}",
            {"x": "tiktok"},
            Asked(),
        ),
        ("Create a {{ x|length * 10 }}-second video", {"x": "abc"}, Asked()),
        (
            'Create a 60-second square video about {{ y }}.{% if x == "short" %} Make it 15 seconds.{% endif %}',
            {"x": "short", "y": "soup"},
            Asked(None, "1:1"),
        ),
        ("Create a 60-second video about {{ y }}", {"y": "soup in 10-15 minutes. Make it vertical."}, Asked(60)),
        ("Create a 60-second video about {{ y }} with {{ x }}", {"y": ["a 9:16 video"], "x": " 5 s clip "}, Asked(60)),
        ("Create a 60-second video about {{ y }}", {"y": "soup, no sound"}, Asked(60, None, True)),
    ],
)
def test_a_template_is_held_to_words_that_are_in_its_prompt(
    template: str, given: dict[str, object], asked: Asked
) -> None:
    """Not to those of a branch that was not taken, nor to what the length of another text comes to."""
    kinds: dict[str, object] = {
        name: {"type": "list" if isinstance(value, list) else "text"} for name, value in given.items()
    }
    filler = Filler.of(template, declared(kinds))
    assert read_filled(filler.fill(given), filler.own_words(given), given.values()) == asked


@settings(max_examples=60)
@given(st.text(alphabet=st.sampled_from("19:0 s-ec秒分半十 minute~竖vertical\n,."), max_size=60) | st.text())
def test_any_prompt_is_read(prompt: str) -> None:
    """Whatever it holds: a length within bounds, or none."""
    found = read(prompt)
    assert found.duration_seconds is None or 1 <= found.duration_seconds <= 600
    assert Asked.from_json(found.as_json()) == found


@pytest.mark.parametrize(
    "piece",
    [
        "1",
        " ",
        "1 ",
        "-",
        "1-",
        "vertical ",
        "vertical 1-1-",
        "1 minute and ",
        "30s ",
        "一",
        "1:",
        "a ",
        "1.",
        '"',
        "please ",
        "create a ",
        "using , ",
        "the film ",
        "30-second, ",
        ". a 30-second ",
        "9:16, vertical, ",
        "hd 4k, ",
        "做一个",
        "30秒竖屏",
        "把视频",
    ],
)
def test_no_prompt_takes_long(piece: str) -> None:
    """The longest prompt that the intake takes, made of whatever repeats worst."""
    began = time.perf_counter()
    read((piece * 8000)[:8000])
    assert time.perf_counter() - began < 1
