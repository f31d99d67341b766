"""The one length that a prompt asks for, if it asks for one: `30-second`, `1 min 30 s`, `十秒`."""

import re
from collections.abc import Iterator

SHORTEST, LONGEST = 1.0, 600.0
"""Seconds: what lies beyond is no length of a video made from a prompt (a 24-hour sale, half a second of black)."""


def length(text: str) -> float | None:
    """Seconds, from a prompt in small letters; None where it names none, several, or no more than a bound."""
    if _VAGUE.search(text):
        return None
    found = {seconds for seconds in _english(text) if seconds} | {seconds for seconds in _chinese(text) if seconds}
    if len(found) != 1:
        return None
    (seconds,) = found
    return seconds if SHORTEST <= seconds <= LONGEST else None


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

# A length of a part, a moment, a rhythm: none of the video's.
_PART_BEFORE = re.compile(
    r"(?:\b(?:first|last|final|opening|closing|every|each|per|after|at|from|for|next|initial|in|by)"
    r"|第|每|前|后|最后|在|于|从|间隔|停留|持续)\s*$"
)
_PART_AFTER = re.compile(
    r"[\s-]*(?:each\b|apart\b|in\b|into\b|mark\b|later\b|earlier\b|per\b|before\b|of (?:silence|black|footage|the)\b"
    r"|(?:\w+[\s-]+)?(?:intro|outro|pause|delay|fade|countdown|title|shot|scene|logo|end card|transition|hold|hook"
    r"|rule|timer|exposure|cut|segment|ending|opening|introduction|recipe|workout|meal|walk|drive|task|read)s?\b)"
    r"|\s*(?:后|时|处|杀|之后|开始|一|换|切|的?(?:片头|片尾|开头|结尾|停顿|倒计时|镜头|转场|特写))"
)
_DECADES = frozenset({20, 30, 40, 50, 60, 70, 80, 90})
_VIDEO_AFTER = re.compile(
    r"[\s,-]*(?:\w+[\s-]+){0,2}(?:video|clip|ad|spot|reel|short|film|promo|commercial|teaser|trailer)s?\b"
)
_ENGLISH = re.compile(
    rf"(?<![\w.:$€£#%'’-])(?:(?P<minutes>{_NUMBER})[\s-]*{_MINUTES}\b(?:[\s,-]*(?:and\s+)?))?"
    rf"(?:(?P<seconds>{_NUMBER})(?P<gap>[\s-]*)(?P<unit>{_SECONDS})\b(?!['’]))?"
)


def _english(text: str) -> Iterator[float | None]:
    for match in _ENGLISH.finditer(text):
        if not match["minutes"] and not match["seconds"]:
            continue
        if _is_part(text, match) or _is_decade(text, match):
            continue
        yield _value(match["minutes"]) * 60 + _value(match["seconds"])


def _value(number: str | None) -> float:
    return 0.0 if number is None else _NUMBERS[number] if number in _NUMBERS else float(number)


def _is_part(text: str, match: re.Match[str]) -> bool:
    before = _PART_BEFORE.search(text[max(0, match.start() - 16) : match.start()])
    return before is not None or _PART_AFTER.match(text[match.end() :].lstrip(")")) is not None


def _is_decade(text: str, match: re.Match[str]) -> bool:
    """`90s` is a decade, and an age; `30s` is a length where a video follows."""
    attached = match["unit"] == "s" and not match["gap"] and match["minutes"] is None
    if not attached or _value(match["seconds"]) not in _DECADES:
        return False
    return _value(match["seconds"]) >= 50 or _VIDEO_AFTER.match(text[match.end() :]) is None


_DIGITS = {sign: number for number, sign in enumerate("一二三四五六七八九", 1)} | {"两": 2}
_HAN = r"[一二两三四五六七八九十]{1,3}"
_CHINESE = re.compile(
    rf"(?:(?P<half>半)分钟|(?:(?P<minutes>\d{{1,3}}(?:\.\d+)?|{_HAN})\s*分(?:钟|(?=半|\s*[\d一二两三四五六七八九十]+\s*秒))"
    rf"(?P<and_half>半)?\s*)?(?:(?P<seconds>\d{{1,4}}(?:\.\d+)?|{_HAN})\s*秒钟?)?)"
)


def _chinese(text: str) -> Iterator[float | None]:
    for match in _CHINESE.finditer(text):
        if not match[0] or _is_part(text, match):
            continue
        minutes = 0.5 if match["half"] else _han(match["minutes"]) + (0.5 if match["and_half"] else 0.0)
        yield minutes * 60 + _han(match["seconds"])


def _han(number: str | None) -> float:
    """`十五`, `30`."""
    if number is None:
        return 0.0
    if number[0].isdecimal():
        return float(number)
    tens, ten, ones = number.rpartition("十")
    if not ten:
        return float(_DIGITS.get(number, 0))
    return 10.0 * (_DIGITS.get(tens, 0) if tens else 1) + _DIGITS.get(ones, 0)
