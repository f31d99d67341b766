"""The service from Python: `with Client("http://127.0.0.1:8000", "vv_…") as client: client.create_render(prompt="…")`.

Imports nothing of the service, so it can be copied into another program. Every POST carries an `Idempotency-Key`, which
is what makes repeating it safe: after a lost answer the same call finds what it made the first time.

ClientError
├── ApiError      the service answered with a problem
├── Unreachable   nothing answers at the address
├── Damaged       what was downloaded is not what the service says it made
└── StillRunning  `wait` ran out of time; the render goes on
"""

import hashlib
import json
import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

FINAL = frozenset({"succeeded", "failed", "canceled", "expired"})
"""Statuses in which a render stays."""

TRIES = 5
FIRST_PAUSE_SECONDS = 0.2
"""Doubled each time: five tries are over after about three seconds, enough for a restarting server."""
CHUNK_BYTES = 256 * 1024
# A stream says something (a comment at least) every 15 s: four times that is a dead connection.
TIMEOUT = httpx.Timeout(60, connect=5)

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all."""


class ClientError(Exception):
    """Base of what a call can raise; its text is a sentence for a person."""


class Unreachable(ClientError):
    """Nothing answers, also after trying again."""

    def __init__(self, base_url: str, cause: Exception) -> None:
        self.base_url = base_url
        super().__init__(f"nothing answers at {base_url} ({type(cause).__name__})")


class ApiError(ClientError):
    """The service refused: `status` (HTTP), `code` (stable, dotted), `message`, `help` (what to do) and `errors`."""

    def __init__(self, status: int, code: str, message: str, help: str = "", errors: list[Any] | None = None) -> None:
        self.status, self.code, self.message, self.help, self.errors = status, code, message, help, errors or []
        super().__init__(message)


class Damaged(ClientError):
    """The bytes' SHA-256 differs from the result's, or some are missing."""

    def __init__(self, render_id: str) -> None:
        super().__init__(f"the video of {render_id} arrived damaged; download it again")


class StillRunning(ClientError):
    """The time given to `wait` is over."""

    def __init__(self, render_id: str, seconds: float) -> None:
        super().__init__(f"{render_id} is not finished after {seconds:g} s; it goes on")


class _Over(Exception):
    """There is nothing after the last event: the render is final."""


class _Problem(BaseModel):
    """An `application/problem+json` body."""

    model_config = ConfigDict(extra="ignore")

    code: str = "http"
    title: str = ""
    detail: str = ""
    help: str = ""
    errors: list[dict[str, Any]] = []


class Client:
    """Plain calls that return the service's JSON as dicts. Safe to share between threads.

    Every method raises ApiError and Unreachable.
    """

    def __init__(self, base_url: str, api_key: str) -> None:
        self.base_url = base_url.rstrip("/")
        self._http = httpx.Client(
            base_url=self.base_url,
            headers={"Authorization": f"Bearer {api_key}", "User-Agent": "vivideo-client"},
            timeout=TIMEOUT,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def upload(self, path: Path | str, on_progress: Progress | None = None) -> dict[str, Any]:
        """Send a file (≤ 200 MB) and return its facts; its `id` is then usable as `assets=[{"upload": id}]`.

        Raises OSError when the file cannot be read.
        """
        path = Path(path)
        size = path.stat().st_size
        return self._call(
            "POST",
            "/v1/uploads",
            params={"name": path.name},
            headers={"Content-Length": str(size), "Content-Type": "application/octet-stream"},
            content=lambda: _chunks(path, size, on_progress),
        )

    def create_render(self, **fields: Any) -> dict[str, Any]:
        """Ask for a video; fields as in `POST /v1/renders` (`prompt`, `assets`, …)."""
        return self._call("POST", "/v1/renders", json=fields)

    def render(self, render_id: str) -> dict[str, Any]:
        """How a render stands."""
        return self._call("GET", _path(render_id))

    def renders(self, **filters: Any) -> dict[str, Any]:
        """One page, newest first: `{"data": […], "next_cursor": … | null}`. Filters: status, tag, external_ref, limit,
        cursor."""
        return self._call("GET", "/v1/renders", params={name: v for name, v in filters.items() if v is not None})

    def events(self, render_id: str, after: int = 0) -> list[dict[str, Any]]:
        """A render's events with a number above `after`, in order (up to 500)."""
        return self._call("GET", f"{_path(render_id)}/events", params={"after": after})["data"]

    def iter_events(self, render_id: str, after: int = 0) -> Iterator[dict[str, Any]]:
        """A render's events as they happen, until the final one; goes on after a cut where it stopped."""
        failures = 0
        while True:
            try:
                for event in self._stream(render_id, after):
                    failures, after = 0, event["number"]
                    yield event
                    if event["final"]:
                        return
                # Ended by the server without a final event: it is being restarted.
                cause: Exception = httpx.RemoteProtocolError("the stream ended early")
            except _Over:
                return
            except httpx.TransportError as fault:
                cause = fault
            failures += 1
            if failures >= TRIES:
                raise Unreachable(self.base_url, cause) from None
            _pause(failures)

    def cancel(self, render_id: str) -> dict[str, Any]:
        """Ask for a render to be cancelled; its `cancel_effect` says what that achieved, once it is final."""
        return self._call("POST", f"{_path(render_id)}/cancel")

    def wait(self, render_id: str, timeout: float | None = None) -> dict[str, Any]:
        """The render once it is final, asked after every 0.2 to 2 seconds.

        Raises StillRunning after `timeout` seconds.
        """
        give_up = time.monotonic() + timeout if timeout is not None else None
        pause = 0.2
        while (render := self.render(render_id))["status"] not in FINAL:
            if give_up is not None and timeout is not None and time.monotonic() + pause > give_up:
                raise StillRunning(render_id, timeout)
            time.sleep(pause)
            pause = min(pause * 1.5, 2.0)
        return render

    def download_video(self, render_id: str, path: Path | str, on_progress: Progress | None = None) -> Path:
        """Fetch the finished video to `path`, which appears when it is whole and its SHA-256 is the result's.

        Raises Damaged, OSError.
        """
        path = Path(path)
        render = self.render(render_id)
        result = render["result"]
        if result is None:
            raise ApiError(409, "render.no_video", f"{render_id} is {render['status']}: it has no video")
        part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
        try:
            self._fetch_patiently(f"{_path(render_id)}/video", part, result, on_progress)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        return path

    def credits(self) -> dict[str, Any]:
        """The balances as last read from the backend, with their times."""
        return self._call("GET", "/v1/credits")

    def _fetch_patiently(self, url: str, part: Path, result: Mapping[str, Any], on_progress: Progress | None) -> None:
        for attempt in range(1, TRIES + 1):
            try:
                return self._fetch(url, part, result, on_progress)
            except httpx.TransportError as fault:
                if attempt == TRIES:
                    raise Unreachable(self.base_url, fault) from None
            except Damaged:
                if attempt > 1:  # twice is no accident on the way
                    raise
            _pause(attempt)
        return None

    def _fetch(self, url: str, part: Path, result: Mapping[str, Any], on_progress: Progress | None) -> None:
        digest, done = hashlib.sha256(), 0
        with self._http.stream("GET", url, follow_redirects=True) as response, part.open("wb") as file:
            if response.status_code != 200:
                response.read()
                raise _error(response)
            for chunk in response.iter_bytes(CHUNK_BYTES):
                file.write(chunk)
                digest.update(chunk)
                done += len(chunk)
                if on_progress:
                    on_progress(done, result["bytes"])
        if digest.hexdigest() != result["sha256"]:
            raise Damaged(str(part))

    def _stream(self, render_id: str, after: int) -> Iterator[dict[str, Any]]:
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
        with self._http.stream("GET", f"{_path(render_id)}/events", headers=headers) as response:
            if response.status_code == 204:
                raise _Over
            if response.status_code != 200:
                response.read()
                if response.status_code >= 500:
                    raise httpx.ReadError(f"status {response.status_code}")
                raise _error(response)
            for line in response.iter_lines():
                # The service writes each event's data on one line.
                if line.startswith("data:"):
                    yield json.loads(line[5:])

    def _call(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: Callable[[], Iterator[bytes]] | None = None,
        **options: Any,
    ) -> dict[str, Any]:
        """One call, repeated with its own key while the connection fails or the service answers 5xx."""
        headers = dict(headers or {})
        if method == "POST":
            headers["Idempotency-Key"] = str(uuid.uuid4())
        for attempt in range(1, TRIES + 1):
            try:
                response = self._http.request(
                    method, path, headers=headers, content=content() if content else None, **options
                )
            except httpx.TransportError as fault:
                if attempt == TRIES:
                    raise Unreachable(self.base_url, fault) from None
            else:
                if response.is_success:
                    return response.json()
                if response.status_code < 500 or attempt == TRIES:
                    raise _error(response)
            _pause(attempt)
        raise AssertionError("the last try returns or raises")


def _path(render_id: str) -> str:
    return f"/v1/renders/{quote(render_id, safe='')}"


def _pause(attempt: int) -> None:
    time.sleep(FIRST_PAUSE_SECONDS * 2 ** (attempt - 1) * random.uniform(0.75, 1.25))  # noqa: S311 - jitter


def _chunks(path: Path, size: int, on_progress: Progress | None) -> Iterator[bytes]:
    """The file's first `size` bytes: one that grows meanwhile is sent as it was announced."""
    done = 0
    with path.open("rb") as file:
        while done < size and (chunk := file.read(min(CHUNK_BYTES, size - done))):
            yield chunk
            done += len(chunk)
            if on_progress:
                on_progress(done, size)


def _error(response: httpx.Response) -> ApiError:
    """The answer's problem, or, from something else on the way (a proxy), its status."""
    try:
        problem = _Problem.model_validate_json(response.content)
    except ValidationError:
        problem = _Problem(title=f"the server answered {response.status_code} {response.reason_phrase}")
    message = problem.detail or problem.title or f"status {response.status_code}"
    return ApiError(response.status_code, problem.code, message, problem.help, problem.errors)
