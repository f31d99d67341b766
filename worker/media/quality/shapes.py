"""The one shape that a prompt asks for, if it asks for one: `9:16`, `vertical video`, `竖屏`."""

import re
from itertools import islice

from worker.media.quality import chinese
from worker.media.quality.asked import Aspect
from worker.media.quality.phrases import (
    BETWEEN,
    ENDS,
    FOLLOWED,
    FORMATS_TO_ITS_END,
    GOES_ON,
    HEAD,
    NAMED,
    OWN_CLAUSE,
    SAID_OF_IT,
    THE_VIDEO,
    VIDEO,
    Places,
    label,
)

_MOST = 40
"""Shapes in one prompt, above which none is the video's."""


def shape(text: str) -> Aspect | None:
    """From a prompt as `words.read` lays it out: a ratio, else the side that is longer. None where it names none
    that is plainly the video's, or several that do not agree."""
    ratios, sides = _ratios(text), _sides(text)
    if ratios is None or sides is None or len(ratios) > 1 or len(sides) > 1:
        return None
    side = next(iter(sides), None)
    if not ratios:
        return side
    ratio = next(iter(ratios))
    return ratio if side in (None, _side_of(ratio)) else None


_FORM = r"(?:format|orientation|aspect(?:\sratio)?)"
_MODE = r"(?:format|orientation|mode|aspect(?:\sratio)?)"
"""Only where it is said of the video: cameras and washing machines have modes, too."""
_LABEL = label("format|orientation|aspect|aspect ratio|ratio")
_WORDS: dict[str, Aspect] = {
    "vertical": "portrait", "portrait": "portrait", "horizontal": "landscape", "landscape": "landscape",
    "widescreen": "landscape", "wide-screen": "landscape", "square": "1:1",
    "竖屏": "portrait", "竖版": "portrait", "竖向": "portrait",
    "横屏": "landscape", "横版": "landscape", "横向": "landscape", "宽屏": "landscape",
    "正方形": "1:1", "方形": "1:1",
}  # fmt: skip
_HAN = r"(?:竖屏|竖版|竖向|横屏|横版|横向|宽屏|正方形|方形)"
_SIDE = re.compile(r"(?<![\w-])(?:vertical|portrait|horizontal|landscape|widescreen|wide-screen|square)\b|" + _HAN)
_ANY_SIDE = r"(?:vertical|portrait|horizontal|landscape|widescreen|square|竖屏|竖版|横屏|横版)"
_RATIO_NEXT = r"[\s,(]{1,2}\d{1,2}\s?:\s?\d"
_HAN_PICTURE = r"的?(?:视频|画面|画幅|短片|短视频|影片|比例|构图|格式|广告)"
_LENGTH_OR_RATIO = rf"(?:seconds?|secs?|\ds|minutes?|{VIDEO}|\d\s?:\s?\d{{1,2}}|秒|分钟|视频|短片|影片)"
_SIDES = Places(
    (HEAD, rf"(?:{BETWEEN}){{0,4}}[\s,)-]{{1,3}}(?:{VIDEO}|{_FORM})\b{FOLLOWED}"),
    (rf"{_LENGTH_OR_RATIO}\s?[,(;/|]\s?(?:in\s)?", rf"(?:\s{_FORM})?{ENDS}"),
    (rf"{THE_VIDEO}\sin\s(?:a\s)?", rf"(?:\s{_MODE})?{GOES_ON}"),
    (r"[,;(]\s?in\s(?:a\s)?", rf"(?:\s{_FORM})?{GOES_ON}"),
    (r"[,;(\n]\s?", rf"\s{_FORM}{ENDS}"),
    (SAID_OF_IT, rf"(?:\s{_MODE})?{GOES_ON}"),
    (_LABEL, ENDS),
    (OWN_CLAUSE, _RATIO_NEXT),
    (r"\d\s?:\s?\d{1,2}[\s,)]{1,3}", ENDS),
)
_HAN_SIDES = Places(
    (chinese.HEAD, rf"{chinese.IN_FRONT}|\s?\d{{1,2}}\s?:\s?\d|{_HAN_PICTURE}{chinese.FOLLOWED}"),
    (chinese.OWN_CLAUSE, chinese.CLAUSE_ENDS),
    (chinese.SAID_OF_IT, chinese.CLAUSE_ENDS),
)
_OTHER_SIDE = re.compile(rf"(?:{BETWEEN}){{0,4}}[\s,)-]{{1,3}}(?:{VIDEO}|version|cut|one)s?\b")


def _sides(text: str) -> set[Aspect] | None:
    """The sides that the video's words name; None where others contradict them."""
    found: set[Aspect] = set()
    others: set[Aspect] = set()
    for match in islice(_SIDE.finditer(text), _MOST):
        named = _WORDS[match[0]]
        places = _SIDES if match[0].isascii() else _HAN_SIDES
        if places.hold(text, match.start(), match.end()):
            found.add(named)
        elif _OTHER_SIDE.match(text, match.end()):
            others.add(named)
    return None if found and others - found else found


_RATIO = re.compile(r"(?<![\d:.])(\d{1,2})\s?:\s?(\d{1,2})(?![\d:.]*\d)(?!\s*(?:am|pm|a\.m|p\.m|o'clock)\b)")
_PLAIN: tuple[Aspect, ...] = ("9:16", "16:9", "21:9")
"""Ratios that are hardly anything else where they stand alone. Others may be a score, a scale or two people talking."""
_OTHERS: tuple[Aspect, ...] = ("1:1", "4:5", "5:4", "3:4", "4:3", "2:3", "3:2")
_KNOWN: dict[str, Aspect] = {ratio: ratio for ratio in (*_PLAIN, *_OTHERS)}
_NAMED_RATIOS = Places(
    (HEAD, rf"(?:{BETWEEN}){{0,4}}[\s,)-]{{1,3}}(?:{VIDEO}\b{FOLLOWED}|{_FORM}{GOES_ON}|{_ANY_SIDE}{ENDS})"),
    (SAID_OF_IT, rf"(?:\s{_FORM})?{GOES_ON}"),
    (rf"{HEAD}{_ANY_SIDE}[\s,(]{{1,2}}", rf"(?:[\s)]{{1,2}}(?:{VIDEO}|{_FORM}))?{GOES_ON}"),
    (rf"{chinese.HEAD}", rf"{chinese.IN_FRONT}|\s?{_HAN_PICTURE}{chinese.FOLLOWED}"),
)
_OWN_RATIOS = Places(
    (OWN_CLAUSE, rf"\s(?:aspect|ratio|format|aspect\sratio|{_ANY_SIDE}){ENDS}"),
    (_LABEL, ENDS),
    (rf"{OWN_CLAUSE}{_ANY_SIDE}[\s,(]{{1,2}}", rf"(?:[\s)]{{1,2}}{_FORM})?{ENDS}"),
    (rf"{chinese.OWN_CLAUSE}(?:(?:画面|视频|画幅)(?:比例|画幅)?|比例)\s?(?:为|是|:)?\s?", chinese.CLAUSE_ENDS),
)
"""In a clause of their own with a word of form: not where a screen could have them."""
_ALONE_RATIOS = Places(
    (rf"{THE_VIDEO}\s?,?\s(?:in\s)?", GOES_ON),
    (r"\A\n\s?|[,;(]\s?in\s", FORMATS_TO_ITS_END),
)
"""All there is, behind the video, or behind "in"."""
_CLAUSE_RATIOS = Places((rf"{OWN_CLAUSE}|{chinese.OWN_CLAUSE}", FORMATS_TO_ITS_END))
_NAMED = re.compile(rf"{NAMED}|{chinese.NAMED}")
_SCREEN = re.compile(
    r"\b(?:monitor|display|screen|tv|television|tablet|ipad|laptop|notebook|projector|camera)s?\b"
    r"|显示器|显示屏|屏幕|电视|平板|笔记本|投影|相机"
)
"""What has a shape itself."""


def _ratios(text: str) -> set[Aspect] | None:
    """The ratios that are the video's; None where another one that could be contradicts them."""
    found: set[Aspect] = set()
    seen: set[Aspect] = set()
    places, plain_places = _places(text)
    for match in islice(_RATIO.finditer(text), _MOST):
        ratio = _KNOWN.get(f"{int(match[1])}:{int(match[2])}")
        if ratio is None:
            continue
        if ratio in _PLAIN:
            seen.add(ratio)
        possible = plain_places if ratio in _PLAIN else places
        if any(one.hold(text, match.start(), match.end()) for one in possible):
            found.add(ratio)
    return None if found and seen - found else found


def _places(text: str) -> tuple[list[Places], list[Places]]:
    """Where any ratio is the video's in this prompt, and where one of the plain ones is."""
    if _SCREEN.search(text):
        return [_NAMED_RATIOS], [_NAMED_RATIOS]
    any_ratio = [_NAMED_RATIOS, _OWN_RATIOS]
    return any_ratio, [*any_ratio, _ALONE_RATIOS, *([_CLAUSE_RATIOS] if _NAMED.search(text) else [])]


def _side_of(ratio: Aspect) -> Aspect:
    width, height = map(int, ratio.split(":"))
    return "1:1" if width == height else "portrait" if width < height else "landscape"
