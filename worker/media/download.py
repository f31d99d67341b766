"""Bringing a result down: streamed, hashed on the way, whole or not there at all.

A result's address is not the backend's API: by the backend's contract it gets neither token nor attribution. It is
often signed, so it appears in no message, only its host does.
"""

import hashlib
import os
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from ssl import SSLContext
from typing import Literal

import httpx

from worker.media.kinds import SNIFF_BYTES, sniff

Reason = Literal[
    "address",  # no http(s) address, or one with a password in it
    "unreachable",  # no connection: refused, DNS, TLS
    "timeout",  # silent for too long, or too slow as a whole
    "cut",  # the connection ended before the body did
    "length",  # another number of bytes than stated
    "status",  # an answer other than 200
    "redirects",  # more than MOST_REDIRECTS
    "too_large",
    "empty",
    "encoding",  # compressed in a way that cannot be undone
    "disk",  # this machine could not write
]

_PASSING = frozenset({"unreachable", "timeout", "cut", "length", "empty", "disk"})
MOST_REDIRECTS = 5
_CHUNK_BYTES = 256 * 1024


class DownloadFailed(Exception):
    """Nothing was kept. `reason` says why, `status` is the HTTP status where there was one, `host` whose answer it was.

    `passing`: the same address may well work when asked again.
    """

    def __init__(self, reason: Reason, status: int | None = None, *, host: str = "") -> None:
        self.reason: Reason = reason
        self.status = status
        self.host = host
        self.passing = reason in _PASSING or status in (408, 425, 429) or (status is not None and status >= 500)
        super().__init__(f"download from {host or 'an address'} failed: {reason}" + (f" {status}" if status else ""))


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A whole file. `sha256` in hexadecimal; the media type by content, else as the server stated it."""

    path: Path
    bytes: int
    sha256: str
    media_type: str


@lru_cache(maxsize=1)
def _tls() -> SSLContext:
    """Shared: one context costs 20 ms and 850 KB. Made at the first use, that is, after gevent's patching."""
    return httpx.create_ssl_context()


def download(
    url: str,
    into: Path,
    *,
    max_bytes: int,
    connect_seconds: float = 10.0,
    read_seconds: float = 60.0,
    total_seconds: float = 900.0,
    headers: Mapping[str, str] | None = None,
) -> Downloaded:
    """GET `url` into the directory `into`, following up to `MOST_REDIRECTS` redirects; the file is named by its hash.

    `read_seconds` bounds one read, `total_seconds` the body as a whole (a server that drips resets the former for
    ever). Raises DownloadFailed, and ValueError for a header that must not go to a result's address.
    """
    deadline = time.monotonic() + total_seconds
    sent = {"Accept": "*/*", "Accept-Encoding": "identity", **_harmless(headers or {})}
    timeout = httpx.Timeout(read_seconds, connect=connect_seconds)
    target = _address(url)
    with httpx.Client(verify=_tls(), timeout=timeout) as client:
        for _ in range(MOST_REDIRECTS + 1):
            try:
                response = client.send(client.build_request("GET", target, headers=sent), stream=True)
            except (httpx.HTTPError, httpx.InvalidURL) as problem:
                raise _failure(problem, target.host) from None
            try:
                if response.next_request is None:
                    return save(response, into, max_bytes=max_bytes, total_seconds=deadline - time.monotonic())
                target = _address(str(response.next_request.url))
            finally:
                response.close()
    raise DownloadFailed("redirects", host=target.host)


def save(response: httpx.Response, into: Path, *, max_bytes: int, total_seconds: float = 900.0) -> Downloaded:
    """Write an open (streamed) response's body into the directory `into`, made when missing. Raises DownloadFailed.

    For calls that another client makes, such as the fallback download, which needs a token. Does not close it.
    """
    host = response.request.url.host
    stated = _stated(response, max_bytes, host)
    try:
        into.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=into, prefix=".download-")
    except OSError:
        raise DownloadFailed("disk", host=host) from None
    try:
        with os.fdopen(handle, "wb") as file:
            digest, size, head = hashlib.sha256(), 0, b""
            until = time.monotonic() + total_seconds
            for chunk in response.iter_bytes(_CHUNK_BYTES):
                size += len(chunk)
                if size > max_bytes:
                    raise DownloadFailed("too_large", host=host)
                if time.monotonic() > until:
                    raise DownloadFailed("timeout", host=host)
                digest.update(chunk)
                head = head if len(head) >= SNIFF_BYTES else head + chunk[:SNIFF_BYTES]
                file.write(chunk)
        if not size or (stated is not None and response.num_bytes_downloaded != stated):
            raise DownloadFailed("length" if size else "empty", host=host)
        path = into / digest.hexdigest()
        Path(name).replace(path)
    except (httpx.HTTPError, httpx.StreamError, OSError) as problem:
        raise _failure(problem, host) from None
    finally:
        with suppress(FileNotFoundError):
            os.unlink(name)
    kind = sniff(head)
    return Downloaded(path, size, digest.hexdigest(), kind.media_type if kind else _stated_type(response))


def _stated(response: httpx.Response, max_bytes: int, host: str) -> int | None:
    """The body's length as the server states it; raises DownloadFailed where the head alone rules the body out."""
    if response.status_code != 200:
        raise DownloadFailed("status", response.status_code, host=host)
    if response.headers.get("content-encoding", "identity").lower() not in ("identity", "gzip", "deflate"):
        raise DownloadFailed("encoding", host=host)
    length = response.headers.get("content-length", "")
    stated = int(length) if length.isascii() and length.isdigit() else None
    if stated is not None and stated > max_bytes:
        raise DownloadFailed("too_large", host=host)
    return stated


def _stated_type(response: httpx.Response) -> str:
    return response.headers.get("content-type", "").partition(";")[0].strip().lower() or "application/octet-stream"


def _address(url: str) -> httpx.URL:
    """The parsed address; one with a user and password in it would become an Authorization header."""
    try:
        address = httpx.URL(url)
    except (httpx.InvalidURL, TypeError, ValueError):
        raise DownloadFailed("address") from None
    if address.scheme not in ("http", "https") or not address.host or address.userinfo:
        raise DownloadFailed("address", host=address.host)
    return address


def _harmless(headers: Mapping[str, str]) -> Mapping[str, str]:
    for name in headers:
        if name.lower() in ("authorization", "proxy-authorization", "cookie", "x-client-id") or name.lower().startswith(
            "x-skill-"
        ):
            raise ValueError(f"{name} must not be sent to a result's address")
    return headers


def _failure(problem: Exception, host: str) -> DownloadFailed:
    """The same in our words: the library's own may quote the address."""
    if isinstance(problem, OSError):
        return DownloadFailed("disk", host=host)
    if isinstance(problem, httpx.TimeoutException):
        return DownloadFailed("timeout", host=host)
    if isinstance(problem, httpx.UnsupportedProtocol | httpx.InvalidURL):
        return DownloadFailed("address", host=host)
    if isinstance(problem, httpx.DecodingError):
        return DownloadFailed("encoding", host=host)
    return DownloadFailed("unreachable" if isinstance(problem, httpx.ConnectError) else "cut", host=host)
