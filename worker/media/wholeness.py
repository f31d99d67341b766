"""How long a video file says it is: a container states the length of its parts, so a cut shows without decoding."""

from pathlib import Path
from typing import BinaryIO

from worker.media import frames
from worker.media.kinds import AVI, MKV, MOV, MP4, WEBM, Kind

_MOST_BOXES = 10_000
"""A file has a handful of top-level boxes, a fragmented one two a second: more is a file made to be walked for ever."""


def missing_bytes(path: Path, kind: Kind) -> int:
    """How many bytes the file lacks of what its outermost parts state; 0 when it lacks none or they do not say.

    Bytes behind the last part are tolerated, as players tolerate them. Raises OSError when it cannot be read.
    """
    actual = path.stat().st_size
    with path.open("rb") as file:
        if kind in (MP4, MOV):
            stated = _boxes_end(file, actual)
        elif kind in (WEBM, MKV):
            stated = _segment_end(file.read(4096))
        else:
            stated = _riff_end(file.read(8)) if kind == AVI else 0
    return max(0, stated - actual)


def _boxes_end(file: BinaryIO, actual: int) -> int:
    """Where the last top-level box ends (ISO/IEC 14496-12, 4.2: 32-bit size, type, 64-bit size if the first is 1)."""
    at = 0
    for _ in range(_MOST_BOXES):
        if at + 8 > actual:
            break
        file.seek(at)
        head = file.read(16)
        size = int.from_bytes(head[:4], "big")
        if size == 1:
            size = int.from_bytes(head[8:16], "big")
        if size < 8 or not head[4:8].isascii():  # 0 means "to the end of the file"; anything else is no box
            break
        at += size
    return at


def _segment_end(head: bytes) -> int:
    """Where the Matroska segment ends; 0 when it is of unknown length (written live)."""
    _, header = frames.ebml_element(head, 0, id_bytes=4)
    if head[header.stop : header.stop + 4] != b"\x18\x53\x80\x67":
        return 0
    unknown, segment = frames.ebml_element(head, header.stop, id_bytes=4)
    return 0 if unknown else segment.stop


def _riff_end(head: bytes) -> int:
    return int.from_bytes(head[4:8], "little") + 8 if len(head) == 8 else 0
