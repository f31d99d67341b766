"""The bytes that are read: a file that was sent, or an address, streamed to the disk within bounds."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from worker.addresses.errors import AddressError, TimedOut, TooLarge
from worker.addresses.fetch import Answer, Guarded, Limits

LARGEST = 4 * 1024**3
"""Bytes of a feed, on the wire and unpacked."""
LIMITS = Limits(body_bytes=LARGEST, total_seconds=1800.0, read_seconds=30.0, redirects=5)
BEAT_SECONDS = 10.0
"""How often a long download says that it goes on."""

PACE_SECONDS, SLOWEST = 60.0, 4096
"""A server that gives fewer bytes a second, for so long, is given up: it keeps a worker from other feeds."""


class BadStatus(Exception):
    """The server answered, and not with the feed. `passing`: asking later may help."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the server answered with status {status}")
        self.status = status

    @property
    def passing(self) -> bool:
        """Overloaded, broken or slow, rather than refusing."""
        return self.status in (408, 425, 429) or self.status >= 500


@dataclass(frozen=True)
class Validators:
    """What a server says of its answer's version."""

    etag: str | None = None
    last_modified: str | None = None

    def headers(self) -> dict[str, str]:
        """Of a request that wants the answer only where it changed."""
        if self.etag:
            return {"If-None-Match": self.etag}
        return {"If-Modified-Since": self.last_modified} if self.last_modified else {}


def fetch(
    url: str,
    path: Path,
    known: Validators,
    *,
    guarded: Guarded | None = None,
    limits: Limits = LIMITS,
    beat: Callable[[], None] = lambda: None,
) -> Validators | None:
    """Fetch the feed into `path`; None where it did not change since `known`. `beat` is called now and then.

    Raises AddressError, BadStatus, OSError (the disk).
    """
    headers = {"Accept": "text/csv, application/xml, application/json, */*;q=0.5"} | _sendable(known.headers())
    with (guarded or Guarded()).open("GET", url, headers=headers, limits=limits) as answer:
        if answer.status == 304 and known.headers():
            return None
        if answer.status != 200:
            raise BadStatus(answer.status)
        _save(answer, path, beat)
        return _validators(answer.headers)


def _sendable(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if value.isascii() and value.isprintable()}


def _save(answer: Answer, path: Path, beat: Callable[[], None]) -> None:
    heard = paced = time.monotonic()
    came = 0
    with path.open("wb") as file:
        for piece in answer.chunks():
            file.write(piece)
            came += len(piece)
            if (took := time.monotonic() - paced) > PACE_SECONDS:
                if came < took * SLOWEST:
                    raise TimedOut(f"the feed comes with less than {SLOWEST // 1024} KiB a second")
                came, paced = 0, time.monotonic()
            if time.monotonic() - heard > BEAT_SECONDS:
                heard = time.monotonic()
                beat()


def _validators(headers: Mapping[str, str]) -> Validators:
    etag, modified = headers.get("etag"), headers.get("last-modified")
    return Validators(etag[:500] if etag else None, modified[:100] if modified else None)


def explained(error: AddressError | BadStatus) -> tuple[str, str]:
    """A code and a sentence for the owner, with the remedy."""
    if isinstance(error, BadStatus):
        return "catalog.status", f"The feed's server answered with status {error.status}: open the address yourself."
    if isinstance(error, TooLarge):
        return error.code, f"The feed is larger than {LARGEST // 1024**3} GiB: split it."
    return error.code, f"{error}. {error.help}"
