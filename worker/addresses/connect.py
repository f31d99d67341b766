"""The connection of a guarded fetch: resolved once, every address checked, made to a checked one, over in time.

A network backend of httpcore's, its public extension point. It gives httpcore a socket to an address that was checked,
so nothing is resolved a second time; Host, server name and certificate stay those of the name. Each wait is for the
socket to become ready, with what is left of the whole as its limit: under gevent, time-outs of a TLS socket begin anew
with each packet, and a server that drips would never meet one.
"""

import select
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from ipaddress import ip_address
from typing import Any, TypeVar

import httpcore

from worker.addresses.errors import BadCertificate, NotConnected, Private, TimedOut, Unresolvable
from worker.addresses.lookups import Lookups
from worker.addresses.policy import IP, Policy

T = TypeVar("T")

MOST_TRIED = 4
"""Addresses of a name that are connected to in turn; a hostile name may have hundreds."""


class Clock:
    """What is left of a fetch, from its first look-up to its last byte. Seconds."""

    def __init__(self, total: float) -> None:
        self._end = self._whole = time.monotonic() + total

    def within(self, seconds: float) -> None:
        """Over so many seconds from now, or with the whole where that is earlier: for whoever has the right to go on
        for a while only, and says anew each time that he still has it."""
        self._end = min(self._whole, time.monotonic() + seconds)

    def until(self, step: float | None) -> float:
        """The moment by which a step that begins now has to be over."""
        return self._end if step is None else min(self._end, time.monotonic() + step)


class Backend(httpcore.NetworkBackend):
    """Opens the connections of one fetch. Unix sockets stay what they are in the base class: not implemented."""

    def __init__(self, policy: Policy, clock: Clock, lookups: Lookups) -> None:
        self._policy, self._clock, self._lookups = policy, clock, lookups

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """The first address that answers, all together within `timeout` seconds. Raises AddressError."""
        until = self._clock.until(timeout)
        addresses = self._checked(host, port, until)
        slow = False
        for tried, address in enumerate(addresses):
            now = time.monotonic()
            try:
                return Wire(_connected(address, port, now + (until - now) / (len(addresses) - tried)), self._clock)
            except TimeoutError:
                slow = True
            except OSError:
                continue
        raise TimedOut if slow else NotConnected

    def _checked(self, host: str, port: int, until: float) -> list[IP]:
        """The addresses to try. One that is not allowed refuses them all: the next answer might hold it alone."""
        try:
            found = [ip_address(text) for text in self._lookups.addresses(host, port, until)]
        except (OSError, ValueError):  # ValueError: a name that cannot be encoded (UnicodeError), no IP address
            raise Unresolvable from None
        if not found:
            raise Unresolvable
        if not all(map(self._policy.allows, found)):
            raise Private
        return found[:MOST_TRIED]


def _connected(address: IP, port: int, until: float) -> socket.socket:
    """A socket that never blocks. Raises OSError."""
    sock = socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6, socket.SOCK_STREAM)
    try:
        sock.settimeout(max(0.001, until - time.monotonic()))
        sock.connect((str(address), port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


class Wire(httpcore.NetworkStream):
    """A connected socket; whatever it does is over by its own limit and by the clock's."""

    def __init__(self, sock: socket.socket, clock: Clock) -> None:
        self._socket, self._clock = sock, clock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """At most `max_bytes`, `b""` at the end."""
        try:
            return self._in_time(lambda: self._socket.recv(max_bytes), select.POLLIN, timeout)
        except OSError:
            raise httpcore.ReadError from None

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """All of it. httpcore takes a WriteError for a server that has answered already, and reads on."""
        left = memoryview(buffer)
        try:
            while left:
                left = left[self._in_time(lambda rest=left: self._socket.send(rest), select.POLLOUT, timeout) :]
        except OSError:
            raise httpcore.WriteError from None

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """The same, encrypted, with the certificate of `server_hostname` checked. Raises AddressError."""
        try:
            sock = ssl_context.wrap_socket(self._socket, server_hostname=server_hostname, do_handshake_on_connect=False)
            self._socket = sock
            self._in_time(sock.do_handshake, select.POLLIN, timeout)
        except BaseException as error:
            self.close()  # httpcore does not know it yet
            if isinstance(error, ValueError):  # a certificate's fault, or a server name that none can have
                raise BadCertificate from None
            if isinstance(error, OSError):
                raise NotConnected("the encrypted connection could not be made") from None
            raise
        return self

    def close(self) -> None:
        with suppress(OSError):
            self._socket.close()

    def get_extra_info(self, info: str) -> Any:
        return self._socket if info == "ssl_object" and isinstance(self._socket, ssl.SSLSocket) else None

    def _in_time(self, operation: Callable[[], T], usual: int, timeout: float | None) -> T:
        """Try, wait until the socket is ready, try again. Raises TimedOut, which httpcore lets through."""
        until = self._clock.until(timeout)
        while True:
            if time.monotonic() >= until:
                raise TimedOut
            try:
                return operation()
            except ssl.SSLWantReadError:
                awaited = select.POLLIN
            except ssl.SSLWantWriteError:
                awaited = select.POLLOUT
            except BlockingIOError:
                awaited = usual
            _wait(self._socket, awaited, until)


def _wait(sock: socket.socket, event: int, until: float) -> None:
    """Return when the socket is ready or the time is over."""
    ready = select.poll()
    ready.register(sock, event)
    ready.poll(max(0.0, until - time.monotonic()) * 1000)
