"""The one file in a multipart body, found while it streams by."""

from collections.abc import Callable, Iterable

from python_multipart.exceptions import FormParserError, MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from api.problems import Problem

HEADER_BYTES = 8 * 1024
"""Of one part's headers: a file name and a type."""


class OneFile:
    """Fed with a body's pieces, gives the bytes of its one file part; other fields are skipped.

    Every method raises Problem `upload.malformed`.
    """

    def __init__(self, content_type: str) -> None:
        _, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if not boundary:
            raise Problem("upload.malformed", "The multipart body names no boundary.")
        self.name = ""
        self._found = self._in_file = self._ended = False
        self._field, self._value = bytearray(), bytearray()
        self._headers: dict[bytes, bytes] = {}
        self._bytes: list[bytes] = []
        try:
            self._parser = self._made(boundary)
        except FormParserError as problem:
            raise Problem("upload.malformed", f"The multipart boundary cannot be used: {problem}") from None

    def _made(self, boundary: bytes) -> MultipartParser:
        return MultipartParser(
            boundary,
            {
                "on_part_begin": self._headers.clear,
                "on_part_data": self._data,
                "on_header_field": self._part_of(self._field),
                "on_header_value": self._part_of(self._value),
                "on_header_end": self._header,
                "on_headers_finished": self._headers_over,
                "on_end": self._end,
            },
        )

    def feed(self, piece: bytes) -> Iterable[bytes]:
        """The file's bytes in this piece of the body."""
        try:
            self._parser.write(piece)
        except MultipartParseError as problem:
            raise Problem("upload.malformed", f"The multipart body cannot be read: {problem}") from None
        found, self._bytes = self._bytes, []
        return found

    def close(self) -> None:
        """The body is over: check that it was whole."""
        if not self._ended:
            raise Problem("upload.cut", "The multipart body ended before its last boundary.")
        if not self._found:
            raise Problem("upload.malformed", "No part of the body is a file: give one a `filename`.")

    def _part_of(self, buffer: bytearray) -> Callable[[bytes, int, int], None]:
        def more(data: bytes, start: int, end: int) -> None:
            buffer.extend(data[start:end])
            if len(buffer) > HEADER_BYTES:
                raise Problem("upload.malformed", "A part's headers are too long.")

        return more

    def _header(self) -> None:
        self._headers[bytes(self._field).lower()] = bytes(self._value)
        self._field.clear()
        self._value.clear()

    def _headers_over(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        filename = options.get(b"filename")
        self._in_file = filename is not None
        if filename is not None:
            if self._found:
                raise Problem("upload.malformed", "One file per upload: send the others on their own.")
            self._found, self.name = True, filename.decode("utf-8", "replace")

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._in_file:
            self._bytes.append(data[start:end])

    def _end(self) -> None:
        self._ended = True
