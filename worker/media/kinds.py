"""What a file is, told by its first bytes: the formats that the backend takes, and nothing else.

An own table instead of a detection library: libraries name hundreds of formats by loose prefixes (a HEIC picture is "an
ISO media file", any `FF FB` an MP3), while the backend's contract accepts thirteen and refuses the rest with 4001, so
each is checked here as strictly as its specification allows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from worker.media import frames

SNIFF_BYTES = 4096
"""How many leading bytes `sniff` wants: more are ignored, fewer may hide the format of a tagged sound file."""

ACCEPTED = "mp4, mov, avi, webm, mkv (video); jpg, png, gif, webp (pictures); mp3, wav, m4a, aac (sound)"
"""The accepted formats in words, for messages to people."""

Family = Literal["video", "image", "audio"]


@dataclass(frozen=True, slots=True)
class Kind:
    """One accepted format."""

    extension: str
    """Without the dot: "mp4"."""
    media_type: str
    family: Family


MP4 = Kind("mp4", "video/mp4", "video")
MOV = Kind("mov", "video/quicktime", "video")
AVI = Kind("avi", "video/x-msvideo", "video")
WEBM = Kind("webm", "video/webm", "video")
MKV = Kind("mkv", "video/x-matroska", "video")
JPG = Kind("jpg", "image/jpeg", "image")
PNG = Kind("png", "image/png", "image")
GIF = Kind("gif", "image/gif", "image")
WEBP = Kind("webp", "image/webp", "image")
MP3 = Kind("mp3", "audio/mpeg", "audio")
WAV = Kind("wav", "audio/wav", "audio")
M4A = Kind("m4a", "audio/mp4", "audio")
AAC = Kind("aac", "audio/aac", "audio")

KINDS = (MP4, MOV, AVI, WEBM, MKV, JPG, PNG, GIF, WEBP, MP3, WAV, M4A, AAC)

_M4A_BRANDS = frozenset({b"M4A ", b"M4B "})
_MP4_BRANDS = frozenset(
    {b"isom", b"avc1", b"mp41", b"mp42", b"mp71", b"M4V ", b"M4VH", b"M4VP", b"MSNV", b"dash", b"XAVC", b"f4v "}
    | {b"iso" + bytes([digit]) for digit in b"23456789abc"}
)
# Pictures in the same box format. Their files often list a generic brand as well, so one of these decides.
_PICTURE_BRANDS = frozenset(
    {
        b"heic",
        b"heix",
        b"heim",
        b"heis",
        b"hevc",
        b"hevx",
        b"mif1",
        b"mif2",
        b"msf1",
        b"avif",
        b"avis",
        b"miaf",
        b"crx ",
    }
)


def sniff(head: bytes) -> Kind | None:
    """The accepted format that a file beginning with `head` has, or None.

    Wants the first `SNIFF_BYTES` bytes. The file's name plays no part. An MP4 that holds sound alone under a generic
    brand counts as "mp4": telling more needs the whole file (`probe`).
    """
    head = head[:SNIFF_BYTES]
    return next((kind for look in _LOOKS if (kind := look(head))), None)


def sniff_file(path: Path) -> Kind | None:
    """The same for a file on disk. Raises OSError when it cannot be read."""
    with path.open("rb") as file:
        return sniff(file.read(SNIFF_BYTES))


def _iso_media(head: bytes) -> Kind | None:
    """MP4, MOV and M4A: a `ftyp` box whose brands say which (ISO/IEC 14496-12, 4.3)."""
    size = int.from_bytes(head[:4], "big")
    if head[4:8] != b"ftyp" or size < 16 or size % 4 or len(head) < 16:
        return None
    major = head[8:12]
    compatible = {head[at : at + 4] for at in range(16, min(size, len(head)), 4)}
    if _PICTURE_BRANDS & (compatible | {major}):
        return None
    if major == b"qt  ":
        return MOV
    if major in _M4A_BRANDS:
        return M4A
    return MP4 if major in _MP4_BRANDS or (not major.startswith(b"3g") and compatible & _MP4_BRANDS) else None


def _old_quicktime(head: bytes) -> Kind | None:
    """QuickTime files older than `ftyp`: `moov` with its header first, or a `wide` placeholder before the media."""
    if head[4:8] == b"moov" and head[12:16] in (b"mvhd", b"cmov"):
        return MOV
    return MOV if head[:8] == b"\0\0\0\x08wide" and head[12:16] == b"mdat" else None


def _riff(head: bytes) -> Kind | None:
    """AVI, WAV and WebP: RIFF with a subtype, whose first chunk is one that the subtype begins with."""
    if head[:4] != b"RIFF" or len(head) < 20:
        return None
    subtype, chunk = head[8:12], head[12:16]
    if subtype == b"WEBP":
        return WEBP if chunk in (b"VP8 ", b"VP8L", b"VP8X") else None
    if subtype == b"AVI ":
        return AVI if chunk in (b"LIST", b"JUNK") else None
    return WAV if subtype == b"WAVE" and chunk.isascii() and chunk.strip().isalnum() else None


def _ebml(head: bytes) -> Kind | None:
    """WebM and Matroska: the document type in the EBML header (RFC 8794, 11.2)."""
    return {b"webm": WEBM, b"matroska": MKV}.get(frames.ebml_doctype(head))


def _picture(head: bytes) -> Kind | None:
    if head[:3] == b"\xff\xd8\xff" and head[3:4] in _JPEG_MARKERS:
        return JPG
    if head[:16] == b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR":
        return PNG
    return GIF if head[:6] in (b"GIF87a", b"GIF89a") and len(head) >= 13 else None


# What may follow a JPEG's start: APPn, tables, comment, baseline/extended/progressive frames (not lossless JPEG-LS).
_JPEG_MARKERS = frozenset(bytes([marker]) for marker in (*range(0xE0, 0xF0), 0xDB, 0xC4, 0xDD, 0xFE, 0xC0, 0xC1, 0xC2))


def _sound(head: bytes) -> Kind | None:
    """MP3 and AAC: frames that follow one another, after an ID3 tag if there is one."""
    start = frames.after_id3(head)
    if start >= len(head):
        # A tag longer than what was read (cover art): tags before ADTS or anything else are rare, before MP3 the rule.
        return MP3 if start and len(head) == SNIFF_BYTES else None
    sound = head[start:].lstrip(b"\0") if start else head  # some encoders pad behind the tag
    if frames.chained(sound, frames.mp3_frame_bytes):
        return MP3
    return AAC if frames.chained(sound, frames.adts_frame_bytes) else None


_LOOKS: tuple[Callable[[bytes], Kind | None], ...] = (_iso_media, _old_quicktime, _riff, _ebml, _picture, _sound)
