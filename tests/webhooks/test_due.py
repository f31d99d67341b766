"""What workers are told of: in order, a few of each endpoint, and one that is slow delays no other."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, insert

from tests.renders.conftest import a_render, a_worker
from tests.webhooks.conftest import (
    Receiver,
    an_endpoint,
    deliveries,
    handed_out,
    happens,
    later,
    put,
    relayed,
    states,
    the_delivery,
    tried,
)
from worker.database import new_id, transact
from worker.publishing import due as publishing
from worker.publishing.models import Publication, Publisher
from worker.renders.events import EventType
from worker.renders.models import Render
from worker.webhooks import claims, due, endpoints, outcomes, sending
from worker.webhooks.models import WebhookDelivery, WebhookEndpoint
from worker.webhooks.outcomes import Tried

LATER = datetime(2999, 1, 1, tzinfo=UTC)


def ended(one: due.Due, status: int, seconds: float = 0.1) -> None:
    """Claimed and tried with this outcome."""
    mine = transact(lambda s: claims.claim(s, one.id, one.lease, for_=timedelta(seconds=30)))
    assert mine is not None
    error = None if status < 300 else "webhook.status"
    transact(lambda s: outcomes.write(s, mine, Tried(datetime.now(UTC), seconds, status, error)))


def per_endpoint(found: list[due.Due]) -> Counter[str]:
    return Counter(the_delivery(one.id).endpoint_id for one in found)


def test_first_tries_of_one_render_go_out_in_order():
    """The next only once the one before was tried, whatever came of it; other renders do not wait for it."""
    a_worker(capacity=100)
    endpoint, render, other = an_endpoint(), a_render(), a_render()
    happens(render, EventType.STARTED, EventType.PROGRESS)
    relayed()
    first = handed_out()
    assert {the_delivery(one.id).type for one in first} == {"render.queued"}
    assert {the_delivery(one.id).subject for one in first} == {render, other}
    assert handed_out() == []
    for one in first:
        ended(one, 204)
    (second,) = handed_out()
    assert the_delivery(second.id).type == "render.started"
    ended(second, 500)
    put(WebhookDelivery, second.id, ready_at=datetime(2999, 1, 1, tzinfo=UTC))
    (third,) = handed_out()
    assert the_delivery(third.id).type == "render.progress", "a retry holds nobody back"
    assert [one.state for one in deliveries(endpoint)].count("delivered") == 2


def test_a_worker_that_never_came_back_holds_nobody_back():
    """Once its lease is over its delivery is told of again, and those behind it go out beside it."""
    a_worker(capacity=100)
    an_endpoint()
    happens(a_render(), EventType.STARTED)
    relayed()
    (first,) = handed_out()
    transact(lambda s: claims.claim(s, first.id, first.lease, for_=timedelta(seconds=30)))
    later(35)
    again = handed_out()
    assert sorted(the_delivery(one.id).type for one in again) == ["render.queued", "render.started"]
    assert {one.lease for one in again if one.id == first.id} == {first.lease + 1}


def test_a_message_that_is_lost_is_sent_again_and_the_late_one_finds_nothing():
    """Not before the interval is over."""
    a_worker(capacity=100)
    an_endpoint()
    a_render()
    relayed()
    (first,) = handed_out()
    later(20)
    assert handed_out() == []
    later(20)
    assert handed_out() == [first]
    ended(first, 204)
    assert sending.deliver(first.id, first.lease, tools=sending.Tools()) == 0


def test_a_slow_or_failing_endpoint_has_one_in_hand_and_delays_no_other(monkeypatch):
    """Sixteen for one that is well, however many wait at the others; all troubled ones together have a quarter."""
    monkeypatch.setattr(endpoints, "MOST", 100)
    a_worker(capacity=200)
    well = an_endpoint()
    slow = [an_endpoint() for _ in range(60)]
    for endpoint in slow[::2]:
        put(WebhookEndpoint, endpoint, last_seconds=6.0)
    for endpoint in slow[1::2]:
        put(WebhookEndpoint, endpoint, failing_since=datetime.now(UTC))
    for _ in range(20):
        a_render()
    relayed()
    counted = per_endpoint(handed_out())
    assert counted.pop(well) == due.AT_ONCE
    assert set(counted.values()) == {1}
    assert len(counted) == 50
    assert handed_out() == []


def test_all_together_have_half_of_the_places_shared_by_who_has_least():
    """None without a worker; what is in hand counts; and who has least in hand comes first."""
    four = [an_endpoint() for _ in range(4)]
    for _ in range(20):
        a_render()
    relayed()
    assert handed_out() == []
    a_worker(capacity=40)
    first = handed_out()
    assert per_endpoint(first) == dict.fromkeys(four, 5)
    assert handed_out() == []
    ended(first[0], 204)
    (one,) = handed_out()
    assert the_delivery(one.id).endpoint_id == the_delivery(first[0].id).endpoint_id


def test_only_one_dispatcher_hands_out_at_a_time():
    """The other leaves it to it, or both would fill the same places."""
    a_worker(capacity=100)
    an_endpoint()
    a_render()
    relayed()

    def work(session):
        return due.hand_out(session), handed_out()

    mine, others = transact(work)
    assert (len(mine), others) == (1, [])


def test_a_place_is_lent_for_a_tick_and_goes_on_with_what_is_due(receiver: Receiver, monkeypatch):
    """A worker whose endpoint takes what it gets goes on to the next in order; one that refuses ends the turn."""
    from config.settings import settings

    a_worker(capacity=2)
    an_endpoint(receiver.url)
    render = a_render()
    happens(render, EventType.STARTED, EventType.PROGRESS, EventType.STAGE)
    relayed()
    monkeypatch.setattr(settings().waits, "dispatch_tick_seconds", timedelta(seconds=30))
    receiver.answers = [204, 204, 500]
    assert tried() == 3
    assert states() == [
        ("queued", "delivered"),
        ("started", "delivered"),
        ("progress", "pending"),
        ("stage", "pending"),
    ]
    assert [one.headers["webhook-id"] for one in receiver.got] == [one.id for one in deliveries()[:3]]


def publications(*, waiting: int = 0, claimed: int = 0) -> None:
    """Of so many products, due; those that are claimed as workers claim them."""
    render = a_render()

    def work(session):
        mine = session.get_one(Render, render).owner_id
        publisher = Publisher(id=new_id("pub"), owner_id=mine, kind="http", credentials_encrypted=b"")
        session.add(publisher)
        session.flush()
        for number in range(waiting + claimed):
            row = {"id": new_id("pbn"), "owner_id": mine, "publisher_id": publisher.id, "render_id": render, "run": 1}
            until = func.now() + timedelta(seconds=60)
            taken = {"lease_until": until, "sent_at": func.now()} if number < claimed else {}
            session.execute(insert(Publication).values(**row, **taken, ref=str(number)))

    transact(work)


def test_publications_in_hand_take_their_share_of_the_half():
    """From the message to the worker's outcome."""
    a_worker(capacity=8)
    an_endpoint()
    publications(claimed=2)
    for _ in range(10):
        a_render()
    relayed()
    assert len(handed_out()) == 2


def test_a_flood_of_deliveries_leaves_a_publication_its_place():
    """Within the half; and once there is a publication in hand no more than that one is kept."""
    a_worker(capacity=8)
    an_endpoint()
    publications(waiting=5)
    for _ in range(10):
        a_render()
    relayed()
    assert len(handed_out()) == 3
    assert len(transact(publishing.due)) == 1
    assert (handed_out(), transact(publishing.due)) == ([], [])


def test_with_the_fewest_places_each_of_the_two_has_one():
    """Half of two cannot be shared."""
    a_worker(capacity=2)
    an_endpoint()
    publications(claimed=1, waiting=3)
    for _ in range(4):
        a_render()
    relayed()
    assert len(handed_out()) == 1
    assert handed_out() == []


def test_one_owners_many_addresses_leave_another_owner_his_turn():
    """However many wait there, and since when: owners take turns, and what one has in hand counts."""
    a_worker(capacity=40)
    for _ in range(16):
        an_endpoint()
    for _ in range(3):
        a_render()
    relayed()
    his = an_endpoint(owner_name="demo")
    for _ in range(12):
        a_render("demo")
    relayed()
    first = per_endpoint(handed_out())
    assert (first[his], first.total()) == (10, 20)
    put(WebhookDelivery, deliveries(his)[0].id, state="delivered", ended_at=datetime.now(UTC))
    assert per_endpoint(handed_out()) == {his: 1}, "who has least in hand"


def test_what_is_due_later_takes_no_share_of_the_places():
    """Endpoints with nothing but retries to come are not among those that share."""
    a_worker(capacity=40)
    resting = [an_endpoint() for _ in range(15)]
    a_render()
    relayed()
    for row in deliveries():
        put(WebhookDelivery, row.id, ready_at=datetime(2999, 1, 1, tzinfo=UTC))
    at_work = an_endpoint()
    for _ in range(due.AT_ONCE):
        a_render()
    for endpoint in resting:
        transact(lambda s, id=endpoint: endpoints.change(s, s.get_one(WebhookEndpoint, id), events=["webhook.*"]))
    relayed()
    assert per_endpoint(handed_out()) == {at_work: due.AT_ONCE}


def test_an_owner_with_troubled_addresses_has_no_second_turn():
    """One place after the other, whatever the address."""
    a_worker(capacity=8)
    put(WebhookEndpoint, an_endpoint(), last_seconds=6.0)
    an_endpoint()
    for _ in range(4):
        a_render()
    relayed()
    his = an_endpoint(owner_name="demo")
    for _ in range(4):
        a_render("demo")
    relayed()
    assert per_endpoint(handed_out())[his] == 2


@pytest.mark.parametrize("rests", [{"quiet_until": LATER}, {"disabled_at": LATER, "disabled_reason": "asked"}])
def test_what_is_in_hand_at_an_address_that_rests_counts(rests: dict[str, Any]):
    """Among its owner's, and among those of the troubled: it is being tried all the same."""
    a_worker(capacity=8)
    resting, well = an_endpoint(), an_endpoint()
    for _ in range(2):
        a_render()
    relayed()
    handed_out()
    for one in deliveries(well):
        put(WebhookDelivery, one.id, state="delivered", sent_at=None, ended_at=datetime.now(UTC))
    put(WebhookEndpoint, resting, failing_since=datetime.now(UTC), **rests)
    his, slow = (an_endpoint(owner_name="demo") for _ in range(2))
    put(WebhookEndpoint, slow, last_seconds=6.0)
    for _ in range(2):
        a_render()
        a_render("demo")
    relayed()
    found = handed_out()
    assert per_endpoint(found) == {his: 2}, (
        "the quarter is in hand at the one that rests, and so are two of its owner's"
    )


def test_a_delivery_from_which_no_worker_comes_back_is_given_up():
    """After as many tries as any other; what was behind it goes on."""
    a_worker(capacity=100)
    an_endpoint()
    happens(a_render(), EventType.STARTED)
    relayed()
    tries = 0
    while tries < 10 and (found := [one for one in handed_out() if the_delivery(one.id).type == "render.queued"]):
        assert transact(lambda s, one=found[0]: claims.claim(s, one.id, one.lease, for_=timedelta(seconds=30)))
        tries += 1
        later(35)
    handed_out()
    assert tries == 4, "the first and three retries"
    ended = deliveries()[0]
    assert (ended.type, ended.state, ended.last_error) == ("render.queued", "failed", "webhook.lost")
    assert ended.lease_until is None, "nobody has it"


def test_what_the_receiver_answered_last_stays_said_where_the_last_try_is_lost():
    """A delivery that was refused again and again has failed by that."""
    a_worker(capacity=100)
    an_endpoint()
    a_render()
    relayed()
    (one,) = handed_out()
    ended(one, 500)
    put(WebhookDelivery, one.id, tries=3)
    (last,) = handed_out()
    assert transact(lambda s: claims.claim(s, last.id, last.lease, for_=timedelta(seconds=30)))
    later(35)
    handed_out()
    row = the_delivery(one.id)
    assert (row.state, row.last_error, row.last_status) == ("failed", "webhook.status", 500)


@pytest.mark.parametrize("rests", [{"quiet_until": LATER}, {"disabled_at": LATER, "disabled_reason": "asked"}])
def test_nobody_is_sent_to_an_address_that_rests(rests: dict[str, Any]):
    """He would come back with nothing, and meanwhile have the place of another."""
    a_worker(capacity=100)
    endpoint = an_endpoint()
    a_render()
    relayed()
    put(WebhookEndpoint, endpoint, **rests)
    assert handed_out() == []
    put(WebhookEndpoint, endpoint, quiet_until=None, disabled_at=None, disabled_reason=None)
    assert len(handed_out()) == 1


@pytest.mark.parametrize("rests", [{"quiet_until": LATER}, {"disabled_at": LATER, "disabled_reason": "asked"}])
def test_a_message_that_finds_its_endpoint_resting_gives_its_place_back(rests: dict[str, Any]):
    """Nothing stands still for the interval of lost messages once the rest is over."""
    a_worker(capacity=100)
    endpoint = an_endpoint()
    a_render()
    relayed()
    (one,) = handed_out()
    put(WebhookEndpoint, endpoint, **rests)
    assert sending.deliver(one.id, one.lease, tools=sending.Tools()) == 0
    put(WebhookEndpoint, endpoint, quiet_until=None, disabled_at=None, disabled_reason=None)
    assert handed_out() == [one]
    assert transact(lambda s: claims.claim(s, one.id, one.lease, for_=timedelta(seconds=30)))
    put(WebhookEndpoint, endpoint, **rests)
    assert transact(lambda s: claims.claim(s, one.id, one.lease + 1, for_=timedelta(seconds=30))) is None
    assert the_delivery(one.id).sent_at is not None, "somebody has it"
