"""The ordinary calls over real connections: what is sent, what is read, and how refusals are named."""

import io
import json
import pickle
import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from config.settings import Settings, Waits
from tests.remote.scripted import Peer, Script, Scripted, answers, headers_of, json_answer
from worker.remote import errors
from worker.remote.client import Remote
from worker.remote.headers import platform
from worker.remote.multipart import SizeChanged

TOKEN = "nmv_usr_secret"
ATTRIBUTION = {
    "x-skill-source": "vivideo-ai-video-generator",
    "x-skill-version": "1.0.0",
    "x-skill-platform": "cursor",
}


def remote(server: Scripted, **waits: object) -> Remote:
    return Remote(server.url, "https://web.test/", platform="cursor", waits=Waits(**waits))  # type: ignore[arg-type]


def call(do: Callable[[Remote], Any], *bodies: bytes) -> tuple[Any, list[bytes]]:
    """The result of one call against a server that answers with these bodies, and what the server was sent."""
    with Scripted(answers(*bodies)) as server, remote(server) as backend:
        return do(backend), server.requests


def ok(data: object, *, style: str = "code") -> bytes:
    body = {"code": {"code": 0, "data": data}, "success": {"success": True, "data": data}, "bare": data}[style]
    return json_answer(json.dumps(body).encode())


def line_of(request: bytes) -> str:
    return request.partition(b"\r\n")[0].decode()


def body_of(request: bytes) -> Any:
    return json.loads(request.partition(b"\r\n\r\n")[2])


STYLES = pytest.mark.parametrize("style", ["code", "success", "bare"])


# Answers


@STYLES
def test_anonymous_token(style: str):
    """The client id goes as a header, no token; date and numbers are read; the token stays out of reprs."""
    data = {
        "token": "nmv_usr_new",
        "credits": "100",
        "expires_at": "2026-12-01T00:00:00Z",
        "user_id": 12345678901234567890,
    }
    token, (request,) = call(lambda r: r.anonymous_token("a-b"), ok(data, style=style))
    assert (token.token, token.credits, token.user_id) == ("nmv_usr_new", 100, "12345678901234567890")
    assert token.expires_at == datetime(2026, 12, 1, tzinfo=UTC)
    assert "nmv_usr_new" not in repr(token)
    headers = dict(headers_of(request))
    assert line_of(request) == "POST /api/auth/anonymous-token HTTP/1.1"
    assert headers["x-client-id"] == "a-b"
    assert "authorization" not in headers
    assert ATTRIBUTION.items() <= headers.items()


@pytest.mark.parametrize(
    ("value", "year"), [(1764547200, 2025), (1764547200000, 2025), ("1764547200", 2025), ("soon", None), (None, None)]
)
def test_expiry_comes_in_many_forms(value: object, year: int | None):
    """Seconds, milliseconds or text; what is no date is no reason to refuse a token."""
    token, _ = call(lambda r: r.anonymous_token("a"), ok({"token": "t", "expires_at": value}))
    assert (token.expires_at.year if token.expires_at else None) == year


@STYLES
def test_create_session(style: str):
    """Ids are text even where they come as numbers beyond 64 bits; the registration id is found."""
    data = {"task_id": 18446744073709551999, "session_id": "9007199254740993", "register": "https://x.test/?bind=b-1"}
    ids, (request,) = call(lambda r: r.create_session(TOKEN, "zh"), ok(data, style=style))
    assert (ids.task_id, ids.session_id, ids.bind_id) == ("18446744073709551999", "9007199254740993", "b-1")
    assert line_of(request) == "POST /api/tasks/me/with-session/nemo_agent HTTP/1.1"
    assert body_of(request) == {"task_name": "project", "language": "zh"}
    assert dict(headers_of(request))["authorization"] == f"Bearer {TOKEN}"
    assert ATTRIBUTION.items() <= dict(headers_of(request)).items()


def test_claim_link():
    """The link carries the claim, not the bearer token, and does not show in a repr."""
    link, (request,) = call(
        lambda r: r.claim_link(TOKEN, "t", "s"), ok({"claim_token": "clm_1+2", "expires_in": "600"})
    )
    assert (link.url, link.expires_in) == ("https://web.test/workspace/claim?ct=clm_1%2B2", 600)
    assert "clm_" not in repr(link)
    assert body_of(request) == {"task_id": "t", "session_id": "s"}


@STYLES
def test_credits(style: str):
    """Numbers as text; what is missing is worked out."""
    balance, (request,) = call(lambda r: r.credits(TOKEN), ok({"available": "40.5", "frozen": 10}, style=style))
    assert (balance.available, balance.frozen, balance.total) == (40.5, 10, 50.5)
    assert line_of(request) == "GET /api/credits/balance/simple HTTP/1.1"


def test_state_and_the_export_of_its_draft():
    """The draft goes back exactly as it came, as the value of `draft` in a valid request."""
    draft = b'{ "t" : [{"sg":[1]}], "x":1.50, "u":"\\u89c6\\/" }'
    state_body = json_answer(b'{"code":0,"data":{"state":{"draft":' + draft + b"}}}")

    def both(backend: Remote) -> Any:
        state = backend.state(TOKEN, "s/1")
        assert state.ready
        assert state.draft is not None
        return backend.submit_export(TOKEN, "render_1", "s/1", state.draft, "mp4", "high")

    status, (read, submitted) = call(both, state_body, ok({"status": "pending", "progress": 0}))
    assert line_of(read) == "GET /api/state/nemo_agent/me/s%2F1/latest HTTP/1.1"
    assert line_of(submitted) == "POST /api/render/proxy/lambda HTTP/1.1"
    assert b'"draft":' + draft + b"," in submitted
    sent = body_of(submitted)
    assert sent == {
        "id": "render_1",
        "sessionId": "s/1",
        "draft": json.loads(draft),
        "output": {"format": "mp4", "quality": "high"},
    }
    assert (status.status, status.progress) == ("pending", 0)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"status": "pending"}, ("pending", None, None, "")),
        ({"status": "processing", "progress": 0.5}, ("processing", 0.5, None, "")),
        ({"status": "processing", "progress": "45%"}, ("processing", 0.45, None, "")),
        ({"status": "processing", "progress": 45}, ("processing", 0.45, None, "")),
        ({"status": "rendering", "progress": 250}, ("processing", 1, None, "")),
        ({"status": "something-new"}, ("processing", None, None, "")),
        (
            {"status": "completed", "output": {"url": "https://x.test/v?s=1"}},
            ("completed", 1, "https://x.test/v?s=1", ""),
        ),
        (
            {"code": 0, "data": {"status": "completed", "outputUrl": "https://x.test/v"}},
            ("completed", 1, "https://x.test/v", ""),
        ),
        (
            {"success": True, "data": {"status": "COMPLETED", "output": {"url": "https://x.test/v"}}},
            ("completed", 1, "https://x.test/v", ""),
        ),
        ({"code": 0, "message": "ok", "data": {"status": "completed"}}, ("completed", 1, None, "")),
        ({"status": "failed", "error": "no https://x.test/a?sig=1"}, ("failed", None, None, "no https://x.test/a")),
        (
            {"code": 0, "data": {"status": "failed", "error": {"message": "codec"}, "progress": None}},
            ("failed", None, None, "codec"),
        ),
        ({"data": {"output": {"url": "https://x.test/v"}}}, ("completed", 1, "https://x.test/v", "")),
        ({"id": "render_1"}, ("pending", None, None, "")),
    ],
)
def test_both_poll_shapes(body: object, expected: tuple[object, ...]):
    """Top level or under data, fractions or percentages; a failed export is a status, not a failed call."""
    status, (request,) = call(lambda r: r.poll_export(TOKEN, "render_1"), json_answer(json.dumps(body).encode()))
    assert (status.status, status.progress, status.url, status.detail) == expected
    assert line_of(request) == "GET /api/render/proxy/lambda/render_1 HTTP/1.1"
    assert "x.test" not in repr(status).replace("no https://x.test/a", "")


def test_cancel_export():
    """A POST without a body; any success will do."""
    _, (request,) = call(lambda r: r.cancel_export(TOKEN, "render_1"), json_answer(b"", "204 No Content"))
    assert line_of(request) == "POST /api/render/proxy/lambda/render_1/cancel HTTP/1.1"


# Uploads


FILES = ok(
    {
        "files": [
            {
                "filename": "a.mp4",
                "file_type": "video",
                "cdn_url": "https://x.test/a?s=1",
                "duration": "3.5",
                "width": 1080,
                "height": None,
            }
        ]
    }
)


@pytest.mark.parametrize("as_file", [True, False])
def test_upload_file(as_file: bool):
    """One part named files with its name and type, of declared length; the name cannot break out of its header."""
    content = bytes(range(256)) * 4000
    source = io.BytesIO(content) if as_file else (content[i : i + 1000] for i in range(0, len(content), 1000))
    (file,), (request,) = call(
        lambda r: r.upload_file(
            TOKEN, "s", filename='视"频\r\nX: y.mp4', media_type="video/mp4", content=source, size=len(content)
        ),
        FILES,
    )
    assert (file.filename, file.duration, file.width, file.height) == ("a.mp4", 3.5, 1080, None)
    assert "x.test" not in repr(file)
    headers = dict(headers_of(request))
    boundary = headers["content-type"].partition("boundary=")[2].encode()
    part = request.partition(b"\r\n\r\n")[2]
    head, _, rest = part.partition(b"\r\n\r\n")
    assert head.split(b"\r\n") == [
        b"--" + boundary,
        'Content-Disposition: form-data; name="files"; filename="视%22频%0D%0AX: y.mp4"'.encode(),
        b"Content-Type: video/mp4",
    ]
    assert rest == content + b"\r\n--" + boundary + b"--\r\n"
    assert "transfer-encoding" not in headers


@pytest.mark.parametrize("size", [9, 11])
def test_a_file_that_is_not_as_long_as_told(size: int):
    """The caller learns that its file changed; the backend never gets a whole request."""
    with Scripted(answers(FILES)) as server, remote(server) as backend, pytest.raises(SizeChanged):
        backend.upload_file(TOKEN, "s", filename="a", media_type="b", content=io.BytesIO(b"0123456789"), size=size)
    assert server.requests == []


def test_uploads_are_streamed(tmp_path: Path):
    """A file larger than the bound on memory is sent piece by piece, never read at once."""

    class Sparse(io.RawIOBase):
        largest = 0
        left = 64 * 1024 * 1024

        def read(self, size: int = -1) -> bytes:
            assert size > 0, "read at once"
            Sparse.largest = max(Sparse.largest, size)
            piece = min(size, self.left)
            self.left -= piece
            return bytes(piece)

    def play(peer: Peer) -> None:
        received = 0
        while received < 64 * 1024 * 1024:
            received += len(peer.sock.recv(1 << 20))
        peer.send(FILES)

    with Scripted(play) as server, remote(server) as backend:
        size = 64 * 1024 * 1024
        backend.upload_file(TOKEN, "s", filename="a", media_type="b", content=Sparse(), size=size)  # type: ignore[arg-type]
    assert Sparse.largest <= 1024 * 1024


def test_a_refusal_in_the_middle_of_an_upload_is_read():
    """A server that answers 413 and closes before the file is sent is understood."""

    def play(peer: Peer) -> None:
        peer.sock.recv(1000)
        peer.send(json_answer(b'{"code":4002,"message":"too large"}', "413 Payload Too Large", "Connection: close"))
        peer.sock.shutdown(socket.SHUT_WR)
        peer.wait_closed()

    content = (bytes(100_000) for _ in range(100))
    with Scripted(play) as server, remote(server) as backend, pytest.raises(errors.FileTooLarge):
        backend.upload_file(TOKEN, "s", filename="a", media_type="b", content=content, size=10_000_000)


def test_upload_urls():
    """The URLs go as given; a bare list of files is read too."""
    body = json_answer(b'{"code":0,"data":[{"name":"a.jpg","url":"https://x.test/a"}]}')
    (file,), (request,) = call(lambda r: r.upload_urls(TOKEN, "s", ["https://shop.test/1.jpg"]), body)
    assert file.filename == "a.jpg"
    assert line_of(request) == "POST /api/upload-video/nemo_agent/me/s HTTP/1.1"
    assert body_of(request) == {"urls": ["https://shop.test/1.jpg"], "source_type": "url"}


# Refusals

R = Callable[[Remote], Any]
CREDITS: R = lambda r: r.credits(TOKEN)  # noqa: E731 - a table's cell
TOKEN_CALL: R = lambda r: r.anonymous_token("id")  # noqa: E731
SUBMIT: R = lambda r: r.submit_export(TOKEN, "render_1", "s", b"{}")  # noqa: E731
POLL: R = lambda r: r.poll_export(TOKEN, "render_1")  # noqa: E731
URLS: R = lambda r: r.upload_urls(TOKEN, "s", ["https://shop.test/1"])  # noqa: E731
STATE_CALL: R = lambda r: r.state(TOKEN, "s")  # noqa: E731
CANCEL: R = lambda r: r.cancel_export(TOKEN, "render_1")  # noqa: E731
SESSION: R = lambda r: r.create_session(TOKEN, "en")  # noqa: E731


@pytest.mark.parametrize(
    ("do", "status", "body", "kind"),
    [
        (CREDITS, "200 OK", {"code": 1001, "message": "expired"}, errors.TokenGone),
        (CREDITS, "200 OK", {"code": "1010"}, errors.TokenGone),
        (CREDITS, "200 OK", {"code": 1011.0}, errors.TokenGone),
        (CREDITS, "401 Unauthorized", None, errors.TokenGone),
        (CREDITS, "200 OK", {"code": 401}, errors.TokenGone),
        (CREDITS, "500 Oops", {"code": 1001}, errors.TokenGone),
        (CREDITS, "401 Unauthorized", {"code": 2001}, errors.NeedsCredits),
        (CREDITS, "400 Bad Request", {"error": {"code": 1002, "message": "no session"}}, errors.SessionGone),
        (STATE_CALL, "200 OK", {"code": 1002}, errors.SessionGone),
        (STATE_CALL, "404 Not Found", {"detail": "Session not found: 5"}, errors.SessionGone),
        (STATE_CALL, "404 Not Found", None, errors.Rejected),
        (SUBMIT, "402 Payment Required", {"message": "free plan"}, errors.NeedsSubscription),
        (SUBMIT, "200 OK", {"code": 402}, errors.NeedsSubscription),
        (SUBMIT, "402 Payment Required", {"code": 2001}, errors.NeedsCredits),
        (SUBMIT, "409 Conflict", None, errors.IdTaken),
        (SUBMIT, "400 Bad Request", {"code": 400, "message": "id already used"}, errors.IdTaken),
        (SUBMIT, "200 OK", {"success": False, "error": "render id exists"}, errors.IdTaken),
        (SUBMIT, "200 OK", {"code": 400, "message": "bad draft"}, errors.Rejected),
        (POLL, "404 Not Found", None, errors.ExportUnknown),
        (POLL, "200 OK", {"code": 404, "message": "not found"}, errors.ExportUnknown),
        (POLL, "503 Service Unavailable", {"status": "failed"}, errors.TryAgain),
        (CANCEL, "404 Not Found", {"code": 404}, errors.ExportUnknown),
        (URLS, "200 OK", {"code": 4001}, errors.UnsupportedFile),
        (URLS, "200 OK", {"code": 4002}, errors.FileTooLarge),
        (URLS, "415 Unsupported Media Type", None, errors.UnsupportedFile),
        (URLS, "200 OK", {"code": 4003, "message": "cannot fetch"}, errors.AssetUnreachable),
        (URLS, "400 Bad Request", {"error": "cannot fetch"}, errors.AssetUnreachable),
        (URLS, "200 OK", {"code": 0, "data": {"files": []}}, errors.AssetUnreachable),
        (URLS, "200 OK", {"code": 0, "data": {"files": [{"filename": "1", "error": "404"}]}}, errors.AssetUnreachable),
        (URLS, "502 Bad Gateway", None, errors.TryAgain),
        (TOKEN_CALL, "400 Bad Request", {"message": "X-Client-Id missing"}, errors.ClientIdMissing),
        (TOKEN_CALL, "200 OK", {"code": 400}, errors.ClientIdMissing),
        (TOKEN_CALL, "429 Too Many Requests", None, errors.RateLimited),
        (SESSION, "200 OK", {"success": False, "message": "no"}, errors.Rejected),
        (SESSION, "200 OK", {"error": "no"}, errors.Rejected),
        (SESSION, "200 OK", {"status": "error", "message": "no"}, errors.Rejected),
        (SESSION, "200 OK", {"code": "QUOTA", "message": "no"}, errors.Rejected),
        (SESSION, "200 OK", {"code": 9999}, errors.Rejected),
        (SESSION, "200 OK", {"code": 500}, errors.TryAgain),
        (SESSION, "500 Oops", {"code": 9999}, errors.TryAgain),
        (SESSION, "500 Oops", {"detail": [{"x": 1}]}, errors.TryAgain),
        (SESSION, "422 Unprocessable Entity", {"detail": [{"x": 1}]}, errors.Rejected),
        (SESSION, "200 OK", {"code": 0}, errors.Unintelligible),
        (SESSION, "200 OK", {"code": 0, "data": {"task_id": "1"}}, errors.Unintelligible),
        (SESSION, "200 OK", ["x"], errors.Unintelligible),
        (SESSION, "302 Found", None, errors.Unintelligible),
        (POLL, "200 OK", {"hello": 1}, errors.Unintelligible),
        (CREDITS, "200 OK", {"code": 0, "data": {"total": 5}}, errors.Unintelligible),
    ],
)
def test_refusals_are_named(do: R, status: str, body: object, kind: type[Exception]):
    """Status, code, both, neither: each refusal becomes what to do next, and the code outranks the status."""
    answer = json_answer(b"<html>oops</html>" if body is None else json.dumps(body).encode(), status)
    with pytest.raises(errors.RemoteError) as raised:
        call(do, answer)
    assert type(raised.value) is kind


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        (["Retry-After: 12"], b"{}", 12),
        (["Retry-After: Wed, 21 Oct 2015 07:28:00 GMT"], b"{}", 0),
        (["Retry-After: soon"], b'{"retry_after": 3}', 3),
        ([], b"{}", None),
    ],
)
def test_retry_after(headers: list[str], body: bytes, seconds: float | None):
    """The backend's own wait, as number or date, from the header or the body."""
    with pytest.raises(errors.RateLimited) as raised:
        call(CREDITS, json_answer(body, "429 Too Many Requests", *headers))
    assert raised.value.retry_after == seconds


@pytest.mark.parametrize(
    "data",
    [
        {"data": {"bind_id": "b9"}},
        {"bind": "b9"},
        {"data": {"url": "https://x.test/register?x=1&bind=b9"}},
        {"message": "see https://x.test/?bind=b9"},
    ],
)
def test_the_registration_id_is_found(data: dict[str, object]):
    """Out of credits: the id for the registration link, under a name or inside a link."""
    with pytest.raises(errors.NeedsCredits) as raised:
        call(CREDITS, json_answer(json.dumps({"code": 2001, **data}).encode()))
    assert raised.value.bind_id == "b9"


def test_errors_hold_no_secret_and_survive_a_process_boundary():
    """Neither token nor signature nor NUL in any form of an error; its facts survive pickling."""
    message = f"bad {TOKEN} Bearer abc.def clm_zzz https://x.test/a?sig=zzz \x00\ud800" + "x" * 5000
    with pytest.raises(errors.RateLimited) as raised:
        call(CREDITS, json_answer(json.dumps({"code": 429, "message": message}).encode(), "429 Oops", "Retry-After: 5"))
    error = raised.value
    for shown in (str(error), repr(error), error.detail):
        assert not any(secret in shown for secret in (TOKEN, "abc.def", "zzz", "\x00", "\ud800"))
        assert len(shown) < 500
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (type(again), vars(again)) == (type(error), vars(error))


def test_an_odd_token_is_redacted_too():
    """A token of any form does not come back in a message."""
    with Scripted(answers(json_answer(b'{"code":1001,"message":"oddly formed (abc/123) is bad"}'))) as server:  # noqa: SIM117
        with remote(server) as backend, pytest.raises(errors.TokenGone) as raised:
            backend.credits("abc/123")
    assert "abc/123" not in str(raised.value)


# The network


@pytest.mark.parametrize(
    "script",
    [
        lambda peer: None,
        lambda peer: peer.reset(),
        lambda peer: (peer.request(), peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}")),
        lambda peer: (peer.request(), peer.send(b"nonsense\r\n\r\n")),
    ],
)
def test_network_faults_mean_try_again(script: Script):
    """Closed, reset, cut or garbled: the call is harmless to repeat, by whoever holds the row; here it is made once."""
    with Scripted(script) as server, remote(server) as backend:
        with pytest.raises(errors.TryAgain) as raised:
            backend.credits(TOKEN)
        assert server.connections == 1
    assert raised.value.status is None


def test_nobody_listening_means_try_again():
    """A refused connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with (
        Remote(f"http://127.0.0.1:{port}", "w", platform="x", waits=Waits()) as backend,
        pytest.raises(errors.TryAgain),
    ):
        backend.credits(TOKEN)


def test_a_slow_answer_means_try_again():
    """An answer that does not come within the read time-out."""
    with Scripted(lambda peer: peer.wait_closed()) as server:  # type: ignore[arg-type,return-value] # noqa: SIM117
        with remote(server, http_read_seconds=0.2) as backend, pytest.raises(errors.TryAgain):
            backend.credits(TOKEN)


def test_connections_are_shared_and_not_kept_too_long(monkeypatch: pytest.MonkeyPatch):
    """Calls in a row use one connection; one that idled past its keep-alive is not used again."""
    monkeypatch.setattr("worker.remote.client.KEEPALIVE_SECONDS", 0.3)
    balance = ok({"available": 1})
    with Scripted(answers(balance, balance, balance)) as server, remote(server) as backend:
        backend.credits(TOKEN)
        backend.credits(TOKEN)
        assert server.connections == 1
        time.sleep(0.5)  # the keep-alive itself is what is tested
        backend.credits(TOKEN)
        assert server.connections == 2


def test_many_threads_share_one_client():
    """A hundred calls at once, each with its own answer."""
    with Scripted(answers(*[ok({"available": 1})] * 100)) as server, remote(server) as backend:
        results: list[float] = []
        threads = [
            threading.Thread(target=lambda: results.append(backend.credits(TOKEN).available)) for _ in range(100)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results == [1.0] * 100


# Fallback download


def test_the_fallback_download_is_streamed():
    """The file in pieces, asked with token and attribution: it is a call of the API."""

    def play(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: 6\r\n\r\nabc")
        peer.send(b"def")

    with Scripted(play) as server, remote(server) as backend:
        with backend.open_fallback_download(TOKEN, "render_1") as response:
            assert b"".join(response.iter_bytes()) == b"abcdef"
        headers = dict(headers_of(server.requests[0]))
    assert line_of(server.requests[0]) == "GET /api/render/proxy/render_1/download HTTP/1.1"
    assert headers["authorization"] == f"Bearer {TOKEN}"
    assert ATTRIBUTION.items() <= headers.items()


@pytest.mark.parametrize("way", ["redirect", "link"])
def test_a_download_elsewhere_gets_neither_token_nor_attribution(way: str):
    """A redirect or a link is followed bare, on the same host too."""
    target = "/files/v.mp4?sig=1"
    file = b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: 3\r\n\r\nabc"

    def play(peer: Peer) -> None:
        while not peer.request().startswith(b"GET /files"):
            link = ok({"status": "completed", "outputUrl": server.url + target})
            peer.send(json_answer(b"", "302 Found", f"Location: {target}") if way == "redirect" else link)
        peer.send(file)

    with (
        Scripted(play) as server,
        remote(server) as backend,
        backend.open_fallback_download(TOKEN, "render_1") as response,
    ):
        assert response.read() == b"abc"
    headers = dict(headers_of(server.requests[1]))
    assert line_of(server.requests[1]) == f"GET {target} HTTP/1.1"
    assert "authorization" not in headers
    assert not any(name.startswith("x-skill") for name in headers)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (json_answer(b"{}", "404 Not Found"), errors.ExportUnknown),
        (json_answer(b'{"code":1001}'), errors.TokenGone),
        (json_answer(b"", "502 Bad Gateway"), errors.TryAgain),
        (json_answer(b'{"status":"processing"}'), errors.Unintelligible),
        (json_answer(b"", "302 Found", "Location: ftp://x.test/"), errors.Unintelligible),
        (b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: 9\r\n\r\nabc", errors.TryAgain),
    ],
)
def test_a_refused_or_broken_download(answer: bytes, kind: type[Exception]):
    """Refusals are named; a download that breaks off while it is read says try again."""

    def play(peer: Peer) -> None:
        peer.request()
        peer.send(answer)

    with Scripted(play) as server, remote(server) as backend, pytest.raises(kind):  # noqa: SIM117
        with backend.open_fallback_download(TOKEN, "render_1") as response:
            response.read()


# Attribution


@pytest.mark.parametrize(
    ("override", "path", "name"),
    [
        (None, "/home/a/.clawhub/skills/v/headers.py", "clawhub"),
        (None, "/home/a/.cursor/skills/v/headers.py", "cursor"),
        (None, "/home/a/.cursor/other/headers.py", "unknown"),
        (None, "/srv/v/headers.py", "unknown"),
        ("mine", "/home/a/.clawhub/v/headers.py", "mine"),
        ("", "/srv/v/headers.py", "unknown"),
    ],
)
def test_the_platform(override: str | None, path: str, name: str):
    """Told by the install path unless the environment names it."""
    assert platform(override, Path(path)) == name


def test_a_client_from_settings(monkeypatch: pytest.MonkeyPatch):
    """Address, platform and waits come from the environment."""
    with Scripted(answers(ok({"available": 2}))) as server:
        monkeypatch.setenv("NEMO_API_URL", server.url + "/")
        monkeypatch.setenv("SKILL_SOURCE", "shop")
        with Remote.from_settings(Settings()) as backend:
            assert backend.credits(TOKEN).available == 2
        assert dict(headers_of(server.requests[0]))["x-skill-platform"] == "shop"
