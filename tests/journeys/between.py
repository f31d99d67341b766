"""A TCP proxy between the service and PostgreSQL that loses what it is told to lose, at the moment it is told.

It reads the client's side of the protocol just far enough to know which statement goes by: the text comes with the
first executions on a connection, later ones name what was prepared.
"""

import re
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Self

CLAIM = b"begun AS (INSERT INTO attempts"
CONCLUSION = b"ended AS (INSERT INTO attempts"
INTENT = b"INSERT INTO intents"
ACCEPTED = b"INSERT INTO idempotency_keys"
MARKED = b"UPDATE renders SET sent_at"

_PARSED = re.compile(rb"P.{4}(_pg3_\d+)\x00([^\x00]*)\x00", re.DOTALL)
_BOUND = re.compile(rb"B.{4}[^\x00]*\x00(_pg3_\d+)\x00", re.DOTALL)
_END = (b"COMMIT\x00", b"ROLLBACK\x00")


class Loss(StrEnum):
    """What is lost."""

    STATEMENT = "statement"  # it never arrives; the client waits
    ANSWER = "answer"  # it was carried out; the client waits for the answer
    CONNECTION = "connection"  # it was carried out; instead of the answer the connection is cut


@dataclass
class Trap:
    """Something to lose once: a statement, or where `commit` the COMMIT of the transaction that holds it."""

    marker: bytes
    loss: Loss
    commit: bool
    sprung: threading.Event = field(default_factory=threading.Event)


class Between:
    """The proxy; `with Between(socket) as proxy`."""

    def __init__(self, server: Path) -> None:
        self._server = server
        self._trap: Trap | None = None
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for one in (self._listener, *self._open):
            _close(one)

    def lose(self, marker: bytes, loss: Loss, *, commit: bool = False) -> Trap:
        """Lose the next one."""
        with self._lock:
            self._trap = Trap(marker, loss, commit)
            return self._trap

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                server = socket.socket(socket.AF_UNIX)
                self._open += [client, server]
                _Line(self, client, server).start(self._server)

    def spring(self, said: bytes, before: bytes) -> Trap | None:
        """The trap that these words spring, if any; `before` is what was said in the transaction so far."""
        with self._lock:
            trap = self._trap
            if trap is None or trap.marker not in (before if trap.commit else said):
                return None
            if trap.commit and _END[0] not in said:
                return None
            self._trap = None
            return trap


class _Line:
    """One connection."""

    def __init__(self, between: Between, client: socket.socket, server: socket.socket) -> None:
        self._between, self._client, self._server = between, client, server
        self._prepared: dict[bytes, bytes] = {}
        self._said = b""
        self._losing: Trap | None = None

    def start(self, address: Path) -> None:
        """Connect, and pass on both ways; a server that is away is a connection refused."""
        try:
            self._server.connect(str(address))
        except OSError:
            _close(self._client)
            return
        for run in (self._to_server, self._to_client):
            threading.Thread(target=run, daemon=True).start()

    def _to_server(self) -> None:
        with suppress(OSError):
            while chunk := self._client.recv(1 << 20):
                trap = self._between.spring(self._words(chunk), self._said)
                if trap is not None and trap.loss is Loss.STATEMENT:
                    trap.sprung.set()
                    continue
                self._losing = self._losing or trap
                self._server.sendall(chunk)
        _close(self._server)

    def _words(self, chunk: bytes) -> bytes:
        """The statements of a chunk, those it only names included; the transaction's so far are kept."""
        self._prepared |= dict(_PARSED.findall(chunk))
        words = b"\n".join([chunk, *(self._prepared.get(name, b"") for name in _BOUND.findall(chunk))])
        self._said = words if any(end in self._said for end in _END) else self._said + words
        return words

    def _to_client(self) -> None:
        with suppress(OSError):
            while chunk := self._server.recv(1 << 20):
                if self._losing is None:
                    self._client.sendall(chunk)
                    continue
                # The answer is here, so it was carried out.
                self._losing.sprung.set()
                if self._losing.loss is Loss.CONNECTION:
                    break
        _close(self._client)


def _close(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
