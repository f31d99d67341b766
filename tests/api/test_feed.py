"""The feed from now on, from a moment on, and waited for: what whoever follows it needs."""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text, update

from api.cli.listening import following
from api.client import Client
from tests.api import working
from tests.api.keys import new_key
from tests.api.service import Service, until
from worker.renders.events import EventType
from worker.renders.models import Event
from worker.renders.states import Status


@pytest.fixture
def key(service: Service) -> str:
    """An owner's of its own: nobody else's events end its waits."""
    return new_key(service, owner=f"feed-{time.monotonic_ns()}")


@pytest.fixture
def client(service: Service, key: str) -> Iterator[Client]:
    """Who calls with it."""
    with Client(service.url, key) as mine:
        yield mine


def test_from_now_on_nothing_old_comes(client: Client) -> None:
    """And nothing new is left out."""
    old = client.create_render("an old one")
    until(lambda: [one.render_id for one in client.feed().data][-1:] == [old.id])
    place = client.feed("now")
    assert place.data == []
    made = client.create_render("a new one", external_ref="sku-1")
    page = client.feed(place.next_cursor, wait=5)
    (event,) = page.data
    assert (event.render_id, event.type, event.external_ref) == (made.id, "render.queued", "sku-1")
    assert event.links == {"self": f"/v1/renders/{made.id}"}
    assert event.cursor == page.next_cursor
    assert client.feed(event.cursor).data == []


def test_a_wait_ends_with_the_first_event(client: Client) -> None:
    """At once, long before the time is over."""
    place, began = client.feed("now").next_cursor, time.monotonic()
    making = threading.Timer(0.3, client.create_render, ("a kite",))  # while the other call waits
    making.start()
    page = client.feed(place, wait=30)
    making.join()
    assert [event.type for event in page.data] == ["render.queued"]
    assert time.monotonic() - began < 15


def test_a_wait_ends_without_an_event(service: Service, client: Client) -> None:
    """When its time is over, with the place to go on from; others' events do not end it."""
    place = client.feed("now").next_cursor
    service.make()
    began = time.monotonic()
    page = client.feed(place, wait=1)
    assert (page.data, page.next_cursor) == ([], place)
    assert time.monotonic() - began >= 0.9


def test_what_lies_there_is_not_waited_for(service: Service) -> None:
    """The answer says that the wait was granted."""
    service.make()
    began = time.monotonic()
    answer = service.first.get("/v1/events", params={"limit": 1}, headers={"Prefer": "wait=30"})
    assert (len(answer.json()["data"]), answer.headers["preference-applied"]) == (1, "wait=30")
    assert time.monotonic() - began < 15


def test_the_feed_begins_at_a_moment(service: Service, client: Client) -> None:
    """Nothing from that moment on is left out, and nothing from long before it comes."""
    old, new = (client.create_render(prompt).id for prompt in ("old", "new"))

    def age(session: Any) -> None:
        session.execute(
            update(Event).where(Event.render_id == old).values(created_at=Event.created_at - timedelta(hours=2))
        )

    service.write(age)
    service.readable()
    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    assert {event.render_id for event in client.feed(since=hour_ago).data} == {new}
    assert {event.render_id for event in client.feed(since=hour_ago - timedelta(hours=2)).data} == {old, new}
    refused = service.first.get("/v1/events", params={"after": "now", "since": hour_ago.isoformat()})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "?since")


MANY = """
    INSERT INTO events (owner_id, render_id, run, number, type, created_at)
    SELECT owner_id, render_id, 1, number + n, 'render.progress', now() - CAST(:ago AS interval)
    FROM events, generate_series(1, :many) AS n
    WHERE render_id = :render AND number = (SELECT max(number) FROM events WHERE render_id = :render)"""


def test_who_listens_since_a_moment_is_told_of_that_and_no_more(service: Service, client: Client) -> None:
    """Also where more than a page of events lies in the minute before it, and more than one behind it."""
    render = client.create_render("a kite").id
    old = update(Event).where(Event.render_id == render).values(created_at=datetime.now(UTC) - timedelta(hours=2))
    service.write(lambda session: session.execute(old))
    for ago in ("60 minutes 30 seconds", "59 minutes"):
        many = {"render": render, "ago": ago, "many": 550}
        service.write(lambda session, many=many: session.execute(text(MANY), many))
    until(lambda: client.feed("now") and len(client.feed(client.feed(limit=500).next_cursor).data) == 500)
    first, place = following.begin(client, datetime.now(UTC) - timedelta(hours=1))
    rest = following.follow(client, place, print)
    told = [*first, *(next(rest) for _ in range(550 - len(first)))]
    assert [event.number for event in told] == list(range(552, 1102))
    assert {event.type for event in told} == {EventType.PROGRESS}


def test_a_renders_event_says_its_batch(service: Service) -> None:
    """A batch's own and its renders' are found by one id."""
    place = service.client.feed("now").next_cursor
    batch = service.first.post("/v1/batches", json={"items": [{"prompt": "a kite", "external_ref": "k"}]}).json()["id"]
    (render,) = service.first.get("/v1/renders", params={"batch": batch}).json()["data"]

    def end(session: Any) -> None:
        working.finished(session, working.claimed(session, render["id"]), Status.FAILED, error_code="export.failed")

    service.write(end)
    found: list[Any] = []
    until(lambda: found.extend(service.client.feed(place).data) or any(one.final for one in found))
    final = next(one for one in found if one.final)
    assert (final.render_id, final.batch_id, final.external_ref) == (render["id"], batch, "k")
    own = next(one for one in found if one.type == "batch.accepted")
    assert (own.batch_id, own.render_id, own.links) == (batch, None, {"self": f"/v1/batches/{batch}"})
