"""Where a user's words go. Only a message that is nothing but a request is routed away from generation.

The whole message, without politeness and punctuation, has to be made of a request's own words: "add end credits" and
"export the scene to black and white" are edits, because something is left over.
"""

import re
import unicodedata
from typing import Literal

Route = Literal["export", "credits", "state", "upload", "generate"]

_POLITE = (
    r"(?:please|pls|hey|hi|hello|ok(?:ay)?|now|thanks?(?: you)?|just|kindly|so|then|and|can you|could you|would you"
    r"|will you|can i|may i|could i|i want to|i(?:'d| would) like to|i need to|let me|for me|to me|right away|asap"
    r"|one more time|again|请|麻烦|帮我|帮忙|给我|我想要?|我要|现在|一下|吧|吗|呢|谢谢|能不能|可以|可不可以|好的?)"
)
_VIDEO = (
    r"(?:(?:it|this|that|(?:(?:the|my|this|our|final|finished|full|whole|new)\s*)*"
    r"(?:video|clip|movie|file|result|project|render))"
    r"(?:\s*(?:as|to|in|into)\s*(?:an?\s*)?(?:mp4|mov|file|video)(?:\s*file)?)?)"
)
_MY = r"(?:(?:my|the|our|your|current|remaining|available|account|total)\s*)*"
_CREDITS = r"(?:credits?(?:\s*balance)?|balance|points)"
_REQUESTS: tuple[tuple[Route, str], ...] = (
    (
        "export",
        rf"(?:re-?)?export(?:\s*{_VIDEO})?(?:\s*(?:as|to)\s*mp4)?|download(?:\s*{_VIDEO})?|(?:send|give|get|deliver)(?:\s*me)?\s*{_VIDEO}"
        rf"|{_VIDEO}\s*(?:export|download)|save(?:\s*{_VIDEO})"
        r"|(?:把)?(?:这个|我的)?(?:视频|影片|成片|文件)?(?:导出|下载|发给我|发送给我|保存)(?:来|出来)?"
        r"(?:这个|我的)?(?:视频|影片|成片|文件)?(?:mp4)?",
    ),
    (
        "credits",
        rf"(?:(?:show|check|see|view|get|tell|give)(?:\s*me)?\s*)?{_MY}{_CREDITS}(?:\s*(?:left|remaining|status))?"
        rf"|how\s*(?:many|much)\s*{_MY}{_CREDITS}(?:\s*(?:are|(?:do|have)?\s*i\s*(?:have|got)?))?(?:\s*(?:left|remaining))?"
        rf"|what(?:'s| is| are)\s*{_MY}{_CREDITS}"
        r"|(?:查询?|查看|看看?|显示)?(?:我的?|账户|账号)?(?:还有|还剩|剩余)?(?:多少)?(?:积分|余额|点数)"
        r"(?:还有|还剩|剩余)?(?:多少|是多少|剩多少)?",
    ),
    (
        "state",
        rf"(?:(?:show|check|see|view|get|tell|give|what(?:'s| is))(?:\s*me)?\s*)?{_MY}"
        r"(?:project\s*|video\s*|render\s*)?(?:status|state|progress)"
        rf"|(?:show|list|see|view)(?:\s*me)?\s*{_MY}(?:all\s*)?(?:tracks?|timeline)"
        r"|(?:is|are)\s*(?:it|the\s*video|my\s*video)\s*(?:done|ready|finished)(?:\s*yet)?"
        r"|(?:查看|查询|看看?|显示)?(?:我的|当前|项目|视频|任务)?(?:状态|进度|轨道|时间[线轴])(?:怎么样|如何|是什么)?",
    ),
    (
        "upload",
        r"upload(?:\s*(?:a|an|my|the|this|some|these|new|another)?\s*"
        r"(?:files?|videos?|images?|photos?|pictures?|music|audio|clips?|media|assets?))?"
        r"|(?:我?要)?上传(?:一个|一张|这个|这些|我的|新的?)?(?:文件|视频|图片|照片|音乐|音频|素材)?|a\s*file",
    ),
)
_FILLER = re.compile(rf"\s*{_POLITE}(?![a-z])[\s,.!?]*", re.IGNORECASE)
_ROUTES: list[tuple[Route, re.Pattern[str]]] = [(name, re.compile(regex, re.IGNORECASE)) for name, regex in _REQUESTS]
_LONGEST = 80
"""Characters: a longer message has something of its own to say."""


def route(text: str) -> Route:
    """Which of the backend's actions a message is; "generate" for everything that is not surely another."""
    words = unicodedata.normalize("NFKC", text).replace("’", "'").strip().lower()
    if len(words) > _LONGEST:
        return "generate"
    for candidate in _without_politeness(words):
        for name, pattern in _ROUTES:
            if pattern.fullmatch(candidate):
                return name
    return "generate"


def _without_politeness(words: str) -> list[str]:
    """The words as they are and, step by step, without polite beginnings and endings."""
    candidates: list[str] = []
    for _ in range(6):
        words = words.strip(" \t\r\n.!?,;:。！？，；：…~")
        candidates.append(words)
        shorter = _FILLER.sub("", words, count=1) if _FILLER.match(words) else words
        shorter = re.sub(rf"[\s,]*{_POLITE}$", "", shorter.strip(" .!?,。！？，"), count=1)
        if shorter == words:
            break
        words = shorter
    return [candidate for candidate in candidates if candidate]
