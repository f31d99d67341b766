"""From the caller's references to names of files: any text in, a name that every file system takes out."""

import re
import unicodedata

ENDING = ".mp4"
LONGEST_BYTES = 120
"""Of 255: room for what tells equal names apart, and for file systems that count twice."""

_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
_REFUSED = frozenset('<>:"/\\|?*')
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Categories of characters that nobody sees, or that are none."""


class Names:
    """The names of one batch's videos. The same rows in the same order have the same names each time."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def of(self, ref: str | None, position: int) -> str:
        """The name of the video at `position`, which no other one has, in any case."""
        stem = safe(ref or "") or f"video-{position:06}"
        while _same(stem) in self._taken:
            stem = f"{stem}-{position}"
        self._taken.add(_same(stem))
        return stem + ENDING


def safe(ref: str) -> str:
    """The reference as the name of a file in this directory; empty where nothing of it can be in one."""
    shown = "".join(map(_character, unicodedata.normalize("NFC", ref)))
    name = _cut(" ".join(shown.split()).lstrip(" .")).rstrip(" .")
    return f"_{name}" if _RESERVED.match(name) else name


def _character(one: str) -> str:
    return "_" if one in _REFUSED or unicodedata.category(one) in _HIDDEN else one


def _cut(name: str) -> str:
    """Whole characters of it that fit."""
    return name.encode()[:LONGEST_BYTES].decode(errors="ignore")


def _same(stem: str) -> str:
    """Names for which this is equal are one file somewhere."""
    return unicodedata.normalize("NFKC", stem).casefold()
