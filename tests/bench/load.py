"""Asks the intake over keep-alive sockets, each connection again as soon as it was answered (a closed loop).

    python -m tests.bench.load < wanted.json > seen.json

A process of its own with raw sockets and one selector: an HTTP client library would need more CPU for a request than
the intake has to spare, and would measure itself. It keeps time on the machine's monotonic clock, which other
processes share.
"""

import base64
import hmac
import json
import re
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from itertools import count, cycle, islice

from tests.bench.figures import ROOT

PATIENCE_SECONDS = 90.0
"""For an answer after the last request: longer than any `Prefer: wait`."""

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_ID = re.compile(rb'"(?:render_)?id":"(rnd_[0-9a-z]{26})"')
_STATUS = re.compile(rb'"status":"(\w+)"')


@dataclass(frozen=True)
class Wanted:
    """What to ask: `livez`, `post` (a render each), `read` (the ids in turn), `wait` (each id once, for its end), or
    `hook` (messages of a Shopify shop to the trigger that `ids` names, signed with `key`, three of ten sent twice)."""

    kind: str
    port: int
    key: str
    connections: int
    seconds: float
    ids: list[str] = field(default_factory=list[str])
    mark: str = ""
    """Begins the idempotency keys: the same mark again repeats the same requests."""
    most: int = 0
    """Requests at most; 0 for as many as the time allows."""


@dataclass(frozen=True)
class Seen:
    """What came of it; times in seconds, `ended_at` on the monotonic clock."""

    seconds: float
    cpu: float
    """This process's own CPU seconds."""
    latencies: list[float]
    statuses: dict[str, int]
    ids: list[str]
    """The render of each answer, in the order of the answers."""
    states: list[str]
    ended_at: list[float]

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds


class _Connection:
    """One keep-alive connection with at most one request under way."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = bytearray()
        self.asked_at = 0.0

    def ask(self, request: bytes) -> None:
        self._received.clear()
        self.asked_at = time.monotonic()
        self.socket.sendall(request)

    def answer(self) -> bytes | None:
        """The whole answer once it is there. Raises ConnectionError where it ended early."""
        piece = self.socket.recv(65536)
        if not piece:
            raise ConnectionError(f"closed by the server after {len(self._received)} bytes")
        self._received += piece
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return None
        length = _LENGTH.search(self._received, 0, end)
        whole = end + 4 + (int(length[1]) if length else 0)
        return bytes(self._received) if len(self._received) >= whole else None


def requests(wanted: Wanted) -> Iterator[bytes]:
    """The requests in order, as the bytes to send."""
    head = f"Host: 127.0.0.1:{wanted.port}\r\nAuthorization: Bearer {wanted.key}\r\n"
    if wanted.kind == "livez":
        yield from cycle([f"GET /livez HTTP/1.1\r\n{head}\r\n".encode()])
    elif wanted.kind == "read":
        yield from cycle([f"GET /v1/renders/{one} HTTP/1.1\r\n{head}\r\n".encode() for one in wanted.ids])
    elif wanted.kind == "wait":
        for one in wanted.ids:
            yield f"GET /v1/renders/{one} HTTP/1.1\r\n{head}Prefer: wait=60\r\n\r\n".encode()
    elif wanted.kind == "post":
        for number in count():
            yield _post(head, wanted.mark, number)
    elif wanted.kind == "hook":
        for number in count():
            yield _hook(wanted, number - (number % 10 in REPEATED))
    else:
        raise ValueError(f"unknown kind of request: {wanted.kind}")


REPEATED = (3, 6, 9)
"""Of ten messages those that are the one before again: most come while that is still being taken."""


def _hook(wanted: Wanted, number: int) -> bytes:
    body = json.dumps(
        {
            "id": f"{wanted.mark}-{number}",
            "title": f"Running shoe {number}",
            "handle": f"{wanted.mark}-{number}",
            "body_html": "<p>Light, waterproof, for every road.</p>" * 20,
            "status": "active",
            "updated_at": "2026-03-01T10:00:00Z",
            "images": [{"src": f"https://shop.example/{number}/{view}.jpg"} for view in range(5)],
            "variants": [{"id": number * 10 + one, "price": "119.00"} for one in range(10)],
        }
    ).encode()
    signature = base64.b64encode(hmac.digest(wanted.key.encode(), body, "sha256")).decode()
    head = (
        f"POST /v1/triggers/{wanted.ids[0]}/deliveries HTTP/1.1\r\nHost: 127.0.0.1:{wanted.port}\r\n"
        f"X-Shopify-Hmac-Sha256: {signature}\r\nX-Shopify-Topic: products/update\r\n"
        f"X-Shopify-Webhook-Id: {wanted.mark}-{number}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _post(head: str, mark: str, number: int) -> bytes:
    body = json.dumps(
        {
            "prompt": f"create a 30-second promotional video about running shoe number {number}, with upbeat music",
            "external_ref": f"{mark}-{number}",
            "tags": ["bench", "shoes"],
            "metadata": {"shop": "example", "sku": number},
        }
    )
    return (
        f"POST /v1/renders HTTP/1.1\r\n{head}Idempotency-Key: {mark}-{number}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def ask(wanted: Wanted) -> Seen:
    """Ask for so many seconds, in this process. Raises ConnectionError where an answer did not come whole."""
    asking = islice(requests(wanted), wanted.most or None)
    seen = Seen(0.0, 0.0, [], {}, [], [], [])
    with selectors.DefaultSelector() as selector:
        for _ in range(wanted.connections):
            selector.register((one := _Connection(wanted.port)).socket, selectors.EVENT_READ, one)
        began, cpu = time.monotonic(), time.process_time()
        for place in list(selector.get_map().values()):
            _next(selector, place.data, asking)
        while selector.get_map():
            ready = selector.select(PATIENCE_SECONDS)
            if not ready:
                raise ConnectionError(f"{len(selector.get_map())} answers did not come")
            for place, _ in ready:
                if (answer := place.data.answer()) is not None:
                    _note(seen, answer, place.data.asked_at)
                    more = time.monotonic() < began + wanted.seconds
                    _next(selector, place.data, asking if more else iter(()))
    return replace(seen, seconds=time.monotonic() - began, cpu=time.process_time() - cpu)


def _next(selector: selectors.BaseSelector, connection: _Connection, asking: Iterator[bytes]) -> None:
    """The next request, or where there is none, the end of this connection."""
    request = next(asking, None)
    if request is not None:
        connection.ask(request)
    else:
        selector.unregister(connection.socket)
        connection.socket.close()


def _note(seen: Seen, answer: bytes, asked_at: float) -> None:
    now = time.monotonic()
    seen.latencies.append(now - asked_at)
    seen.ended_at.append(now)
    status = answer[9:12].decode()
    seen.statuses[status] = seen.statuses.get(status, 0) + 1
    if found := _ID.search(answer):
        seen.ids.append(found[1].decode())
        state = _STATUS.search(answer, found.end())
        seen.states.append(state[1].decode() if state else "")


class Asking:
    """`ask` in a process of its own, which runs until `seen` is read."""

    def __init__(self, wanted: Wanted) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.load"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            text=True,
        )
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asdict(wanted)))
        self._process.stdin.close()

    def seen(self) -> Seen:
        """Wait for the end. Raises RuntimeError where that process failed (its own lines say why)."""
        assert self._process.stdout is not None
        with self._process.stdout as out:
            text = out.read()
        if self._process.wait() != 0:
            raise RuntimeError("the load generator failed")
        return Seen(**json.loads(text))


def main() -> None:
    """One order from stdin."""
    json.dump(asdict(ask(Wanted(**json.load(sys.stdin)))), sys.stdout)


if __name__ == "__main__":
    main()
