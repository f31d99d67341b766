"""From events to deliveries: who is told what, once, in order, whoever dies."""

import json
from threading import Thread

import pytest
from sqlalchemy import func

from api.client.events import Event as ClientEvent
from api.views import event_body
from tests import feed
from tests.renders.conftest import a_batch, a_render
from tests.webhooks.conftest import an_endpoint, by_owner, deliveries, handed_out, happens, names, put, relayed, states
from worker.batches import steering
from worker.batches.models import Batch
from worker.database import transact
from worker.portions import Portion
from worker.renders import events, purge, relays
from worker.renders.events import Cursor, EventType
from worker.renders.models import Render
from worker.webhooks import endpoints, making, messages, relay
from worker.webhooks.making import Wanted
from worker.webhooks.messages import NOTHING_MORE
from worker.webhooks.models import WebhookEndpoint


def test_a_standing_endpoint_gets_what_its_filter_lets_through():
    """Single types, groups and everything; what is disabled gets nothing."""
    final = an_endpoint(events=("render.succeeded", "batch.*"))
    every = an_endpoint(events=("*",))
    off = an_endpoint()
    transact(lambda s: endpoints.disable(s, s.get_one(WebhookEndpoint, off)))
    render, batch = a_render(), a_batch(1)
    happens(render, EventType.STARTED, EventType.SUCCEEDED)
    transact(lambda s: steering.pause(s, s.get_one(Batch, batch)))
    relayed()
    assert sorted(one.type for one in deliveries(final)) == ["batch.paused", "render.succeeded"]
    assert sorted(one.type for one in deliveries(every)) == [
        *("batch.paused", "render.queued", "render.started", "render.succeeded", "webhook.disabled"),
    ]
    assert deliveries(off) == []


def test_a_renders_own_endpoint_gets_that_renders_events_by_its_filter():
    """And no other render's of the same owner."""
    asks, silent = a_render(), a_render()
    names(asks, "https://example.com/own", "render.succeeded")
    for render in (asks, silent):
        happens(render, EventType.STARTED, EventType.SUCCEEDED)
    relayed()
    assert [(one.subject, one.type) for one in deliveries()] == [(asks, "render.succeeded")]


def test_a_relay_that_was_ended_makes_less():
    """However many endpoints each event has, but one event's in any case."""
    for _ in range(16):
        an_endpoint()
    render = a_render()
    happens(render, *[EventType.PROGRESS] * 60)
    feed.readable()
    transact(lambda session: relay.relay(session, Portion(halved=3)))
    assert 0 < len(deliveries()) <= relay.MOST / 8
    transact(lambda session: relay.relay(session, Portion(halved=12)))
    assert len(deliveries()) % 16 == 0


def test_nothing_of_an_owner_goes_to_another_owners_endpoint():
    """Not to a standing one, and not to one that a render names, however that came to be."""
    theirs = an_endpoint(owner_name="demo")
    render = a_render()
    own = names(render, "https://example.com/x", owner_name="demo")
    happens(render, EventType.SUCCEEDED)
    relayed()
    assert deliveries(theirs) == deliveries(own) == []


def test_the_body_is_the_event_as_the_feed_shows_it():
    """Read by the client's own model it equals the event of `GET /v1/events`; with reference, batch, place and link."""
    an_endpoint()
    render = a_render(external_ref="sku-ü", batch_id=a_batch(1), batch_position=2)
    happens(render, EventType.SUCCEEDED)
    relayed()
    body = json.loads(deliveries()[-1].body)
    found = transact(lambda s: list(events.feed(s, after=Cursor())))
    shown = ClientEvent.model_validate(event_body(found[-1]).model_dump())
    told = ClientEvent.model_validate(body["data"] | {"batch_id": None})
    assert told.model_dump(include=set(ClientEvent.model_fields)) == shown.model_dump()
    assert (body["type"], body["data"]["external_ref"]) == ("render.succeeded", "sku-ü")
    assert body["data"]["links"] == {"self": f"/v1/renders/{render}"}
    assert body["data"]["cursor"] == Cursor(found[-1].transaction, found[-1].id).text
    assert body["data"]["batch_id"].startswith("bat_")
    assert " " not in deliveries()[-1].body.replace(body["timestamp"], "")


def test_a_final_event_supersedes_what_is_pending_of_its_render():
    """At each endpoint for itself; another render's stay."""
    first, second = an_endpoint(), an_endpoint(events=("render.started",))
    render, other = a_render(), a_render()
    happens(render, EventType.STARTED)
    relayed()
    happens(render, EventType.FAILED)
    relayed()
    mine = [one for one in deliveries(first) if one.subject == render]
    assert [(one.type, one.state) for one in mine] == [
        ("render.queued", "superseded"),
        ("render.started", "superseded"),
        ("render.failed", "pending"),
    ]
    assert [one.state for one in deliveries(first) if one.subject == other] == ["pending"]
    assert states(second) == [("started", "pending")]


def test_a_relay_takes_no_more_events_than_it_can_make_deliveries_of(monkeypatch: pytest.MonkeyPatch):
    """Its place is behind what it made: nothing is missed or made twice; one event is made of in any case, and its body
    once for all of its endpoints."""
    made: list[str] = []
    body = messages.body
    monkeypatch.setattr(messages, "body", lambda event, of: made.append(event.type) or body(event, of))
    monkeypatch.setattr(relay, "MOST", 7)
    listening = [an_endpoint() for _ in range(3)]
    happens(a_render(), *[EventType.PROGRESS] * 4)
    counts = []
    feed.readable()
    while transact(relay.relay):
        counts.append(len(deliveries()))
    assert counts == [6, 12]
    assert [[one.sequence for one in deliveries(endpoint)] for endpoint in listening] == [[1, 2, 3, 4, 5]] * 3
    assert len(made) == 5
    monkeypatch.setattr(relay, "MOST", 1)
    happens(a_render())
    relayed()
    assert len(deliveries()) == 18


def test_whoever_has_all_endpoints_that_he_may_holds_the_dispatcher_up_for_no_longer_than_a_few_hundred_rows():
    """Between two passes it looks at the renders, everybody's."""
    listening = [an_endpoint() for _ in range(endpoints.MOST)]
    happens(a_render(), *[EventType.PROGRESS] * 40)
    feed.readable()
    assert transact(relay.relay)
    assert len(deliveries()) <= 500
    relayed()
    assert len(deliveries()) == 41 * len(listening)


def test_where_nobody_listens_nothing_is_looked_up(monkeypatch: pytest.MonkeyPatch):
    """The place moves on: who comes later is told of what happens then."""
    off = an_endpoint()
    transact(lambda s: endpoints.disable(s, s.get_one(WebhookEndpoint, off)))
    a_render()
    with monkeypatch.context() as patched:
        patched.setattr(making, "renders", lambda *_, **__: pytest.fail("looked up"))
        relayed()
    an_endpoint()
    relayed()
    assert deliveries() == []


def test_an_owner_has_so_many_standing_endpoints_at_most(monkeypatch: pytest.MonkeyPatch):
    """However many are made at once; those of renders, deleted ones and other owners' do not count."""
    from concurrent.futures import ThreadPoolExecutor

    monkeypatch.setattr(endpoints, "MOST", 3)
    by_owner(lambda s, mine: endpoints.of_render(s, mine, "https://example.com/own"))
    an_endpoint(owner_name="demo")

    def ask(_):
        try:
            return an_endpoint()
        except endpoints.TooMany:
            return None

    with ThreadPoolExecutor(6) as pool:
        made = [id for id in pool.map(ask, range(8)) if id is not None]
    assert len(made) == 3
    transact(lambda s: endpoints.delete(s, s.get_one(WebhookEndpoint, made[0])))
    assert an_endpoint()


def test_two_relays_at_once_make_each_delivery_once():
    """Whoever finds the place taken leaves; nothing is made twice or missed."""
    an_endpoint(events=("render.progress",))
    render = a_render()
    happens(render, *[EventType.PROGRESS] * 300)

    def work():
        for _ in range(5):
            feed.readable()
            transact(relay.relay)

    threads = [Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    relayed()
    assert [one.sequence for one in deliveries()] == list(range(2, 302))


def test_a_relay_that_dies_before_its_commit_has_done_nothing():
    """Its place is where it was, and the next one makes the deliveries."""
    an_endpoint()
    a_render()

    def dies(session):
        relay.relay(session)
        raise LookupError

    with pytest.raises(LookupError):
        transact(dies)
    assert deliveries() == []
    relayed()
    assert states() == [("queued", "pending")]


def test_a_body_does_not_outlive_the_purge_of_its_render():
    """What was made of its events goes with them, also where the relay reads while the purge is under way."""
    endpoint, render = an_endpoint(), a_render()
    happens(render, EventType.STARTED)
    relayed()
    put(Render, render, status="canceled", finished_at=func.now())
    happens(render, EventType.CANCELED)
    feed.readable()

    read = transact(lambda s: list(relays.take(s, relay.NAME)))  # its place is lost with this test's relay
    transact(lambda s: purge.purge(s, s.get_one(Render, render, with_for_update=True)))
    late = [Wanted(endpoint, one, NOTHING_MORE) for one in read]
    assert [one.event.type for one in late] == ["render.canceled"]
    assert transact(lambda s: making.make(s, late)) == 0
    relayed()
    assert states() == [("deleted", "pending")]


def deleted(render: str) -> None:
    put(Render, render, status="canceled", finished_at=func.now())
    happens(render, EventType.CANCELED)
    transact(lambda s: purge.purge(s, s.get_one(Render, render, with_for_update=True)))


def address(render: str) -> str | None:
    return transact(lambda s: s.get_one(Render, render).webhook_url)


@pytest.mark.parametrize("asked", ["render.deleted", "render.succeeded"])
def test_a_render_deleted_while_its_endpoint_is_disabled_is_told_of_once_that_is_enabled(asked: str):
    """Nothing else would know its address by then; what happened besides waits for whoever sends it again."""
    render = a_render()
    own = names(render, "https://shop.example/1", asked)
    transact(lambda s: endpoints.disable(s, endpoints.locked(s, s.get_one(WebhookEndpoint, own).owner_id, own)))
    deleted(render)
    relayed()
    told = ["render.deleted"] if asked == "render.deleted" else []
    assert [(one.type, one.url) for one in deliveries(own)] == [(one, "https://shop.example/1") for one in told]
    assert address(render) is None
    assert handed_out() == []


def test_a_deleted_render_tells_its_own_address_which_is_forgotten_with_that():
    """The delivery has it; the render keeps it no longer than until then, also where nobody listens any more."""
    first, second = a_render(), a_render()
    url = "https://shop.example/cb?order=7&key=S"
    own = names(first, url)
    names(second, "https://shop.example/cb?order=8")
    relayed()
    deleted(first)
    assert address(first) == url
    relayed()
    assert [(one.type, one.url) for one in deliveries(own) if one.subject == first] == [("render.deleted", url)]
    assert address(first) is None
    transact(lambda s: endpoints.disable(s, s.get_one(WebhookEndpoint, own)))
    deleted(second)
    relayed()
    assert address(second) is None


def test_what_a_relay_leaves_for_the_next_pass_keeps_its_address(monkeypatch: pytest.MonkeyPatch):
    """It is forgotten with the pass that tells it."""
    monkeypatch.setattr(relay, "MOST", 1)
    both = [a_render(), a_render()]
    for number, render in enumerate(both):
        names(render, f"https://shop.example/{number}", "render.deleted")
        deleted(render)
    feed.readable()
    assert transact(relay.relay)
    assert [address(render) for render in both] == [None, "https://shop.example/1"]
    relayed()
    assert [one.url for one in deliveries()] == ["https://shop.example/0", "https://shop.example/1"]
    assert [address(render) for render in both] == [None, None]


def test_an_owners_renders_name_so_many_hosts_at_most(monkeypatch: pytest.MonkeyPatch):
    """However many are named at once; a path or query is none, and standing ones, deleted ones and other owners' do not
    count."""
    from concurrent.futures import ThreadPoolExecutor

    monkeypatch.setattr(endpoints, "MOST_OF_RENDERS", 3)
    an_endpoint()
    by_owner(lambda s, theirs: endpoints.of_render(s, theirs, "https://example.com/theirs"), "demo")

    def name(host: object, path: str = "") -> str | None:
        try:
            return by_owner(lambda s, mine: endpoints.of_render(s, mine, f"https://{host}.example.com/{path}").id)
        except endpoints.TooMany:
            return None

    with ThreadPoolExecutor(6) as pool:
        made = {n: id for n, id in enumerate(pool.map(name, range(8))) if id is not None}
    assert len(made) == 3
    (first, known), *_ = made.items()
    assert name(first, "orders/4711?key=x") == known
    assert name("another") is None
    transact(lambda s: endpoints.delete(s, s.get_one(WebhookEndpoint, known)))
    assert name("another")
