"""What a shop's message has to show before its body is read, and how much of bodies there is at once."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message, Scope

from api.app import app
from api.limits import MESSAGE_BYTES
from api.problems import Problem
from api.triggers import doorstep, messages, unverified
from api.triggers.bodies import TakenBody
from api.triggers.door import FLOODED_BYTES, Door
from api.triggers.seldom import Seldom
from api.triggers.unverified import Bodies
from tests.stack import here
from tests.triggers import stand
from tests.triggers.stand import Shop

WAITS = {"VIVIDEO_MESSAGE_BODY_SECONDS": "0.2", "VIVIDEO_UNVERIFIED_MESSAGES_PER_MINUTE": "20"}
SIGNED = {"Stripe-Signature": "t=1,v1=00"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
NOWHERE = f"trg_{'0' * 26}"
_TOLD = {401: "trigger.unverified", 404: "route.unknown"}


@pytest.fixture(scope="module", autouse=True)
def _settings(database: str) -> Iterator[None]:
    with here({"VIVIDEO_DATABASE_URL": database, "VIVIDEO_SECRET_KEY": "k" * 40} | WAITS):
        yield


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Shop:
    stand.empty()
    door = Door(seldom=600)
    monkeypatch.setattr(doorstep, "door", door)
    return Shop(style="github")


def _scope(trigger_id: str, headers: dict[str, str], peer: str = "192.0.2.1") -> Scope:
    given = [(name.lower().encode(), value.encode()) for name, value in {"Host": "x", **headers}.items()]
    path = f"/v1/triggers/{trigger_id}/deliveries"
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": given,
        "client": (peer, 1),
        "server": ("x", 80),
        "scheme": "http",
        "state": {},
    }


def _sent(*chunks: bytes, then: str = "end") -> Callable[[], Awaitable[Message]]:
    """A body that comes in these pieces, and then is over, or is not."""
    left = list(chunks)

    async def receive() -> Message:
        if left:
            return {"type": "http.request", "body": left.pop(0), "more_body": bool(left) or then != "end"}
        if then == "gone":
            return {"type": "http.disconnect"}
        await asyncio.Event().wait()
        raise AssertionError("never")

    return receive


def _taken(trigger_id: str, headers: dict[str, str], *chunks: bytes, then: str = "end", peer: str = "192.0.2.1") -> Any:
    """The body as the application gets it, or the code that its sender hears."""
    return _taken_in(_scope(trigger_id, headers, peer), *chunks, then=then)


def _taken_in(scope: Scope, *chunks: bytes, then: str = "end") -> Any:
    """The same of any request."""

    async def work() -> Any:
        with Bodies().one() as body:
            receive = await doorstep.take_in(scope, _sent(*chunks, then=then), body)
            assert (await receive())["body"] == b"", "one copy is enough"
            return scope["state"]["message"].content

    try:
        return asyncio.run(work())
    except Problem as problem:
        return problem.code


def test_what_could_be_a_message_is_read(shop: Shop):
    """Whole, in whatever pieces it comes."""
    assert _taken(shop.id, SIGNED, b"a", b"", b"bc") == b"abc"
    assert _taken(shop.id, SIGNED) == "request.timeout"
    assert _taken(NOWHERE, FORM, b"webhook_id=", b"1" * 20) == b"webhook_id=" + b"1" * 20
    assert _taken(shop.id, {}, b"{}") == b"{}"


def test_of_what_is_nobodys_nothing_is_read(shop: Shop):
    """No signature whatever, or no such trigger: 401 while the body is still to come."""
    assert _taken(NOWHERE, SIGNED) == "trigger.unverified"
    assert _taken("tr\0g", SIGNED) == "trigger.unverified"
    assert _taken(shop.id, {}, b"x" * 32, then="more") == "trigger.unverified"
    assert _taken(shop.id, FORM, b"webhook_id=" + b"1" * 21, then="more") == "trigger.unverified"
    assert _taken(NOWHERE, SIGNED | {"Content-Length": str(MESSAGE_BYTES + 1)}) == "request.too_large"
    assert _taken(shop.id, SIGNED, b"x" * MESSAGE_BYTES, b"x") == "request.too_large"


def test_a_body_has_its_time(shop: Shop):
    """Of its own setting, shorter than a caller's who has a key; who is gone is no message."""
    assert _taken(shop.id, SIGNED, b"a", then="more") == "request.timeout"
    with pytest.raises(ClientDisconnect):
        _taken(shop.id, SIGNED, b"a", then="gone")


def test_what_is_turned_away_counts_as_a_failure(shop: Shop):
    """Of its peer: past some, it is told to wait, and the trigger that is there is read all the same."""
    said = [_taken(NOWHERE, SIGNED, peer="192.0.2.2") for _ in range(30)]
    assert (said[0], said[-1]) == ("trigger.unverified", "rate.limited")
    assert _taken(shop.id, {}, b"x" * 40, peer="192.0.2.2") == "rate.limited"
    assert _taken(shop.id, SIGNED, b"a", peer="192.0.2.2") == b"a"
    assert _taken(NOWHERE, SIGNED, peer="192.0.2.3") == "trigger.unverified"


def test_what_is_no_id_counts_as_well(shop: Shop):
    """It costs nothing to tell, and is a try all the same."""
    said = [_taken("no-id", SIGNED, peer="192.0.2.9") for _ in range(30)]
    assert (said[0], said[-1]) == ("trigger.unverified", "rate.limited")


def test_a_large_message_is_taken_in_a_flood(shop: Shop):
    """Where it is rightly signed, a few a second of a trigger: who floods from its address does not shut it out."""
    door, peer, body = Door(seldom=600), "192.0.2.4", b" " * (FLOODED_BYTES + 1)
    door.large = Seldom(600)
    signed = {"x-hub-signature-256": "sha256=" + hmac.new(b"s" * 20, body, hashlib.sha256).hexdigest()}
    for _ in range(30):
        with pytest.raises(Problem):
            door.admit(shop.id, peer, {}, b"{}")
    assert door.admit(shop.id, peer, signed, body)
    with pytest.raises(Problem, match=r"messages .* not signed") as refused:
        door.admit(shop.id, peer, signed, body)
    assert (refused.value.code, "keys" in refused.value.detail) == ("rate.limited", False)


def test_the_application_asks_at_the_doorstep(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    """Its answer is there before a byte is read, and what was in hand is let go of."""
    sent: list[Message] = []
    in_hand = Bodies()
    monkeypatch.setattr("api.envelope.bodies", in_hand)

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        assert sent, "read before it was answered"
        return {"type": "http.disconnect"}

    asyncio.run(app(_scope(NOWHERE, SIGNED), receive, send))
    assert sent[0]["status"] == 401
    sent.clear()
    asyncio.run(app(_scope(shop.id, SIGNED), _sent(b"x" * 100), send))
    assert sent[0]["status"] == 401
    assert in_hand.bytes == 0


@pytest.mark.parametrize("headers", [SIGNED, FORM, {}], ids=["signed", "ping", "unsigned"])
@pytest.mark.parametrize(
    ("address", "status"),
    [
        (f"{NOWHERE}/deliveries", 401),
        (f"{NOWHERE}/deliveries\n", 401),
        (f"{NOWHERE}\n/deliveries", 401),
        ("tr\0g/deliveries", 401),
        ("\n/deliveries\n", 401),
        (f"trg_{'É' * 26}/deliveries", 401),
        (f"{'trg_' * 100}/deliveries", 401),
        (f"{NOWHERE}/deliveries\n\n", 404),
        (f"{NOWHERE}/deliveries\r", 404),
        (f"{NOWHERE}/deliveries\0", 404),
    ],
)
def test_an_address_that_is_none_is_told_like_others(
    address: str, status: int, headers: dict[str, str], shop: Shop, monkeypatch: pytest.MonkeyPatch
):
    """Whatever is in it: the words that all hear who are nobody's, or that there is nothing; never a fault of ours."""
    monkeypatch.setattr("api.envelope.bodies", Bodies())
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    path = f"/v1/triggers/{address}"
    asyncio.run(app(_scope(NOWHERE, headers) | {"path": path, "raw_path": path.encode()}, _sent(b"{}"), send))
    assert (sent[0]["status"], json.loads(sent[1]["body"])["code"]) == (status, _TOLD[status])


def test_an_address_with_a_lines_end_counts_as_any_other(shop: Shop):
    """It is a try like those without one: past some the peer is told to wait."""
    scope = _scope(NOWHERE, SIGNED, "192.0.2.8")
    scope["path"] += "\n"
    assert doorstep.concerns(scope)
    said = [_taken_in(scope | {"state": {}}, b"{}") for _ in range(30)]
    assert (said[0], said[-1]) == ("trigger.unverified", "rate.limited")


def _reads(bodies: Bodies, *chunks: bytes, then: str = "end") -> "asyncio.Task[bytes]":
    async def work() -> bytes:
        with bodies.one() as body:
            content = await body.read(_sent(*chunks, then=then), most=1_000, seconds=5)
            await asyncio.sleep(0)
            return content

    return asyncio.get_running_loop().create_task(work())


def _codes(results: list[Any]) -> list[Any]:
    return [one.code if isinstance(one, Problem) else one for one in results]


def test_the_longest_makes_way():
    """A flood of long bodies that stand still costs a short one nothing: the longest of those is let go at once."""

    async def work() -> None:
        bodies = Bodies(most=1_000)
        slow = [_reads(bodies, b"x" * size, then="more") for size in (400, 500)]
        await asyncio.sleep(0)
        assert await _reads(bodies, b"a" * 60, b"b" * 60) == b"a" * 60 + b"b" * 60
        assert _codes(list(await asyncio.gather(slow[1], return_exceptions=True))) == ["trigger.crowded"]
        assert (bodies.bytes, slow[0].done()) == (400, False)
        slow[0].cancel()
        await asyncio.gather(*slow, return_exceptions=True)
        assert bodies.bytes == 0

    asyncio.run(work())


def test_a_long_one_makes_way_itself():
    """No other that is shorter, and none that is whole: those are being verified."""

    async def work() -> None:
        bodies = Bodies(most=1_000)
        with bodies.one() as whole:
            await whole.read(_sent(b"x" * 700), most=1_000, seconds=5)
            short = _reads(bodies, b"x" * 200, then="more")
            await asyncio.sleep(0)
            with pytest.raises(Problem) as refused:
                await _reads(bodies, b"x" * 100, b"x" * 150)
            assert refused.value.code == "trigger.crowded"
            assert bodies.bytes == 900
            short.cancel()
        await asyncio.gather(short, return_exceptions=True)

    asyncio.run(work())


def test_long_ones_leave_room_for_a_shops_message():
    """However many of them are whole and wait to be verified."""

    async def work() -> None:
        bodies, codes = Bodies(), list[str]()
        with ExitStack() as in_hand:
            for _ in range(16):
                try:
                    long = in_hand.enter_context(bodies.one())
                    await long.read(_sent(b"x" * MESSAGE_BYTES), most=MESSAGE_BYTES, seconds=5)
                except Problem as problem:
                    codes.append(problem.code)
            assert (len(codes), set(codes)) == (2, {"trigger.crowded"})
            assert len(await in_hand.enter_context(bodies.one()).read(_sent(b"x" * 4_000), most=5_000, seconds=5))

    asyncio.run(work())


def test_what_is_verified_makes_room(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    """It counts with its trigger's own from there."""
    in_hand, counted, body = Bodies(), list[int](), b"{}"
    monkeypatch.setattr("api.envelope.bodies", in_hand)

    def take(admitted: messages.Admitted) -> TakenBody:
        counted.append(in_hand.bytes)
        raise Problem("trigger.busy", admitted.body.decode())

    async def send(message: Message) -> None:
        counted.append(message.get("status", 0))

    monkeypatch.setattr(messages, "take", take)
    signed = {"x-hub-signature-256": "sha256=" + hmac.new(b"s" * 20, body, hashlib.sha256).hexdigest()}
    asyncio.run(app(_scope(shop.id, signed), _sent(body), send))
    assert counted[:2] == [0, 503]


def test_there_is_room_for_a_process():
    """An eighth of the memory that compose gives it."""
    assert unverified.bodies.most == 64 * 1024 * 1024
