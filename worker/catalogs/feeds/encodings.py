"""Which encoding a file is in, told by its bytes, and text out of it whatever they are."""

import codecs
import io
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

HEAD_BYTES = 1 << 20
"""How much of a file is looked at before it is opened."""

_LENIENT = "vivideo.feeds"
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_DECLARED = re.compile(rb"""<\?xml[^>]{0,100}?encoding\s*=\s*["']([A-Za-z0-9_-]{1,40})["']""")
_HALVES = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]")
"""Halves of surrogate pairs, which some write in UTF-8."""
_CODE_PAGES = re.compile(r"(?:iso-?8859-?(?:[2-9]|1[0-6])|windows-?125[0134578]|cp125[0134578]|koi8-[ru]|shift_?jis|"
                         r"euc-(?:jp|kr)|gb2312|gbk|gb18030|big5)$", re.IGNORECASE)  # fmt: skip


PIECE_BYTES = 128 << 10
"""Read at once."""


def unheard() -> None:
    """Nobody wants to know how far a file is read."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """A Python codec's name and the bytes of the mark before the text."""

    name: str
    mark: int = 0
    heard: Callable[[], None] = field(default=unheard, repr=False, compare=False)
    """Called whenever a piece of the file is read."""

    def open(self, path: Path) -> io.TextIOWrapper:
        """The file's text with its own line ends. No byte stops it (see `_lenient`)."""
        file = io.BufferedReader(_Heard(path, self.heard), PIECE_BYTES)
        file.seek(self.mark)
        return io.TextIOWrapper(file, self.name, errors=_LENIENT, newline="")

    def decode(self, head: bytes) -> str:
        """A file's beginning; a character that is cut at its end is dropped."""
        return codecs.getincrementaldecoder(self.name)(_LENIENT).decode(head[self.mark :])


class _Heard(io.FileIO):
    def __init__(self, path: Path, heard: Callable[[], None]) -> None:
        super().__init__(path)
        self._heard = heard

    def readinto(self, buffer: "WriteableBuffer", /) -> int | None:
        self._heard()
        return super().readinto(buffer)


def detect(head: bytes) -> Encoding:
    """By mark, by the zeros of UTF-16, by what XML declares where it is no UTF-8, else UTF-8 or cp1252."""
    for mark, name in _MARKS:
        if head.startswith(mark):
            return Encoding(name, len(mark))
    if wide := _unmarked_utf16(head):
        return Encoding(wide)
    if _is_mostly_utf8(head):
        return Encoding("utf-8")
    return Encoding(_declared(head) or "cp1252")


def _unmarked_utf16(head: bytes) -> str | None:
    """Excel writes UTF-16 without a mark at times: a header's letters have a zero before or behind each."""
    start = head[:512]
    even, odd = start[0::2].count(0), start[1::2].count(0)
    enough = max(len(start) // 2 * 0.4, 1)
    if odd >= enough and even <= odd / 10:
        return "utf-16-le"
    if even >= enough and odd <= even / 10:
        return "utf-16-be"
    return None


def _is_mostly_utf8(head: bytes) -> bool:
    """A few stray bytes do not make a file cp1252: they are decoded as that one by one."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        head = _HALVES.sub(b"", head)
        text = head.decode("utf-8", errors="replace")
        wrong = text.count("\ufffd")
        right = len(text) - wrong - _ascii_in(head)
        return wrong == 0 or right > wrong
    return True


def _ascii_in(head: bytes) -> int:
    return len(head) - len(head.translate(None, bytes(range(128))))


def _declared(head: bytes) -> str | None:
    match = _DECLARED.match(head.lstrip()[:200])
    name = match[1].decode() if match else ""
    return codecs.lookup(name).name if _CODE_PAGES.match(name) else None


def _lenient(error: UnicodeError) -> tuple[str, int]:
    """What is no UTF-8 is read as cp1252; half a surrogate pair is dropped, in UTF-8 and in UTF-16."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    if error.encoding.startswith("utf-16") or error.encoding.startswith("utf-32"):
        return "", error.end
    if error.encoding != "utf-8":
        return "\ufffd", error.end
    wrong = error.object[error.start : error.start + 3]
    if len(wrong) == 3 and wrong[0] == 0xED and 0xA0 <= wrong[1] <= 0xBF and 0x80 <= wrong[2] <= 0xBF:
        return "", error.start + 3
    return error.object[error.start : error.end].decode("cp1252", errors="replace"), error.end


codecs.register_error(_LENIENT, _lenient)
