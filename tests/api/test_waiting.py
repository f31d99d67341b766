"""`Prefer: wait`: who waits for the end is answered at the end, and costs neither a thread nor a connection."""

import select
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpx
import psutil
import pytest

from tests.api import working
from tests.api.service import FIRST_KEY, Service, until
from worker.renders.states import Status


def waiting(service: Service, call: str, at: str, seconds: int, **fields: Any) -> httpx.Response:
    return service.first.request(call, at, headers={"Prefer": f"wait={seconds}"}, timeout=90, **fields)


def test_a_wait_ends_with_the_render(service: Service) -> None:
    """The answer comes when the last event does, long before the time is over, with the final render and a 200."""
    made = service.make()
    at = made["links"]["self"]
    held = service.write(lambda session: working.claimed(session, made["id"]))
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(waiting, service, "GET", at, 60)
        with pytest.raises(TimeoutError):
            answer.result(0.5)
        service.write(lambda session: working.finished(session, held, Status.CANCELED))
        began = time.monotonic()
        found = answer.result(30)
    assert time.monotonic() - began < 10
    assert (found.status_code, found.json()["status"]) == (200, "canceled")
    assert found.headers["preference-applied"] == "wait=60"


def test_a_wait_that_runs_out_answers_with_what_there_is(service: Service) -> None:
    """A second of patience: a POST is 202 after it, a GET 200; both say that they waited."""
    began = time.monotonic()
    posted = waiting(service, "POST", "/v1/renders", 1, json={"prompt": "kites"})
    assert time.monotonic() - began >= 1
    assert (posted.status_code, posted.json()["status"]) == (202, "queued")
    assert (posted.headers["preference-applied"], posted.headers["retry-after"]) == ("wait=1", "5")
    read = waiting(service, "GET", posted.headers["location"], 1)
    assert (read.status_code, read.json()["status"], read.headers["preference-applied"]) == (200, "queued", "wait=1")


def test_what_is_final_is_not_waited_for(service: Service) -> None:
    """A replayed POST of a final render, and a read of one, answer at once with 200."""
    key = {"Idempotency-Key": "final-already", "Prefer": "wait=60"}
    made = service.first.post("/v1/renders", json={"prompt": "kites"}, headers={**key, "Prefer": "wait=0"})
    assert (made.status_code, made.headers["preference-applied"]) == (202, "wait=0")
    at = made.headers["location"]
    service.first.post(f"{at}/cancel")
    began = time.monotonic()
    again = service.first.post("/v1/renders", json={"prompt": "kites"}, headers=key)
    assert (again.status_code, again.headers["idempotent-replayed"]) == (200, "true")
    assert waiting(service, "GET", at, 60).json()["status"] == "canceled"
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("prefer", "applied"),
    [
        ("wait=1", "wait=1"),
        ("respond-async, wait=1", "wait=1"),
        ('wait="1"; foo=bar', "wait=1"),
        ("WAIT = 1", "wait=1"),
        ("wait=-1", None),
        ("wait=soon", None),
        ("wait=1e9", None),
        ("wait=٣", None),
        ("return=minimal", None),
        ("", None),
    ],
)
def test_preferences_are_taken_or_passed_over(service: Service, prefer: str, applied: str | None) -> None:
    """RFC 7240: what is not understood is no error; what is applied is named."""
    made = service.make()
    service.first.post(f"{made['links']['self']}/cancel")
    header = [(b"Prefer", prefer.encode())]
    answer = service.first.get(made["links"]["self"], headers=header)
    assert answer.status_code == 200
    assert answer.headers.get("preference-applied") == applied


def test_more_than_a_minute_is_cut_to_a_minute(service: Service) -> None:
    """Asked for an hour, it says what it grants."""
    made = service.make()
    service.first.post(f"{made['links']['self']}/cancel")
    answer = waiting(service, "GET", made["links"]["self"], 3600)
    assert answer.headers["preference-applied"] == "wait=60"


def test_a_thousand_waiters_hold_no_thread(service: Service) -> None:
    """While a thousand wait, the intake has the threads it had and answers other calls; the end wakes them all."""
    made = service.make()
    held = service.write(lambda session: working.claimed(session, made["id"]))
    server = max(map(psutil.Process, service.pids()), key=psutil.Process.num_threads)
    warm = _warmed(service, server)
    request = (
        f"GET {made['links']['self']} HTTP/1.1\r\nHost: tests\r\nAuthorization: Bearer {FIRST_KEY}\r\n"
        "Prefer: wait=60\r\nConnection: close\r\n\r\n"
    )
    with ExitStack() as open_ones:
        waiters = [
            open_ones.enter_context(socket.create_connection(("127.0.0.1", service.port), timeout=60))
            for _ in range(1000)
        ]
        for waiter in waiters:
            waiter.sendall(request.encode())
        until(lambda: len(server.net_connections(kind="tcp")) > 1000, 30)
        # Patient: a thousand requests before it have to be read first, on whatever machine.
        assert service.first.get("/v1/credits", timeout=45).status_code == 200
        assert not _answered(waiters)
        threads = server.num_threads()
        service.write(lambda session: working.finished(session, held, Status.CANCELED))
        answers = [_all(waiter) for waiter in waiters]
    assert all(one.startswith(b"HTTP/1.1 200") and b'"status":"canceled"' in one for one in answers)
    assert threads <= warm


def _answered(waiters: list[socket.socket]) -> int:
    poll = select.poll()
    for waiter in waiters:
        poll.register(waiter, select.POLLIN)
    return len(poll.poll(0))


def _all(waiter: socket.socket) -> bytes:
    return b"".join(iter(lambda: waiter.recv(65536), b""))


def _warmed(service: Service, server: psutil.Process) -> int:
    """The server's threads once its pool for plain calls is as large as it gets."""
    with ThreadPoolExecutor(60) as pool:
        for _ in range(3):
            list(pool.map(lambda _: service.first.get("/v1/credits"), range(200)))
    return server.num_threads()
