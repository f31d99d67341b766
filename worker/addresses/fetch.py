"""The guarded fetch: whatever a customer's address, it reaches a checked public host, stays small and ends in time.

    with Guarded().open("GET", feed, limits=Limits(body_bytes=2**31, redirects=5)) as answer:
        for chunk in answer.chunks(): ...

No environment is read (proxies, .netrc), no cookie is kept, no connection is used twice: each attempt and each redirect
resolves and checks anew.
"""

import re
import ssl
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache

import httpcore
import httpx

from worker.addresses import decoding
from worker.addresses.connect import Backend, Clock
from worker.addresses.errors import AddressError, Cut, TooLarge, TooManyRedirects
from worker.addresses.form import Address, parse_target, redirected
from worker.addresses.lookups import Lookups, Resolve
from worker.addresses.policy import Policy, policy

USER_AGENT = "vivideo"
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_OURS = frozenset(
    {"accept-encoding", "connection", "content-length", "host", "te", "trailer", "transfer-encoding", "upgrade"}
)
"""Headers that frame the message: a caller does not set them."""
_LOOKUPS = Lookups()
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a fetch may take. Bytes, and seconds."""

    body_bytes: int = 1024 * 1024
    """Of an answer's body, as sent and as unpacked."""
    total_seconds: float = 20.0
    """From the look-up to the last byte, redirects and all."""
    connect_seconds: float = 10.0
    """Look-up and connection together; TLS as much again."""
    read_seconds: float = 10.0
    """Without a byte in either direction."""
    redirects: int = 0
    """Followed, of GET and HEAD; with 0 the redirect itself is the answer."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A whole answer. `url` is where the redirects ended."""

    status: int
    headers: httpx.Headers
    body: bytes
    url: str


class Answer:
    """An open answer: the head is here, the body comes as it is read, once. Reading raises AddressError."""

    def __init__(self, response: httpcore.Response, address: Address, hops: int, most: int) -> None:
        self.status = response.status
        self.headers = httpx.Headers(response.headers)
        self.url = str(address)
        self._response, self._host, self._hops, self._most = response, address.host, hops, most

    def chunks(self) -> Iterator[bytes]:
        """The body, unpacked, in pieces of any size; TooLarge before the first where the head says so."""
        length = self.headers.get("content-length", "")
        if length.isdecimal() and int(length) > self._most:
            raise TooLarge(host=self._host, hops=self._hops)
        yield from self._pieces()

    def read(self) -> bytes:
        """The whole body."""
        return b"".join(self.chunks())

    def head(self, most: int) -> bytes:
        """The first `most` bytes, or what could be had of them: for a log, where a body that breaks off, is a bomb or
        never ends does not undo the status."""
        kept = bytearray()
        try:
            for piece in self._pieces():
                kept += piece
                if len(kept) >= most:
                    break
        except AddressError:
            pass
        return bytes(kept[:most])

    def _pieces(self) -> Iterator[bytes]:
        with _told(self._host, self._hops):
            decoder = decoding.decoder(self.headers.get("content-encoding", ""))
            sent = unpacked = 0
            for data in self._response.iter_stream():
                sent += len(data)
                for piece in decoder.feed(data):
                    room = self._most - unpacked
                    unpacked += len(piece)
                    yield piece[:room]
                    if len(piece) > room:
                        raise TooLarge
                if sent > self._most:  # packed so that nothing comes of it
                    raise TooLarge
            decoder.end()


class Guarded:
    """Fetches customers' addresses. Holds nothing open; threads and greenlets may share one.

    `allowed` is the installation's policy where not given, `resolver` the machine's, whose places for look-ups all of
    this process share, `tls` the usual authorities'.
    """

    def __init__(
        self, allowed: Policy | None = None, *, resolver: Resolve | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self._allowed, self._tls = allowed, tls
        self._lookups = _LOOKUPS if resolver is None else Lookups(resolver)

    def fetch(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        limits: Limits | None = None,
    ) -> Fetched:
        """As `open`, with the whole body; any status is an answer. Raises AddressError."""
        with self.open(method, url, headers=headers, content=content, limits=limits) as answer:
            return Fetched(answer.status, answer.headers, answer.read(), answer.url)

    @contextmanager
    def open(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | Iterator[bytes] | None = None,
        length: int | None = None,
        limits: Limits | None = None,
        clock: Clock | None = None,
    ) -> Generator[Answer]:
        """Send the request and hold the answer open. Raises AddressError; ValueError for a header that cannot be sent
        or is not the caller's to set, and for redirects of another method than GET and HEAD.

        `length` is that of a `content` that comes in pieces, bytes: it is told beforehand, as some receivers take no
        chunks; without it the pieces go out as chunks. Pieces that come to another length are a ValueError.
        `clock` takes the place of `limits.total_seconds`: its holder may move its end while the fetch is under way.
        `headers` go to the address's own origin alone: a redirect to another is followed without them.
        """
        limits, allowed = limits or Limits(), self._allowed or policy()
        if limits.redirects and method not in ("GET", "HEAD"):
            raise ValueError(f"a redirected {method} would have to be sent twice")
        backend = Backend(allowed, clock or Clock(limits.total_seconds), self._lookups)
        if length is not None and content is not None and not isinstance(content, bytes):
            content = _exactly(content, length)
        call = _Call(method, content, length, limits, backend, self._tls)
        address, carried, hops = parse_target(url, allowed), _sendable(headers or {}), 0
        while True:
            with call.asked(address, carried, hops) as answer:
                location = answer.headers.get("location") if answer.status in _REDIRECTS else None
                if location is None or not limits.redirects:
                    yield answer
                    return
            hops += 1
            if hops > limits.redirects:
                raise TooManyRedirects(host=address.host)
            with _told("", hops):
                onward = redirected(address, location, allowed)
            address, carried = onward, carried if onward.origin == address.origin else {}


@dataclass(frozen=True, slots=True)
class _Call:
    """What is the same for all requests of one fetch."""

    method: str
    content: bytes | Iterator[bytes] | None
    length: int | None
    limits: Limits
    backend: Backend
    tls: ssl.SSLContext | None

    @contextmanager
    def asked(self, address: Address, headers: Mapping[str, str], hops: int) -> Generator[Answer]:
        """One request, on a connection of its own."""
        with ExitStack() as open_until_read:
            with _told(address.host, hops):
                pool = open_until_read.enter_context(self._pool(address))
                response = open_until_read.enter_context(
                    pool.stream(
                        self.method,
                        httpcore.URL(
                            scheme=address.scheme, host=address.host, port=address.port, target=address.target
                        ),
                        headers=_complete(headers, address, self.length),
                        content=self.content,
                        extensions={"timeout": self._timeouts()},
                    )
                )
            yield Answer(response, address, hops, self.limits.body_bytes)

    def _pool(self, address: Address) -> httpcore.ConnectionPool:
        return httpcore.ConnectionPool(
            ssl_context=(self.tls or _tls()) if address.scheme == "https" else None,
            max_connections=1,
            max_keepalive_connections=0,
            retries=0,
            network_backend=self.backend,
        )

    def _timeouts(self) -> dict[str, float]:
        step = self.limits.read_seconds
        return {"connect": self.limits.connect_seconds, "read": step, "write": step}


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """Shared: one context costs 20 ms and 850 KB. Made at the first use, that is, after gevent's patching."""
    return httpx.create_ssl_context()


def _sendable(headers: Mapping[str, str]) -> Mapping[str, str]:
    for name, value in headers.items():
        if name.lower() in _OURS or not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise ValueError(f"the header {name!r} cannot be sent")
    return headers


def _complete(headers: Mapping[str, str], address: Address, length: int | None) -> list[tuple[bytes, bytes]]:
    usual = {"Host": address.authority, "User-Agent": USER_AGENT, "Accept": "*/*"}
    named = {name.lower() for name in headers}
    lines = {name: value for name, value in usual.items() if name.lower() not in named} | dict(headers)
    lines["Accept-Encoding"] = decoding.ACCEPTED
    if length is not None:
        lines["Content-Length"] = str(length)
    return [(name.encode("ascii"), value.encode("ascii")) for name, value in lines.items()]


def _exactly(pieces: Iterator[bytes], length: int) -> Iterator[bytes]:
    """Raises ValueError instead of a byte too many, and at the end where some are missing."""
    for piece in pieces:
        length -= len(piece)
        if length < 0:
            break
        yield piece
    if length:
        raise ValueError("the body has not the length that was told")


@contextmanager
def _told(host: str, hops: int) -> Generator[None]:
    """Errors of the connection as ours, with the host as the customer knows it; the library's own say too much."""
    try:
        yield
    except AddressError as error:
        error.host, error.hops = error.host or host, hops
        raise
    except (httpcore.NetworkError, httpcore.RemoteProtocolError):
        raise Cut(host=host, hops=hops) from None
