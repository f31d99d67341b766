"""A server that answers from a record: the same call gets the same answer, over real HTTP.

The nth request of a method and path gets the nth answer that was recorded for it; the last one answers all that follow.
"""

import json
import socket
import threading
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from worker.remote.record import INDEX

HOP_BY_HOP = frozenset({"content-length", "transfer-encoding", "connection", "date", "server", "content-encoding"})


class Replay:
    """One record, played back on loopback until the end of the block."""

    def __init__(self, record: Path) -> None:
        index = json.loads((record / INDEX).read_text())
        self.answers: defaultdict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        for line in index["calls"]:
            kept = json.loads((record / line["file"]).read_text())
            self.answers[kept["request"]["method"], kept["request"]["path"]].append(kept["response"])
        self.asked: list[tuple[str, str]] = []
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method: str, path: str) -> dict[str, Any] | None:
        """What was recorded for this call, each time."""
        with self._lock:
            before = self.asked.count((method, path))
            self.asked.append((method, path))
        answers = self.answers.get((method, path))
        return answers[min(before, len(answers) - 1)] if answers else None


def _handler(replay: Replay) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._play()

        def do_POST(self) -> None:
            self._play()

        def _play(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer = replay.answer(self.command, self.path.partition("?")[0])
            if answer is None:
                return self._send(404, [], b'{"code": 404, "message": "not in the record"}')
            if "status" not in answer:  # the connection broke when it was recorded
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
                return None
            body = answer.get("body", "").encode("utf-8", "surrogateescape")
            return self._send(answer["status"], answer["headers"], body)

        def _send(self, status: int, headers: list[list[str]], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers:
                if name.lower() not in HOP_BY_HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler
