"""The backend speaks as if there were a GUI; nobody here sees one.

What it says about buttons and panels is taken out and turned into what the speaker wants done; what it says about the
video stays. Sentences are cut into clauses, so that "I added a title, and you can click Export" keeps its first half.
Quoted words are content whatever they say: they are hidden from the rules.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from worker.remote.text import clean

Want = Literal["export", "state", "summary", "credits", "edit"]


@dataclass(frozen=True, slots=True)
class Spoken:
    """`text` for a person, perhaps empty; `wants` is what the GUI talk asked for: "state" reads the session's state,
    "summary" shows the tracks, "edit" would be another message."""

    text: str
    wants: frozenset[Want]


# An instruction, not a description: at a clause's start or after words that address the reader. "and" and "to" alone
# are not among them: "she reaches out to press the button" is a scene.
_ADDRESSED = (
    r"(?:^\W*|[:(]\s*|\b(?:please|just|simply|then|now|next|first|finally|also|either|or|by|you|you['’]ll|can|could"
    r"|should|may|might|must|try|(?:need|want|have|like|able|free|ready|how|remember) to)\s+)"
    r"(?:(?:now|then|also|just|simply|directly|always|first|easily|either)\s+)*"
)
_PRESS = r"(?:(?:right-|double-)?click(?:ing)?|tap(?:ping)?|press(?:ing)?|hit(?:ting)?|select(?:ing)?|choos(?:e|ing))\b"
_LIBRARY = r"(?:media|asset) library"
_GUI = (
    r"(?:buttons?|panels?|tabs?|menus?|icons?|side ?bar|tool ?bar|drop-?down|checkbox|sliders?|settings|inspector"
    rf"|workspace|dashboard|{_LIBRARY}|timeline)\b"
)
_AREA = rf"(?:panel|side ?bar|tool ?bar|timeline|editor|inspector|menu|tab|workspace|dashboard|{_LIBRARY}|settings)\b"
_NAMED = (
    r"(?:on\s+)?(?:the\s+|your\s+)?(?:export|download|save|share|generate|render|publish|apply|preview|upload|undo|redo"
    r"|confirm|continue|here)\b(?!\s+(?:sound|noise|animation|effect))"
)
_ACCOUNT = r"(?:account|billing|credits?|balance|subscription|plan)\b"
_DRAGGED = (
    r"(?:clips?|tracks?|timeline|segments?|files?|slider|handles?|layers?|panel|playhead|element|edges?|images?|titles?"
    r"|text|captions?|it|them)\b"
)
_NOW = r"(?:(?:now|then|also|directly)\s+)*"
_OUR = r"(?:the\s+|your\s+)"
_ZH = r"(?:^\W*|请|可以?|您|你|然后|再|直接|只需|只要|通过|或者?|并|也|先|需要|即可|来|：)(?:在[^，。]{0,20}?)?"
_ZH_PRESS = r"(?:点击|单击|双击|点按|轻点|按下)(?!声|率|量|音|鼠标|屏幕|键盘|快门)"
_ZH_DRAG = r"(?:拖拽|拖动|拖放|拖入|拖到|拖至)"
_ZH_AREA = r"(?:面板|时间[线轴]|设置|菜单|侧边栏|编辑器|素材库|工作区|选项卡|标签页)"

# In this order: "open the export panel and click Export" is about the export.
_PATTERNS: tuple[tuple[Want, str], ...] = (
    ("export", r"\bexport\s+(?:button|panel|menu|tab|icon|option|dialog)\b"),
    ("export", rf"{_ADDRESSED}{_PRESS}[^.]{{0,120}}\b(?:export|download)\b"),
    ("export", rf"\byou (?:can|may|could)\s+{_NOW}(?:export|download|save)\s+(?:it|the|your|this)\b"),
    ("export", r"^\W*[\[【]\s*(?:export|download|导出|下载)\s*[\]】]\W*$"),
    ("export", r"(?<!已)(?<!已经)(?<!正在)导出(?!完成|成功|失败)"),
    ("export", rf"{_ZH}{_ZH_PRESS}[^，。]{{0,40}}下载"),
    ("credits", rf"{_ADDRESSED}(?:check|visit|see|view|open|review|manage|go to)\s+{_OUR}(?:\w+\s+)?{_ACCOUNT}"),
    ("credits", rf"{_ADDRESSED}(?:check|visit|open|go to)\s+(?:account|billing)\b"),
    ("credits", rf"{_ZH}(?:点击|打开|查看|检查|前往)[^，。]{{0,40}}(?:账户|账号|帐户|账单|余额|积分|订阅)"),
    (
        "summary",
        rf"{_ADDRESSED}(?:preview|view|see|watch|play|review|check)\b[^.]{{0,120}}\b(?:in|on)\s+{_OUR}?(?:\w+\s+)?{_AREA}",
    ),
    (
        "summary",
        rf"{_ZH}[^，。]{{0,40}}时间[线轴][^，。]{{0,40}}(?:预览|查看|播放)|{_ZH}(?:预览|查看)[^，。]{{0,40}}时间[线轴]",
    ),
    (
        "state",
        rf"{_ADDRESSED}(?:open(?:ing)?|go(?:ing)? to|navigate to|switch to|head to|expand)\s+(?:up\s+)?{_OUR}?"
        rf"(?:\S+\s+){{0,3}}?{_AREA}",
    ),
    ("state", rf"{_ZH}(?:打开|进入|切换到|展开)[^，。]{{0,40}}{_ZH_AREA}"),
    ("edit", rf"{_ADDRESSED}drag(?:ging)?\b(?![ -]rac|[ -]queen)[^.]{{0,120}}\b{_DRAGGED}"),
    ("edit", r"\bdrag[ -]and[ -]drop(?:ping)?\b"),
    ("edit", rf"{_ADDRESSED}{_PRESS}\s+(?:[^.]{{0,120}}?\b{_GUI}|{_NAMED}|(?:on\s+)?(?:the\s+)?[\[\"“'‘「【])"),
    ("edit", rf"^\W*(?:select|choose|open|go|hover|scroll|simply|just|use)\b[^.]{{0,120}}\band\s+{_PRESS}"),
    ("edit", rf"\byou\b[^.]{{0,120}}\b(?:in|from|using|via|through|under)\s+(?:the|your)\s+(?:\S+\s+){{0,4}}?{_AREA}"),
    (
        "edit",
        r"\b(?:use|using|find|see|via|through)\s+the\s+(?:\w+\s+){0,2}"
        r"(?:download|save|share|generate|render|preview|undo|upload)\s+(?:button|icon|menu|tab|option)\b",
    ),
    ("edit", rf"{_ZH}{_ZH_PRESS}"),
    (
        "edit",
        rf"{_ZH}(?:将|把)?[^，。]{{0,40}}{_ZH_DRAG}|(?:素材|片段|轨道|文件|滑块|图层|字幕)[^，。]{{0,40}}{_ZH_DRAG}",
    ),
)
_RULES: list[tuple[Want, re.Pattern[str]]] = [(want, re.compile(pattern, re.IGNORECASE)) for want, pattern in _PATTERNS]

_EXPORTING = re.compile(r"export|download|导出|下载", re.IGNORECASE)
_QUOTED = re.compile(
    r'"[^"\n]*"|“[^”\n]*”|「[^」\n]*」|『[^』\n]*』|《[^》\n]*》|(?<!\w)[\'‘][^\'’\n]{2,80}[\'’](?!\w)'
)
_SENTENCE = re.compile(r".+?(?:[.!?…]+[\"”’)\]]*(?=\s|$)|[。！？]+[”」』）]*|$)\s*", re.DOTALL)
_CLAUSE_END = re.compile(
    r"[,;]\s+(?:(?:and|so|or|but)\s+)?|\s+[—–-]\s+|[，；]"
    r"|\s+and\s+(?=you\s+(?:can|may)\b)|\s+(?:and\s+)?then\s+(?=(?:click|tap|press|open|drag|go)\b)|\s+so\s+(?=you\b)"
)
_LEADS = re.compile(
    r"\W*(?:to|if|when|whenever|once|after|before|for|in order|as soon as|now|next|then|finally|alternatively|otherwise"
    r"|from|in the|on the|at the)\b|\W*(?:如果|如需|若|要|想|当|需要|满意|完成后|之后|然后|接下来|现在|最后|在)",
    re.IGNORECASE,
)
_FOLLOWS = re.compile(
    r"\W*(?:when|if|once|to|in|on|at|located|which|where|whenever|choose|select|pick)\b"
    r"|\W*(?:即可|就可以?|就能|便可|来|选择|进行)",
    re.IGNORECASE,
)
_MARKER = re.compile(r"\s*(?:[-*•▪➤👉]+|\d{1,2}[.)、])\s+")
_DANGLING = re.compile(r"(?:[\s,;，；—–-]|\b(?:and|so|or|but|then)\s*$)+$", re.IGNORECASE)
_JOINING = re.compile(r"^[\s,;，；—–-]*(?:(?:and|so|or|but|then)\s+)?", re.IGNORECASE)


def translate(text: str) -> Spoken:
    """The text as it may be shown, and what its GUI talk asked for. Drops NUL and lone surrogates too."""
    wants: set[Want] = set()
    lines: list[str] = []
    heading: int | None = None  # a line that introduces a list stays only if some of its list does
    for line in clean(text).replace("\r\n", "\n").split("\n"):
        marker = _MARKER.match(line)
        start = marker.end() if marker else 0
        body = _line(line[start:], wants)
        if line[start:].strip() and not body.strip():
            continue
        if heading is not None and not marker and not (line.strip() == "" and heading == len(lines) - 1):
            lines = lines[:heading] + lines[heading + 1 :] if heading == len(lines) - 1 and wants else lines
            heading = None
        lines.append(line[:start] + body)
        if marker:
            heading = None
        elif line.rstrip().endswith((":", "：")):
            heading = len(lines) - 1
    if heading is not None and wants and not any(line.strip() for line in lines[heading + 1 :]):
        del lines[heading]
    return Spoken(re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip(), frozenset(wants))


def _line(line: str, wants: set[Want]) -> str:
    hidden = _hide(line)
    return "".join(
        _sentence(line[match.start() : match.end()], hidden[match.start() : match.end()], wants)
        for match in _SENTENCE.finditer(hidden)
        if match.group()
    ).rstrip()


def _hide(line: str) -> str:
    """The same length, with quoted words blotted out and marks of emphasis blank."""
    hidden = _QUOTED.sub(lambda match: match[0][0] + "\x01" * (len(match[0]) - 2) + match[0][-1], line)
    return hidden.translate({ord("*"): " ", ord("`"): " "})


def _sentence(sentence: str, hidden: str, wants: set[Want]) -> str:
    clauses = list(_clauses(hidden))
    asked: list[Want | None] = [_asks(hidden[start:end], sentence[start:end]) for start, end in clauses]
    if not any(asked):
        return sentence
    wants.update(want for want in asked if want)
    kept = [
        sentence[start:end]
        for index, (start, end) in enumerate(clauses)
        if not asked[index] and not _depends(index, clauses, asked, hidden)
    ]
    return _mended("".join(kept), sentence)


def _clauses(hidden: str) -> Iterator[tuple[int, int]]:
    start = 0
    for end in _CLAUSE_END.finditer(hidden):
        if end.start() > start:
            yield start, end.end()
            start = end.end()
    if start < len(hidden):
        yield start, len(hidden)


def _asks(clause: str, shown: str) -> Want | None:
    """What a clause wants done in a GUI; None if it is about the video. A button's quoted name is read in `shown`."""
    for want, rule in _RULES:
        if rule.search(clause):
            return "export" if want == "edit" and _EXPORTING.search(shown) else want
    return None


def _depends(index: int, clauses: list[tuple[int, int]], asked: list[Want | None], hidden: str) -> bool:
    """Whether a clause only leads to an instruction ("when ready, …") or continues one ("…, which exports it")."""
    clause = hidden[slice(*clauses[index])]
    following = index + 1 < len(asked) and asked[index + 1] is not None
    preceding = index > 0 and asked[index - 1] is not None
    return bool((following and _LEADS.match(clause)) or (preceding and _FOLLOWS.match(clause)))


def _mended(kept: str, sentence: str) -> str:
    """A whole sentence again: no conjunction at either end, its own full stop, a capital where it starts."""
    kept = _JOINING.sub("", kept, count=1)
    body = _DANGLING.sub("", kept)
    if not re.search(r"\w", body):
        return ""
    ending = re.search(r"([.!?…。！？]*)(\s*)$", sentence)
    stop, space = (ending[1], ending[2]) if ending else ("", "")
    if sentence.lstrip()[:1].isupper():
        body = body[0].upper() + body[1:]
    return body.rstrip(".!?…。！？") + (stop or "") + space
