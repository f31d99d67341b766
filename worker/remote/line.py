"""One connection that can be cut from outside and whose reads end on time.

httpcore reads with one fixed time-out per response and knows nothing of an overall deadline, and a connect in progress
cannot be ended from another thread. Both are needed for the paid message, so its connection is ours: a network backend
(httpcore's public extension point) whose every socket is known to an `Abort`.
"""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Literal

import httpcore

Limit = Literal["idle", "silence", "deadline"]


class Abort:
    """Ends one call from any thread or greenlet, at any time: before the connect, during it, mid-stream."""

    def __init__(self) -> None:
        self.why: str | None = None
        """What `now` was given; None until then."""
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None

    def now(self, why: str) -> None:
        """End the call; the first reason is kept. Returns at once, the call itself ends within moments."""
        with self._lock:
            if self.why is None:
                self.why = why
            if self._socket is not None:
                _shut_down(self._socket)

    def watch(self, sock: socket.socket) -> None:
        """From now on `now` shuts this socket down; an abort that came first does so here."""
        with self._lock:
            self._socket = sock
            if self.why is not None:
                _shut_down(sock)

    def unwatch(self) -> None:
        """Called before the socket is closed: its number may belong to another connection a moment later."""
        with self._lock:
            self._socket = None


def _shut_down(sock: socket.socket) -> None:
    """Wake whoever waits on the socket.

    Not `sock.shutdown`: an SSLSocket's drops its TLS layer first, and a write of another thread at that moment would
    leave in the clear.
    """
    with contextlib.suppress(OSError):  # not connected yet, or gone already: the next step of the call sees `why`
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


class Limits:
    """When to stop waiting for a stream. All in seconds; `expired` names the limit that ended it."""

    def __init__(self, *, idle: float, silence: float, longest: float) -> None:
        self._idle, self._silence, self._longest = idle, silence, longest
        self.expired: Limit | None = None
        self.started()

    def started(self) -> None:
        """The request leaves now: silence and the overall time count from here."""
        self._real = time.monotonic()
        self._end = self._real + self._longest

    def real_event(self) -> None:
        """Something other than a sign of life came."""
        self._real = time.monotonic()

    def next_read(self) -> tuple[float, Limit]:
        """How long the next read may take, and which limit says so."""
        now = time.monotonic()
        waits: list[tuple[float, Limit]] = [
            (self._idle, "idle"),
            (self._real + self._silence - now, "silence"),
            (self._end - now, "deadline"),
        ]
        return min(waits)


class Line(httpcore.NetworkStream):
    """A connected socket: reads within the limits, writes within their own time-out."""

    def __init__(self, sock: socket.socket, abort: Abort, limits: Limits) -> None:
        self._socket = sock
        self._abort = abort
        self._limits = limits

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """At most `max_bytes`, `b""` at the end; httpcore's fixed `timeout` gives way to the limits."""
        wait, limit = self._limits.next_read()
        try:
            if wait <= 0:
                raise TimeoutError
            self._socket.settimeout(wait)
            return self._socket.recv(max_bytes)
        except TimeoutError as error:
            self._limits.expired = limit
            raise httpcore.ReadTimeout(limit) from error
        except OSError as error:
            raise httpcore.ReadError(str(error)) from error

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """All of it, or an error; an aborted line takes no more bytes."""
        if self._abort.why is not None:
            raise httpcore.WriteError("aborted")
        try:
            self._socket.settimeout(timeout)
            self._socket.sendall(buffer)
        except TimeoutError as error:
            raise httpcore.WriteTimeout from error
        except OSError as error:
            raise httpcore.WriteError(str(error)) from error

    def close(self) -> None:
        self._abort.unwatch()
        self._socket.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """The same line, encrypted; `ConnectError` where the certificate or the handshake fails."""
        try:
            self._socket.settimeout(timeout)
            self._abort.unwatch()  # wrapping takes the plain socket's place
            sock = ssl_context.wrap_socket(self._socket, server_hostname=server_hostname, do_handshake_on_connect=False)
            self._socket = sock
            self._abort.watch(sock)
            sock.do_handshake()
        except TimeoutError as error:
            self.close()
            raise httpcore.ConnectTimeout("TLS handshake") from error
        except (OSError, ValueError) as error:  # ValueError: a server name no certificate can have
            self.close()
            raise httpcore.ConnectError(str(error)) from error
        return self

    def get_extra_info(self, info: str) -> Any:
        if info == "ssl_object":
            return self._socket if isinstance(self._socket, ssl.SSLSocket) else None
        return self._socket if info == "socket" else None


class Backend(httpcore.NetworkBackend):
    """Opens the line of one call; `seconds_left` tells how long its send-by time still allows."""

    def __init__(self, abort: Abort, limits: Limits, seconds_left: Callable[[], float]) -> None:
        self._abort = abort
        self._limits = limits
        self._seconds_left = seconds_left

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """The first address that answers, all together within `timeout` seconds and the call's own deadline."""
        until = time.monotonic() + min(timeout or 0, self._seconds_left())
        last: OSError = TimeoutError("no time left")
        try:
            addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:  # UnicodeError: a host name IDNA cannot encode
            raise httpcore.ConnectError(f"{host}: {error}") from error
        for family, kind, protocol, _, address in addresses:
            left = until - time.monotonic()
            if left <= 0 or self._abort.why is not None:
                break
            sock = socket.socket(family, kind, protocol)
            try:
                sock.settimeout(left)
                self._abort.watch(sock)
                sock.connect(address)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as error:
                self._abort.unwatch()
                sock.close()
                last = error
                continue
            return Line(sock, self._abort, self._limits)
        if isinstance(last, TimeoutError):
            raise httpcore.ConnectTimeout(f"{host}:{port}") from last
        raise httpcore.ConnectError(f"{host}:{port}: {last}") from last
