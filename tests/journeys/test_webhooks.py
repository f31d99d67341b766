"""Webhooks to receivers of every kind, from a whole stack: what was delivered, when, in what order; and nothing lost,
whatever is killed."""

import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook

from tests.journeys.conftest import ready_api
from tests.receivers import Received, Receiver, always, failing_first, well
from tests.stack import Stack, WarmStack, here, until

QUICK = {
    "VIVIDEO_WEBHOOK_TIMEOUT_SECONDS": "1",
    "VIVIDEO_WEBHOOK_RETRY_SECONDS": "0.3,0.6,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1",
}
DONE = "render.succeeded"
PROMPT = "A 2 second clip, told of, number"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, database: str, broker_url: str) -> Iterator[Stack]:
    """Everything, with short waits between two tries."""
    home = tmp_path_factory.mktemp("stack")
    with WarmStack(home, database, broker_url, **QUICK) as running, here(running.environment):
        running.start_all()
        yield running


@pytest.fixture(scope="module")
def http(stack: Stack) -> Iterator[httpx.Client]:
    """The first owner, call by call."""
    with ready_api(stack) as connected:
        yield connected


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Listening."""
    with Receiver() as listening:
        yield listening


class Endpoints:
    """Endpoints of one test, deleted with it."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http
        self.made: list[str] = []

    def __call__(self, url: str, *events: str) -> dict[str, Any]:
        """A new one."""
        answer = self.http.post("/v1/webhook-endpoints", json={"url": url, "events": list(events)})
        assert answer.status_code == 201, answer.text
        self.made.append(answer.json()["id"])
        return answer.json()

    def now(self, endpoint: dict[str, Any]) -> dict[str, Any]:
        """As it is at this moment."""
        return self.http.get(f"/v1/webhook-endpoints/{endpoint['id']}").json()

    def deliveries(self, endpoint: dict[str, Any]) -> list[dict[str, Any]]:
        """Of one, oldest first, with their tries."""
        path = f"/v1/webhook-endpoints/{endpoint['id']}/deliveries"
        listed = self.http.get(path, params={"limit": 200}).json()["data"]
        return [self.http.get(f"/v1/webhook-deliveries/{one['id']}").json() for one in reversed(listed)]

    def all_in(self, endpoint: dict[str, Any], *states: str) -> bool:
        """Whether every delivery of one is in one of these states."""
        return all(one["state"] in states for one in self.deliveries(endpoint))


@pytest.fixture
def endpoints(http: httpx.Client) -> Iterator[Endpoints]:
    """Made as asked for."""
    made = Endpoints(http)
    yield made
    for one in made.made:
        http.delete(f"/v1/webhook-endpoints/{one}")


def renders(http: httpx.Client, count: int, **fields: Any) -> list[str]:
    """Ask for some; their ids."""
    numbers = itertools.count()
    return [
        http.post("/v1/renders", json={"prompt": f"{PROMPT} {next(numbers)}", **fields}).json()["id"]
        for _ in range(count)
    ]


def ended(http: httpx.Client, ids: Sequence[str]) -> None:
    """Wait until all are final, with a video."""
    for one in ids:
        until(lambda one=one: http.get(f"/v1/renders/{one}").json()["status"] == "succeeded", 60, what=f"{one}'s end")


def told(received: Sequence[Received], render: str) -> list[int]:
    """The numbers of a render's events, in the order in which they first arrived."""
    numbers = [one.event["data"]["number"] for one in received if one.event["data"].get("render_id") == render]
    return list(dict.fromkeys(numbers))


def test_a_receiver_that_works_hears_everything_in_order(http: httpx.Client, receiver: Receiver, endpoints: Endpoints):
    """Each event of each render once, but for what its end overtakes, in the order of its numbers, signed so that the
    published library takes it, with the id that the delivery has; the same as the feed has, by their cursors."""
    receiver.behaviours["/hook"] = well
    endpoint = endpoints(f"{receiver.url}/hook", "render.*")
    ids = renders(http, 4)
    ended(http, ids)
    until(lambda: sum(one.event["type"] == DONE for one in receiver.on("/hook")) == 4, what="the four ends")
    library = Webhook(endpoint["secret"])
    for one in receiver.on("/hook"):
        assert library.verify(one.body, dict(one.headers)) == one.event
        at = datetime.fromtimestamp(int(one.headers["webhook-timestamp"]), UTC)
        assert abs((datetime.now(UTC) - at).total_seconds()) < 120
    for render in ids:
        events = http.get(f"/v1/renders/{render}/events").json()["data"]
        numbers = told(receiver.on("/hook"), render)
        assert (numbers, numbers[-1]) == (sorted(numbers), events[-1]["number"])
        # The end overtakes what is still to be sent just then: that is superseded, and nothing else is missing.
        overtaken = [one["sequence"] for one in endpoints.deliveries(endpoint) if one["state"] == "superseded"
                     and one["subject"] == render]  # fmt: skip
        assert sorted([*numbers, *overtaken]) == [one["number"] for one in events]
    assert max(Counter(one.id for one in receiver.on("/hook")).values()) == 1
    (first, *_) = [one.event for one in receiver.on("/hook")]
    after = http.get("/v1/events", params={"after": first["data"]["cursor"]}).json()["data"]
    assert next(one["number"] for one in after if one["render_id"] == first["data"]["render_id"]) == 2
    until(lambda: endpoints.all_in(endpoint, "delivered", "superseded"), what="the last outcome on file")


def test_each_receiver_gets_what_it_can_take_and_delays_nobody(
    http: httpx.Client, receiver: Receiver, endpoints: Endpoints
):
    """Beside receivers that fail, hang, redirect and are gone, the one that works hears of all ends; the failing one is
    tried again with the same id and other times until it takes it; where a redirect leads nobody ever comes; who
    answers 410 is asked once, and says in the feed that it is off."""
    receiver.behaviours |= {
        "/works": well,
        "/fails": failing_first(2),
        "/busy": failing_first(1, 429, Retry_After="2"),
        "/hangs": receiver.hanging,
        "/redirects": always(302, Location=f"{receiver.url}/stolen"),
        "/gone": always(410),
    }
    made = {name: endpoints(f"{receiver.url}{name}", DONE) for name in [*receiver.behaviours]}
    ids = renders(http, 6)
    ended(http, ids)

    until(lambda: len(receiver.on("/works")) == 6, 20, what="the ends at the one that works")
    assert not receiver.released.is_set(), "the one that hangs was never answered meanwhile"
    until(lambda: endpoints.all_in(made["/fails"], "delivered"), 30, what="the failing one's deliveries")
    for id in {one.id for one in receiver.on("/fails")}:
        tries = [one for one in receiver.on("/fails") if one.id == id]
        assert len(tries) == 3
        assert len({one.body for one in tries}) == 1
        assert all(Webhook(made["/fails"]["secret"]).verify(one.body, dict(one.headers)) for one in tries)
    until(lambda: endpoints.all_in(made["/busy"], "delivered"), 30, what="the busy one's deliveries")
    for id in {one.id for one in receiver.on("/busy")}:
        first, second = (one.at for one in receiver.on("/busy") if one.id == id)
        assert second - first >= 2, "not before the time that it asked for"

    until(lambda: not endpoints.now(made["/gone"])["enabled"], what="the end of the one that is gone")
    assert endpoints.now(made["/gone"])["disabled"]["reason"] == "gone"
    asked = len(receiver.on("/gone"))
    off = [one for one in _feed(http) if one["endpoint_id"] == made["/gone"]["id"]]
    assert [one["type"] for one in off] == ["webhook.disabled"]

    redirected = endpoints.deliveries(made["/redirects"])
    assert redirected
    assert {one["attempts"][0]["status"] for one in redirected} == {302}
    assert receiver.on("/stolen") == []
    hung = endpoints.deliveries(made["/hangs"])
    assert any(one["attempts"] and one["attempts"][0]["status"] is None for one in hung)

    receiver.released.set()
    until(lambda: endpoints.all_in(made["/hangs"], "delivered"), 40, what="the deliveries that hung")
    assert len(receiver.on("/gone")) == asked, "nothing more comes there"


def _feed(http: httpx.Client) -> list[dict[str, Any]]:
    """All of it, by its cursors."""
    found: list[dict[str, Any]] = []
    after: dict[str, str] = {}
    while True:
        page = http.get("/v1/events", params=after).json()
        if not page["data"]:
            return found
        found += page["data"]
        after = {"after": page["next_cursor"]}


def test_one_that_was_down_hears_of_every_end_when_it_is_back(http: httpx.Client, endpoints: Endpoints):
    """Nothing listened while the renders were made: of each the final event comes through after that, and earlier ones
    are not delivered behind it."""
    receiver = Receiver({"/hook": well})
    endpoint = endpoints(f"{receiver.url}/hook", "render.*")
    ids = renders(http, 3)
    ended(http, ids)
    until(lambda: _tried(endpoints.deliveries(endpoint)) >= set(ids), what="the first tries of the ends")
    with receiver:
        until(lambda: endpoints.all_in(endpoint, "delivered", "superseded"), 40, what="all of it")
        for render in ids:
            assert [one.event["type"] for one in receiver.on("/hook") if one.event["data"]["render_id"] == render] == [
                DONE
            ]


def _tried(deliveries: Sequence[dict[str, Any]]) -> set[str]:
    """The renders whose final event was tried."""
    return {one["subject"] for one in deliveries if one["type"] == DONE and one["attempts"]}


EVERYTHING = ("dispatcher", "stream", "io", "media")


def test_nothing_is_lost_whatever_is_killed(stack: Stack, http: httpx.Client, receiver: Receiver, endpoints: Endpoints):
    """kill -9 of every process, again and again, between an event and its delivery: each final event arrives, at least
    once, under one id; the receiver fails every third request besides."""
    chance = random.Random(6)
    count = itertools.count()
    receiver.behaviours["/hook"] = lambda one, _: (500, {}) if next(count) % 3 == 2 else (204, {})
    endpoint = endpoints(f"{receiver.url}/hook", DONE)
    restart: dict[str, Callable[[], Any]] = {
        "dispatcher": lambda: stack.start("dispatcher", "-m", "worker.dispatch"),
        "stream": lambda: stack.start_worker("stream", 60),
        "io": lambda: stack.start_worker("io", 30),
        "media": lambda: stack.start_worker("media", 2),
    }
    ids = renders(http, 12)
    for wave in range(1, 5):
        until(lambda wave=wave: len(_heard(receiver)) >= 2 * wave, 60, what=f"{2 * wave} ends")
        for name in chance.sample(EVERYTHING, 2) if wave < 4 else EVERYTHING:
            stack.kill(name)
            restart[name]()
    ended(http, ids)
    until(lambda: set(ids) <= _heard(receiver), 90, what="all ends at the receiver")
    until(lambda: endpoints.all_in(endpoint, "delivered"), 60, what="all of them as delivered")
    by_render = {one.event["data"]["render_id"]: set[str]() for one in receiver.on("/hook")}
    for one in receiver.on("/hook"):
        by_render[one.event["data"]["render_id"]].add(one.id)
    assert {render: len(of) for render, of in by_render.items()} == dict.fromkeys(ids, 1)


def _heard(receiver: Receiver) -> set[str]:
    return {one.event["data"]["render_id"] for one in receiver.on("/hook")}
