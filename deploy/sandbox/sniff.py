"""What a file is, by its first bytes: the name a client gives is not believed."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Format:
    """A kind of file ("video", "image" or "audio") and the suffix it is kept under."""

    kind: str
    suffix: str


MP4 = Format("video", ".mp4")
MOV = Format("video", ".mov")
AVI = Format("video", ".avi")
WEBM = Format("video", ".webm")
MKV = Format("video", ".mkv")
JPG = Format("image", ".jpg")
PNG = Format("image", ".png")
GIF = Format("image", ".gif")
WEBP = Format("image", ".webp")
MP3 = Format("audio", ".mp3")
WAV = Format("audio", ".wav")
M4A = Format("audio", ".m4a")
AAC = Format("audio", ".aac")

NOT_VIDEO_BRANDS = (b"heic", b"heix", b"heif", b"mif1", b"msf1", b"avif", b"avis", b"crx ")  # pictures in the same box
MOVIE_BOXES = (b"moov", b"mdat", b"wide", b"free", b"skip")  # old QuickTime files begin without a brand


def format_of(head: bytes) -> Format | None:
    """The format of a file that begins with these bytes (64 are enough), or None for one that is not accepted."""
    if head.startswith(b"\xff\xd8\xff"):
        return JPG
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return PNG
    if head.startswith((b"GIF87a", b"GIF89a")):
        return GIF
    if head.startswith(b"RIFF"):
        return {b"WEBP": WEBP, b"WAVE": WAV, b"AVI ": AVI}.get(head[8:12])
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return WEBM if b"webm" in head[:64] else MKV
    if head[4:8] == b"ftyp":
        return _boxed(head[8:12])
    if head[4:8] in MOVIE_BOXES:
        return MOV
    return _bare_audio(head)


def _boxed(brand: bytes) -> Format | None:
    if brand in NOT_VIDEO_BRANDS:
        return None
    if brand.startswith((b"M4A", b"M4B")):
        return M4A
    return MOV if brand == b"qt  " else MP4


def _bare_audio(head: bytes) -> Format | None:
    if head.startswith(b"ID3"):
        return MP3
    if len(head) < 2 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    return AAC if head[1] & 0xF6 == 0xF0 else MP3  # the layer bits are 00 in an ADTS header only
