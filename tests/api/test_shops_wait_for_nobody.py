"""A shop's message finds a thread whatever other calls wait for; checks of publishers are few and short."""

import socket
import threading
import time
from collections.abc import Iterator

import httpx
import pytest
from anyio import CapacityLimiter, create_task_group, fail_after, run, to_thread
from anyio.lowlevel import checkpoint

from api.app import create
from api.problems import Problem
from api.publishing.checks import Hurried, Turns
from api.triggers import threads
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


MESSAGE = {"content": b'{"id": 17}', "headers": {"Content-Type": "application/json", "X-Hub-Signature-256": "sha256=0"}}


@pytest.fixture(params=["refuses", "is silent"])
def away(request: pytest.FixtureRequest) -> Iterator[str]:
    """A database that is down, or whose machine is taken up with something else."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        if request.param == "refuses":
            server.close()
        yield f"postgresql://nobody@127.0.0.1:{port}/none"


def test_with_the_database_away_a_shop_is_told_to_come_again(away: str):
    """With 503 and when, within the seconds that it gives: what it sent is not lost, for it sends it again."""

    async def shop() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(create()), base_url="http://api") as shop:
            return await shop.post(f"/v1/triggers/trg_{'0' * 26}/deliveries", **MESSAGE)

    with here({"VIVIDEO_DATABASE_URL": away, "VIVIDEO_SECRET_KEY": "k" * 40}):
        began = time.monotonic()
        answer = run(shop)
        assert time.monotonic() - began < 4.5
    assert (answer.status_code, answer.json()["code"]) == (503, "database.unavailable")
    assert int(answer.headers["Retry-After"]) > 0


def test_what_is_late_keeps_its_place_and_what_has_none_is_dropped(monkeypatch: pytest.MonkeyPatch):
    """A database that hangs takes no more threads than there are places, and what is refused meanwhile not begun."""
    monkeypatch.setattr(threads, "SECONDS", 0.3)
    monkeypatch.setattr(threads, "_limiter", CapacityLimiter(1))
    free, done = threading.Event(), []

    async def late(name: str) -> None:
        with pytest.raises(Problem) as refused:
            await threads.run(lambda: (free.wait(), done.append(name)))
        assert refused.value.code == "database.unavailable"

    async def shop() -> str:
        try:
            await late("begun")
            await late("waiting")
        finally:
            free.set()
        return await threads.run(lambda: "taken")

    assert run(shop) == "taken"
    assert done == ["begun"]


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
