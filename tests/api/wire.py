"""What happens between a client and the service: a relay that cuts answers, and a server that answers as told."""

import socket
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

PIECE = 16 * 1024


@dataclass
class Relay:
    """Hands connections on to the service. Each takes the next of `limits`: after so many bytes of answers it is cut,
    None is never; when they are used up all pass. `asked` holds what was sent over each."""

    url: str
    limits: list[int | None]
    asked: list[bytes] = field(default_factory=list[bytes])


@contextmanager
def relay(service: str, limits: Sequence[int | None]) -> Generator[Relay]:
    """A relay in front of the service at this address."""
    upstream = urlsplit(service)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        made = Relay(f"http://127.0.0.1:{listening.getsockname()[1]}", list(limits))
        threading.Thread(
            target=_accept, args=(made, listening, (upstream.hostname, upstream.port)), daemon=True
        ).start()
        try:
            yield made
        finally:
            listening.shutdown(socket.SHUT_RDWR)


def _accept(made: Relay, listening: socket.socket, upstream: Any) -> None:
    with suppress(OSError):
        while True:
            near, _ = listening.accept()
            limit = made.limits.pop(0) if made.limits else None
            made.asked.append(b"")
            far = socket.create_connection(upstream)
            place = len(made.asked) - 1
            threading.Thread(target=_ask, args=(made, place, near, far), daemon=True).start()
            threading.Thread(target=_answer, args=(near, far, limit), daemon=True).start()


def _ask(made: Relay, place: int, near: socket.socket, far: socket.socket) -> None:
    with suppress(OSError):
        while piece := near.recv(PIECE):
            made.asked[place] += piece
            far.sendall(piece)
        far.shutdown(socket.SHUT_WR)


def _answer(near: socket.socket, far: socket.socket, limit: int | None) -> None:
    with near, far, suppress(OSError):
        while piece := far.recv(PIECE):
            near.sendall(piece if limit is None else piece[:limit])
            if limit is not None and (limit := limit - len(piece)) <= 0:
                break
        for one in (near, far):
            one.shutdown(socket.SHUT_RDWR)


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Told:
    """One answer."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict[str, str])


def problem(status: int, code: str, **headers: str) -> Told:
    """An answer as the service refuses."""
    body = f'{{"type": "x", "title": "No", "status": {status}, "code": "{code}", "detail": "Not so.", "help": "Do."}}'
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Told(status, body.encode(), {"Content-Type": "application/problem+json", **named})


@contextmanager
def answering(*answers: Told) -> Generator[tuple[str, list[Asked]]]:
    """A server that gives these answers in turn, the last one again and again; its address and what it was asked."""
    left, asked = list(answers), list[Asked]()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            self.raw_requestline = self.rfile.readline(65_537)
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked.append(Asked(self.command, self.path, {n.lower(): v for n, v in self.headers.items()}, body))
            told = left.pop(0) if len(left) > 1 else left[0]
            self.send_response(told.status)
            for name, value in {"Content-Length": str(len(told.body)), **told.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(told.body)

        def log_message(self, format: str, *args: Any) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", asked
        finally:
            server.shutdown()
