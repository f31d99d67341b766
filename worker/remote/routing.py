"""Where a user's words go. Only a message that is nothing but a request is routed away from generation.

The whole message, without politeness and punctuation, has to be made of a request's own words: "add end credits" and
"export the scene to black and white" are edits, because something is left over.
"""

import re
import unicodedata
from typing import Literal

Route = Literal["export", "credits", "state", "upload", "generate"]

_POLITE_LATIN = (
    r"(?:please|pls|hey|hi|hello|ok(?:ay)?|now|thanks?(?: you)?|just|kindly|so|then|and|can you|could you|would you"
    r"|will you|can i|may i|could i|i want to|i(?:'d| would) like to|i need to|let me|for me|to me|right away|asap"
    r"|one more time|again)"
)
_POLITE_HAN = r"(?:请|麻烦|帮我|帮忙|给我|我想要?|我要|现在|一下|吧|吗|呢|谢谢|能不能|可以|可不可以|好的?)"
_POLITE = rf"(?:{_POLITE_LATIN}|{_POLITE_HAN})"
_NOUN = r"(?:video|clip|movie)"
_OUTCOME = r"(?:file|result|project|render|(?:mp4|mov)(?:\s*(?:file|video))?)"
_MADE = r"(?:(?:final|finished|full|whole)\s*)"
_OURS = r"(?:(?:the|my|this|our)\s*)"
_VIDEO = rf"(?:it|this|that|(?:{_OURS}|{_MADE}|new\s*)*(?:{_NOUN}|{_OUTCOME}))"
_THE_VIDEO = rf"(?:it|this|that|(?:{_OURS}+(?:{_MADE}|new\s*)*|{_MADE}*){_NOUN}|(?:{_OURS}|{_MADE}|new\s*)*{_OUTCOME})"
"""What one can be given because it is there already: "send me new video" asks for one to be made."""
_AS = (
    r"(?:\s*(?:as|to|in|into)\s*(?:an?\s*)?(?:mp4|mov|file|video)(?:\s*(?:file|format|video))?"
    r"|\s*(?:an?\s*)?(?:mp4|mov)(?:\s*file)?)"
)
_CHINESE_VIDEO = r"(?:(?:这个|我的|最终的?|最后的?|完整的?)*(?:视频|影片|成片|短片|文件))"
_ONCE_MORE = r"(?:重新|再次|再)?"
_MY = r"(?:(?:my|the|our|your|current|remaining|available|account|total)\s*)*"
_CREDITS = r"(?:credits?(?:\s*balance)?|balance|points)"
_REQUESTS: tuple[tuple[Route, str], ...] = (
    (
        "export",
        rf"(?:(?:re-?)?export|download)(?:\s*(?:and|then)\s*(?:export|download|save))?(?:\s*{_VIDEO})?{_AS}?"
        rf"|save(?:\s*(?:and|then)\s*(?:export|download))?(?:\s*{_VIDEO}{_AS}?|{_AS})"
        rf"|(?:send|deliver|give|get)(?:\s*me)?\s*{_THE_VIDEO}{_AS}?"
        rf"|{_VIDEO}\s*(?:export|download)"
        rf"|把?{_CHINESE_VIDEO}?{_ONCE_MORE}(?:导出|下载|保存|发送?给我|发我)(?:一次|一下)?(?:来|出来)?"
        rf"[为成]?{_CHINESE_VIDEO}?(?:(?:mp4|mov)(?:格式|文件)?)?"
        rf"|发送?{_CHINESE_VIDEO}给我|给我发?{_CHINESE_VIDEO}",
    ),
    (
        "credits",
        rf"(?:(?:show|check|see|view|get|tell|give)(?:\s*me)?\s*)?{_MY}{_CREDITS}(?:\s*(?:left|remaining|status))?"
        rf"|how\s*(?:many|much)\s*{_MY}{_CREDITS}(?:\s*(?:are|(?:do|have)?\s*i\s*(?:have|got)?))?(?:\s*(?:left|remaining))?"
        rf"|what(?:'s| is| are)\s*{_MY}{_CREDITS}"
        r"|(?:查询?|查看|看看?|显示)?(?:一下)?(?:我的?|账户|账号)?(?:当前|目前)?的?(?:还有|还剩|剩余)?(?:多少)?"
        r"(?:积分余额|积分|余额|点数)(?:查询|(?:还有|还剩|剩余)?(?:多少|是多少|剩多少)?)",
    ),
    (
        "state",
        rf"(?:(?:show|check|see|view|get|tell|give|what(?:'s| is))(?:\s*me)?\s*)?{_MY}"
        r"(?:project\s*|video\s*|render\s*)?(?:status|state|progress)"
        rf"|(?:show|list|see|view)(?:\s*me)?\s*{_MY}(?:all\s*)?(?:tracks?|timeline)"
        r"|(?:is|are)\s*(?:it|the\s*video|my\s*video)\s*(?:done|ready|finished)(?:\s*yet)?"
        r"|(?:查看|查询|看看?|显示)?(?:一下)?(?:我的|当前|项目|视频|任务)*(?:状态|进度|轨道|时间[线轴])(?:怎么样|如何|是什么)?"
        r"|(?:我的|项目|视频|任务)*(?:现在|目前)?(?:是|处于)?什么(?:状态|进度)"
        r"|(?:我的|这个|项目|视频|影片|成片|任务)*(?:都?做|已经)?(?:好|完成)了(?:吗|么|没有?)",
    ),
    (
        "upload",
        r"upload(?:\s*(?:a|an|my|the|this|some|these|new|another)?\s*"
        r"(?:files?|videos?|images?|photos?|pictures?|music|audio|clips?|media|assets?))?"
        r"|(?:我?要)?上传(?:一个|一张|这个|这些|我的|新的?)?(?:文件|视频|图片|照片|音乐|音频|素材)?|a\s*file",
    ),
)
_BESIDE_HAN = re.compile(r"(?<=[\u4e00-\u9fff])\s+|\s+(?=[\u4e00-\u9fff])")
_FILLER = re.compile(rf"\s*(?:{_POLITE_LATIN}(?![a-z])|{_POLITE_HAN})[\s,.!?]*", re.IGNORECASE)
_ROUTES: list[tuple[Route, re.Pattern[str]]] = [(name, re.compile(regex, re.IGNORECASE)) for name, regex in _REQUESTS]
_LONGEST = 80
"""Characters: a longer message has something of its own to say."""


def route(text: str) -> Route:
    """Which of the backend's actions a message is; "generate" for everything that is not surely another."""
    words = unicodedata.normalize("NFKC", text).replace("’", "'").strip().lower()
    words = _BESIDE_HAN.sub("", words)  # a space says nothing there
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
