"""A finished render's files: its video, poster and timeline."""

import hashlib
from pathlib import Path
from typing import BinaryIO, Literal

import httpx

from .connection import Connection
from .errors import ApiError, ClientError, Conflict, Damaged
from .render_answers import Render, Result
from .wire import CHUNK_BYTES, Progress, appearing, at


class Videos(Connection):
    """Calls about files of renders."""

    def download_video(self, render_id: str, path: Path | str, on_progress: Progress | None = None) -> Path:
        """Fetch the finished video to `path`, which appears when it is whole and its SHA-256 is the result's.

        A download that is cut goes on where it stopped.

        Raises Damaged, OSError.
        """
        path = Path(path)
        if path.is_dir():
            raise IsADirectoryError(f"{path} is a directory; name a file in it")
        result = self._result(render_id)
        with appearing(path) as file:
            self._fetch(at("renders", render_id, "video"), _Part(file, render_id, result, on_progress))
        return path

    def video_address(self, render_id: str) -> str | None:
        """Where a player finds the video without a key, for some minutes; None where the service sends it itself."""
        path = at("renders", render_id, "video")
        return self._send("GET", path, headers={"Range": "bytes=0-0"}, accept=(302,)).headers.get("Location")

    def poster(self, render_id: str) -> bytes:
        """A frame of the finished video as a picture."""
        return self._send("GET", at("renders", render_id, "poster"), follow=True).content

    def timeline(self, render_id: str, format: Literal["text", "json", "svg"] = "text") -> str:
        """The draft's tracks: one line, JSON with times in seconds, or a picture."""
        return self._send("GET", at("renders", render_id, "timeline"), params={"format": format}).text

    def _result(self, render_id: str) -> Result:
        render = self._ask(Render, "GET", at("renders", render_id))
        if render.result is None:
            message = f"{render_id} is {render.status}: it has no video"
            raise Conflict(409, "render.no_video", message, "Wait until its status is `succeeded`.")
        return render.result

    def _fetch(self, url: str, part: "_Part") -> None:
        """The bytes of a file, over as many connections as it takes. Raises Damaged after the second whole copy."""
        patience, copies = self._patience(), 0
        while True:
            before = part.done
            try:
                self._receive(url, part)
                if part.whole:
                    return
                failure: ClientError = Damaged(part.render_id)
                copies += 1
                part.begin()
            except (httpx.RequestError, ApiError) as fault:
                failure = self._passing(fault)
            if part.done > before:
                patience = self._patience()
            if copies > 1:
                raise failure
            patience.pause(failure)

    def _receive(self, url: str, part: "_Part") -> None:
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={part.done}-"} if part.done else {})
        with self._streamed(url, accept=(200, 206), headers=headers, follow_redirects=True) as response:
            if not response.headers.get("Content-Range", "").startswith(f"bytes {part.done}-"):
                part.begin()
            for chunk in response.iter_bytes(CHUNK_BYTES):
                part.write(chunk)


class _Part:
    """A download so far: its bytes on disk and their SHA-256."""

    def __init__(self, file: BinaryIO, render_id: str, result: Result, on_progress: Progress | None) -> None:
        self.render_id = render_id
        self.done = 0
        self._file, self._result, self._told = file, result, on_progress
        self._digest = hashlib.sha256()

    def begin(self) -> None:
        """From the first byte."""
        self._file.seek(0)
        self._file.truncate()
        self._digest, self.done = hashlib.sha256(), 0

    def write(self, chunk: bytes) -> None:
        """The next bytes. Raises OSError."""
        self._file.write(chunk)
        self._digest.update(chunk)
        self.done += len(chunk)
        if self._told:
            self._told(self.done, self._result.bytes)

    @property
    def whole(self) -> bool:
        """Whether these are the result's bytes."""
        return self._digest.hexdigest() == self._result.sha256
