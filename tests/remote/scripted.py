"""Small purpose-built servers: they play scripted bytes to whoever connects, and keep what they were sent."""

import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

Script = Callable[["Peer"], None]


@dataclass
class Peer:
    """One accepted connection, in the hands of its script."""

    sock: socket.socket
    received: bytearray = field(default_factory=bytearray)

    def request(self) -> bytes:
        """One whole request, by its Content-Length."""
        while b"\r\n\r\n" not in self.received:
            self._more()
        head, _, _ = bytes(self.received).partition(b"\r\n\r\n")
        length = next((int(v) for k, v in headers_of(head) if k == "content-length"), 0)
        total = len(head) + 4 + length
        while len(self.received) < total:
            self._more()
        request = bytes(self.received[:total])
        del self.received[:total]
        return request

    def _more(self) -> None:
        data = self.sock.recv(65536)
        if not data:
            raise ConnectionError("closed while a request was expected")
        self.received += data

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def chunk(self, data: bytes) -> None:
        self.send(b"%x\r\n%b\r\n" % (len(data), data))

    def end(self) -> None:
        self.send(b"0\r\n\r\n")

    def reset(self) -> None:
        """RST instead of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def wait_closed(self, timeout: float = 5) -> bool:
        """Whether the other side goes away in time."""
        self.sock.settimeout(timeout)
        try:
            while self.sock.recv(65536):
                pass
        except ConnectionError:
            pass
        except TimeoutError:
            return False
        return True


class Scripted:
    """A listening server; connection n is played by script n, the last one by all that follow."""

    def __init__(self, *scripts: Script) -> None:
        self._scripts = scripts
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.requests: list[bytes] = []
        self.connections = 0
        self.failures: list[BaseException] = []
        self.finished = threading.Event()
        self._peers: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            script = self._scripts[min(self.connections, len(self._scripts) - 1)]
            self.connections += 1
            self._peers.append(sock)
            threading.Thread(target=self._play, args=(script, Recording(sock, self.requests)), daemon=True).start()

    def _play(self, script: Script, peer: Peer) -> None:
        try:
            script(peer)
        except BaseException as failure:  # shown by the test that looks
            self.failures.append(failure)
        finally:
            peer.sock.close()
            self.finished.set()

    def __enter__(self) -> "Scripted":
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._peers:
            sock.close()


class Recording(Peer):
    def __init__(self, sock: socket.socket, requests: list[bytes]) -> None:
        super().__init__(sock)
        self._requests = requests

    def request(self) -> bytes:
        request = super().request()
        self._requests.append(request)
        return request


def headers_of(request: bytes) -> list[tuple[str, str]]:
    lines = request.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
    return [(k.strip().lower(), v.strip()) for k, _, v in (line.partition(":") for line in lines)]


def json_answer(body: bytes, status: str = "200 OK", *extra: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(body)}", *extra]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"


def answers(*bodies: bytes) -> Script:
    """One keep-alive connection that answers request n with body n (whole answers, head included)."""

    def play(peer: Peer) -> None:
        for body in bodies:
            peer.request()
            peer.send(body)
        peer.wait_closed()

    return play


def stream(*events: str) -> Script:
    """A clean event stream of these data lines."""

    def play(peer: Peer) -> None:
        peer.request()
        peer.send(STREAM_HEAD)
        for event in events:
            peer.chunk(f"data: {event}\n\n".encode())
        peer.end()

    return play
