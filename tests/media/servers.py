"""A loopback HTTP server that says byte for byte what a test wants, and remembers what it was sent."""

import socket
import socketserver
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread

Answer = Callable[[socket.socket], None]


@dataclass
class Said:
    """A running server: its address, the answers by path, the request heads it got."""

    base: str
    answers: dict[str, Answer]
    heads: list[str] = field(default_factory=list)
    stopping: Event = field(default_factory=Event)

    def url(self, path: str) -> str:
        return self.base + path


@contextmanager
def serving(host: str = "127.0.0.1") -> Iterator[Said]:
    """Each connection gets one answer, chosen by path (without its query), and is closed."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            head = b""
            while b"\r\n\r\n" not in head:
                if not (more := self.request.recv(65536)):
                    return
                head += more
            said.heads.append(head.decode())
            said.answers[head.split()[1].decode().partition("?")[0]](self.request)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server((host, 0), Handler) as server:
        said = Said(f"http://{host}:{server.server_address[1]}", {})
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield said
        finally:
            said.stopping.set()
            server.shutdown()
            thread.join()


def answer(status: str = "200 OK", body: bytes = b"", **headers: str | int) -> Answer:
    """A complete answer; header names with `_` for `-`."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return lambda connection: connection.sendall(f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + body)
