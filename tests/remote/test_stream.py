"""The paid message over real connections: what became of it is told exactly, whatever the network does."""

import json
import socket
import ssl
import threading
import time
from pathlib import Path

import pytest

from tests.remote.scripted import STREAM_HEAD, Peer, Script, Scripted, headers_of, json_answer, stream
from tests.remote.tls import certificate
from worker.remote.clock import Clock, running
from worker.remote.errors import (
    NeedsCredits,
    NeedsSubscription,
    RateLimited,
    Rejected,
    SessionGone,
    TokenGone,
    TryAgain,
)
from worker.remote.stream import Abort, Endpoint, Patience, StreamEvent, Turn, send_message

PATIENT = Patience(connect=5, idle=5, silence=5, longest=10)
TOKEN = "nmv_usr_secret"


def send(
    url: str,
    *,
    text: str = "make it",
    patience: Patience = PATIENT,
    within: float = 10,
    events: list[StreamEvent] | None = None,
    abort: Abort | None = None,
    tls: ssl.SSLContext | None = None,
    now: Clock = running,
) -> Turn:
    heard = events if events is not None else []
    endpoint = Endpoint(url, TOKEN, {"X-Skill-Source": "test"}, lambda: tls or ssl.create_default_context())
    return send_message(
        endpoint,
        patience,
        "9007199254740993",
        text,
        deadline=running() + within,
        on_event=heard.append,
        abort=abort or Abort(),
        now=now,
    )


def one(script: Script, **options: object) -> Turn:
    with Scripted(script) as server:
        turn = send(server.url, **options)  # type: ignore[arg-type]
        assert server.connections == 1, "the message was repeated"
    return turn


def raw(*pieces: bytes, reset: bool = False) -> Script:
    """Read the request, send the pieces, and go: politely or with a reset."""

    def play(peer: Peer) -> None:
        peer.request()
        for piece in pieces:
            peer.send(piece)
        if reset:
            time.sleep(0.1)  # the pieces have to leave before the reset overtakes them
            peer.reset()

    return play


def chunk(data: str) -> bytes:
    body = data.encode()
    return b"%x\r\n%b\r\n" % (len(body), body)


# What is sent


def test_the_request_is_what_the_contract_says():
    """One POST with token, attribution and the message, the session id as text, nothing compressed."""
    with Scripted(stream()) as server:
        send(server.url, text="视频 \u2028 ok")
        (request,) = server.requests
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /run_sse HTTP/1.1\r\n")
    headers = dict(headers_of(request))
    assert headers["authorization"] == f"Bearer {TOKEN}"
    assert headers["accept"] == "text/event-stream"
    assert headers["accept-encoding"] == "identity"
    assert headers["content-type"] == "application/json"
    assert headers["x-skill-source"] == "test"
    assert headers["host"] == f"127.0.0.1:{server.port}"
    assert json.loads(body) == {
        "app_name": "nemo_agent",
        "user_id": "me",
        "session_id": "9007199254740993",
        "new_message": {"parts": [{"text": "视频 \u2028 ok"}]},
    }


# Received


def test_a_clean_stream_is_received():
    """Text, calls and results are told; the body's proper end makes it received."""
    events: list[StreamEvent] = []
    turn = one(
        stream(
            '{"type":"text","content":"Working"}',
            '{"type":"tool_call","name":"edit","args":{}}',
            '{"type":"tool_result","name":"edit","result":{}}',
            '{"type":"heartbeat"}',
            "",
            '{"type":"text","content":"Done\u2028now."}',
        ),
        events=events,
    )
    assert (turn.outcome, turn.cause, turn.clean_end, turn.terminal) == ("received", "", True, True)
    assert (turn.text, turn.calls, turn.results, turn.error_frame, turn.error) == ("Done\u2028now.", 1, 1, None, None)
    assert [event.kind for event in events] == ["text", "call", "result", "heartbeat", "heartbeat", "text"]
    assert events[1].name == "edit"


def test_a_stream_of_single_bytes_is_the_same():
    """One byte a chunk, CRLF line ends: the same answer."""
    body = 'data: {"type":"text","content":"héllo wörld"}\r\n\r\n'.encode()
    pieces = [b"1\r\n" + body[i : i + 1] + b"\r\n" for i in range(len(body))]
    turn = one(raw(STREAM_HEAD, *pieces, b"0\r\n\r\n"))
    assert (turn.outcome, turn.text) == ("received", "héllo wörld")


def test_a_declared_length_is_a_clean_end_too():
    """A body as long as it said it would be has ended properly."""
    body = b'data: {"type":"text","content":"hi"}\n\n'
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n" % len(body)
    assert one(raw(head, body)).outcome == "received"
    short = one(raw(head, body[:-5]))
    assert (short.outcome, short.cause) == ("unknown", "cut")


def test_an_empty_clean_stream_is_received_but_not_terminal():
    """Nothing said is no proof of anything done: the caller reads the state."""
    turn = one(stream())
    assert (turn.outcome, turn.terminal, turn.text) == ("received", False, "")


def test_an_error_frame_is_told_and_its_code_translated():
    """A failure on the stream is one line without secrets, and an error when its code is known."""
    events: list[StreamEvent] = []
    frame = json.dumps({"error": f"no credits for {TOKEN} at https://x.test/a?sig=1"})
    turn = one(stream('{"code":2001,"message":"no credits","data":{"bind_id":"b1"}}', frame), events=events)
    assert (turn.outcome, turn.error_frame) == ("received", "2001: no credits")
    assert isinstance(turn.error, NeedsCredits)
    assert turn.error.bind_id == "b1"
    assert [event.kind for event in events] == ["error"]
    turn = one(stream(frame))
    assert turn.error_frame is not None
    assert TOKEN not in repr(turn)
    assert "sig" not in turn.error_frame


# Unknown: may have been received


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize(
    "pieces",
    {
        "before any answer": [],
        "inside the head": [b"HTTP/1.1 200 OK\r\nContent-"],
        "after the head": [STREAM_HEAD],
        "between chunks": [STREAM_HEAD, chunk('data: {"type":"text","content":"hi"}\n\n')],
        "inside a chunk": [STREAM_HEAD, b"ff\r\ndata: {"],
        "before the terminator's end": [STREAM_HEAD, chunk('data: {"type":"text","content":"hi"}\n\n'), b"0\r\n"],
    }.values(),
)
def test_a_cut_is_unknown(pieces: list[bytes], reset: bool):
    """Wherever the connection breaks after the message left, what was heard is kept and the outcome is unknown."""
    turn = one(raw(*pieces, reset=reset))
    assert (turn.outcome, turn.cause, turn.clean_end) == ("unknown", "cut", False)


def test_a_body_that_ends_with_its_connection_is_no_proof():
    """Without chunks or length an orderly close looks like a truncated stream: unknown, with all that was heard."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    turn = one(raw(head, b'data: {"type":"text","content":"hi"}\n\n'))
    assert (turn.outcome, turn.cause, turn.text, turn.clean_end) == ("unknown", "cut", "hi", False)


@pytest.mark.parametrize(
    "answer",
    [
        json_answer(b'{"code":1002,"message":"no session"}', "500 Internal Server Error"),
        json_answer(b'{"code":402}', "503 Service Unavailable"),
        json_answer(b"<html>", "502 Bad Gateway"),
        json_answer(b"", "302 Found", "Location: http://127.0.0.1:1/"),
        STREAM_HEAD.replace(b"200 OK", b"500 Oops") + b"0\r\n\r\n",
    ],
)
def test_a_status_that_says_nothing_is_unknown(answer: bytes):
    """A 5xx, whatever its body says, and a redirect, which is not followed: unknown."""
    turn = one(raw(answer))
    assert (turn.outcome, turn.cause) == ("unknown", "status")


@pytest.mark.parametrize(
    "answer",
    [
        json_answer(b"", "408 Request Timeout"),
        json_answer(b"<html>", "408 Request Timeout"),
        json_answer(b'{"code":0}', "408 Request Timeout"),
        json_answer(b"", "425 Too Early"),
        json_answer(b'{"code":408}'),
        json_answer(b'{"code":504,"message":"upstream timed out"}'),
        json_answer(b'{"code":"503"}', "400 Bad Request"),
    ],
)
def test_a_time_out_or_failure_that_is_told_is_unknown(answer: bytes):
    """Whoever answers that it waited too long or broke, by status or by code, does not know what the backend has and
    will do: unknown, not refused, so that the message is looked up."""
    turn = one(raw(answer))
    assert (turn.outcome, turn.cause) == ("unknown", "status")
    assert type(turn.error) is TryAgain


@pytest.mark.parametrize(
    "body",
    [b'{"ok":true}', b"[]", b"", b"<html>login</html>", b'{"code":0,"data":{}}', b'{"error":"odd"}', b'{"code":"0"}'],
)
def test_a_success_of_no_known_shape_is_unknown(body: bytes):
    """A 2xx that is neither a stream nor a coded refusal may be anything."""
    turn = one(raw(json_answer(body)))
    assert (turn.outcome, turn.cause) == ("unknown", "shape")


def test_an_endless_event_is_unknown(monkeypatch: pytest.MonkeyPatch):
    """An event beyond the bound ends the call instead of filling the memory."""
    monkeypatch.setattr("worker.remote.sse.Parser.__init__.__defaults__", (1000,))
    turn = one(raw(STREAM_HEAD, chunk("data: " + "x" * 2000)))
    assert (turn.outcome, turn.cause) == ("unknown", "shape")


# Refused: nothing was done


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (json_answer(b'{"code":1001,"message":"expired"}'), TokenGone),
        (json_answer(b'{"code":"1002","message":"gone"}'), SessionGone),
        (json_answer(b'{"code":2001}', "402 Payment Required"), NeedsCredits),
        (json_answer(b"", "401 Unauthorized"), TokenGone),
        (json_answer(b"nonsense", "402 Payment Required"), NeedsSubscription),
        (json_answer(b'{"detail":"Session not found"}', "404 Not Found"), SessionGone),
        (json_answer(b'{"detail":[]}', "422 Unprocessable Entity"), Rejected),
        (json_answer(b'{"code":0}', "400 Bad Request"), Rejected),
        (json_answer(b"", "429 Too Many Requests", "Retry-After: 7"), RateLimited),
        (json_answer(b'{"code":429}'), RateLimited),
    ],
)
def test_a_refusal_is_translated(answer: bytes, kind: type[Exception]):
    """A 4xx, or a code under HTTP 200: the backend did nothing, and the error says what to do."""
    turn = one(raw(answer))
    assert (turn.outcome, turn.cause) == ("refused", "status")
    assert type(turn.error) is kind


def test_a_refusal_whose_body_is_cut_is_still_one():
    """The status came whole: a 4xx refused, even if its explanation broke off."""
    turn = one(raw(json_answer(b'{"code":2001}', "402 Payment Required")[:-3]))
    assert turn.outcome == "refused"
    assert isinstance(turn.error, NeedsSubscription)


# Unsent: surely nothing left


def test_nobody_listening_is_unsent():
    """A refused connection: nothing left."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    turn = send(f"http://127.0.0.1:{port}")
    assert (turn.outcome, turn.cause) == ("unsent", "connect")
    assert isinstance(turn.error, TryAgain)


def test_an_unknown_host_is_unsent():
    """No address: nothing left."""
    turn = send("http://no-such-host.invalid")
    assert (turn.outcome, turn.cause) == ("unsent", "connect")


@pytest.mark.parametrize("within", [0, -5])
def test_a_message_past_its_time_is_unsent(within: float):
    """Past the send-by time not a byte of the request leaves."""
    with Scripted(stream()) as server:
        turn = send(server.url, within=within)
        assert (turn.outcome, turn.cause) == ("unsent", "late")
        assert server.requests == []


def test_a_machine_that_was_suspended_sends_nothing_late():
    """Its monotonic clock stood still meanwhile; the send-by time is looked at on one that did not."""
    with Scripted(stream()) as server:
        turn = send(server.url, within=15, now=lambda: running() + 3600)
        assert (turn.outcome, turn.cause) == ("unsent", "late")
        assert server.requests == []


def test_a_machine_suspended_while_it_connects_sends_nothing_late(tmp_path: Path):
    """It falls asleep in the handshake and wakes when the time is over: no byte of the request leaves."""
    server_context, client_context = certificate(tmp_path)
    slept = threading.Event()
    heard = bytearray()

    def lid_closed(peer: Peer) -> None:
        slept.set()
        with server_context.wrap_socket(peer.sock, server_side=True) as secure:
            heard.extend(secure.recv(100))

    with Scripted(lid_closed) as server:
        turn = send(
            f"https://127.0.0.1:{server.port}",
            within=15,
            tls=client_context,
            now=lambda: running() + (3600 if slept.is_set() else 0),
        )
        server.finished.wait(5)
    assert (turn.outcome, turn.cause) == ("unsent", "late")
    assert not heard


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="this system has one monotonic clock")
def test_the_send_by_clock_is_the_one_that_runs_through_a_suspension():
    """Between two readings of the system's own."""
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert before <= running() <= time.clock_gettime(time.CLOCK_BOOTTIME)


def test_the_time_is_looked_at_after_the_connection_stands(tmp_path: Path):
    """A handshake that takes until past the send-by time: late, and no byte of the request leaves."""
    server_context, client_context = certificate(tmp_path)
    heard = bytearray()

    def slow(peer: Peer) -> None:
        time.sleep(0.4)
        with server_context.wrap_socket(peer.sock, server_side=True) as secure:
            heard.extend(secure.recv(100))

    with Scripted(slow) as server:
        turn = send(f"https://127.0.0.1:{server.port}", within=0.2, tls=client_context)
        server.finished.wait(5)
    assert (turn.outcome, turn.cause) == ("unsent", "late")
    assert not heard


def test_a_connect_that_hangs_ends_with_its_time_out():
    """A full backlog answers no connect: unsent after the connect time-out."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = _fill(listener)
        began = time.monotonic()
        turn = send(f"http://127.0.0.1:{listener.getsockname()[1]}", patience=Patience(0.5, 5, 5, 10))
        for sock in waiting:
            sock.close()
    assert (turn.outcome, turn.cause) == ("unsent", "connect")
    assert time.monotonic() - began < 1.5


def _fill(listener: socket.socket) -> list[socket.socket]:
    """Connect until the backlog takes no more."""
    waiting: list[socket.socket] = []
    for _ in range(8):
        sock = socket.socket()
        sock.settimeout(0.2)
        waiting.append(sock)
        try:
            sock.connect(listener.getsockname())
        except TimeoutError:
            return waiting
    raise AssertionError("the backlog never filled")


# TLS


def test_https_works(tmp_path: Path):
    """The same over TLS with a certificate the context trusts."""
    server_context, client_context = certificate(tmp_path)

    def secure(peer: Peer) -> None:
        peer.sock = server_context.wrap_socket(peer.sock, server_side=True)
        stream('{"type":"text","content":"hi"}')(peer)

    with Scripted(secure) as server:
        turn = send(f"https://127.0.0.1:{server.port}", tls=client_context)
    assert (turn.outcome, turn.text) == ("received", "hi")


def test_an_untrusted_certificate_is_unsent(tmp_path: Path):
    """A certificate that cannot be trusted: nothing left."""
    server_context, _ = certificate(tmp_path)
    heard = bytearray()

    def secure(peer: Peer) -> None:
        with server_context.wrap_socket(peer.sock, server_side=True) as sock:
            heard.extend(sock.recv(100))

    with Scripted(secure) as server:
        turn = send(f"https://127.0.0.1:{server.port}")
        server.finished.wait(5)
    assert (turn.outcome, turn.cause) == ("unsent", "connect")
    assert not heard


def test_https_to_a_plain_server_is_unsent():
    """A server that does not speak TLS never sees the request."""
    with Scripted(raw(b"HTTP/1.1 400 Bad Request\r\n\r\n"), lambda peer: peer.send(b"what?")) as server:
        turn = send(f"https://127.0.0.1:{server.port}", patience=Patience(1, 1, 1, 1))
    assert (turn.outcome, turn.cause) == ("unsent", "connect")


@pytest.mark.parametrize("when", ["handshake", "stream"])
def test_an_abort_over_tls(tmp_path: Path, when: str):
    """An abort ends the handshake and the encrypted stream alike."""
    server_context, client_context = certificate(tmp_path)
    reached = threading.Event()

    def secure(peer: Peer) -> None:
        if when == "stream":
            peer.sock = server_context.wrap_socket(peer.sock, server_side=True)
            peer.request()
            peer.send(STREAM_HEAD)
        reached.set()
        peer.wait_closed()

    with Scripted(secure) as server:
        turn, seconds = _aborted(f"https://127.0.0.1:{server.port}", reached, tls=client_context)
    assert (turn.outcome, turn.cause) == ("unsent" if when == "handshake" else "unknown", "aborted:drain")
    assert seconds < 1


# Limits


def test_a_silent_server_is_idle():
    """Headers that never come: idle after the idle limit, and unknown."""
    turn = one(lambda peer: (peer.request(), peer.wait_closed()), patience=Patience(5, 0.3, 5, 10))  # type: ignore[arg-type,return-value]
    assert (turn.outcome, turn.cause) == ("unknown", "idle")
    assert 0.25 < turn.seconds < 1


def test_late_headers_are_waited_for():
    """Headers that come within the idle limit are no fault."""

    def late(peer: Peer) -> None:
        peer.request()
        time.sleep(0.4)
        peer.send(STREAM_HEAD)
        peer.chunk(b'data: {"type":"text","content":"hi"}\n\n')
        peer.end()

    assert one(late, patience=Patience(5, 1, 5, 10)).outcome == "received"


def beating(beat: bytes, every: float = 0.05) -> Script:
    def play(peer: Peer) -> None:
        peer.request()
        peer.send(STREAM_HEAD)
        peer.chunk(b'data: {"type":"text","content":"hi"}\n\n')
        try:
            while True:
                peer.chunk(beat)
                time.sleep(every)
        except OSError:
            return

    return play


@pytest.mark.parametrize("beat", [b'data: {"type":"heartbeat"}\n\n', b": ping\n\n", b"data:\n\n", b"data: \n\n", b"\n"])
def test_heartbeats_do_not_break_the_silence(beat: bytes):
    """Heartbeats, comments and empty data keep the line alive but are no answer: silence after its limit."""
    turn = one(beating(beat), patience=Patience(5, 2, 0.5, 10))
    assert (turn.outcome, turn.cause, turn.text) == ("unknown", "silence", "hi")
    assert 0.45 < turn.seconds < 1


@pytest.mark.parametrize("beat", [b'data: {"type":"heartbeat"}\n\n', b'data: {"type":"tool_call","name":"x"}\n\n'])
@pytest.mark.parametrize("every", [0.0, 0.03])
def test_the_overall_deadline_is_exact(beat: bytes, every: float):
    """Events at any rate cannot hold a stream beyond its longest life."""
    turn = one(beating(beat, every), patience=Patience(5, 2, 5, 0.6))
    assert (turn.outcome, turn.cause) == ("unknown", "deadline")
    assert 0.55 < turn.seconds < 0.9


def test_a_cut_inside_the_deadline_of_a_refusal_keeps_the_status():
    """A 4xx whose body never comes is refused once the idle limit is over."""
    turn = one(
        lambda peer: (peer.request(), peer.send(json_answer(b"{}", "402 Payment Required")[:-1]), peer.wait_closed()),  # type: ignore[arg-type,return-value]
        patience=Patience(5, 0.3, 5, 10),
    )
    assert turn.outcome == "refused"
    assert turn.seconds < 1


# Abort


def _aborted(url: str, reached: threading.Event, tls: ssl.SSLContext | None = None) -> tuple[Turn, float]:
    abort = Abort()
    at: list[float] = []

    def later() -> None:
        reached.wait(5)
        time.sleep(0.1)  # let the call enter its wait
        at.append(time.monotonic())
        abort.now("drain")
        abort.now("a later reason does not count")

    thread = threading.Thread(target=later)
    thread.start()
    turn = send(url, abort=abort, tls=tls)
    thread.join()
    return turn, time.monotonic() - at[0]


def test_an_abort_before_the_call_sends_nothing():
    """Aborted before it began: no connection at all."""
    abort = Abort()
    abort.now("drain")
    with Scripted(stream()) as server:
        turn = send(server.url, abort=abort)
        assert server.connections == 0
    assert (turn.outcome, turn.cause) == ("unsent", "aborted:drain")


def test_an_abort_during_the_connect():
    """A connect in progress ends within a moment, and nothing has left."""
    reached = threading.Event()
    reached.set()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = _fill(listener)
        turn, seconds = _aborted(f"http://127.0.0.1:{listener.getsockname()[1]}", reached)
        for sock in waiting:
            sock.close()
    assert (turn.outcome, turn.cause) == ("unsent", "aborted:drain")
    assert seconds < 1


@pytest.mark.parametrize("after", ["request", "headers", "text", "half a chunk", "4xx head"])
def test_an_abort_after_the_message_left_is_unknown(after: str):
    """While waiting for headers or mid-stream: the call ends within a moment and keeps what it heard."""
    reached = threading.Event()

    def play(peer: Peer) -> None:
        peer.request()
        if after == "4xx head":
            peer.send(b"HTTP/1.1 503 Oops\r\nContent-Length: 10\r\n\r\n")
        elif after != "request":
            peer.send(STREAM_HEAD)
        if after in ("text", "half a chunk"):
            peer.chunk(b'data: {"type":"text","content":"hi"}\n\n')
        if after == "half a chunk":
            peer.send(b"ff\r\ndata")
        reached.set()
        assert peer.wait_closed(), "the connection stayed open"

    with Scripted(play) as server:
        turn, seconds = _aborted(server.url, reached)
        server.finished.wait(5)
        assert server.failures == []
    assert (turn.outcome, turn.cause) == ("unknown", "status" if after == "4xx head" else "aborted:drain")
    assert turn.text == ("hi" if after in ("text", "half a chunk") else "")
    assert seconds < 1


def test_an_abort_from_inside_the_callback():
    """The caller may give up in the middle of an event."""
    abort = Abort()

    def give_up(_: StreamEvent) -> None:
        abort.now("lease")

    with Scripted(beating(b'data: {"type":"heartbeat"}\n\n')) as server:
        endpoint = Endpoint(server.url, TOKEN, {}, ssl.create_default_context)
        turn = send_message(endpoint, PATIENT, "s", "t", deadline=running() + 5, on_event=give_up, abort=abort)
    assert (turn.outcome, turn.cause, turn.text) == ("unknown", "aborted:lease", "hi")


def test_an_abort_after_the_end_is_harmless():
    """Too late to matter: the verdict stands, and the closed socket's number is left alone."""
    abort = Abort()
    with Scripted(stream()) as server:
        assert send(server.url, abort=abort).outcome == "received"
        abort.now("drain")


def test_a_callback_that_raises_closes_the_connection():
    """The caller's own exception passes through, and the backend sees the connection go."""

    class Stopped(Exception):
        pass

    def fail(_: StreamEvent) -> None:
        raise Stopped

    gone = threading.Event()

    def play(peer: Peer) -> None:
        stream_start(peer)
        if peer.wait_closed():
            gone.set()

    with Scripted(play) as server:
        endpoint = Endpoint(server.url, TOKEN, {}, ssl.create_default_context)
        with pytest.raises(Stopped):
            send_message(endpoint, PATIENT, "s", "t", deadline=running() + 5, on_event=fail, abort=Abort())
        assert gone.wait(5)


def stream_start(peer: Peer) -> None:
    peer.request()
    peer.send(STREAM_HEAD)
    peer.chunk(b'data: {"type":"text","content":"hi"}\n\n')


# Proxy


def test_a_proxy_that_refuses_the_tunnel_is_unsent(monkeypatch: pytest.MonkeyPatch):
    """The words to a proxy are not the message: a refused CONNECT leaves it unsent."""
    with Scripted(raw(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")) as proxy:
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("https_proxy", proxy.url)
        turn = send("https://render.test")
        (request,) = proxy.requests
    assert request.startswith(b"CONNECT render.test:443")
    assert TOKEN.encode() not in request
    assert (turn.outcome, turn.cause) == ("unsent", "connect")
