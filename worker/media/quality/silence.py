"""Whether a prompt asks for a video without sound, in the languages that the service speaks.

Here the doubt goes the other way: where silence may be wanted, a video without sound must not be flagged.
"""

import re

_NOT_ABOUT_IT = (
    r"(?!\s(?:effects?|fx|logo|design|glitch\w*|lag\w*|leak\w*|delay\w*|drop\w*|loss\w*|distort\w*|bleed\w*|proof\w*|"
    r"issues?|problems?|insulation|absor\w*|waves?|of|quality|cards?|cables?|systems?|is|was|are|comes?|can|could|reaches)\b)"
)
"""Words that make it a part of the sound, a product's, or the picture's: "no audio lag", "no sound is heard"."""
_SILENT = re.compile(
    r"\b(?:silent|muted|soundless)\s(?:video|clip|film|movie|ad|loop)s?\b"
    rf"|\b(?:without|with no|no)\s(?:any\s)?(?:sound|audio)(?:\s?track)?\b{_NOT_ABOUT_IT}"
    r"|(?:静音|无声)的?(?:视频|短片|影片|广告|版)|(?:视频|短片|影片|画面|全程|全片)(?:要|应|须|保持)?(?:静音|无声)"
    r"|(?:^|[\n，。；！？、,.;:!?()]\s?)(?:请|要|需要|保持|全程)?(?:静音|无声音?)(?=\s?(?:$|[\n，。；！？、,.;:!?()]))"
    r"|(?:不要有?|没有|不带|无需|去掉)声音(?!延迟|泄漏|失真|卡顿)"
    r"|\bsin (?:sonido|audio)\b|\bohne (?:ton|sound|audio)\b|\bsans (?:son|audio)\b|\bsenza (?:audio|suono|sonoro)\b"
    r"|\bsem (?:som|áudio|audio)\b|\bzonder (?:geluid|audio)\b|\bбез звука\b|\bbez dźwięku\b|\bsessiz video\b"
    r"|(?:無音|音声なし|音なし|サイレント)(?:の|で|動画|ビデオ|$)|(?:소리|음성|사운드)\s?없(?:는|이)|무음"
)
_OF_A_THING = re.compile(
    r"(?<!video )(?<!clip )(?<!film )(?<!ad )(?<!that )(?<!it )(?<!should )(?<!must )"
    r"\b(?:makes?|produces?)\sno\s(?:sound|audio)\b|没有声音的(?!视频|短片|影片|广告|画面|版)"
)
"""A fan that makes none: no wish for silence where the prompt wants music."""
_MUSIC = re.compile(
    r"\b(?:with|add|use|to)\s(?:an?\s|some\s)?(?:\w{1,20}\s){0,2}music\b|\b(?:upbeat|background|calm|soft|happy)\smusic\b"
    r"|配上?音乐|加上?音乐|配乐"
)


def is_silent(text: str) -> bool:
    """From a prompt as `words.read` lays it out."""
    return _SILENT.search(_OF_A_THING.sub("", text) if _MUSIC.search(text) else text) is not None
