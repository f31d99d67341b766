"""Where in a prompt a word belongs to the video that is asked for, and not to what the video is about.

"A 30-second video" asks; "an app that records a 30-second video" does not. So a sentence has to begin with the asking,
or with the video itself. The patterns are for a prompt as `words.read` lays it out: small letters, runs of white space
as one, a line end before it. Each is bounded, so that no prompt takes long.
"""

import re
from collections.abc import Sequence

VIDEO = r"(?:video|clip|ad|advert|reel|film|movie|promo|commercial|teaser|trailer)"
"""One: who speaks of videos speaks of others than this. A story, a short and a spot are too many other things."""
FOLLOWED = (
    r"(?=\s*(?:\Z|[\n.,;:!?()/|–—，。；！？]|-\s)|\s(?:about|of|for|on|in|with|without|that|which|where|who|showing|showcasing|"
    r"featuring|introducing|presenting|promoting|advertising|highlighting|explaining|telling|to|from|and|or|please|using|"
    r"made|set|called|titled|ad|clip|short|version|thanks)\b)"
)
"""Behind the video's word: a video call, a video course and a film festival are none."""
_KINDS = (
    r"(?:promo|promotional|product|brand|branded|marketing|commercial|explainer|social|media|instagram|tiktok|youtube|"
    r"facebook|linkedin|vertical|horizontal|portrait|landscape|square|widescreen|wide-screen|short|long|animated|"
    r"animation|cinematic|hd|full|4k|uhd|1080p|looping|silent|muted|music|ad|advertising|launch|demo|teaser|trailer|"
    r"story|reel|format|orientation|mode|aspect|ratio|screen|full-screen|professional|modern|elegant|upbeat|energetic|"
    r"dynamic|fun|funny|engaging|stunning|beautiful)"
)
AMOUNT = r"(?:\d[\d.:]{0,9}|half|one|two|fifteen|twenty|thirty|sixty|seconds?|secs?|s|minutes?|mins?)"
BETWEEN = rf"(?:[\s,(:/-]{{0,3}}(?:{_KINDS}|{AMOUNT})(?![\w]))"
"""What may stand between a length or a shape and the video: words that change nothing. Others make it one of the
video's matter, as in "8 minute abs promo"."""

_STARTS = r"(?:\n\s?|[.!?]\s)"
_CLAUSE = rf"(?:{_STARTS}|[,;(/|–—]\s?|\s-\s)"
_POLITE = (
    r"(?:(?:please|hi|hello|hey|now|then|next|so|also|ok|okay)[,!]?\s){0,3}"
    r"(?:(?:can|could|would|will)\syou\s(?:please\s)?|(?:i|we)(?:['’]d|\swould)?\s(?:like|want|need)\s(?:(?:you\s)?to\s)?"
    r"|let['’]?s\s|help\s(?:me|us)\s(?:to\s)?)?"
    r"(?:(?:using|with|from|based\son)\s[^.!?\n]{1,80}?,\s)?"
)
_MAKE = (
    r"(?:(?:create|make|generate|produce|render|design|build|craft|prepare|film|shoot|animate|compose|do|give|need|want|"
    r"like)\s(?:(?:me|us|it|this)\s)?|(?:turn|transform|convert|make|cut)\s(?:[\w'’]{1,20}\s){1,5}?(?:into|to)\s)"
)
_A = r"(?:a|an|the|one)\s"
_THE = r"(?:a|an|the|one|this|our|my|another)\s"
_OTHER = (
    r"(?:(?!(?:a|an|the|this|our|my|your|his|her|their|its|in|on|at|to|of|for|with|from|by|about|is|are|was|and|that|which|"
    r"who|into|any|every|each|takes?|lasts?|saves?|you|we|they|it)\b)[\w/&-]{1,25},?\s)"
)
_PRAISED = rf"{_OTHER}{{0,4}}"
HEAD = (
    rf"(?:{_STARTS}{_POLITE}(?:{_MAKE}{_THE}{_PRAISED}|{_MAKE}|{_A}{_PRAISED}|(?:like|want|need)\s(?:{_THE}{_PRAISED})?"
    rf"|(?:{_KINDS}[\s,]{{1,2}}){{0,4}})"
    rf"|{_STARTS}(?:i|we)(?:['’]d|\swould)?\s(?:like|want|need)\s(?:{_THE}{_PRAISED})?)"
)
"""A sentence's beginning that asks for the video which comes next, or names it outright."""
THE_VIDEO = rf"{HEAD}(?:{BETWEEN}\s?){{0,4}}{VIDEO}"
_MAKE_IT = (
    rf"(?:{_STARTS}|,\s|\sand\s|\sthen\s)(?:please\s)?(?:make|trim|shorten|extend|lengthen)\s"
    rf"(?:it|this|the\s(?:whole\s|final\s)?{VIDEO})\s(?:to\s|be\s|last\s|exactly\s|to\sbe\s){{0,2}}"
)
_IT_IS = (
    rf"{_STARTS}(?:(?:the|this|my|our)\s(?:whole\s|entire\s|final\s|finished\s)?{VIDEO}\s"
    r"(?:(?:should|must|has\sto|needs\sto|is\sto|will|can)\s)?(?:be|is|last|lasts|run|runs)"
    r"|it\s(?:should|must|has\sto|needs\sto)\s(?:be|last|run))\s(?:for\s|exactly\s|in\s)?"
)
SAID_OF_IT = rf"(?:{_MAKE_IT}|{_IT_IS})"
"""The video's own sentence: make it …, the video should be …"""


def label(words: str) -> str:
    """A line or clause that says what it is of, as `duration: 30 s`."""
    return (
        rf"{_CLAUSE}(?:(?:the|a)\s)?(?:{VIDEO}|total|target|overall|final)?['’s]{{0,2}}\s?(?:{words})"
        r"(?:\sof\s(?:the|this)\svideo)?\s?(?::|=|\sis|\sof|\sshould\sbe|\smust\sbe)?\s?"
    )


OWN_CLAUSE = rf"{_CLAUSE}(?:in\s)?"
"""The beginning of a clause that holds nothing else."""
ENDS = r"(?=\s*(?:\Z|[\n.,;:!?)/|，。；！？）]))"
GOES_ON = (
    rf"(?:{ENDS}|(?=\s(?!(?:long\s)?(?:for|in|and)\s(?:each|every|per|all)\b)"
    r"(?:about|showing|featuring|with|without|and|in|for|please|long|total)\b))"
)
"""But not for each scene."""
_FORMS = (
    r"(?:[\s,;/|()，；、（）-]{0,3}(?:(?:in|with|without|no|please|thanks|thank\syou|sound|audio|\d{1,2}\s?:\s?\d{1,2}|"
    r"竖屏|横屏|竖版|横版|静音|视频|\d{1,3}\s?秒)|\d{1,3}[\s-]?(?:s|secs?|seconds?)|"
    + _KINDS
    + r"|"
    + VIDEO
    + r")(?![a-z0-9])){0,8}"
)
FORMATS_ONLY = _FORMS + r"(?:[.。]\s?" + _FORMS + r")?[\s.!。！)）]{0,9}\Z"
"""Nothing comes any more but other words of form."""
FORMATS_TO_ITS_END = _FORMS + r"[ )）]{0,3}(?:\Z|[.!。！\n])"
"""Nothing comes in this sentence but other words of form."""
NAMED = rf"{THE_VIDEO}\b{FOLLOWED}"
"""The video that is asked for, named at a sentence's beginning."""


class Places:
    """Pairs of what stands right before a word and right behind it, where it belongs to the video."""

    WINDOW = 200
    """Characters looked at before the word."""

    def __init__(self, *pairs: tuple[str, str]) -> None:
        self._pairs: Sequence[tuple[re.Pattern[str], re.Pattern[str]]] = [
            (re.compile(rf"(?:{before})\Z"), re.compile(after)) for before, after in pairs
        ]

    def hold(self, text: str, start: int, end: int) -> bool:
        """Whether what stands from `start` to `end` belongs to the video."""
        since = max(0, start - self.WINDOW)
        return any(after.match(text, end) and before.search(text, since, start) for before, after in self._pairs)
