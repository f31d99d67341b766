"""Files people send: kept by the hash of their content, known by what is in them."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import av
import httpx
from av.error import FFmpegError
from PIL import Image

from .database import Database
from .errors import fetch_failed, too_large, unsupported_file
from .settings import Settings
from .sniff import Format, format_of

FETCH_SECONDS = 30.0  # for each connect and read of an upload by address


@dataclass(frozen=True)
class Upload:
    """One file of a session. Duration in seconds (0 for a picture), sizes in pixels (0 for sound)."""

    sha: str
    filename: str
    kind: str
    suffix: str
    size: int
    duration: float
    width: int
    height: int

    @property
    def address(self) -> str:
        """The path below the sandbox's own address; the same for the same content and name."""
        return f"/cdn/{self.sha[:32]}/{quote(self.filename, safe='')}"

    def shown(self, base: str) -> dict[str, Any]:
        """The file as an upload's answer describes it."""
        return {
            "filename": self.filename,
            "file_type": self.kind,
            "cdn_url": base + self.address,
            "size": self.size,
            "duration": self.duration,
            "width": self.width,
            "height": self.height,
        }


class Uploads:
    """The uploads of all sessions."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._room = settings.data / "uploads"
        self._room.mkdir(parents=True, exist_ok=True)

    @cached_property
    def _client(self) -> httpx.AsyncClient:
        """Made once: each new one would read the system's certificates again."""
        return httpx.AsyncClient(timeout=FETCH_SECONDS, follow_redirects=True)

    async def keep(self, session: str, filename: str, chunks: AsyncIterator[bytes]) -> Upload:
        """Store one file. Raises 4002 for one above the limit, 4001 for one that is not an accepted format."""
        name = Path(filename.replace("\\", "/")).name or "file"
        arriving = self._room / f".{time.monotonic_ns()}"
        try:
            sha, size, head = await self._write(arriving, name, chunks)
            form = format_of(head)
            if form is None:
                raise unsupported_file(name)
            duration, width, height = await asyncio.to_thread(_probe, arriving, form, name)
            arriving.replace(self._room / f"{sha[:32]}{form.suffix}")
        finally:
            arriving.unlink(missing_ok=True)
        upload = Upload(sha, name, form.kind, form.suffix, size, duration, width, height)
        self._database.insert("uploads", session=session, at=time.time(), **vars(upload))
        return upload

    async def fetch(self, session: str, address: str) -> Upload:
        """Fetch a file by its http(s) address and keep it. Raises 4005 where it cannot be had, and as `keep`."""
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise fetch_failed("only http and https addresses are fetched")
        name = unquote(Path(parts.path).name) or "file"
        try:
            async with (
                self._client.stream("GET", address) as reply,
            ):
                if reply.status_code != 200:
                    raise fetch_failed(f"the address answers {reply.status_code}")
                return await self.keep(session, name, reply.aiter_bytes())
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise fetch_failed(type(error).__name__) from error

    def of(self, session: str) -> list[Upload]:
        """A session's files in the order they came; the same content twice counts once."""
        rows = self._database.all("SELECT * FROM uploads WHERE session = ? ORDER BY number", session)
        found = {row["sha"]: Upload(**{name: row[name] for name in Upload.__annotations__}) for row in rows}
        return list(found.values())

    def path(self, key: str) -> Path | None:
        """The stored file whose content hash begins with this key of 32 digits."""
        if len(key) != 32 or not key.isalnum():
            return None
        return next(iter(self._room.glob(f"{key}.*")), None)

    async def _write(self, path: Path, name: str, chunks: AsyncIterator[bytes]) -> tuple[str, int, bytes]:
        digest, size, head = hashlib.sha256(), 0, b""
        with path.open("wb") as file:
            async for chunk in chunks:
                size += len(chunk)
                if size > self._settings.max_upload_bytes:
                    raise too_large(name)
                head = (head + chunk)[:64] if len(head) < 64 else head
                digest.update(chunk)
                file.write(chunk)
        return digest.hexdigest(), size, head


def _probe(path: Path, form: Format, name: str) -> tuple[float, int, int]:
    """(seconds, width, height); a file that cannot be read is as unsupported as one of another format."""
    try:
        if form.kind == "image":
            with Image.open(path) as picture:
                return 0.0, picture.width, picture.height
        with av.open(str(path)) as container:
            seconds = round((container.duration or 0) / 1_000_000, 3)
            if form.kind == "audio":
                if not container.streams.audio:
                    raise unsupported_file(name)
                return seconds, 0, 0
            picture = container.streams.video[0]
            return seconds, picture.width, picture.height
    except (OSError, ValueError, IndexError, FFmpegError, Image.DecompressionBombError) as error:
        raise unsupported_file(name) from error
