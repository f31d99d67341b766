"""A trigger that somebody has in hand, or that is sent too much, keeps no other trigger's messages waiting."""

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import partial

import pytest
from anyio import create_task_group, fail_after, run
from anyio.lowlevel import checkpoint
from sqlalchemy.orm import Session

from api.auth import Caller
from api.limits import MESSAGE_BYTES
from api.problems import Problem
from api.triggers import busy, intake, messages, threads
from api.triggers.schemas import TriggerChange
from tests.stack import here
from tests.triggers import stand
from tests.triggers.stand import Shop, product
from worker.database import engine
from worker.owners.limits import Limits
from worker.triggers import store
from worker.triggers.models import Verdict

KEPT = [one.value for one in Verdict]
BODY = json.dumps(product(1)).encode()


@pytest.fixture(scope="module", autouse=True)
def _settings(database: str) -> Iterator[None]:
    with here({"VIVIDEO_DATABASE_URL": database, "VIVIDEO_SECRET_KEY": "k" * 40}):
        yield


@pytest.fixture
def shop(_settings: None) -> Shop:
    stand.empty()
    return Shop(style="github")


def _sends(shop: Shop) -> str:
    signature = "sha256=" + hmac.new(b"s" * 20, BODY, hashlib.sha256).hexdigest()
    headers = {"x-hub-signature-256": signature, "x-github-event": "push"}
    admitted = messages.admit(shop.id, "192.0.2.3", headers, BODY)
    assert admitted is not None
    return messages.take(admitted).verdict


@contextmanager
def _in_hand(shop: Shop) -> Generator[None]:
    """Somebody changes it, and is not done."""
    with Session(engine()) as session, session.begin():
        assert store.locked(session, shop.owner_id, shop.id) is not None
        yield


def _busy(call: Callable[[], object]) -> None:
    began = time.monotonic()
    with pytest.raises(Problem) as refused:
        call()
    assert (refused.value.code, refused.value.kind.status) == ("trigger.busy", 503)
    assert time.monotonic() - began < 5.0  # what a shop gives


def test_a_trigger_in_hand_answers_its_shop_in_time(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    """503, to come again: nothing is on file. Other triggers' messages go through, and its own do as soon as it is
    free."""
    monkeypatch.setattr(busy, "MESSAGE_SECONDS", 0.3)
    other = Shop(style="github")
    with _in_hand(shop):
        _busy(lambda: _sends(shop))
        assert _sends(other) in KEPT
    assert list(shop.deliveries()) == []
    assert _sends(shop) in KEPT


def test_a_change_of_a_trigger_in_hand_is_told_to_come_again(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    """It holds no thread for as long as somebody else's change takes."""
    monkeypatch.setattr(busy, "CHANGE_SECONDS", 0.3)
    with _in_hand(shop):
        _busy(lambda: intake.change(_owner(shop), shop.id, TriggerChange(paused=True)))
    assert intake.change(_owner(shop), shop.id, TriggerChange(paused=True)).paused


def _owner(shop: Shop) -> Caller:
    return Caller(shop.owner_id, "", frozenset(), Limits())


def test_one_triggers_messages_leave_threads_to_the_others():
    """However many wait, few are in hand at once: another trigger's is taken meanwhile."""
    free, in_hand, later = threading.Event(), list[int](), time.monotonic() + 60

    def waits() -> None:
        in_hand.append(1)
        free.wait(20)

    async def flood() -> str | None:
        async with create_task_group() as group:
            try:
                for _ in range(2 * threads.THREADS):
                    group.start_soon(threads.in_turn, "trg_a", waits, later)
                while len(in_hand) < threads.OF_ONE:
                    await checkpoint()
                with fail_after(10):
                    return await threads.in_turn("trg_b", lambda: "taken", later)
            finally:
                assert len(in_hand) == threads.OF_ONE
                free.set()

    assert run(flood) == "taken"
    assert len(in_hand) == 2 * threads.THREADS


def test_a_turn_that_does_not_come_in_time_is_none(monkeypatch: pytest.MonkeyPatch):
    """A source that gave up long ago keeps no place in the queue; its trigger is told to be busy, and is free again."""
    monkeypatch.setattr(threads, "SECONDS", 0.05)
    free, in_hand, refused = threading.Event(), list[int](), list[str]()
    later = time.monotonic() + 60

    def waits() -> None:
        in_hand.append(1)
        free.wait(20)

    async def one_too_many() -> str:
        async with create_task_group() as group:
            try:
                for _ in range(threads.OF_ONE):
                    group.start_soon(threads.in_turn, "trg_a", waits, later)
                while len(in_hand) < threads.OF_ONE:
                    await checkpoint()
                try:
                    await threads.in_turn("trg_a", lambda: "taken")
                except Problem as problem:
                    refused.append(problem.code)
            finally:
                free.set()
        return await threads.in_turn("trg_a", lambda: "taken", later)

    assert run(one_too_many) == "taken"
    assert refused == ["trigger.busy"]


def test_one_triggers_bytes_are_its_own():
    """Past its share it is told to come again at once, and another trigger's are taken."""
    free, in_hand, refused, later = threading.Event(), list[int](), list[str](), time.monotonic() + 60

    def waits() -> None:
        in_hand.append(1)
        free.wait(20)

    async def flood() -> str | None:
        async with create_task_group() as group:

            async def large() -> None:
                try:
                    await threads.in_turn("trg_a", waits, later, size=MESSAGE_BYTES)
                except Problem as problem:
                    refused.append(problem.code)

            try:
                for _ in range(16):
                    group.start_soon(large)
                with fail_after(10):
                    while not in_hand or not refused:
                        await checkpoint()
                    return await threads.in_turn("trg_b", lambda: "taken", later, size=4_000)
            finally:
                free.set()

    assert run(flood) == "taken"
    assert refused == ["trigger.busy"] * 13
    assert run(lambda: threads.in_turn("trg_a", lambda: "taken", later, size=MESSAGE_BYTES)) == "taken"


def test_long_messages_of_many_triggers_take_few_threads():
    """They are read one at a time: the others would only hold a thread each."""
    free, in_hand, later = threading.Event(), list[int](), time.monotonic() + 60

    def waits() -> None:
        in_hand.append(1)
        free.wait(20)

    async def flood() -> str | None:
        async with create_task_group() as group:
            try:
                for number in range(threads.THREADS):
                    group.start_soon(partial(threads.in_turn, f"trg_{number}", waits, later, size=1_000_000))
                while len(in_hand) < threads.LARGE_AT_ONCE:
                    await checkpoint()
                with fail_after(10):
                    return await threads.in_turn("trg_b", lambda: "taken", later)
            finally:
                assert len(in_hand) == threads.LARGE_AT_ONCE
                free.set()

    assert run(flood) == "taken"


def test_long_messages_of_one_trigger_leave_turns_to_its_small_ones_and_to_others(monkeypatch: pytest.MonkeyPatch):
    """However many come: one is in hand, so that another trigger's long one has a place, and small ones their turns."""
    monkeypatch.setattr(threads, "SECONDS", 10.0)
    free, in_hand, later = threading.Event(), list[str](), time.monotonic() + 60

    def waits(trigger_id: str) -> None:
        in_hand.append(trigger_id)
        free.wait(20)

    async def flood() -> list[str]:
        async with create_task_group() as group:

            async def long(trigger_id: str) -> None:
                await threads.in_turn(trigger_id, lambda: waits(trigger_id), later, size=300_000)

            try:
                for _ in range(threads.OF_ONE):
                    group.start_soon(long, "trg_a")
                with fail_after(10):
                    while not in_hand:
                        await checkpoint()
                    for _ in range(threads.OF_ONE):
                        group.start_soon(long, "trg_b")
                    while len(in_hand) < threads.LARGE_AT_ONCE:
                        await checkpoint()
                    return [await threads.in_turn(id, lambda: "taken", size=4_000) for id in ("trg_a", "trg_b")]
            finally:
                free.set()

    assert run(flood) == ["taken", "taken"]
    assert in_hand[: threads.LARGE_AT_ONCE] == ["trg_a", "trg_b"]
    assert len(in_hand) == 2 * threads.OF_ONE
