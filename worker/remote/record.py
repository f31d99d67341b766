"""Keeps what the client sent and received, redacted: one JSON file a call, and an index.

The client is given a `Recorder` and tells it of each call; without one nothing is kept. A file can be read by a person
and played back by a server, because bodies are kept as text.
"""

import itertools
import json
import os
import platform
import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from worker.remote.redaction import Redactor

INDEX = "index.json"
FORMAT = 1
LARGEST = 8 * 1024 * 1024
"""Bytes of a body that are kept: drafts are megabytes at most, and a film's bytes prove nothing."""


class NotEmpty(Exception):
    """A record is kept in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        super().__init__(f"{directory} is not an empty directory")


class Exchange:
    """One call, told as it happens. This one keeps nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        pass

    def answered(
        self, status: int, headers: Iterable[tuple[str, str]], sent: Iterable[tuple[str, str]] | None = None
    ) -> None:
        """The answer's head; `sent` are the request's headers with those that the library added."""

    def piece(self, data: bytes) -> None:
        """The next bytes of the answer's body."""


UNRECORDED = Exchange()


class Recorder:
    """A record in a directory of mode 700. Raises NotEmpty, OSError."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise NotEmpty(directory)
        directory.chmod(0o700)
        self.directory = directory
        self.redactor = Redactor()
        self.failed: str | None = None
        """Why a call could not be kept."""
        self._backend = ""
        self._numbers = itertools.count(1)
        self._began = datetime.now(UTC)
        self._calls: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self._index()

    def exchange(
        self, call: str, method: str, url: str, headers: Iterable[tuple[str, str]], body: bytes | None
    ) -> Exchange:
        """A call that begins now; `body` is None where it is streamed from a file."""
        parts = urlsplit(url)
        self._backend = self._backend or f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        sent: dict[str, Any] = {"method": method, **_place(url, self.redactor)}
        sent["headers"] = self.redactor.headers(headers)
        sent |= _body(body, self.redactor) if body is not None else {"omitted": "a file"}
        return _Kept(self, call, sent)

    def keep(self, call: str, sent: dict[str, Any], answer: dict[str, Any], began: datetime, seconds: float) -> None:
        """Write one call, and the index anew."""
        name = f"{next(self._numbers):04d}-{call}.json"
        about = {"call": call, "at": began.isoformat(), "ms": round(seconds * 1000)}
        self._write(name, {**about, "request": sent, "response": answer})
        line = {"file": name, **about, "method": sent["method"], "path": sent["path"], "status": answer.get("status")}
        with self._lock:
            self._calls.append(line)
            self._index()

    def seal(self) -> None:
        """Redact everything once more: what was learnt late may stand early. Harmless to repeat."""
        with self._lock:
            for line in self._calls:
                kept = json.loads((self.directory / line["file"]).read_text())
                for part in (kept["request"], kept["response"]):
                    part |= _again(part, self.redactor)
                line["path"] = kept["request"]["path"]
                self._write(line["file"], kept)
            self._index()

    def _index(self) -> None:
        versions = {"vivideo": version("vivideo"), "python": platform.python_version(), "httpx": version("httpx")}
        times = {"began_at": self._began.isoformat(), "written_at": datetime.now(UTC).isoformat()}
        self._write(INDEX, {"format": FORMAT, "backend": self._backend, **versions, **times, "calls": self._calls})

    def _write(self, name: str, value: Any) -> None:
        """In one step: whoever looks meanwhile sees whole files."""
        part = self.directory / f".{name}.part"
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(json.dumps(value, indent=1) + "\n")
        part.replace(self.directory / name)


class _Kept(Exchange):
    """Keeps it."""

    def __init__(self, recorder: Recorder, call: str, sent: dict[str, Any]) -> None:
        self._recorder, self._call, self._sent = recorder, call, sent
        self._began, self._clock = datetime.now(UTC), time.monotonic()
        self._answer: dict[str, Any] = {}
        self._pieces: list[bytes] = []
        self._size = 0

    def answered(
        self, status: int, headers: Iterable[tuple[str, str]], sent: Iterable[tuple[str, str]] | None = None
    ) -> None:
        if sent is not None:
            self._sent["headers"] = self._recorder.redactor.headers(sent)
        self._answer = {"status": status, "headers": self._recorder.redactor.headers(headers)}

    def piece(self, data: bytes) -> None:
        self._size += len(data)
        if self._size <= LARGEST:
            self._pieces.append(data)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._answer:
            kept = self._size <= LARGEST
            self._answer |= (
                _body(b"".join(self._pieces), self._recorder.redactor) if kept else {"omitted": f"{self._size} bytes"}
            )
        if error is not None:
            self._answer["broken_by"] = type(error).__name__
        seconds = time.monotonic() - self._clock
        try:
            self._recorder.keep(self._call, self._sent, self._answer, self._began, seconds)
        except OSError as problem:  # a full disk is no reason for the call to fail
            self._recorder.failed = type(problem).__name__


Record = Callable[[str, str, str, Iterable[tuple[str, str]], bytes | None], Exchange]


def unrecorded(
    _call: str, _method: str, _url: str, _headers: Iterable[tuple[str, str]], _body: bytes | None
) -> Exchange:
    """What a client without a recorder calls instead of its `exchange`."""
    return UNRECORDED


def _place(url: str, redactor: Redactor) -> dict[str, str]:
    parts = urlsplit(url)
    return {"path": redactor.text(parts.path), "query": redactor.text(f"?{parts.query}") if parts.query else ""}


def _again(part: dict[str, Any], redactor: Redactor) -> dict[str, Any]:
    texts = {name: redactor.text(part[name]) for name in ("path", "query") if name in part}
    heads = {"headers": redactor.headers(part["headers"])} if "headers" in part else {}
    return texts | heads | ({"body": redactor.body(part["body"])} if "body" in part else {})


def _body(data: bytes, redactor: Redactor) -> dict[str, str]:
    """As text; bytes that are no UTF-8 survive as lone surrogates (`surrogateescape`)."""
    return {"body": redactor.body(data.decode("utf-8", "surrogateescape"))}
