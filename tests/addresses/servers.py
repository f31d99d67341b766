"""Real servers on loopback that count who connects and keep what they were sent."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

Script = Callable[[socket.socket], None]


@dataclass
class Server:
    """A running server; `answers` by path, without its query."""

    host: str
    port: int
    scheme: str
    answers: dict[str, Script] = field(default_factory=dict)
    connections: int = 0
    requests: list[str] = field(default_factory=list)
    """Head and body."""
    names: list[str | None] = field(default_factory=list)
    """Server names asked for in TLS handshakes."""
    stopping: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str, host: str = "") -> str:
        return f"{self.scheme}://{host or self.host}:{self.port}{path}"

    def headers(self, number: int = -1) -> dict[str, str]:
        """Of one of the requests, names in lower case."""
        head = self.requests[number].partition("\r\n\r\n")[0]
        pairs = (line.split(": ", 1) for line in head.split("\r\n")[1:])
        return {name.lower(): value for name, value in pairs}


@contextmanager
def serving(host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    """Each connection gets one answer and is closed."""
    with socket.create_server((host, port)) as listener:
        server = Server(host, listener.getsockname()[1], "https" if tls else "http")
        if tls:
            tls.sni_callback = lambda _sock, name, _context: server.names.append(name)
        thread = threading.Thread(target=_accept, args=(listener, server, tls), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.stopping.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _accept(listener: socket.socket, server: Server, tls: ssl.SSLContext | None) -> None:
    with suppress(OSError):  # shut down
        while True:
            connection = listener.accept()[0]
            server.connections += 1
            threading.Thread(target=_play, args=(connection, server, tls), daemon=True).start()


def _play(connection: socket.socket, server: Server, tls: ssl.SSLContext | None) -> None:
    with suppress(OSError), tls.wrap_socket(connection, server_side=True) if tls else connection as line:
        request = b""
        while b"\r\n\r\n" not in request:
            if not (more := line.recv(65536)):
                return
            request += more
        request += _body(line, request)
        server.requests.append(request.decode("latin-1"))
        server.answers[request.split()[1].decode().partition("?")[0]](line)


def _body(line: socket.socket, request: bytes) -> bytes:
    """What is still to come of a short body; a long one is left in the line."""
    head, _, begun = request.partition(b"\r\n\r\n")
    length = next((int(one[16:]) for one in head.split(b"\r\n") if one.lower().startswith(b"content-length: ")), 0)
    rest = b""
    while length < 65536 and len(begun) + len(rest) < length and (more := line.recv(65536)):
        rest += more
    return rest


def answer(status: str = "200 OK", body: bytes = b"", **headers: str | int) -> Script:
    """A complete answer; header names with `_` for `-`."""
    told = {"Content_Length": len(body), **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in told.items())
    return lambda line: line.sendall(f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + body)


def redirect(location: str) -> Script:
    return answer("302 Found", Location=location)


def dripping(server: Server, head: bytes, seconds: float) -> Script:
    """A head, and then a byte now and then, for ever."""

    def script(line: socket.socket) -> None:
        line.sendall(head)
        while not server.stopping.wait(seconds):
            line.sendall(b"x")

    return script
