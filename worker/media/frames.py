"""Reading just enough of a few binary headers: EBML's document type, ID3's length, MP3 and ADTS frame lengths."""

from collections.abc import Callable

# MPEG audio, layer III: kbit/s by index for version 1, and for versions 2 and 2.5 (ISO/IEC 11172-3 and 13818-3).
_KBITS_V1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBITS_V2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_HERTZ = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


def chained(data: bytes, frame_bytes: Callable[[bytes], int]) -> bool:
    """Whether `data` begins with a frame that another frame follows, as far as `data` reaches.

    Two in a row, because one header is eleven set bits and luck. The file's very last frame counts alone.
    """
    length = frame_bytes(data)
    return length > 0 and (length >= len(data) or frame_bytes(data[length:]) > 0 or len(data) - length < 8)


def mp3_frame_bytes(data: bytes) -> int:
    """Length in bytes of the MPEG layer III frame that `data` begins with; 0 when it begins with none."""
    if len(data) < 4 or data[0] != 0xFF or data[1] & 0xE0 != 0xE0:
        return 0
    version, layer = data[1] >> 3 & 3, data[1] >> 1 & 3
    bitrate, hertz, padding = data[2] >> 4, data[2] >> 2 & 3, data[2] >> 1 & 1
    if version == 1 or layer != 1 or bitrate in (0, 15) or hertz == 3:
        return 0
    kbits = (_KBITS_V1 if version == 3 else _KBITS_V2)[bitrate]
    return (144_000 if version == 3 else 72_000) * kbits // _HERTZ[version][hertz] + padding


def adts_frame_bytes(data: bytes) -> int:
    """Length in bytes of the ADTS (AAC) frame that `data` begins with; 0 when it begins with none."""
    if len(data) < 7 or data[0] != 0xFF or data[1] & 0xF6 != 0xF0 or data[2] >> 2 & 15 > 12:
        return 0
    length = (data[3] & 3) << 11 | data[4] << 3 | data[5] >> 5
    return length if length > 7 else 0


def after_id3(data: bytes) -> int:
    """Where the sound begins: behind the ID3v2 tag, 0 without one. May lie beyond `data`."""
    if data[:3] != b"ID3" or len(data) < 10 or any(byte > 0x7F for byte in data[6:10]):
        return 0
    size = data[6] << 21 | data[7] << 14 | data[8] << 7 | data[9]
    footer = 10 if data[5] & 0x10 else 0
    return 10 + size + footer


def ebml_doctype(data: bytes) -> bytes:
    """The document type in an EBML header (`webm`, `matroska`); empty when `data` begins with no such header."""
    if data[:4] != b"\x1a\x45\xdf\xa3":
        return b""
    _, header = ebml_element(data, 0, id_bytes=4)
    at, end = header.start, min(header.stop, len(data))
    while at < end:
        # Every element of this header has a two-byte id, but Void (EC) and CRC-32 (BF), which have one byte.
        one_byte = data[at] in (0xEC, 0xBF)
        _, body = ebml_element(data, at, id_bytes=1 if one_byte else 2)
        if data[at : at + 2] == b"\x42\x82":
            return data[body.start : min(body.stop, end)].rstrip(b"\0")
        at = body.stop
    return b""


def ebml_element(data: bytes, at: int, *, id_bytes: int) -> tuple[bool, range]:
    """Where the body of the EBML element at `at` lies: (its length is stated as unknown, its bytes' positions).

    A length that does not fit into `data` gives a body that begins and ends behind it (RFC 8794, 4).
    """
    at += id_bytes
    first = data[at] if at < len(data) else 0
    width = 9 - first.bit_length()
    if not first or at + width > len(data):
        return False, range(len(data), len(data))
    most = (1 << 7 * width) - 1
    size = int.from_bytes(data[at : at + width], "big") & most
    return size == most, range(at + width, at + width + size)
