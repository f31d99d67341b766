"""A receiver of webhooks that behaves as it is told, by path: well, badly, late, or not at all.

It keeps every request as it came, with the order of arrival, and verifies nothing by itself.
"""

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from tests.stack import free_port


@dataclass(frozen=True)
class Received:
    """One request."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def event(self) -> dict[str, Any]:
        return json.loads(self.body)


Answer = tuple[int, dict[str, str]]
Behaviour = Callable[[Received, int], Answer]
"""Given a request and how many came on its path with its id before it: status and headers."""


def well(_: Received, __: int) -> Answer:
    """204."""
    return 204, {}


def failing_first(times: int, status: int = 500, **headers: str) -> Behaviour:
    """So many tries of each delivery fail, then it is taken."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _, before: (status, named) if before < times else (204, {})


def always(status: int, **headers: str) -> Behaviour:
    """The same answer to all."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda *_: (status, named)


@dataclass
class Receiver:
    """On loopback. `behaviours` by path; what is not there is answered with 404."""

    behaviours: dict[str, Behaviour] = field(default_factory=dict[str, Behaviour])
    port: int = field(default_factory=free_port)
    received: list[Received] = field(default_factory=list[Received])
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def on(self, path: str) -> list[Received]:
        """What came on a path, in the order of arrival."""
        return [one for one in self.received if one.path == path]

    def hanging(self, _: Received, __: int) -> Answer:
        """No answer before `released` is set."""
        self.released.wait(60)
        return 204, {}

    def __enter__(self) -> Self:
        self.listen()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self.close()

    def listen(self) -> None:
        """Take requests from now on."""
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """Refuse connections from now on."""
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                one = Received(self.path, headers, body, time.monotonic())
                before = sum(other.id == one.id for other in receiver.on(self.path))
                receiver.received.append(one)
                status, more = receiver.behaviours.get(self.path, always(404))(one, before)
                try:
                    self.send_response(status)
                    for name, value in more.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                except (BrokenPipeError, ConnectionResetError):  # who asked has given up
                    self.close_connection = True

            do_GET = do_PUT = do_POST  # noqa: N815 - the library's names

            def log_message(self, format: str, *args: Any) -> None:
                return

        return Handler
