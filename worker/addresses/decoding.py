"""A body's bytes as they were before gzip, in pieces whose size does not depend on what a bomb would unpack to.

httpx unpacks each packet whole, 64 KB to 64 MB, and each coding of a list on top of the last. Here one coding is
taken, and a piece is never larger than `PIECE_BYTES`.
"""

import zlib
from collections.abc import Iterator

from worker.addresses.errors import BadEncoding, Cut

ACCEPTED = "gzip"
PIECE_BYTES = 64 * 1024
_GZIP = 16 + zlib.MAX_WBITS


class Plain:
    """No coding."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The pieces that these bytes make."""
        if data:
            yield data

    def end(self) -> None:
        """Nothing more comes; raises Cut where something should have."""


class Gzip(Plain):
    """One gzip member or several in a row."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP)
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """As `Plain.feed`; raises BadEncoding."""
        while data:
            if self._member.eof:
                self._member = zlib.decompressobj(_GZIP)
            self._begun = True
            try:
                piece = self._member.decompress(data, PIECE_BYTES)
            except zlib.error:
                raise BadEncoding from None
            data = self._member.unconsumed_tail or self._member.unused_data
            if piece:
                yield piece

    def end(self) -> None:
        """As `Plain.end`."""
        if self._begun and not self._member.eof:
            raise Cut


def decoder(coding: str) -> Plain:
    """For a `Content-Encoding`; raises BadEncoding for any but gzip, and for lists of them."""
    match coding.strip().lower():
        case "" | "identity":
            return Plain()
        case "gzip" | "x-gzip":
            return Gzip()
        case _:
            raise BadEncoding
