"""Text as spreadsheets write it: UTF-8 with and without a mark, UTF-16, and the Windows code page of western Europe."""

import codecs
from pathlib import Path
from typing import IO

PIECE_BYTES = 1024 * 1024
FALLBACK = "cp1252"


def open_text(path: Path) -> IO[str]:
    """The file for reading, with every kind of line end read as `\\n`."""
    encoding = encoding_of(path)
    # Five bytes are nothing in the code page: they become U+FFFD, and their rows are rejected.
    return path.open(encoding=encoding, errors="replace", newline=None)


def encoding_of(path: Path) -> str:
    """By the mark at its beginning, or else by whether all of it is UTF-8."""
    with path.open("rb") as file:
        beginning = file.read(4096)
    if beginning.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    if beginning.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if beginning[1::2].count(0) > len(beginning) // 4:
        return "utf-16-le"
    if beginning[::2].count(0) > len(beginning) // 4:
        return "utf-16-be"
    return "utf-8" if _is_utf8(path) else FALLBACK


def _is_utf8(path: Path) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with path.open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                decoder.decode(piece)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True
