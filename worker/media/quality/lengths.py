"""The one length that a prompt asks for, if it asks for one: `30-second video`, `length: 90 s`, `十秒的视频`."""

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from worker.media.quality import chinese
from worker.media.quality.phrases import (
    BETWEEN,
    ENDS,
    FOLLOWED,
    FORMATS_ONLY,
    GOES_ON,
    HEAD,
    NAMED,
    SAID_OF_IT,
    THE_VIDEO,
    VIDEO,
    Places,
    label,
)

SHORTEST, LONGEST = 1.0, 600.0
"""Seconds: what lies beyond is no length of a video made from a prompt (a 24-hour sale, half a second of black)."""
ALONE_LONGEST = 120.0
"""Seconds of a length that stands for itself at the end: "pasta al dente, 8 minutes" is no video's."""
SCENE_LONGEST = 30.0
"""Seconds of one behind a mere scene, "a dog runs, 15 seconds": what takes longer may be an exercise, or a recipe."""
_MOST = 40
"""Lengths in one prompt, above which none is the video's."""


class _Said(NamedTuple):
    """A length and where it stands."""

    seconds: float
    start: int
    end: int


def length(text: str) -> float | None:
    """Seconds, from a prompt as `words.read` lays it out; None where it names none that is plainly the video's,
    several, or no more than a bound."""
    if _VAGUE.search(text):
        return None
    said = list(islice(_said(text), _MOST + 1))
    if len(said) > _MOST:
        return None
    found = {one.seconds for one in said if _is_the_videos(text, one)} or _alone(text, said)
    others = {one.seconds for one in said if _OF_ANY_VIDEO.match(text, one.end)}
    if len(found) != 1 or others - found:
        return None
    (seconds,) = found
    return seconds if SHORTEST <= seconds <= LONGEST else None


def _is_the_videos(text: str, said: _Said) -> bool:
    return any(places.hold(text, said.start, said.end) for places in (_PLACES, chinese.LENGTHS))


def _alone(text: str, said: Sequence[_Said]) -> set[float]:
    """What is the only length in the prompt, in a clause of its own at its end."""
    if len(said) != 1:
        return set()
    (one,) = said
    alone = (one.seconds <= ALONE_LONGEST and _ALONE.hold(text, one.start, one.end)) or (
        one.seconds <= SCENE_LONGEST and _SCENE.hold(text, one.start, one.end)
    )
    return {one.seconds} if alone else set()


_NOT_CUT = (
    r"(?![\s,(–—-]{1,3}(?:summar|condens|shorten|compress|trimm|reduc|abridg|recap|cut\b|split|sped\b|turned|edited|"
    r"boiled))"
)
"""A long video, summarised: its length is not the one that is asked for."""
_SAID_ENDS = (
    rf"(?:{ENDS}|(?=\s(?:about|showing|featuring|with|without|please|in\stotal|total)\b)"
    rf"|\slong(?:{ENDS}|(?=\s(?:with|without|please|in\stotal)\b)))"
)
"""Not "make it 3 seconds for each scene", nor "and flip"."""
_PLACES = Places(
    (HEAD, rf"[\s,-]{{0,2}}(?:long[\s-])?{BETWEEN}{{0,4}}[\s,)-]{{0,2}}(?<!\w){VIDEO}\b{FOLLOWED}{_NOT_CUT}"),
    (
        rf"{THE_VIDEO}[\s,(-]{{1,2}}(?:of\s|lasting\s|running\s|for\s|with\sa\s(?:total\s)?(?:length|duration|runtime)\sof\s"
        r"|(?:that|which)\s(?:is|lasts|runs)\s(?:for\s)?)?(?:exactly\s)?",
        GOES_ON,
    ),
    (label("length|duration|runtime|running time"), ENDS),
    (SAID_OF_IT, _SAID_ENDS),
    (r"\A\n\s?", r"\sabout\b|\sof\s(?:[\w-]{1,20}\s){0,3}[\w-]{1,20}[\s.!]{0,9}\Z"),  # all there is: "30 s of waves"
)
_ALONE_ENDS = rf"(?:\slong|\sin\stotal|长)?{FORMATS_ONLY}"
_ALONE = Places(
    (r"\A\n\s?", _ALONE_ENDS),
    (rf"{NAMED}[^.!?\n]{{0,150}}(?:[,;(/|–—.!?\n]\s?|\s-\s)(?:in\s)?", _ALONE_ENDS),
    (rf"{chinese.NAMED}[^.!?。！？\n]{{0,60}}[，。；、（,;(]\s?", _ALONE_ENDS),
)
"""All there is, or behind the video that is asked for."""
_SCENE = Places(
    (r"\A\n\s?(?:a|an|the)\s[^.!?:;\n]{1,150}[,(]\s?", _ALONE_ENDS),
    (rf"\A{chinese.SHOWN}[^。！？\n]{{1,60}}[，,（(]\s?", _ALONE_ENDS),
)
"""Behind what is to be seen, where no video is named. Other beginnings may tell the viewer what to do."""
_OF_ANY_VIDEO = re.compile(rf"[\s,-]*(?:\w{{1,25}}[\s-]+){{0,2}}(?:{VIDEO}|version|edit|cut|one)s?\b")

_ONES = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_NUMBERS: dict[str, float] = {word: number for number, word in enumerate(_ONES, 1)} | {
    "a": 1, "an": 1, "half a": 0.5, "fifteen": 15, "twenty": 20, "twenty-five": 25, "thirty": 30, "forty": 40,
    "forty-five": 45, "fifty": 50, "sixty": 60, "ninety": 90,
}  # fmt: skip
_NUMBER = r"(?:\d{1,4}(?:\.\d+)?|" + "|".join(sorted(_NUMBERS, key=len, reverse=True)) + ")"
_SECONDS = r"(?:seconds?|secs?|s)"
_MINUTES = r"(?:minutes?|mins?)"
_ANY = rf"(?:{_SECONDS}|{_MINUTES})\b|秒|分"
_VAGUE = re.compile(
    # A range, or a bound: any length between would do.
    rf"(?<!\w){_NUMBER}\s*(?:{_ANY})?\s*(?:-|–|—|~|～|to|or|至|到|或)\s*{_NUMBER}[\s-]*(?:{_ANY})"
    rf"|\bbetween\s+{_NUMBER}\s*(?:{_ANY})?\s*and\b"
    rf"|\b(?:about|around|roughly|approximately|approx\.?|circa|some|up to|at most|at least|under|over|below|above|than"
    rf"|within|maximum(?: of)?|max\.?|minimum(?: of)?|between|nearly|almost)\s+{_NUMBER}[\s-]*(?:{_ANY})"
    rf"|[~≈<>≤≥±]\s*\d+(?:\.\d+)?[\s-]*(?:{_ANY})"
    rf"|{_NUMBER}[\s-]*(?:{_SECONDS}|{_MINUTES})\s*"
    r"(?:\+|or (?:so|less|more|shorter|longer|under)|max\b|maximum|at most|tops)"
    r"|(?:大约|大概|约|不超过|不少于|至少|最多|最长|最短|将近|差不多)\s*[\d一二两三四五六七八九十]+\s*(?:秒|分)"
    r"|(?:秒钟?|分钟?)\s*(?:左右|上下|以内|之内|内|以上|以下|以后)"
    r"|[\d一二两三四五六七八九十][多几余来]\s*(?:秒|分)|几(?:十)?秒|几分钟"
)
_DECADES = frozenset({20, 30, 40, 50, 60, 70, 80, 90})
_ENGLISH = re.compile(
    rf"(?<![\w.:$€£#%'’-])(?:(?P<minutes>{_NUMBER})[\s-]*{_MINUTES}\b(?:[\s,-]*(?:and\s+)?))?"
    rf"(?:(?P<seconds>{_NUMBER})(?P<gap>[\s-]*)(?P<unit>{_SECONDS})\b(?!['’]))?"
)


def _said(text: str) -> Iterator[_Said]:
    for match in _ENGLISH.finditer(text):
        if (match["minutes"] or match["seconds"]) and not _is_decade(text, match):
            yield _Said(_value(match["minutes"]) * 60 + _value(match["seconds"]), match.start(), _end(match))
    for seconds, start, end in chinese.lengths(text):
        yield _Said(seconds, start, end)


def _end(match: re.Match[str]) -> int:
    """Without what could have led to seconds: "1 minute, vertical"."""
    return match.start() + len(match[0].rstrip(" ,-\n").removesuffix(" and"))


def _value(number: str | None) -> float:
    return 0.0 if number is None else _NUMBERS[number] if number in _NUMBERS else float(number)


def _is_decade(text: str, match: re.Match[str]) -> bool:
    """`90s` is a decade, and an age; `30s` is a length where a video follows."""
    attached = match["unit"] == "s" and not match["gap"] and match["minutes"] is None
    if not attached or _value(match["seconds"]) not in _DECADES:
        return False
    return _value(match["seconds"]) >= 50 or _OF_ANY_VIDEO.match(text, match.end()) is None
