"""Hostile bytes, slow bodies, headers that say two things; what every answer carries; keys that end under way."""

import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, update

from api.problems import MEDIA_TYPE
from tests.api import working
from tests.api.footprint import footprint
from tests.api.service import FIRST_KEY, Service, until
from worker.media.storage import open_storage
from worker.owners import store as owners
from worker.owners.models import ApiKey

ENVIRONMENT = {
    "VIVIDEO_REQUEST_BODY_SECONDS": "0.5",
    "VIVIDEO_UPLOAD_IDLE_SECONDS": "0.5",
    "VIVIDEO_UPLOAD_MAX_SECONDS": "1.5",
    "VIVIDEO_KEY_CHECK_SECONDS": "0.2",
    "GRANIAN_HTTP1_HEADER_READ_TIMEOUT": "1000",
}
"""The same rules with short waits."""

KITES = b'{"prompt": "kites"}'
HEAD = f"Host: vivideo\r\nAuthorization: Bearer {FIRST_KEY}\r\n"
JSON = "Content-Type: application/json\r\n"
CHUNKED = "Transfer-Encoding: chunked\r\n"
PNG = bytes.fromhex("89504e470d0a1a0a0000000d4948445200000001000000010806000000")
STREAM = {"Accept": "text/event-stream"}
ROOT = Path(__file__).parents[2]
NOBODY = f"rnd_{'0' * 26}"


@pytest.fixture(scope="module")
def service(database: str, tmp_path_factory: pytest.TempPathFactory, worker_number: int) -> Iterator[Service]:
    """An intake of its own, with short patience."""
    home = tmp_path_factory.mktemp("state")
    running = Service(database, home, 22_500 + worker_number * 100, ENVIRONMENT)
    try:
        running.start()
        until(lambda: running.first.get("/v1/credits").status_code == 200, why=lambda: running.log)
        yield running
        assert "request.fault" not in running.log
    finally:
        running.close()


@pytest.fixture
def untouched(service: Service) -> Iterator[None]:
    """The test leaves no row and no file."""
    before = footprint(service)
    yield
    assert footprint(service) == before


def _raw(service: Service, data: bytes, *, shut: bool = False, seconds: float = 10) -> bytes:
    """Everything that comes back for these bytes, until the server closes or is silent for so long."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=seconds) as connection:
        connection.sendall(data)
        if shut:
            connection.shutdown(socket.SHUT_WR)
        found = b""
        while piece := connection.recv(65_536):
            found += piece
    return found


def _request(target: str, headers: str = "", body: bytes = b"", *, method: str = "POST", host: str = HEAD) -> bytes:
    return f"{method} {target} HTTP/1.1\r\n{host}{headers}Connection: close\r\n\r\n".encode("latin-1") + body


def _post(headers: str, body: bytes = KITES, target: str = "/v1/renders") -> bytes:
    return _request(target, JSON + headers, body)


def _sized(body: bytes = KITES) -> str:
    return f"Content-Length: {len(body)}\r\n"


def _told(answer: bytes) -> tuple[int, str]:
    """Status and code of the first answer; no code where the HTTP server itself refused."""
    status = int(answer.split(b" ", 2)[1])
    found = re.search(rb'"code":"([a-z_.]+)"', answer)
    return status, found[1].decode() if found else ""


FRAMING: dict[str, tuple[bytes, int, str]] = {
    "two keys": (_post(f"Authorization: Bearer vv_other\r\n{_sized()}"), 400, "request.header"),
    "two idempotency keys": (_post(f"Idempotency-Key: a\r\nIdempotency-Key: b\r\n{_sized()}"), 400, "request.header"),
    "two content types": (_post(f"Content-Type: text/plain\r\n{_sized()}"), 400, "request.header"),
    "two hosts": (_post(f"Host: other\r\n{_sized()}"), 400, "request.header"),
    "no host": (_request("/livez", method="GET", host=""), 400, "request.header"),
    "two places": (
        _request(f"/v1/renders/{NOBODY}/events", "Last-Event-ID: 1\r\nLast-Event-ID: 2\r\n", method="GET"),
        400,
        "request.header",
    ),
    "gzip declared": (_post(f"Content-Encoding: gzip\r\n{_sized()}"), 415, "request.encoding"),
    "two encodings of transfer": (_post(CHUNKED + CHUNKED, b"0\r\n\r\n"), 400, "request.header"),
    "a coded transfer": (_post("Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"), 400, "request.header"),
    "an unknown transfer": (_post("Transfer-Encoding: gzip\r\n"), 400, ""),
    "two lengths": (_post(f"Content-Length: 5\r\n{_sized()}"), 400, ""),
    "a list of lengths": (_post("Content-Length: 19, 19\r\n"), 400, ""),
    "a negative length": (_post("Content-Length: -1\r\n"), 400, ""),
    "a signed length": (_post("Content-Length: +19\r\n"), 400, ""),
    "an endless length": (_post(f"Content-Length: {'9' * 30}\r\n"), 400, ""),
    "too short a length": (_post("Content-Length: 5\r\n"), 400, "request.malformed"),
    "a length over the limit": (_post("Content-Length: 262145\r\n", bytes(262_145)), 413, "request.too_large"),
    "chunks over the limit": (
        _post(CHUNKED, b"80000\r\n" + b" " * 0x80000 + b"\r\n0\r\n\r\n"),
        413,
        "request.too_large",
    ),
    "a chunk of no size": (_post(CHUNKED, b"zz\r\n" + KITES + b"\r\n0\r\n\r\n"), 400, "request.cut"),
    "an endless extension": (_post(CHUNKED, b"13;" + b"a" * 99_999 + b"\r\n" + KITES), 400, "request.cut"),
    "an upload's broken chunks": (_request("/v1/uploads", CHUNKED, b"zz\r\n"), 400, "upload.cut"),
    "a folded header": (_request("/livez", "X-A: a\r\n b\r\n", method="GET"), 400, ""),
    "a space before the colon": (_request("/livez", "X-A : a\r\n", method="GET"), 400, ""),
    "NUL in a header": (_request("/livez", "X-A: a\0b\r\n", method="GET"), 400, ""),
    "CR in a header": (_request("/livez", "X-A: a\rb\r\n", method="GET"), 400, ""),
    "NUL in the address": (_request("/v1/ren\0ders", method="GET"), 400, ""),
    "raw bytes in the address": (_request("/v1/é", method="GET"), 400, ""),
    "200 headers": (_request("/livez", "".join(f"X-{n}: a\r\n" for n in range(200)), method="GET"), 431, ""),
    "an address of 70 KB": (_request(f"/v1/renders/{'a' * 70_000}", method="GET"), 414, ""),
    "an address of 60 KB": (_request(f"/v1/renders/{'a' * 60_000}", method="GET"), 404, "render.unknown"),
    "an unknown method": (_request("/v1/renders", method="BREW"), 405, "route.method"),
    "TRACE": (_request("/v1/renders", method="TRACE"), 405, "route.method"),
    "CONNECT": (_request("example.com:443", method="CONNECT"), 404, "route.unknown"),
    "OPTIONS *": (_request("*", method="OPTIONS"), 404, "route.unknown"),
    "two slashes": (_request("//v1/renders", method="GET"), 404, "route.unknown"),
    "dots": (_request("/v1/x/../renders", method="GET"), 404, "route.unknown"),
    "escaped dots": (_request("/v1/%2e%2e/v1/renders", method="GET"), 404, "route.unknown"),
    "a way out of a render": (_request("/v1/renders/%2e%2e%2f%2e%2e/video", method="GET"), 404, "route.unknown"),
    "an escaped NUL": (_request("/v1/renders/%00", method="GET"), 404, "render.unknown"),
    "no UTF-8": (_request("/v1/renders/%ff%fe", method="GET"), 404, "render.unknown"),
    "half a surrogate pair": (_request("/v1/renders/%ed%a0%80", method="GET"), 404, "render.unknown"),
    "a bad escape": (_request("/v1/renders/%zz", method="GET"), 404, "render.unknown"),
    "no UTF-8 in a parameter": (_request("/v1/renders?tag=%ff", method="GET"), 422, "request.invalid"),
    "half a pair in a parameter": (_request("/v1/renders?tag=%ed%a0%80", method="GET"), 422, "request.invalid"),
    "a million parameters": (_request(f"/v1/renders?{'a&' * 30_000}b=1", method="GET"), 422, "request.invalid"),
    "a parameter twice": (_request("/v1/renders?limit=1&limit=2", method="GET"), 422, "request.invalid"),
}
"""By what is wrong: the bytes, the status, the code. Where the HTTP server itself refuses, there is no body."""


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("name", FRAMING)
def test_hostile_bytes_are_refused(service: Service, name: str) -> None:
    """With the right 4xx, at once, and nothing kept."""
    data, status, code = FRAMING[name]
    assert _told(_raw(service, data)) == (status, code)


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("target", ["/v1/renders", "/v1/uploads"])
def test_a_body_that_is_cut_leaves_nothing(service: Service, target: str) -> None:
    """Whoever closes its side before the declared end hears so; what had come is forgotten."""
    answer = _raw(service, _post("Content-Length: 1000\r\n", PNG, target), shut=True)
    assert _told(answer) == (400, "upload.cut" if target.endswith("uploads") else "request.cut")


def test_a_request_hidden_in_a_body_is_not_carried_out(service: Service) -> None:
    """Length and chunks at once: the chunks count, the connection is closed, what follows is no request."""
    hidden = _request("/v1/renders/smuggled", method="GET").replace(b"Connection: close\r\n", b"")
    both = f"Content-Length: {len(hidden) + 5}\r\n{CHUNKED}"
    data = f"GET /livez HTTP/1.1\r\n{HEAD}{both}\r\n".encode() + b"0\r\n\r\n" + hidden
    answer = _raw(service, data)
    assert answer.count(b"HTTP/1.1") == 1
    assert b"smuggled" not in answer


def test_a_client_may_ask_before_it_sends(service: Service) -> None:
    """`Expect: 100-continue`: a body that will be taken is asked for, one that is too large is not."""
    taken = _raw(service, _post(f"Expect: 100-continue\r\nIdempotency-Key: expected\r\n{_sized()}"))
    assert taken.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 ")
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        connection.sendall(_post("Expect: 100-continue\r\nContent-Length: 9000000\r\n", b""))
        assert _told(connection.recv(65_536)) == (413, "request.too_large")


SLOW = {
    "/v1/renders": (_post("Content-Length: 1000\r\n", b"{"), 0.5),
    "/v1/renders/{id}": (_request(f"/v1/renders/{NOBODY}", "Content-Length: 1000\r\n", method="DELETE"), 0.5),
    "/v1/renders in chunks": (_post(CHUNKED, b"1\r\n{\r\n"), 0.5),
    "/v1/uploads": (_request("/v1/uploads", "Content-Length: 1000\r\n", PNG), 0.5),
    "/v1/uploads without a byte": (_request("/v1/uploads", "Content-Length: 1000\r\n"), 0.5),
}


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("name", SLOW)
def test_a_body_without_an_end_is_given_up(service: Service, name: str) -> None:
    """After its time the answer is 408 and the connection closed; nothing of it is kept."""
    data, patience = SLOW[name]
    began = time.monotonic()
    assert _told(_raw(service, data)) == (408, "request.timeout")
    assert patience <= time.monotonic() - began < patience + 4


@pytest.mark.usefixtures("untouched")
def test_an_upload_that_drips_is_given_up(service: Service) -> None:
    """A byte now and then keeps an upload from standing still, not from taking too long."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        connection.sendall(_request("/v1/uploads", "Content-Length: 1000\r\n", PNG))
        over = threading.Event()

        def drip() -> None:
            while not over.wait(0.1):
                connection.sendall(b"\0")

        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            assert _told(connection.recv(65_536)) == (408, "request.timeout")
        finally:
            over.set()
            dripping.join()


@pytest.mark.parametrize("beginning", [b"", b"GET /livez HTTP/1.1\r\nHo"])
def test_a_request_that_does_not_come_is_given_up(service: Service, beginning: bytes) -> None:
    """The server closes a connection that says nothing, or stops in its headers: it takes a limited number of them."""
    assert _raw(service, beginning) == b""


def test_no_other_protocol_is_spoken(service: Service) -> None:
    """A WebSocket is not opened, HTTP/2 not begun: what is not spoken needs no limits."""
    upgrade = "Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    data = _request("/v1/renders", upgrade, method="GET").replace(b"Connection: close", b"Connection: Upgrade")
    assert _raw(service, data).startswith(b"HTTP/1.1 200"), "answered as if no upgrade had been asked for"
    assert _raw(service, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4]) + bytes(5)) == b""


def test_headers_that_do_not_fit_are_given_up(service: Service) -> None:
    """The server takes some 400 KB of headers and hangs up on more, whatever is still on its way."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: vivideo\r\nX-A: ")
        with pytest.raises(ConnectionError):
            _flood(connection, bytes_most=2_000_000)


def _flood(connection: socket.socket, bytes_most: int) -> None:
    for _ in range(bytes_most // 1000):
        connection.sendall(b"a" * 1000)


def _key(service: Service) -> str:
    """A key of the first owner's, for one test."""
    return service.write(lambda session: owners.new_key(session, owners.owner(session, "default").id, "short-lived"))


def _end(service: Service, key: str, **changes: Any) -> None:
    where = ApiKey.hash == owners.key_hash(key)
    service.write(lambda session: session.execute(update(ApiKey).where(where).values(**changes)))


@pytest.mark.parametrize("column", ["revoked_at", "expires_at"])
def test_a_stream_ends_with_its_key(service: Service, column: str) -> None:
    """Who listens with a key that is revoked or runs out is cut off soon; another key's stream goes on."""
    render_id = service.make()["id"]
    at = f"/v1/renders/{render_id}/events"
    key = _key(service)
    with service.first.stream("GET", at, headers=STREAM) as lasting:
        mine = STREAM | {"Authorization": f"Bearer {key}"}
        with service.nobody.stream("GET", at, headers=mine) as ending:
            lines = ending.iter_lines()
            while next(lines) != "event: render.queued":
                pass
            _end(service, key, **{column: func.now()})
            began = time.monotonic()
            for _ in lines:
                assert time.monotonic() - began < 5, "it goes on"
        held = service.write(lambda session: working.claimed(session, render_id))
        service.write(lambda session: working.finished(session, held))
        assert "event: render.succeeded" in list(lasting.iter_lines())


def test_a_wait_ends_without_an_answer_when_its_key_has_ended(service: Service) -> None:
    """What a wait finds is not told to a key that was revoked meanwhile."""
    render_id = service.make()["id"]
    found: list[httpx.Response] = []
    key = _key(service)
    headers = {"Authorization": f"Bearer {key}", "Prefer": "wait=20"}
    waiting = threading.Thread(
        target=lambda: found.append(service.nobody.get(f"/v1/renders/{render_id}", headers=headers))
    )
    waiting.start()
    until(lambda: _used(service, key))
    # A stream begun later than the wait, with the same key: where it has ended, the wait's key is due for a look.
    with service.nobody.stream("GET", f"/v1/renders/{render_id}/events", headers=headers | STREAM) as ending:
        _end(service, key, revoked_at=func.now())
        assert list(ending.iter_lines())
    held = service.write(lambda session: working.claimed(session, render_id))
    service.write(lambda session: working.finished(session, held))
    waiting.join(20)
    assert (found[0].status_code, found[0].json()["code"]) == (401, "auth.invalid")


def _used(service: Service, key: str) -> bool:
    with service.session() as session:
        return session.query(ApiKey).where(ApiKey.hash == owners.key_hash(key)).one().last_used_at is not None


@pytest.fixture(scope="module")
def finished(service: Service) -> str:
    """A succeeded render with its files."""
    render_id: str = service.make()["id"]
    store = open_storage((service.home / "results").as_uri())
    store.put_bytes(f"renders/{render_id}/video.mp4", b"a video")

    def end(session: Any) -> None:
        held = working.claimed(session, render_id)
        working.with_draft(session, held, b'{"d": 1000, "t": []}')
        working.with_result(session, held, key=f"renders/{render_id}/video.mp4", size=7, sha256="ab" * 32)
        working.finished(session, held)

    service.write(end)
    return render_id


ANSWERS: dict[str, tuple[str, str, dict[str, str], int]] = {
    "a page": ("GET", "/", {}, 200),
    "the reference": ("GET", "/docs", {}, 200),
    "the document": ("GET", "/openapi.json", {}, 200),
    "alive": ("GET", "/livez", {}, 200),
    "not ready": ("GET", "/readyz", {}, 503),
    "a list": ("GET", "/v1/renders", {}, 200),
    "a render": ("GET", "/v1/renders/{id}", {}, 200),
    "unchanged": ("GET", "/v1/renders/{id}", {"If-None-Match": "*"}, 304),
    "a file": ("GET", "/v1/renders/{id}/video", {}, 200),
    "a part": ("GET", "/v1/renders/{id}/video", {"Range": "bytes=1-2"}, 206),
    "no such part": ("GET", "/v1/renders/{id}/video", {"Range": "bytes=99-"}, 416),
    "the same file": ("GET", "/v1/renders/{id}/video", {"If-None-Match": f'"{"ab" * 32}"'}, 304),
    "by name": ("HEAD", "/v1/renders/{id}/video", {}, 200),
    "a drawing": ("GET", "/v1/renders/{id}/timeline", {"Accept": "image/svg+xml"}, 200),
    "a stream": ("GET", "/v1/renders/{id}/events", STREAM, 200),
    "a stream that is over": (
        "GET",
        "/v1/renders/{id}/events",
        STREAM | {"Last-Event-ID": "99"},
        204,
    ),
    "no key": ("GET", "/v1/key", {"Authorization": ""}, 401),
    "no such render": ("GET", f"/v1/renders/{NOBODY}", {}, 404),
    "no such address": ("GET", "/v2", {}, 404),
    "no such method": ("PUT", "/v1/renders/{id}", {}, 405),
    "another site asks": ("OPTIONS", "/v1/renders", {"Access-Control-Request-Method": "POST"}, 405),
    "a compressed body": ("POST", "/v1/renders", {"Content-Encoding": "br"}, 415),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_every_kind_of_answer_protects_its_reader(service: Service, finished: str, name: str) -> None:
    """No sniffing, framing, scripts, referrers or foreign embedding; nothing private in shared caches; and no other
    site's page may read it, also not a refusal."""
    method, path, headers, status = ANSWERS[name]
    headers = {"Origin": "https://elsewhere.example"} | headers
    with service.first.stream(method, path.replace("{id}", finished), headers=headers) as answer:
        assert answer.status_code == status
    told = answer.headers
    assert told["x-content-type-options"] == "nosniff"
    assert told["referrer-policy"] == "no-referrer"
    assert told["cross-origin-resource-policy"] == "same-origin"
    assert "default-src 'none'" in told["content-security-policy"]
    assert "frame-ancestors 'none'" in told["content-security-policy"]
    assert told["cache-control"] in ("no-store", "private, no-cache")
    assert told["x-request-id"]
    assert [one for one in told if one.startswith("access-control-")] == []
    assert "strict-transport-security" not in told, "for the proxy that ends TLS to say"
    if status >= 400 and path.startswith("/v1") and method != "HEAD":
        assert told["content-type"] == MEDIA_TYPE


BODIES: dict[str, tuple[bytes, int, str]] = {
    "nothing": (b"", 422, "request.invalid"),
    "half": (b'{"prompt": "ki', 400, "request.malformed"),
    "two": (KITES + KITES, 400, "request.malformed"),
    "a name twice": (b'{"prompt": "a", "prompt": "b"}', 400, "request.malformed"),
    "a name twice, deep": (b'{"prompt": "a", "metadata": {"a": {"b": 1, "b": 2}}}', 400, "request.malformed"),
    "a byte order mark": (b"\xef\xbb\xbf" + KITES, 400, "request.malformed"),
    "UTF-16": (KITES.decode().encode("utf-16"), 400, "request.malformed"),
    "UTF-16 without a mark": (KITES.decode().encode("utf-16-le"), 400, "request.malformed"),
    "UTF-32": (KITES.decode().encode("utf-32"), 400, "request.malformed"),
    "Latin-1": ('{"prompt": "é"}'.encode("latin-1"), 400, "request.malformed"),
    "100,000 lists": (b"[" * 100_000, 400, "request.malformed"),
    "100,000 objects": (b'{"a":' * 40_000, 400, "request.malformed"),
    "900 lists, closed": (b'{"prompt": ' + b"[" * 900 + b"]" * 900 + b"}", 422, "request.invalid"),
    "a number of 5,000 digits": (b'{"prompt": ' + b"9" * 5_000 + b"}", 400, "request.malformed"),
    "a number beyond all": (b'{"prompt": "a", "metadata": {"a": 1e999}}', 422, "request.invalid"),
    "infinity": (b'{"prompt": "a", "metadata": {"a": -Infinity}}', 422, "request.invalid"),
    "NUL bytes": (b'{"prompt": "a\0b"}', 400, "request.malformed"),
    "NUL escaped": (b'{"prompt": "a\\u0000b"}', 422, "request.invalid"),
    "a comment": (b'{"prompt": "a" /* b */}', 400, "request.malformed"),
    "a comma too many": (b'{"prompt": "a",}', 400, "request.malformed"),
    "a form": (b"prompt=kites", 400, "request.malformed"),
    "a text": (b'"kites"', 422, "request.invalid"),
    "a prototype": (b'{"prompt": "a", "__proto__": {"b": 1}}', 422, "request.invalid"),
}


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("at", ["/v1/renders", "/v1/renders?dry_run=true", f"/v1/renders/{NOBODY}"])
def test_a_body_that_is_no_request_leaves_nothing(service: Service, name: str, at: str) -> None:
    """Whatever the bytes, for each call that takes JSON: a 4xx that says what is wrong with them."""
    content, status, code = BODIES[name]
    method = "PATCH" if NOBODY in at else "POST"
    answer = service.first.request(method, at, content=content, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert len(answer.json()["detail"]) > 10


HEADERS: dict[str, tuple[str, str, dict[str, Any], int]] = {
    "Prefer, empty": ("GET", "/v1/renders/{id}", {"Prefer": ""}, 200),
    "Prefer, nonsense": ("GET", "/v1/renders/{id}", {"Prefer": "wait=;=,,wait=-1,wait=1e9,@"}, 200),
    "Prefer, huge": ("GET", "/v1/renders/{id}", {"Prefer": "wait=" + "9" * 5_000}, 200),
    "Prefer, no ASCII": ("GET", "/v1/renders/{id}", {"Prefer": "wait=١".encode()}, 200),
    "If-None-Match, nonsense": ("GET", "/v1/renders/{id}", {"If-None-Match": '"",W/,"""\\"'}, 200),
    "If-Match, nonsense": ("DELETE", "/v1/renders/{id}", {"If-Match": "W/"}, 412),
    "If-Match, empty": ("DELETE", "/v1/renders/{id}", {"If-Match": ""}, 412),
    "If-Match, bytes": ("DELETE", "/v1/renders/{id}", {"If-Match": b"\xff\xfe"}, 412),
    "Range, nonsense": ("GET", "/v1/renders/{id}/video", {"Range": "bytes=a-b"}, 200),
    "Range, backwards": ("GET", "/v1/renders/{id}/video", {"Range": "bytes=5-2"}, 200),
    "Range, endless": ("GET", "/v1/renders/{id}/video", {"Range": f"bytes={'9' * 400}-"}, 200),
    "Range, none of it": ("GET", "/v1/renders/{id}/video", {"Range": "bytes=-0"}, 416),
    "Range, a thousand": ("GET", "/v1/renders/{id}/video", {"Range": "bytes=" + "0-0," * 999 + "1-1"}, 200),
    "Range, other units": ("GET", "/v1/renders/{id}/video", {"Range": "lines=1-2"}, 200),
    "If-Range, nonsense": ("GET", "/v1/renders/{id}/video", {"If-Range": "x", "Range": "bytes=0-1"}, 200),
    "Accept, nonsense": ("GET", "/v1/renders/{id}", {"Accept": "a/b;q=9, ;;, */"}, 200),
    "Accept, another type": ("GET", "/v1/renders/{id}", {"Accept": "application/xml"}, 200),
    "Last-Event-ID, text": ("GET", "/v1/renders/{id}/events", {"Last-Event-ID": "two"}, 422),
    "Last-Event-ID, huge": ("GET", "/v1/renders/{id}/events", {"Last-Event-ID": "9" * 5_000}, 422),
    "X-Request-Id, hostile": ("GET", "/v1/renders/{id}", {"X-Request-Id": '<script>"'}, 200),
    "a key of 9,000 characters": ("GET", "/v1/renders", {"Authorization": "Bearer vv_" + "x" * 9_000}, 401),
}


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("name", HEADERS)
def test_nonsense_in_a_header_is_passed_over_or_refused(service: Service, finished: str, name: str) -> None:
    """As its standard says: what may be ignored is (Prefer, Range, Accept), a condition that is not met is a 412."""
    method, path, headers, status = HEADERS[name]
    answer = service.first.request(method, path.replace("{id}", finished), headers=headers)
    assert answer.status_code == status, answer.text
    assert "script" not in json.dumps(dict(answer.headers)).partition("content-security-policy")[0]


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("created_after=2026-01-01", 422, "request.invalid"),
        ("created_after=2026-01-01T00:00:00", 422, "request.invalid"),
        ("created_after=1767225600", 422, "request.invalid"),
        ("created_after=0.5", 422, "request.invalid"),
        ("created_after=2026-13-01T00:00:00Z", 422, "request.invalid"),
        ("created_after=10000-01-01T00:00:00Z", 422, "request.invalid"),
        ("created_after=0000-01-01T00:00:00Z", 422, "request.invalid"),
        ("created_after=0001-01-01T00:00:00%2B14:00", 422, "request.invalid"),
        ("created_after=9999-12-31T23:59:59-14:00", 422, "request.invalid"),
        ("created_after=0001-01-01T00:00:00Z", 200, ""),
        ("created_before=9999-12-31T23:59:59Z", 200, ""),
        ("&".join(f"ids={NOBODY}" for _ in range(201)), 422, "request.invalid"),
        ("ids=%00&ids=x", 200, ""),
        ("status=", 422, "request.invalid"),
        ("priority=high%00", 422, "request.invalid"),
        ("tag=", 422, "request.invalid"),
        ("tag=" + "x" * 201, 422, "request.invalid"),
        ("external_ref=a%00", 422, "request.invalid"),
        ("limit=1e2", 422, "request.invalid"),
        ("limit=99999999999999999999", 422, "request.invalid"),
        ("limit=%EF%BC%91", 422, "request.invalid"),
        ("LIMIT=1", 422, "request.invalid"),
        ("cursor=WzEwMjQsNzc5XQ", 422, "cursor.invalid"),
        ("cursor=Wzc3XQ", 422, "cursor.invalid"),
        ("cursor=WyIwMDAxLTAxLTAxVDAwOjAwOjAwKzE0OjAwIiwiYSJd", 200, ""),
        ("cursor=" + "W" * 200, 422, "cursor.invalid"),
        ("cursor=" + "W" * 201, 422, "request.invalid"),
    ],
)
def test_a_list_is_asked_for_rightly_or_not_at_all(service: Service, query: str, status: int, code: str) -> None:
    """Moments outside the calendar or without a zone, too many ids, cursors of other lists: each is named."""
    answer = service.first.get(f"/v1/renders?{query}")
    assert (answer.status_code, answer.json().get("code", "")) == (status, code), answer.text


NAMES: dict[str, bytes] = {
    "NUL": b'filename="a\0b.png"',
    "a way out": b'filename="../../../etc/passwd"',
    "a Windows way out": b'filename="..\\..\\a.png"',
    "half a surrogate pair": b'filename="a\xed\xa0\x80.png"',
    "no UTF-8": b'filename="\xff\xfe.png"',
    "line breaks": b'filename="a%0d%0ab.png"',
    "nothing": b'filename=""',
    "dots": b'filename=".."',
    "3,000 characters": b'filename="' + b"a" * 3_000 + b'.png"',
    "markup": b'filename="<script>.png"',
}


@pytest.mark.parametrize("name", NAMES)
def test_a_file_name_is_made_harmless(service: Service, name: str) -> None:
    """Whatever a form calls its file, it is stored under a name of ours and shown as a short plain one."""
    head = b'--b\r\nContent-Disposition: form-data; name="file"; ' + NAMES[name] + b"\r\n\r\n"
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = service.first.post("/v1/uploads", content=head + PNG + b"\r\n--b--\r\n", headers=kind)
    assert answer.status_code == 201, answer.text
    shown = answer.json()["name"]
    assert shown.endswith(".png")
    assert len(shown) <= 200
    assert not set(shown) & set('\0\r\n/\\<>"')
    assert shown.isprintable()
    assert service.first.delete(f"/v1/uploads/{answer.json()['id']}").status_code == 204


FORMS: dict[str, tuple[str, bytes, int, str]] = {
    "no boundary": ("multipart/form-data", b"", 400, "upload.malformed"),
    "an endless boundary": (f"multipart/form-data; boundary={'b' * 9_000}", b"", 400, "upload.malformed"),
    "no part": ("multipart/form-data; boundary=b", b"--b--\r\n", 400, "upload.malformed"),
    "an endless header": (
        "multipart/form-data; boundary=b",
        b"--b\r\nContent-Disposition: " + b"a" * 9_000,
        400,
        "upload.malformed",
    ),
    "two files": (
        "multipart/form-data; boundary=b",
        (b'--b\r\nContent-Disposition: form-data; name="f"; filename="a.png"\r\n\r\n' + PNG + b"\r\n") * 2 + b"--b--",
        400,
        "upload.malformed",
    ),
    "cut": (
        "multipart/form-data; boundary=b",
        b'--b\r\nContent-Disposition: form-data; name="f"; filename="a.png"\r\n\r\n' + PNG,
        400,
        "upload.cut",
    ),
    "empty": ("application/octet-stream", b"", 422, "upload.empty"),
    "text": ("image/png", b"I am a picture", 415, "upload.format"),
    "a page": ("image/png", b"<html><script>alert(1)</script>", 415, "upload.format"),
    "a drawing": ("image/svg+xml", b'<svg xmlns="http://www.w3.org/2000/svg"/>', 415, "upload.format"),
}


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("name", FORMS)
def test_an_upload_that_is_none_leaves_nothing(service: Service, name: str) -> None:
    """Broken forms and files of other kinds are refused by what they are, not by what they say they are."""
    kind, content, status, code = FORMS[name]
    answer = service.first.post("/v1/uploads", content=content, headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


def test_the_threat_model_names_tests_that_exist() -> None:
    """What is said to be shown in a test is shown there, or the page is wrong."""
    page = (ROOT / "deploy" / "SECURITY.md").read_text()
    rows = page.partition("| shown in |")[2].partition("\n\n")[0].splitlines()[2:]
    named = [name for row in rows for name in re.findall(r"`([\w/.]+)`", row.rpartition(" | ")[2])]
    assert len(named) > 10
    assert [name for name in named if not (ROOT / "tests" / name).exists()] == []


def test_nothing_above_was_a_fault(service: Service) -> None:
    """The service still works, and its log tells of no fault."""
    assert service.first.get("/v1/renders").status_code == 200
    assert "request.fault" not in service.log
