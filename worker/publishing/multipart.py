"""A multipart form with fields and one file at its end, in pieces, of a length that is known beforehand (RFC 7578)."""

import secrets
from collections.abc import Iterator, Mapping


class Form:
    """`size` is the file's, in bytes."""

    def __init__(self, fields: Mapping[str, str], file_name: str, media_type: str, size: int) -> None:
        self._boundary = secrets.token_hex(16)
        self._size = size
        self._head = b"".join(self._part(name, value.encode()) for name, value in fields.items())
        self._head += (
            f'--{self._boundary}\r\nContent-Disposition: form-data; name="file"; filename="{_quoted(file_name)}"\r\n'
            f"Content-Type: {media_type}\r\n\r\n"
        ).encode()
        self._tail = f"\r\n--{self._boundary}--\r\n".encode()

    @property
    def content_type(self) -> str:
        return f"multipart/form-data; boundary={self._boundary}"

    @property
    def length(self) -> int:
        return len(self._head) + self._size + len(self._tail)

    def pieces(self, file: Iterator[bytes]) -> Iterator[bytes]:
        """The whole body."""
        yield self._head
        yield from file
        yield self._tail

    def _part(self, name: str, value: bytes) -> bytes:
        head = f'--{self._boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"\r\n\r\n'
        return head.encode() + value + b"\r\n"


def _quoted(name: str) -> str:
    """As browsers do."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
