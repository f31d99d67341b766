"""The paid message: sent once, followed to its end, and told exactly how far it got.

Nothing here repeats anything. One connection is opened for the message alone (a pooled one that the server has closed
meanwhile would leave it unknown), and the verdict rests on two facts that the transport reports: whether a byte of the
request may have left, and whether the body of the answer ended as HTTP says it must.
"""

import json
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpcore

from worker.remote import expected, noticing, sse
from worker.remote.clock import Clock, running
from worker.remote.dialects import Reader, StreamEvent
from worker.remote.errors import RateLimited, RemoteError, TryAgain
from worker.remote.faults import code_of, decoded, fault
from worker.remote.headers import bearer
from worker.remote.line import Abort, Backend, Limits
from worker.remote.record import UNRECORDED, Record, unrecorded
from worker.remote.text import redact

__all__ = ["Abort", "Endpoint", "Outcome", "Patience", "StreamEvent", "Turn", "send_message"]

Outcome = Literal["unsent", "refused", "received", "unknown"]

LARGEST_REFUSAL = 1024 * 1024
"""Bytes of an answer that is no stream; a refusal is a sentence, and an error page is not worth more."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What became of one message.

    `outcome`: `unsent`: surely nothing left, may be sent again. `refused`: the backend did nothing, `error` says why.
    `received`: an event stream that ended cleanly. `unknown`: it may have been received; only the state can tell.
    """

    outcome: Outcome
    error: RemoteError | None = None
    """The refusal; also set for an error told on the stream whose code is known."""
    text: str = ""
    """The answer for a person, once: the last words; see `terminal` for whether they end the turn."""
    calls: int = 0
    results: int = 0
    terminal: bool = False
    """Whether model text came after the last tool result; without it, even a clean end may be a truncated turn."""
    error_frame: str | None = None
    """A failure told on the stream, in one redacted line."""
    clean_end: bool = False
    """The body ended with its chunked terminator or declared length; a mere close does not count."""
    cause: str = ""
    """connect, late, aborted:<why>, idle, silence, deadline, cut, status, shape; empty after a clean stream."""
    seconds: float = 0.0
    unknown_events: int = 0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where and as whom to speak."""

    base_url: str
    token: str = field(repr=False)
    attribution: Mapping[str, str]
    tls: Callable[[], ssl.SSLContext]
    record: Record = unrecorded


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: to connect and to write; without a byte; without a real event; over all."""

    connect: float
    idle: float
    silence: float
    longest: float


class _Late(Exception):
    """The send-by time passed before a byte left."""


class _Aborted(Exception):
    """The caller ended the call before a byte left."""


class _Gate:
    """Sits on httpcore's trace: the last look before the bytes go, and the memory that they went.

    Asked twice, before the headers and before the body: a message whose body never left cannot have been carried out,
    so a process that froze between the two is still stopped in time.
    """

    def __init__(self, seconds_left: Callable[[], float], abort: Abort, limits: Limits) -> None:
        self.may_have_left = False
        self._seconds_left, self._abort, self._limits = seconds_left, abort, limits

    def __call__(self, name: str, info: Mapping[str, Any]) -> None:
        step = name.partition(".")[2]
        if step not in ("send_request_headers.started", "send_request_body.started"):
            return
        if info["request"].method == b"CONNECT":  # to a proxy: not yet the message
            return
        if self._abort.why is not None:
            raise _Aborted
        if self._seconds_left() <= 0:
            raise _Late
        if step == "send_request_body.started":
            self.may_have_left = True
            self._limits.started()


def send_message(
    endpoint: Endpoint,
    patience: Patience,
    session_id: str,
    text: str,
    *,
    deadline: float,
    on_event: Callable[[StreamEvent], None],
    abort: Abort,
    now: Clock = running,
) -> Turn:
    """Send `text` to a session and follow the answer. Never raises for what the backend or the network does.

    `deadline` is the send-by time on the clock `now`, which goes on while the machine is suspended. What `on_event`
    raises passes through, after the connection is closed.
    """
    return _Call(endpoint, patience, lambda: deadline - now(), on_event, abort).run(session_id, text)


class _Call:
    def __init__(
        self,
        endpoint: Endpoint,
        patience: Patience,
        seconds_left: Callable[[], float],
        on_event: Callable[[StreamEvent], None],
        abort: Abort,
    ) -> None:
        self._endpoint, self._patience, self._abort, self._on_event = endpoint, patience, abort, on_event
        self._began = time.monotonic()
        self._seconds_left = seconds_left
        self._limits = Limits(idle=patience.idle, silence=patience.silence, longest=patience.longest)
        self._gate = _Gate(seconds_left, abort, self._limits)
        self._reader = Reader()
        self._kept = UNRECORDED
        self._clean_end = False

    def run(self, session_id: str, text: str) -> Turn:
        if self._abort.why is not None:
            return self._turn("unsent", cause=self._aborted())
        url, message = f"{self._endpoint.base_url}/run_sse", _message(session_id, text)
        try:
            with (
                self._endpoint.record("send_message", "POST", url, self._headers().items(), message) as self._kept,
                self._pool() as pool,
                pool.stream(
                    "POST",
                    url,
                    headers=list(self._headers().items()),
                    content=message,
                    extensions={"trace": self._gate, "timeout": self._timeouts()},
                ) as response,
            ):
                return self._answered(response)
        except _Late:
            return self._turn("unsent", cause="late")
        except (_Aborted, sse.EventTooLarge, *_NETWORK) as error:
            return self._broken(error)

    def _pool(self) -> httpcore.ConnectionPool:
        """One connection, used once."""
        return httpcore.ConnectionPool(
            ssl_context=self._endpoint.tls() if self._endpoint.base_url.startswith("https:") else None,
            proxy=_proxy(self._endpoint.base_url),
            max_connections=1,
            max_keepalive_connections=0,
            retries=0,
            network_backend=Backend(self._abort, self._limits, self._seconds_left),
        )

    def _headers(self) -> dict[str, str]:
        """`identity`: a compressed stream would arrive in the compressor's blocks, not event by event.

        No `Connection: close`: some servers then leave out the chunked framing, and with it the proof of a clean end.
        """
        return {
            **self._endpoint.attribution,
            **bearer(self._endpoint.token),
            "Accept": "text/event-stream",
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
        }

    def _timeouts(self) -> dict[str, float]:
        return {"connect": self._patience.connect, "write": self._patience.connect, "pool": self._patience.connect}

    def _answered(self, response: httpcore.Response) -> Turn:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
        self._kept.answered(response.status, headers.items())
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "text/event-stream" and 200 <= response.status < 300:
            return self._followed(response, headers)
        body = _short(response)
        self._kept.piece(body)
        return self._refused(response.status, decoded(body), headers)

    def _followed(self, response: httpcore.Response, headers: Mapping[str, str]) -> Turn:
        parser = sse.Parser()
        comments = 0
        for chunk in response.iter_stream():
            self._kept.piece(chunk)
            for event in parser.feed(chunk):
                self._heard(event)
            if parser.comments > comments:
                comments = parser.comments
                self._on_event(StreamEvent("heartbeat"))
        self._clean_end = "chunked" in headers.get("transfer-encoding", "").lower() or "content-length" in headers
        if not self._clean_end:  # a body that ends with the connection looks the same when it is cut
            return self._turn("unknown", cause=self._aborted() or "cut")
        return self._turn("received")

    def _heard(self, heard: sse.Event) -> None:
        if heard.type != "message":
            noticing.event(f"named {noticing.tidy(heard.type)}")
        for event in self._reader.read(heard.data):
            if event.kind != "heartbeat":
                self._limits.real_event()
            self._on_event(event)

    def _refused(self, status: int, body: object, headers: Mapping[str, str]) -> Turn:
        """No stream. A 4xx, or a 2xx with a non-zero code, says that nothing was done; the rest says nothing.

        Nor does a time-out or a failure, by status or by code: a proxy that tells of one may have handed the message
        on. The contract's codes name none of these, so the look-up decides.
        """
        error = fault("send_message", status, body, headers, secret=self._endpoint.token)
        code = code_of(body) if isinstance(body, dict) else None
        if error is not None:
            expected.refused("send_message", status, body)
        elif status < 300:
            noticing.shape("send_message", "no event stream", noticing.kind_of(body))
        if error is None and status >= 400:  # a code of success, which the status outranks here
            error = fault("send_message", status, None, headers)
        if 200 <= status < 300 and not code:
            return self._turn("unknown", cause="shape", error=error)
        refused = status < 500 and not 300 <= status < 400 and not _leaves_open(error)
        return self._turn("refused" if refused else "unknown", cause="status", error=error)

    def _broken(self, error: Exception) -> Turn:
        cause = self._aborted() or self._limits.expired or ("shape" if isinstance(error, sse.EventTooLarge) else "cut")
        if self._gate.may_have_left:
            return self._turn("unknown", cause=cause)
        error = TryAgain("send_message", f"{type(error).__name__}: {error}")
        late = self._seconds_left() <= 0
        return self._turn("unsent", cause=self._aborted() or ("late" if late else "connect"), error=error)

    def _aborted(self) -> str:
        return "" if self._abort.why is None else f"aborted:{self._abort.why}"

    def _turn(self, outcome: Outcome, *, cause: str = "", error: RemoteError | None = None) -> Turn:
        reader = self._reader
        if error is None and reader.error is not None and code_of(reader.error):
            error = fault("send_message", 200, reader.error, {}, secret=self._endpoint.token)
        return Turn(
            outcome=outcome,
            error=error,
            text=reader.text,
            calls=reader.calls,
            results=reader.results,
            terminal=reader.terminal,
            error_frame=None if reader.error_frame is None else redact(reader.error_frame, self._endpoint.token),
            clean_end=self._clean_end,
            cause=cause,
            seconds=time.monotonic() - self._began,
            unknown_events=reader.unknown,
        )


def _leaves_open(error: RemoteError | None) -> bool:
    """Whether it is a fault that may pass. A rate is counted before anything is done, so 429 is a refusal."""
    return isinstance(error, TryAgain) and not isinstance(error, RateLimited)


_NETWORK = (
    httpcore.NetworkError,
    httpcore.TimeoutException,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
)


def _message(session_id: str, text: str) -> bytes:
    """The request's body, in ASCII: no proxy on the way can garble it."""
    message = {"parts": [{"text": text}]}
    return json.dumps(
        {"app_name": "nemo_agent", "user_id": "me", "session_id": session_id, "new_message": message}
    ).encode("ascii")


def _short(response: httpcore.Response) -> bytes:
    """What can be had of a short answer; one that is cut still has its status."""
    body = b""
    try:
        for chunk in response.iter_stream():
            body += chunk
            if len(body) > LARGEST_REFUSAL:
                break
    except _NETWORK:
        pass
    return body


def _proxy(url: str) -> httpcore.Proxy | None:
    """The proxy that the environment names for this URL, as the pooled calls use it."""
    parts = urlsplit(url)
    proxies = getproxies()
    address = proxies.get(parts.scheme) or proxies.get("all")
    if not address or not parts.hostname or proxy_bypass(parts.hostname):
        return None
    proxy = urlsplit(address if "://" in address else f"http://{address}")
    auth = (proxy.username, proxy.password or "") if proxy.username else None
    return httpcore.Proxy(f"{proxy.scheme}://{proxy.netloc.rpartition('@')[2]}", auth=auth)
