"""A multipart body that is sent while it is read: no file is ever whole in memory."""

import secrets
from collections.abc import Iterable, Iterator
from typing import BinaryIO

CHUNK = 256 * 1024
"""Bytes per read: few enough system calls, small beside 1,500 streams."""


class SizeChanged(ValueError):
    """The content is not as long as was announced: the file changed, or its record is wrong."""


class Multipart:
    """One file in field `files`, with its exact length known before the first byte is sent."""

    def __init__(self, filename: str, media_type: str, content: BinaryIO | Iterable[bytes], size: int) -> None:
        boundary = secrets.token_hex(16)
        self._head = (
            f"--{boundary}\r\n"
            f'Content-Disposition: form-data; name="files"; filename="{_quoted(filename)}"\r\n'
            f"Content-Type: {_one_line(media_type) or 'application/octet-stream'}\r\n\r\n"
        ).encode()
        self._tail = f"\r\n--{boundary}--\r\n".encode()
        self._content, self._size = content, size
        self.headers = {
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Content-Length": str(len(self._head) + size + len(self._tail)),
        }

    def __iter__(self) -> Iterator[bytes]:
        yield self._head
        sent = 0
        for piece in _pieces(self._content):
            sent += len(piece)
            if sent > self._size:
                break
            yield piece
        if sent != self._size:
            raise SizeChanged(f"announced {self._size} bytes, found {'more' if sent > self._size else sent}")
        yield self._tail


def _pieces(content: BinaryIO | Iterable[bytes]) -> Iterator[bytes]:
    read = getattr(content, "read", None)
    if read is None:
        yield from content
        return
    while piece := read(CHUNK):
        yield piece


def _quoted(filename: str) -> str:
    """As browsers write it: the three characters that could end the header are percent-encoded."""
    return filename.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A").replace("\0", "")


def _one_line(value: str) -> str:
    return "".join(value.split())
