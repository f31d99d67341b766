"""Lengths in Chinese, and where in a Chinese prompt a word belongs to the video that is asked for."""

import re
from collections.abc import Iterator

from worker.media.quality.phrases import Places

VIDEO = r"(?:短视频|视频|短片|影片|宣传片|广告片|广告|预告片|片子|动画)"
_KINDS = (
    r"(?:的|竖屏|竖版|竖向|横屏|横版|横向|宽屏|正方形|方形|高清|产品|商品|新品|宣传|促销|推广|推荐|介绍|品牌|抖音|小红书|创意|"
    r"短|无声|静音|电影感|\s|\d{1,2}\s?:\s?\d{1,2}|[\d一二两三四五六七八九十半]{1,4}\s?(?:秒钟?|分钟))"
)
FOLLOWED = r"(?=\s*(?:\Z|[\n，。；！？、,.;:!?()）/|])|\s?(?:介绍|展示|宣传|推广|关于|讲|来|给|用于|风格|比例|画面))"
"""Behind the video's word: 视频通话, 视频教程 and 视频的软件 are none."""
_BEGINS = r"[\n，。；！？、,.;:!?（(]\s?"
HEAD = (
    rf"{_BEGINS}(?:(?:你好|请|麻烦你?|帮我|给我|为我们?|我们?)[，,\s]?){{0,3}}"
    r"(?:(?:用|根据|使用|以|为|把|将|基于)[^，。；！？\n]{1,40}?)?"
    r"(?:(?:做|制作|生成|创建|创作|设计|来|出|要|想要|需要|剪)(?:成)?)?(?:一?[个条段支部则份])?"
    rf"{_KINDS}{{0,6}}"
)
SAID_OF_IT = (
    rf"{_BEGINS}(?:请|把|将)?(?:{VIDEO}|它|画面)?(?:的)?(?:要|应为|应该是|为|是|改成|改为|做成|剪成|缩短到|缩短为|延长到|"
    r"控制在)\s?"
)
OWN_CLAUSE = _BEGINS
CLAUSE_ENDS = r"(?=\s*(?:\Z|[\n，。；！？、,.;:!?()）/|]))"
IN_FRONT = rf"{_KINDS}{{0,6}}{VIDEO}{FOLLOWED}"
"""The video right behind a length or a shape."""
NAMED = rf"(?:{HEAD}|\n\s?(?:请|帮我|给我|请帮我)?(?:做|制作|生成|创建|创作)[^，。！？,.!?\n]{{1,30}}){VIDEO}{FOLLOWED}"
"""The video that is asked for, named."""
SHOWN = r"\n\s?请?(?:介绍|展示|宣传|推广)"
"""A prompt that begins with what the video does, and does not name it."""
LENGTHS = Places(
    (HEAD, IN_FRONT),
    (rf"{_BEGINS}{VIDEO}的?总?(?:时长|长度)\s?(?:为|是|控制在|[:：])?\s?", CLAUSE_ENDS),
    (rf"{HEAD}{VIDEO}[，,]?\s?(?:总?(?:时长|长度)\s?(?:为|是|[:：])?)?\s?", CLAUSE_ENDS),
    (SAID_OF_IT, CLAUSE_ENDS),
)

_DIGITS = {sign: number for number, sign in enumerate("一二三四五六七八九", 1)} | {"两": 2}
_HAN = r"[一二两三四五六七八九十]{1,3}"
_LENGTH = re.compile(
    rf"(?:(?P<half>半)分钟|(?:(?P<minutes>\d{{1,3}}(?:\.\d+)?|{_HAN})\s*分(?:钟|(?=半|\s*[\d一二两三四五六七八九十]+\s*秒))"
    rf"(?P<and_half>半)?\s*)?(?:(?P<seconds>\d{{1,4}}(?:\.\d+)?|{_HAN})\s*秒钟?)?)"
)


def lengths(text: str) -> Iterator[tuple[float, int, int]]:
    """Seconds, and where they stand, from first to behind the last."""
    for match in _LENGTH.finditer(text):
        if match[0]:
            minutes = 0.5 if match["half"] else _number(match["minutes"]) + (0.5 if match["and_half"] else 0.0)
            yield minutes * 60 + _number(match["seconds"]), match.start(), match.start() + len(match[0].rstrip())


def _number(number: str | None) -> float:
    """`十五`, `30`."""
    if number is None:
        return 0.0
    if number[0].isdecimal():
        return float(number)
    tens, ten, ones = number.rpartition("十")
    if not ten:
        return float(_DIGITS.get(number, 0))
    return 10.0 * (_DIGITS.get(tens, 0) if tens else 1) + _DIGITS.get(ones, 0)
