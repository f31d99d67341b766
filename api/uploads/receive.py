"""A body on its way to the disk: counted, hashed and typed as it comes, never whole in memory."""

import asyncio
import hashlib
import os
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import IO

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from api.limits import UPLOAD_BYTES
from api.problems import Problem
from api.uploads.multipart import OneFile
from config.settings import settings
from worker.media.kinds import ACCEPTED, SNIFF_BYTES, Kind, sniff

BUFFER_BYTES = 1024 * 1024
"""Written to the disk at once: a thread per network packet would cost more than the writing."""
ENVELOPE_BYTES = 64 * 1024
"""What a multipart body may be longer than the file in it."""
FORGOTTEN_SECONDS = 6 * 3600
"""A part-file this old belongs to a process that was killed."""


def _directory() -> Path:
    directory = settings().servers.state_dir.absolute() / "receiving"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return directory


def sweep() -> None:
    """Remove what killed processes left."""
    with suppress(OSError):
        for path in _directory().iterdir():
            if path.stat().st_mtime < time.time() - FORGOTTEN_SECONDS:
                path.unlink(missing_ok=True)


class Spool:
    """A body being received onto the disk; `close` removes it from there."""

    def __init__(self, most: int, prefix: str) -> None:
        handle, name = tempfile.mkstemp(dir=_directory(), prefix=prefix)
        self.path = Path(name)
        self.most = most
        self._file: IO[bytes] = os.fdopen(handle, "wb")
        self._digest = hashlib.sha256()
        self._buffer = bytearray()
        self.bytes = 0
        self.name = ""

    @property
    def sha256(self) -> str:
        """Of all bytes, once it is complete."""
        return self._digest.hexdigest()

    async def add(self, piece: bytes) -> None:
        """More of the body. Raises Problem `upload.too_large`."""
        self.bytes += len(piece)
        if self.bytes > self.most:
            raise self.too_large()
        self._buffer += piece
        if len(self._buffer) >= BUFFER_BYTES:
            await run_in_threadpool(self._write)

    async def finish(self) -> None:
        """The last byte is there. Raises Problem `upload.empty`."""
        if not self.bytes:
            raise Problem("upload.empty", "The upload holds no byte.")
        await run_in_threadpool(self._write)
        self._file.close()

    def close(self) -> None:
        """Remove it, whole or not."""
        self._file.close()
        self.path.unlink(missing_ok=True)

    def too_large(self) -> Problem:
        """The refusal of a body over the limit."""
        return Problem("upload.too_large", f"The file is larger than {self.most // 1_000_000} MB: split it.")

    def _write(self) -> None:
        self._digest.update(self._buffer)
        self._file.write(self._buffer)
        self._buffer.clear()


class Received(Spool):
    """One file being received, and what kind its content says it is."""

    def __init__(self) -> None:
        super().__init__(UPLOAD_BYTES, "upload-")
        self.kind: Kind | None = None

    async def add(self, piece: bytes) -> None:
        """More of the file. Raises Problem `upload.too_large`, `upload.format`."""
        if self.kind is None and len(self._buffer) + len(piece) >= SNIFF_BYTES:
            # Nothing was written yet: the buffer still holds the file's beginning.
            self._look(bytes(self._buffer[:SNIFF_BYTES]) + piece[:SNIFF_BYTES])
        await super().add(piece)

    async def finish(self) -> None:
        """The last byte is there. Raises Problem `upload.empty`, `upload.format`."""
        if self.kind is None and self.bytes:
            self._look(bytes(self._buffer[:SNIFF_BYTES]))
        await super().finish()

    def too_large(self) -> Problem:
        """The refusal of a file over the limit, with what to do."""
        megabytes = self.most // 1_000_000
        return Problem(
            "upload.too_large", f"The file is larger than {megabytes} MB: compress it, trim it, or split it."
        )

    def _look(self, beginning: bytes) -> None:
        self.kind = sniff(beginning[:SNIFF_BYTES])
        if self.kind is None:
            raise Problem("upload.format", f"The file is none of the accepted formats: {ACCEPTED}.")


async def receive(request: Request, received: Received) -> Kind:
    """Take the request's body, raw or as one multipart file.

    Raises Problem `upload.…`.
    """
    await spool(request, received)
    assert received.kind is not None, "looking at it sets it or raises"
    return received.kind


async def spool(request: Request, received: Spool) -> None:
    """Take the request's body onto the disk, raw or as one multipart file.

    Raises Problem `upload.…`, `request.timeout`.
    """
    content_type = request.headers.get("content-type", "")
    multipart = OneFile(content_type) if content_type.lower().startswith("multipart/") else None
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > received.most + (ENVELOPE_BYTES if multipart else 0):
        raise received.too_large()
    seen = 0
    async for piece in _pieces(request):
        seen += len(piece)
        if multipart is None:
            await received.add(piece)
            continue
        if seen > received.most + ENVELOPE_BYTES:
            raise received.too_large()
        for part in multipart.feed(piece):
            await received.add(part)
    if declared.isdecimal() and seen != int(declared):
        raise Problem("upload.cut", f"{seen} of {declared} bytes arrived.")
    if multipart is not None:
        multipart.close()
        received.name = multipart.name
    await received.finish()


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    """The body as it comes. Raises Problem `upload.cut`, `request.timeout`."""
    waits = settings().waits
    end = time.monotonic() + waits.upload_max_seconds.total_seconds()
    pieces = aiter(request.stream())
    try:
        while True:
            # Not around the whole loop: what is done with a piece may take its time.
            async with asyncio.timeout(min(waits.upload_idle_seconds.total_seconds(), end - time.monotonic())):
                piece = await anext(pieces, None)
            if piece is None:
                return
            yield piece
    except ClientDisconnect:
        raise Problem("upload.cut", "The connection ended before the file did.") from None
    except TimeoutError:
        raise Problem("request.timeout", "The upload stood still, or took too long.") from None
