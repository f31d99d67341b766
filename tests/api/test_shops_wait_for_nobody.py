"""A shop's message finds a thread whatever other calls wait for; checks of publishers are few and short."""

import socket
import threading
import time
from collections.abc import Iterator

import httpx
import pytest
from anyio import create_task_group, fail_after, run, to_thread
from anyio.lowlevel import checkpoint

from api.app import create
from api.problems import Problem
from api.publishing.checks import Hurried, Turns
from tests.stack import here
from worker.addresses.errors import AddressError


def test_a_message_is_answered_while_every_usual_thread_waits():
    """A ping, which needs no database: with all threads of the other calls taken it is answered all the same."""
    free = threading.Event()

    async def shop() -> int:
        usual = to_thread.current_default_thread_limiter()
        usual.total_tokens = 2
        async with create_task_group() as group:
            for _ in range(2):
                group.start_soon(to_thread.run_sync, free.wait)
            while usual.available_tokens:
                await checkpoint()
            try:
                async with httpx.AsyncClient(transport=httpx.ASGITransport(create()), base_url="http://api") as shop:
                    with fail_after(10):
                        form = {"Content-Type": "application/x-www-form-urlencoded"}
                        at = f"/v1/triggers/trg_{'0' * 26}/deliveries"
                        return (await shop.post(at, content=b"webhook_id=17", headers=form)).status_code
            finally:
                free.set()

    assert run(shop) == 200


def test_few_publishers_are_checked_at_once():
    """One of an owner's, some of all; one too many hears 429 at once, and when to come again; a turn is given back."""
    turns = Turns(at_once=2)
    with turns.taken("own_a"):
        _refused(turns, "own_a")
        with turns.taken("own_b"):
            _refused(turns, "own_c")
        with turns.taken("own_c"):
            pass
    with turns.taken("own_a"):
        pass


def _refused(turns: Turns, owner_id: str) -> None:
    with pytest.raises(Problem) as refused, turns.taken(owner_id):
        pass
    assert refused.value.code == "rate.limited"
    assert int(refused.value.headers["Retry-After"]) > 0


@pytest.fixture
def dripping() -> Iterator[str]:
    """An address whose answer never ends: a byte now and then keeps every read alive."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        ended = threading.Event()

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
                while not ended.wait(0.02):
                    try:
                        connection.sendall(b".")
                    except OSError:
                        return

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        ended.set()
        thread.join()


def test_a_check_is_over_in_time_whatever_the_shop_does(dripping: str):
    """All its calls together: what comes after the time is not even begun."""
    with here({"VIVIDEO_ALLOW_LOCAL_ADDRESSES": "true"}):
        fetch, began = Hurried(0.3), time.monotonic()
        for _ in range(3):
            with pytest.raises(AddressError):
                fetch.fetch("GET", dripping)
        assert time.monotonic() - began < 5
