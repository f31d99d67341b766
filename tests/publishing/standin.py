"""What the stand-ins of shops have in common: a real HTTP server with a ledger, and switches for what goes wrong."""

import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Request:
    """As it came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Reply:
    status: int = 200
    body: Any = b""
    headers: dict[str, str] = field(default_factory=dict[str, str])


@dataclass
class Fault:
    """Once, for the next call of that name: `before` its effect or after it."""

    name: str
    reply: Reply | None = None
    """None: the connection ends without an answer."""
    before: bool = False


class Standin(ABC):
    """`name` says what a call is, `answer` carries it out; both are a kind's own."""

    url: str

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.faults: list[Fault] = []
        self.edited: list[Any] = []
        """The products that were edited, in order, by whomever: the shop has a webhook sent for each."""
        self.lock = threading.RLock()

    @abstractmethod
    def name(self, request: Request) -> str:
        """What a call is called in the ledger."""

    @abstractmethod
    def answer(self, request: Request) -> Reply:
        """Carry it out."""

    def fails(self, name: str, reply: Reply | None = None, *, before: bool = False, times: int = 1) -> None:
        """The next calls of that name go wrong."""
        self.faults += [Fault(name, reply, before)] * times

    def serve(self, request: Request) -> Reply | None:
        """None: no answer."""
        with self.lock:
            name = self.name(request)
            self.calls.append(name)
            fault = next((one for one in self.faults if one.name == name), None)
            if fault is not None:
                self.faults.remove(fault)
                if fault.before:
                    return fault.reply
            reply = self.answer(request)
            return reply if fault is None else fault.reply


@contextmanager
def running(standin: Standin) -> Iterator[None]:
    """On loopback, at `standin.url`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(standin.serve))
    server.daemon_threads = True
    standin.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(serve: Callable[[Request], Reply | None]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            self.close_connection = True
            if "transfer-encoding" in self.headers:
                return self._send(Reply(411, b"length required"))
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            parts = urlsplit(self.path)
            query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = serve(Request(self.command, parts.path, query, headers, body))
            return None if reply is None else self._send(reply)

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = handle_any  # noqa: N815 - the library finds them by name

        def _send(self, reply: Reply) -> None:
            body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            self.send_response(reply.status)
            typed = {} if isinstance(reply.body, bytes) else {"Content-Type": "application/json"}
            for name, value in (typed | reply.headers | {"Content-Length": str(len(body))}).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler
