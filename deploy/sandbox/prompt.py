"""Reading a prompt: how long, what shape, which title, captions and mood. Rules of thumb, always the same answer."""

import re
import zlib
from dataclasses import asdict, dataclass, replace
from typing import Any

SHORTEST, LONGEST, USUAL = 1, 60, 10  # seconds

_LENGTH = re.compile(r"(?<![\d.:])(\d{1,3}(?:\.\d+)?)[\s-]*(?:seconds?|secs?|s(?![a-z0-9])|秒)", re.IGNORECASE)
_MINUTE = re.compile(r"\b(?:one|a|1)[\s-]minute|1\s*分钟|一分钟", re.IGNORECASE)
_DECADE = re.compile(r"\b(?:the\s+)?(?:19)?\d0s\s+(?:style|music|retro|look|vibe)|\bthe\s+\d0s\b", re.IGNORECASE)
_SHAPES = (
    (re.compile(r"(?<!\d)16\s*[:：x×]\s*9(?!\d)|landscape|horizontal|横屏|横版", re.IGNORECASE), (1920, 1080)),
    (re.compile(r"(?<!\d)1\s*[:：x×]\s*1(?!\d)|\bsquare\b|方形|正方", re.IGNORECASE), (1080, 1080)),
    (re.compile(r"(?<!\d)4\s*[:：x×]\s*5(?!\d)", re.IGNORECASE), (1080, 1350)),
    (re.compile(r"(?<!\d)9\s*[:：x×]\s*16(?!\d)|portrait|vertical|竖屏|竖版", re.IGNORECASE), (1080, 1920)),
)
_QUOTED = re.compile(r'["“「『《]([^"”」』》]{1,80})["”」』》]')
_TITLED = re.compile(
    r'(?:\btitled?\b|\bcalled\b|\bnamed\b|标题|片名)[^"“「『《.。]{0,16}["“「『《]([^"”」』》]{1,80})["”」』》]'
    r"|\b(?:add|put|use|with)\s+(?:a\s+|the\s+)?title\s+(?!card|screen|page)([^.,;!?\n\"“]{1,80}?)(?=\s+and\b|[.,;!?\n]|$)"
    r"|\btitle(?:\s+(?:to|is)|:)\s+([^.,;!?\n]{1,80}?)(?=\s+and\b|[.,;!?\n]|$)|标题(?:改为|改成|是|：|:)\s*([^。，；！？\n]{1,40})",
    re.IGNORECASE,
)
_SUBJECT = re.compile(
    r"\b(?:about|of|for|showing|featuring|presenting|from)\s+([^.!?\n。！？]+)|(?:关于|介绍)\s*([^。！？\n]+)", re.I
)
_ORDER = re.compile(
    r"^(?:please\s+|now\s+|then\s+|also\s+)*(?:create|make|generate|produce|build|render|turn|use|edit|add|keep|set|change|put|show"
    r"|replace|remove|include)\b|^(?:请|帮我|给我|生成|制作|做|创建|使用|用|添加|加|把|将|换|改)",
    re.IGNORECASE,
)
_FILLER = re.compile(
    r"^(?:(?:请|帮我|给我|生成|制作|做|创建|为我|为|用|一个|一段|一条|条|个)\s*)+|\d+(?:\.\d+)?\s*秒钟?的?|的?(?:宣传|推广|短|产品)*(?:视频|短片|片子)"
)
_NO_MUSIC = re.compile(
    r"\b(?:no|without|remove(?: the)?)\s+(?:music|bgm|sound)|不要音乐|无音乐|去掉音乐|静音", re.IGNORECASE
)
_MOODS = (
    ("upbeat", re.compile(r"upbeat|energetic|happy|fun\b|dynamic|party|欢快|活力|动感", re.IGNORECASE)),
    ("cinematic", re.compile(r"cinematic|epic|dramatic|majestic|震撼|史诗|大气", re.IGNORECASE)),
    ("calm", re.compile(r"calm|lo-?fi|relax|warm|soft|gentle|peaceful|舒缓|温馨|安静", re.IGNORECASE)),
)
_TECHNICAL = re.compile(
    r"\b(?:videos?|clips?|film|music|soundtrack|captions?|subtitles?|landscape|portrait|square|vertical)\b"
    r"|\d\s*[:：x×]\s*\d|视频|短片|配乐|音乐|字幕|横屏|竖屏",
    re.IGNORECASE,
)
_CAPTION_WORD = re.compile(r"caption|subtitle|字幕|文案", re.IGNORECASE)
_OTHER_MUSIC = re.compile(
    r"\b(?:change|swap|replace|switch|(?:an)?other|different|new)\b[^.!?]{0,20}\b(?:music|song|soundtrack|bgm)\b"
    r"|换[^，。]{0,6}(?:音乐|配乐|背景乐)|(?:音乐|配乐)[^，。]{0,4}换",
    re.IGNORECASE,
)
_FASTER = re.compile(
    r"\b(?:faster|quicker|snappier|speed(?: it)? up|shorter)\b|快一?[点些]|加快|更快|短一?[点些]", re.IGNORECASE
)
_SLOWER = re.compile(r"\b(?:slower|slow(?: it)? down|longer)\b|慢一?[点些]|放慢|更慢|长一?[点些]", re.IGNORECASE)
_COLOUR_WORD = re.compile(r"colou?r|bright|dark|warm|tone|颜色|色调|亮", re.IGNORECASE)
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_SENTENCE = re.compile(r"(?<=[.!?])\s+|(?<=[。！？；;])|\n+")
MOST_CAPTIONS, CAPTION_LENGTH, TITLE_LENGTH = 12, 90, 48


@dataclass(frozen=True)
class Plan:
    """What the next draft is made of. Sizes in pixels; `palette` and `revision` vary its look."""

    title: str
    seconds: float
    width: int
    height: int
    captions: tuple[str, ...]
    mood: str
    music: bool
    palette: int
    revision: int
    finished: bool  # False: the raw video only, music and titles are still to come
    ready: bool = True  # False: tracks without segments

    def saved(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def loaded(saved: dict[str, Any]) -> Plan:
    """A plan from `Plan.saved`."""
    values: dict[str, Any] = {**saved, "captions": tuple(saved["captions"])}
    return Plan(**values)


def first_plan(text: str) -> Plan:
    """The plan for a session's first prompt."""
    mark = zlib.crc32(text.encode())
    width, height = _shape(text) or (1080, 1920)
    explicit = _explicit_title(text)
    subject, rest = _subject(text)
    quoted = [words for words in _QUOTED.findall(text) if words != explicit]
    title = explicit or (quoted.pop(0) if quoted and not _CAPTION_WORD.search(text) else "") or subject
    return Plan(
        title=_shortened(title, TITLE_LENGTH) or "Untitled",
        seconds=_length(text) or USUAL,
        width=width,
        height=height,
        captions=_captions(text, quoted, rest if subject == title else "", title),
        mood=_mood(text) or _MOODS[mark % len(_MOODS)][0],
        music=not _NO_MUSIC.search(text),
        palette=mark % 6,
        revision=1,
        finished=True,
    )


def edited_plan(plan: Plan, text: str) -> Plan:
    """The plan after an edit; something always changes, the revision at least."""
    title = _explicit_title(text)
    width, height = _shape(text) or (plan.width, plan.height)
    captions = plan.captions
    if _CAPTION_WORD.search(text):
        captions += tuple(words for words in _QUOTED.findall(text) if words != title)
    mood = _mood(text) or (_next_mood(plan.mood) if _OTHER_MUSIC.search(text) else "")
    return replace(
        plan,
        title=_shortened(title, TITLE_LENGTH) or plan.title,
        seconds=_length(text) or _paced(plan.seconds, text),
        width=width,
        height=height,
        captions=captions[:MOST_CAPTIONS],
        mood=mood or plan.mood,
        music=bool(mood) or (plan.music and not _NO_MUSIC.search(text)),
        palette=(plan.palette + bool(_COLOUR_WORD.search(text))) % 6,
        revision=plan.revision + 1,
        finished=True,
        ready=True,
    )


def _next_mood(mood: str) -> str:
    names = [name for name, _ in _MOODS]
    return names[(names.index(mood) + 1) % len(names)]


def _paced(seconds: float, text: str) -> float:
    """A third less, or half as much again, where the words ask for a pace and name no length."""
    if _FASTER.search(text):
        seconds = seconds * 2 / 3
    elif _SLOWER.search(text):
        seconds = seconds * 1.5
    return round(min(max(seconds, SHORTEST), LONGEST), 1)


def speaks_chinese(text: str) -> bool:
    """Whether the words hold any East Asian letters."""
    return bool(_CJK.search(text))


def _length(text: str) -> float:
    text = _DECADE.sub(" ", text)
    if _MINUTE.search(text):
        return float(LONGEST)
    found = _LENGTH.search(text)
    return min(max(float(found[1]), SHORTEST), LONGEST) if found else 0.0


def _shape(text: str) -> tuple[int, int] | None:
    return next((size for pattern, size in _SHAPES if pattern.search(text)), None)


def _mood(text: str) -> str:
    return next((mood for mood, pattern in _MOODS if pattern.search(text)), "")


def _explicit_title(text: str) -> str:
    found = _TITLED.search(text)
    return next((words.strip() for words in found.groups() if words), "") if found else ""


def _subject(text: str) -> tuple[str, str]:
    """What the video is about, and what the sentence says after its first comma."""
    sentence = _SENTENCE.split(text.strip())[0].rstrip(".!?。！？；; ")
    found = _SUBJECT.search(sentence)
    words = next(filter(None, found.groups()), "") if found else _ORDER.sub("", sentence)
    words = _FILLER.sub("", _LENGTH.sub("", words)).strip()
    head, _, rest = re.sub(r"[，:：]", ",", words, count=1).partition(",")
    head = re.sub(r"^(?:my|our|the|a|an)\s+", "", head.strip(), flags=re.IGNORECASE)
    if not speaks_chinese(head):
        head = re.sub(r"\b(?:an?|the|me|videos?|clips?|film)\b", "", head, flags=re.IGNORECASE) if not found else head
        head = " ".join(word if word[:1].isupper() else word.capitalize() for word in head.split()[:7])
    return head, rest.strip()


def _captions(text: str, quoted: list[str], rest: str, title: str) -> tuple[str, ...]:
    sentences = [part.strip(" \t.。；;") for part in _SENTENCE.split(text.strip())]
    never = (_ORDER, _TITLED, _TECHNICAL)
    told = [part for part in sentences if part not in ("", title) and not any(one.search(part) for one in never)]
    first = [rest[:1].upper() + rest[1:]] if rest and not _ORDER.search(rest) else []
    wanted = quoted if quoted else first + told
    return tuple(_shortened(part, CAPTION_LENGTH) for part in wanted[:MOST_CAPTIONS])


def _shortened(words: str, most: int) -> str:
    words = " ".join(words.split())
    if len(words) <= most:
        return words
    cut = words[: most - 1]
    return (cut.rsplit(" ", 1)[0] if " " in cut[most // 2 :] else cut).rstrip(" ,，、") + "…"
