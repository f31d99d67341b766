"""What `hooks listen` tells a receiver: each try is over in time, whatever the receiver does with it."""

import time
from collections.abc import Callable, Iterator
from socket import socket

import pytest

from api.cli.listening import forwarding
from api.cli.listening.forwarding import Answer, Receiver
from api.cli.listening.messages import Message
from tests.addresses.servers import Server, answer, dripping, serving
from worker.webhooks import signing

HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarding, "TRY_SECONDS", 0.5)
    monkeypatch.setattr(forwarding, "PAUSES", ())


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


def told(server: Server, script: Callable[[socket], object]) -> Answer:
    """What came of an event, within the time of a try."""
    server.answers["/"] = lambda line: script(line) and None
    receiver = Receiver(server.url("/"), signing.new_secret())
    began = time.monotonic()
    made = receiver.tell(Message("msg_x", "{}"), lambda *_: None)
    assert time.monotonic() - began < 2
    assert made.seconds < 1
    return made


def test_a_body_that_drips_does_not_undo_the_status(server: Server) -> None:
    """What could be had of it is shown."""
    made = told(server, dripping(server, HEAD, 0.05))
    assert (made.taken, made.status, made.error) == (True, 200, None)


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nX-"])
def test_a_head_that_drips_is_no_answer(server: Server, head: bytes) -> None:
    """Nor is silence."""
    made = told(server, dripping(server, head, 0.05))
    assert (made.taken, made.status, made.error) == (False, None, "nothing within 0.5 s")
    silent = told(server, lambda _line: server.stopping.wait(20))
    assert (silent.status, silent.error) == (None, "nothing within 0.5 s")


def test_no_more_of_an_answer_is_read_than_is_shown(server: Server) -> None:
    """A body without an end; one that says it is packed is not unpacked."""

    def endless(line: socket) -> None:
        line.sendall(HEAD)
        while not server.stopping.is_set():
            line.sendall(b"x" * 65536)

    made = told(server, endless)
    assert (made.status, made.text) == (200, "x" * forwarding.ANSWER_CHARACTERS)
    packed = told(server, answer(body=b"\x1f\x8b\x08", Content_Encoding="gzip"))
    assert (packed.status, packed.text) == (200, "")


def test_a_fault_of_any_kind_keeps_its_words(server: Server) -> None:
    """It is no silence: a client that was closed meanwhile, here."""
    receiver = Receiver(server.url("/"), signing.new_secret())
    receiver.close()
    made = receiver.tell(Message("msg_x", "{}"), lambda *_: None)
    assert (made.status, "closed" in (made.error or "")) == (None, True)


def test_an_answer_is_shown(server: Server) -> None:
    """Its words, or that nobody answered."""
    assert told(server, answer("400 Bad Request", "größer".encode())).text == "größer"
    made = told(server, lambda line: line.close())
    assert (made.status, made.error) == (None, "Server disconnected without sending a response.")


def test_what_else_goes_wrong_is_told_as_it_is(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """No thread ends with a traceback on the screen, and nobody is told of a time that did not pass."""

    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("a client that was closed")

    monkeypatch.setattr("httpx.Client.stream", fails)
    said = told(server, lambda _: None)
    assert (said.status, said.error) == (None, "a client that was closed")
