"""What a prompt asks for in words, in English and Chinese, as far as a video can be held to it.

Whatever could be read in two ways is not read at all: a check that nobody asked for would cry wolf.
"""

import re

from worker.media.quality.asked import Asked, Aspect
from worker.media.quality.lengths import length


def read(prompt: str) -> Asked:
    """The length, the shape and the silence that a prompt plainly asks for."""
    text = _SPACE.sub(lambda run: "\n" if "\n" in run[0] else " ", prompt.casefold().translate(_SIGNS))
    return Asked(length(text), _aspect(text), _SILENT.search(text) is not None)


_SIGNS = str.maketrans("：（）", ":()")
_SPACE = re.compile(r"\s+")  # as one, so that no pattern below tries many ways of splitting a long run
_VIDEO = (
    r"(?:video|clip|ad|reel|short|story|film|movie|promo|commercial|teaser|trailer|format|orientation|mode|aspect)s?"
)
_ALONE = r"(?=\s*(?:$|[,.;:!?()\n，。；！）/|]))"
_BETWEEN = (
    r"(?:[\s,(-]{1,3}"
    r"(?:\d[\w.:]{0,9}|(?:a|an)\b|seconds?|minutes?|hd|4k|full[- ]?screen|promo(?:tional)?|product|short))"
)
"""What may stand between the shape and the video: numbers and a few words that change nothing."""


def _shape(words: str) -> str:
    """A shape's name counts before a video's, beside a ratio, or for itself: a vertical garden is none, nor is a town
    square."""
    before = rf"\b(?:{words}){_BETWEEN}{{0,3}}[\s,)-]{{1,3}}{_VIDEO}\b"
    alone = rf"(?:^|[,.;:!?(\n，。；！（/|]|\bin|\bmake it|\bshould be)\s*(?:{words})\b{_ALONE}"
    beside = rf"\b(?:{words})[\s,(]+\d{{1,2}}\s?:\s?\d|\d\s?:\s?\d{{1,2}}[\s,)]+(?:{words})\b"
    return f"{before}|{alone}|{beside}"


_CHINESE_PICTURE = r"(?=的?(?:视频|画面|画幅|短片|短视频|影片|比例|构图|格式|广告))"
_WORDS: dict[Aspect, re.Pattern[str]] = {
    "portrait": re.compile(rf"{_shape('vertical|portrait')}|竖屏|竖版|竖向{_CHINESE_PICTURE}"),
    "landscape": re.compile(
        rf"{_shape('horizontal|landscape|widescreen|wide-screen')}|横屏|横版|(?:横向|宽屏){_CHINESE_PICTURE}"
    ),
    "1:1": re.compile(rf"{_shape('square')}|(?:正方形|方形){_CHINESE_PICTURE}"),
}
_RATIO = re.compile(r"(?<![\d:.])(\d{1,2})\s?:\s?(\d{1,2})(?![\d:.]*\d)(?!\s*(?:am|pm|a\.m|p\.m|o'clock)\b)")
_PLAIN: tuple[Aspect, ...] = ("9:16", "16:9", "21:9")
"""Ratios that are hardly anything else. Others may be a score, a scale or two people talking."""
_NAMED = re.compile(r"aspect|ratio|format|比例|画幅|画面|square|vertical|portrait|landscape|horizontal|方形|竖|横")
_NEAR = 16
"""Characters within which a ratio is called one."""
_OTHERS: tuple[Aspect, ...] = ("1:1", "4:5", "5:4", "3:4", "4:3", "2:3", "3:2")


def _aspect(text: str) -> Aspect | None:
    """The one shape asked for: a ratio, else the side that is longer. None where two of them do not agree."""
    ratios: set[Aspect] = {found for match in _RATIO.finditer(text) if (found := _ratio(text, match))}
    shapes: set[Aspect] = {shape for shape, pattern in _WORDS.items() if pattern.search(text)}
    if len(ratios) > 1 or len(shapes) > 1:
        return None
    shape = next(iter(shapes), None)
    if not ratios:
        return shape
    ratio = next(iter(ratios))
    return ratio if shape in (None, _shape_of(ratio)) else None


def _ratio(text: str, match: re.Match[str]) -> Aspect | None:
    written = f"{int(match[1])}:{int(match[2])}"
    around = text[max(0, match.start() - _NEAR) : match.end() + _NEAR]
    known: tuple[Aspect, ...] = (*_PLAIN, *(_OTHERS if _NAMED.search(around) else ()))
    return next((one for one in known if one == written), None)


def _shape_of(ratio: Aspect) -> Aspect:
    width, height = map(int, ratio.split(":"))
    return "1:1" if width == height else "portrait" if width < height else "landscape"


_SILENT = re.compile(
    r"\b(?:silent|muted|soundless)\s+(?:video|clip|film|movie|ad|loop)s?\b"
    r"|\b(?:without|with no|no)\s+(?:any\s+)?(?:sound|audio)(?:track)?\b(?!\s+(?:effects?|fx|logo|design|glitch))"
    r"|无声(?:视频|短片|影片|音)?|静音|不要(?:有)?声音|没有声音|不带声音"
)
