"""Sent again: one, or all since a time, in pieces that keep nobody waiting."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from tests import feed
from tests.renders.conftest import a_render, a_worker
from tests.webhooks.conftest import (
    Receiver,
    an_endpoint,
    attempts,
    happens,
    names,
    put,
    relayed,
    states,
    the_delivery,
    tried,
)
from tests.webhooks.conftest import deliveries as rows
from worker import database
from worker.database import contended, transact
from worker.renders.events import EventType
from worker.webhooks import (
    chores,
    claims,
    deliveries,
    due,
    endpoints,
    outcomes,
    redeliveries,
    relay,
    retention,
)
from worker.webhooks.models import WebhookDelivery, WebhookEndpoint, WebhookRedelivery
from worker.webhooks.outcomes import Tried

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _worker(_empty: None) -> None:
    a_worker(capacity=100)


def again_since(endpoint: str, only: str = "failed", since: datetime = LONG_AGO) -> int:
    return transact(lambda s: begun(s, endpoint, only, since)).redelivered


def begun(session, endpoint: str, only: str = "failed", since: datetime = LONG_AGO) -> WebhookRedelivery:
    return redeliveries.begin(session, session.get_one(WebhookEndpoint, endpoint), since, only=only)


@pytest.mark.parametrize("state", ["delivered", "failed", "superseded", "pending"])
def test_one_is_sent_again_whatever_became_of_it(receiver: Receiver, state: str):
    """Under the same id, with the whole schedule before it; its tries go on to be numbered."""
    an_endpoint(receiver.url)
    a_render()
    relayed()
    tried()
    (row,) = rows()
    put(WebhookDelivery, row.id, state=state, tries=4, ended_at=None if state == "pending" else LONG_AGO)
    transact(lambda s: deliveries.redeliver(s, s.get_one(WebhookDelivery, row.id)))
    assert (the_delivery(row.id).state, the_delivery(row.id).tries) == ("pending", 0)
    assert tried() == 1
    assert receiver.ids == [row.id] * 2
    assert [one.number for one in attempts(row.id)] == [1, 2]


def test_one_that_was_forgotten_meanwhile_is_not_sent_again():
    """Retention took it between the look and the write."""
    an_endpoint()
    a_render()
    relayed()
    (row,) = rows()

    def late(session):
        found = session.get_one(WebhookDelivery, row.id)
        transact(lambda beside: beside.delete(beside.get_one(WebhookDelivery, row.id)))
        return deliveries.redeliver(session, found)

    assert transact(late) is False


def test_all_that_failed_since_a_time_and_what_was_never_sent(receiver: Receiver):
    """Of `failed` neither what was delivered nor what was superseded; `all` is all; and what happened while it was
    disabled is made up for in both, by its filter."""
    endpoint = an_endpoint(receiver.url, events=("render.queued", "render.succeeded"))
    first = a_render()
    relayed()
    tried()
    failed = a_render()
    relayed()
    for row in rows(endpoint):
        if row.subject == failed:
            put(WebhookDelivery, row.id, state="failed", ended_at=LONG_AGO)
    transact(lambda s: endpoints.disable(s, s.get_one(WebhookEndpoint, endpoint)))
    happens(first, EventType.STARTED, EventType.SUCCEEDED)
    relayed()
    assert len(rows(endpoint)) == 2
    transact(lambda s: endpoints.enable(s, s.get_one(WebhookEndpoint, endpoint)))
    assert again_since(endpoint) == 2
    assert again_since(endpoint) == 0, "all of it is pending"
    assert sorted(states(endpoint)) == [("queued", "delivered"), ("queued", "pending"), ("succeeded", "pending")]
    while tried():
        pass
    assert again_since(endpoint, "all") == 3
    while tried():
        pass
    assert len(receiver.got) == 6
    assert len(set(receiver.ids)) == 3


def test_an_endpoint_that_did_not_exist_yet_gets_what_happened_since_then_alone():
    """From the moment that is named on; neither its own disabling nor another owner's events."""
    render = a_render()
    a_render("demo")
    endpoint = an_endpoint()
    relayed()
    transact(lambda s: s.execute(text("DELETE FROM webhook_deliveries")))
    between = transact(lambda s: s.execute(text("SELECT clock_timestamp()")).scalar_one())
    happens(render, EventType.STARTED, EventType.PROGRESS)
    transact(lambda s: endpoints.disable(s, s.get_one(WebhookEndpoint, endpoint)))
    assert again_since(endpoint, since=between) == 2
    assert states(endpoint) == [("started", "pending"), ("progress", "pending")]
    assert again_since(endpoint) == 1
    assert {row.subject for row in rows(endpoint)} == {render}


def test_what_was_delivered_and_forgotten_is_not_made_anew():
    """A missing row says that nothing was sent only as long as rows are kept; what is younger is made up for."""
    endpoint = an_endpoint()
    render = a_render()
    relayed()
    old = datetime.now(UTC) - retention.KEPT - timedelta(minutes=1)
    transact(lambda s: s.execute(text("UPDATE events SET created_at = :old"), {"old": old}))
    put(WebhookDelivery, rows(endpoint)[0].id, state="delivered", created_at=old, ended_at=old)
    assert transact(retention.forget) == 1
    happens(render, EventType.STARTED)
    assert again_since(endpoint) == 1
    assert [(row.subject, row.type) for row in rows(endpoint)] == [(render, "render.started")]


def the_redelivery(id: str) -> WebhookRedelivery:
    return transact(lambda s: s.get_one(WebhookRedelivery, id))


@pytest.mark.parametrize("only", ["failed", "all"])
def test_many_are_sent_again_in_pieces(monkeypatch: pytest.MonkeyPatch, only: str):
    """The oldest first: at once no more than a piece, then one with each call of the chore, and how many is always
    known. What is done is not done again, delivered or not; what happens later is not part of it."""
    monkeypatch.setattr(redeliveries, "AT_ONCE", 3)
    endpoint, render = an_endpoint(), a_render()
    happens(render, *[EventType.PROGRESS] * 6)
    relayed()
    for row in rows(endpoint):
        if row.sequence <= 5:
            put(WebhookDelivery, row.id, state="failed", ended_at=LONG_AGO)
        else:
            transact(lambda s, row=row: s.delete(s.get_one(WebhookDelivery, row.id)))
    mine = transact(lambda s: begun(s, endpoint, only))
    assert (mine.redelivered, mine.finished_at) == (3, None)
    happens(render, EventType.PROGRESS)
    counts = []
    while True:
        for row in rows(endpoint):
            if row.state == "pending":
                put(WebhookDelivery, row.id, state="delivered", ended_at=LONG_AGO)
        if not chores.send_again():
            break
        counts.append(the_redelivery(mine.id).redelivered)
    assert counts == [6, 7]
    assert the_redelivery(mine.id).finished_at is not None
    assert [row.sequence for row in rows(endpoint)] == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("failed", [[], [3, 8]])
def test_a_piece_reads_only_so_much_whatever_it_finds(monkeypatch: pytest.MonkeyPatch, failed: list[int]):
    """Also where nothing is to be sent, and what is lies behind much that is not."""
    monkeypatch.setattr(redeliveries, "READ_AT_ONCE", 3)
    endpoint, render = an_endpoint(), a_render()
    happens(render, *[EventType.PROGRESS] * 8)
    relayed()
    for row in rows(endpoint):
        put(WebhookDelivery, row.id, state="failed" if row.sequence in failed else "delivered", ended_at=LONG_AGO)
    places = [transact(lambda s: begun(s, endpoint))]
    while chores.send_again():
        places.append(the_redelivery(places[0].id))
    assert all(0 <= after.after - one.after <= 3 for one, after in pairwise(places) if one.step == after.step)
    assert [one.step for one in places] == sorted(one.step for one in places)
    assert len(places) >= 6, "nine events, twice"
    assert (places[-1].redelivered, places[-1].finished_at is not None) == (len(failed), True)
    assert [row.sequence for row in rows(endpoint) if row.state == "pending"] == failed


def test_what_a_worker_has_in_hand_is_sent_again_too(receiver: Receiver):
    """Where its last try fails at this moment, that is the first of the new ones."""
    endpoint = an_endpoint(receiver.url)
    a_render()
    relayed()
    (row,) = rows(endpoint)
    put(WebhookDelivery, row.id, tries=2)
    held = transact(lambda s: claims.claim(s, row.id, row.lease, for_=timedelta(seconds=30)))
    assert held is not None
    assert again_since(endpoint) == 1
    transact(lambda s: outcomes.write(s, held, Tried(datetime.now(UTC), 0.1, 500, "webhook.status")))
    assert (the_delivery(row.id).state, the_delivery(row.id).tries) == ("pending", 1)


def test_what_somebody_has_locked_is_not_left_out(monkeypatch: pytest.MonkeyPatch):
    """The piece gives up in passing, and is done when the lock is gone."""
    monkeypatch.setattr(redeliveries, "AT_ONCE", 1)
    monkeypatch.setattr(database, "PASSING_SECONDS", 0.1)
    endpoint = an_endpoint()
    for _ in range(3):
        a_render()
    relayed()
    for row in rows(endpoint):
        put(WebhookDelivery, row.id, state="failed", ended_at=LONG_AGO)
    mine = transact(lambda s: begun(s, endpoint))
    locked = sorted(rows(endpoint), key=lambda row: row.event_id or 0)[1].id

    def beside(session):
        session.execute(text("SELECT FROM webhook_deliveries WHERE id = :id FOR UPDATE"), {"id": locked})
        with pytest.raises(DBAPIError) as refused:
            chores.send_again()
        assert contended(refused.value)

    transact(beside)
    while chores.send_again():
        pass
    assert the_redelivery(mine.id).redelivered == 3
    assert {row.state for row in rows(endpoint)} == {"pending"}


def test_a_redelivery_that_cannot_go_on_keeps_no_other_waiting(monkeypatch: pytest.MonkeyPatch):
    """Its turn is over also where nothing came of it."""
    monkeypatch.setattr(redeliveries, "AT_ONCE", 1)
    monkeypatch.setattr(database, "PASSING_SECONDS", 0.1)
    stuck, other = an_endpoint(), an_endpoint()
    for _ in range(2):
        a_render()
    relayed()
    for row in rows():
        put(WebhookDelivery, row.id, state="failed", ended_at=LONG_AGO)
    first, second = (transact(lambda s, one=one: begun(s, one)) for one in (stuck, other))
    locked = max(rows(stuck), key=lambda row: row.event_id or 0).id

    def beside(session):
        session.execute(text("SELECT FROM webhook_deliveries WHERE id = :id FOR UPDATE"), {"id": locked})
        with pytest.raises(DBAPIError):
            chores.send_again()
        assert chores.send_again()

    transact(beside)
    assert [the_redelivery(one.id).redelivered for one in (first, second)] == [1, 2]


def test_an_endpoint_has_one_redelivery_at_a_time(monkeypatch: pytest.MonkeyPatch):
    """Another while it is under way is refused; the latest is shown; another endpoint's does not wait."""
    monkeypatch.setattr(redeliveries, "AT_ONCE", 2)
    happens(a_render(), *[EventType.PROGRESS] * 6)
    relayed()
    first, second = an_endpoint(), an_endpoint()
    mine, other = (transact(lambda s, id=id: begun(s, id)) for id in (first, second))
    with pytest.raises(redeliveries.UnderWay):
        transact(lambda s: begun(s, first))
    chores.send_again()
    chores.send_again()
    assert [the_redelivery(one.id).redelivered for one in (mine, other)] == [4, 4], "in turn"
    while chores.send_again():
        pass
    assert transact(lambda s: redeliveries.latest(s, [first, second]))[first].redelivered == 7
    assert transact(lambda s: begun(s, first)).finished_at is not None


def test_an_endpoint_that_is_held_keeps_neither_the_relay_nor_the_dispatcher_waiting(monkeypatch: pytest.MonkeyPatch):
    """While a call has the endpoint and its deliveries locked, others' are made and handed out."""
    held, other = an_endpoint(), an_endpoint()
    a_render()
    relayed()
    lost = rows(held)[0]
    put(WebhookDelivery, lost.id, sent_at=LONG_AGO)
    a_render()
    feed.readable()

    def work(session):
        assert by_owner_locked(session, held)
        session.execute(text("SELECT id FROM webhook_deliveries WHERE endpoint_id = :id FOR UPDATE"), {"id": held})
        transact(lambda s: (s.execute(text("SET LOCAL lock_timeout = '500ms'")), relay.relay(s)), retry_for=0)
        return transact(
            lambda s: (s.execute(text("SET LOCAL lock_timeout = '500ms'")), due.hand_out(s))[1], retry_for=0
        )

    found = {the_delivery(one.id).endpoint_id for one in transact(work)}
    assert len(rows(held)) == len(rows(other)) == 2
    assert other in found
    assert the_delivery(lost.id).sent_at == LONG_AGO, "its turn comes"


def by_owner_locked(session, endpoint: str):
    return endpoints.locked(session, session.get_one(WebhookEndpoint, endpoint).owner_id, endpoint)


def switched(endpoint: str, act) -> None:
    transact(lambda s: act(s, s.get_one(WebhookEndpoint, endpoint)))


def test_what_a_render_went_through_before_its_end_is_not_made_up_for():
    """The end wins over what an endpoint missed too, as far as it asks for ends; the next run's events are newer; `all`
    is all."""
    every, starts = an_endpoint(), an_endpoint(events=("render.started",))
    for endpoint in (every, starts):
        switched(endpoint, endpoints.disable)
    render = a_render()
    happens(render, EventType.STARTED, EventType.PROGRESS, EventType.SUCCEEDED, EventType.PUBLISHED)
    relayed()
    for endpoint in (every, starts):
        switched(endpoint, endpoints.enable)
        transact(lambda s: s.execute(text("DELETE FROM events WHERE endpoint_id IS NOT NULL")))
    assert (again_since(every), again_since(starts)) == (2, 1)
    assert states(every) == [("succeeded", "pending"), ("published", "pending")]
    assert states(starts) == [("started", "pending")]
    assert again_since(every, "all") == 5


def test_what_failed_before_the_end_is_not_sent_again():
    """Whether the end was delivered or never made; a render's own endpoint goes by that render's filter."""
    standing = an_endpoint()
    told, only_starts = a_render(), a_render()
    own = names(told, "https://example.com/ends")
    names(only_starts, "https://example.com/ends", "render.started")
    for render in (told, only_starts):
        happens(render, EventType.STARTED)
    relayed()
    for row in rows():
        put(WebhookDelivery, row.id, state="failed", ended_at=LONG_AGO)
    for render in (told, only_starts):
        happens(render, EventType.SUCCEEDED)
    assert (again_since(standing), again_since(own)) == (2, 2)
    assert [(row.subject, row.type) for row in rows(own) if row.state == "pending"] == [
        (told, "render.succeeded"),
        (only_starts, "render.started"),
    ]


def test_an_endpoint_that_is_enabled_is_not_sent_what_has_ended_meanwhile():
    """What was pending when it was disabled is superseded though no delivery was made of the end; the rest goes."""
    endpoint, ended, going = an_endpoint(), a_render(), a_render()
    relayed()
    switched(endpoint, endpoints.disable)
    happens(ended, EventType.SUCCEEDED)
    relayed()
    switched(endpoint, endpoints.enable)
    assert {row.subject: row.state for row in rows(endpoint)} == {ended: "superseded", going: "pending"}


@pytest.mark.parametrize("by", ["id", "all", "all, and it was missed"])
@pytest.mark.parametrize("while_disabled", [True, False])
def test_what_is_asked_for_is_sent_whatever_ends_after_it(by: str, while_disabled: bool):
    """Neither the end as it happens supersedes it, nor enabling the endpoint; beside it what nobody asked for is."""
    endpoint, render, other = an_endpoint(), a_render(), a_render()
    relayed()
    mine = next(row for row in rows(endpoint) if row.subject == render)
    if by == "id":
        transact(lambda s: deliveries.redeliver(s, s.get_one(WebhookDelivery, mine.id)))
    else:
        if "missed" in by:
            transact(lambda s: s.delete(s.get_one(WebhookDelivery, mine.id)))
        again_since(endpoint, "all")
    happens(other, EventType.STARTED)
    relayed()
    if while_disabled:
        switched(endpoint, endpoints.disable)
    for one in (render, other):
        happens(one, EventType.SUCCEEDED)
    relayed()
    if while_disabled:
        switched(endpoint, endpoints.enable)
    found = {(row.subject, row.type): row.state for row in rows(endpoint)}
    assert found[render, "render.queued"] == "pending"
    assert found[other, "render.started"] == "superseded"


def test_an_end_that_is_made_up_for_supersedes_what_is_pending():
    """At once, and not only when the relay comes to it: nothing older is sent behind it."""
    endpoint, render = an_endpoint(), a_render()
    relayed()
    happens(render, EventType.STARTED, EventType.SUCCEEDED)
    assert again_since(endpoint) == 1
    assert states(endpoint) == [("queued", "superseded"), ("succeeded", "pending")]


@pytest.mark.parametrize("only", [None, "all"])
def test_one_that_no_worker_came_back_from_begins_anew_as_well(only: str | None):
    """With the whole schedule: what is over does not count as a try of the new ones; one that is under way does."""
    endpoint = an_endpoint()
    for _ in range(2):
        a_render()
    relayed()
    lost, tried_now = rows(endpoint)
    for row, seconds in ((lost, -1), (tried_now, 30)):
        put(WebhookDelivery, row.id, lease=1, lease_until=datetime.now(UTC) + timedelta(seconds=seconds))
    if only is None:
        for row in (lost, tried_now):
            transact(lambda s, row=row: deliveries.redeliver(s, s.get_one(WebhookDelivery, row.id)))
    else:
        assert again_since(endpoint, only) == 2
    transact(lambda s: claims.claim(s, lost.id, 1, for_=timedelta(seconds=30)))
    assert (the_delivery(lost.id).lease, the_delivery(lost.id).tries) == (2, 0)
    assert the_delivery(tried_now.id).lease_until is not None


def test_what_has_no_address_any_more_is_not_sent_to_the_host():
    """A render that was deleted while its endpoint was disabled: nobody named the host alone."""
    from worker.renders.models import Render

    render = a_render()
    own = names(render, "https://example.com/own?key=S")
    put(Render, render, webhook_url=None)
    relayed()
    assert (again_since(own), rows(own)) == (0, [])


def test_a_renders_endpoint_is_sent_that_renders_events_again():
    """By the render's own filter."""
    asks, silent = a_render(), a_render()
    own = names(asks, "https://example.com/own", "render.started")
    for render in (asks, silent):
        happens(render, EventType.STARTED, EventType.SUCCEEDED)
    assert again_since(own) == 1
    assert [(row.subject, row.type) for row in rows(own)] == [(asks, "render.started")]
