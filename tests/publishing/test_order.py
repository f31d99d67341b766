"""Which publication goes when: one after the other for a product, the newest last and for good, a few at a time."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import func, update

from tests.publishing.conftest import (
    asked,
    at_address,
    at_shopify,
    change,
    change_publisher,
    deleted,
    events_of,
    io_worker,
    not_asked,
    owner_id,
    published,
    settled,
    the,
    the_publisher,
)
from tests.publishing.receiver_standin import Receiver
from tests.publishing.shopify_standin import Shopify
from tests.publishing.standin import Reply
from worker.database import transact
from worker.metrics.declared import REGISTRY
from worker.publishing import claims, driving, due, outcomes, publications, publishers
from worker.publishing.driving import Tools
from worker.publishing.errors import Again
from worker.publishing.models import Publication
from worker.renders import purge, store
from worker.renders.models import Render

Make = Callable[..., str]


def _due() -> set[str]:
    return {one.id for one in transact(due.due)}


def _ended(outcome: str, code: str) -> float:
    labels = {"kind": "http", "outcome": outcome, "code": code}
    return REGISTRY.get_sample_value("vivideo_publications_ended_total", labels) or 0.0


def test_a_newer_video_overtakes_one_that_waits(receiver: Receiver, tools: Tools, render: Make):
    """Only the newest is sent."""
    publisher = at_address(receiver)
    older, counted = asked(publisher, render()), _ended("superseded", "")
    newer = asked(publisher, render())
    settled(tools)
    assert the(older).state == "superseded"
    assert _ended("superseded", "") == counted + 1
    published(newer)
    assert list(receiver.kept) == [newer]


def test_the_first_video_again_comes_back(shopify: Shopify, tools: Tools, render: Make):
    """A product that is as it was before has its video of before, whatever was there in between, and once."""
    product, publisher, first, second = shopify.has(7, "lamp"), at_shopify(shopify), render(), render()
    asked(publisher, first, handle="lamp")
    settled(tools)
    asked(publisher, second, handle="lamp")
    settled(tools)
    back = asked(publisher, first, handle="lamp")
    settled(tools)
    assert [one["id"] for one in shopify.videos(product)] == [published(back).remote["media_id"]]
    assert not_asked(publisher, first, handle="lamp")


def test_what_failed_may_be_asked_for_again(receiver: Receiver, tools: Tools, render: Make):
    """By its owner."""
    publisher, made = at_address(receiver), render()
    receiver.fails("POST", Reply(410), before=True)
    failed = asked(publisher, made)
    settled(tools)
    assert the(failed).state == "failed"
    again = asked(publisher, made)
    settled(tools)
    published(again)


def test_one_in_hand_is_left_to_its_worker(shopify: Shopify, tools: Tools, render: Make):
    """The newer one waits for it, then replaces what it brought."""
    product, publisher = shopify.has(7, "lamp"), at_shopify(shopify)
    shopify.polls = 3
    older = asked(publisher, render(), handle="lamp")
    held = transact(lambda session: claims.claim(session, older, lease=0))
    newer = asked(publisher, render(), handle="lamp")
    assert held is not None
    assert _due() == set()
    assert transact(lambda session: claims.claim(session, newer, lease=0)) is None
    change(older, lease_until=None)
    driving.drive(older, 1, tools)  # overtaken at its claim
    assert the(older).state == "superseded"
    settled(tools)
    assert [one["id"] for one in shopify.videos(product)] == [published(newer).remote["media_id"]]


def test_an_overtaken_one_that_is_let_go_of_keeps_nobody_waiting(receiver: Receiver, tools: Tools, render: Make):
    """Its fault would have it tried again in an hour; the newer one is next at once."""
    publisher = at_address(receiver)
    older = asked(publisher, render())
    held = transact(lambda session: claims.claim(session, older, lease=0))
    assert held is not None
    newer = asked(publisher, render())
    assert the(older).state == "pending"
    transact(lambda session: outcomes.again(session, held, Again("publish.unavailable", "", after=3600)))
    assert the(older).state == "superseded"
    assert _due() == {newer}


def test_a_worker_that_never_came_back_is_forgotten(receiver: Receiver, render: Make):
    """Once its lease is over, however long ago its message was."""
    publication = asked(at_address(receiver), render())
    assert _due() == {publication}
    assert transact(lambda session: claims.claim(session, publication, lease=0)) is not None
    change(publication, sent_at=func.now() - timedelta(hours=1))
    assert _due() == set()
    change(publication, lease_until=func.now() - timedelta(seconds=1))
    assert _due() == {publication}


def test_only_one_dispatcher_sends_at_a_time(receiver: Receiver, render: Make):
    """The other leaves it to it, or both would fill the same places."""
    publication = asked(at_address(receiver), render())

    def work(session):
        return {one.id for one in due.due(session)}, _due()

    assert transact(work) == ({publication}, set())


def test_what_an_overtaken_one_had_attached_goes(shopify: Shopify, tools: Tools, render: Make):
    """It was on the product already and still being processed."""
    product, publisher = shopify.has(7, "lamp"), at_shopify(shopify)
    shopify.polls = 2
    older = asked(publisher, render(), handle="lamp")
    driving.drive(older, 0, tools)
    assert len(shopify.videos(product)) == 1
    newer = asked(publisher, render(), handle="lamp")
    shopify.videos(product)[0]["status"] = "READY"
    settled(tools)
    assert the(older).state == "superseded"
    assert [one["id"] for one in shopify.videos(product)] == [published(newer).remote["media_id"]]


def test_four_at_a_time_of_one_publisher(receiver: Receiver, render: Make):
    """The others' wait is not for them."""
    with io_worker(capacity=100):
        busy, other = at_address(receiver), at_address(receiver)
        many = {asked(busy, render(), ref=f"lamp-{number}") for number in range(6)}
        one = asked(other, render())
        first = _due()
        assert one in first
        assert len(first & many) == 4
        assert _due() == set()


def test_a_message_that_was_lost_is_sent_again(receiver: Receiver, render: Make):
    """After the usual wait, not before."""
    publication = asked(at_address(receiver), render())
    assert _due() == {publication}
    assert _due() == set()
    change(publication, sent_at=func.now() - timedelta(minutes=5))
    assert _due() == {publication}


def test_faults_are_given_up_after_three_days(receiver: Receiver, tools: Tools, render: Make):
    """With the last one's code; the publisher shows it."""
    publisher, made = at_address(receiver), render()
    publication = asked(publisher, made)
    receiver.fails("POST", Reply(500, b"oh"), before=True, times=2)
    driving.drive(publication, 0, tools)
    assert (the(publication).state, the(publication).tries) == ("pending", 1)
    change(publication, failing_since=func.now() - timedelta(days=3, seconds=1), ready_at=func.now())
    driving.drive(publication, 1, tools)
    assert (the(publication).state, the(publication).error_code) == ("failed", "publish.unavailable")
    assert the_publisher(publisher).failing_since is not None
    assert events_of(made)[-1][0] == "render.publish_failed"


def test_pauses_grow_and_heed_the_shop(receiver: Receiver, tools: Tools, render: Make):
    """`Retry-After` is a lower bound, an hour the upper one."""
    publication = asked(at_address(receiver), render())
    receiver.fails("POST", Reply(429, b"", {"Retry-After": "600"}), before=True)
    driving.drive(publication, 0, tools)
    row = the(publication)
    assert row.failing_since is not None
    assert timedelta(seconds=599) < row.ready_at - row.failing_since < timedelta(seconds=700)
    receiver.fails("POST", Reply(503, b"", {"Retry-After": "999999"}), before=True)
    change(publication, ready_at=func.now())
    driving.drive(publication, 1, tools)
    assert the(publication).ready_at - row.failing_since < timedelta(hours=1, seconds=60)


def test_a_disabled_publisher_waits(receiver: Receiver, tools: Tools, render: Make):
    """Nothing is lost: it goes on once it is enabled."""
    publisher = at_address(receiver)
    publication = asked(publisher, render())

    def enable(enabled: bool) -> None:
        def work(session):
            publishers.change(session, publishers.locked(session, owner_id(), publisher), enabled=enabled)

        transact(work)

    enable(False)
    settled(tools)
    assert the(publication).state == "pending"
    enable(True)
    settled(tools)
    published(publication)


def test_disabling_stops_what_is_in_hand(receiver: Receiver, tools: Tools, render: Make):
    """Its worker writes nothing more, and takes no further step; nobody has it before that claim would be over."""
    publisher = at_address(receiver)
    publication = asked(publisher, render())
    held = transact(lambda session: claims.claim(session, publication, lease=0))
    assert held is not None
    change_publisher(publisher, enabled=False)
    with pytest.raises(claims.LeaseLost):
        transact(lambda session: claims.renew(session, held))
    row = the(publication)
    assert (row.state, row.tries, row.ready_at, row.lease_until) == ("pending", 0, held.publication.lease_until, None)
    change_publisher(publisher, enabled=True)
    assert _due() == set()
    change(publication, ready_at=func.now())
    assert _due() == {publication}


def test_a_deleted_video_is_not_looked_for(receiver: Receiver, tools: Tools, render: Make):
    """Its render was purged while it waited."""
    made = render()
    publication = asked(at_address(receiver), made)
    transact(lambda session: purge.purge(session, store.locked(session, owner_id(), made)))
    counted = _ended("failed", "publish.no_video")
    settled(tools)
    assert _ended("failed", "publish.no_video") == counted + 1
    assert (the(publication).state, the(publication).error_code) == ("failed", "publish.no_video")
    assert receiver.calls == []


def test_what_waits_of_a_deleted_render_is_ended_with_it(receiver: Receiver, render: Make):
    """All of it, but what a worker has in hand: that is ended once it is let go of."""
    made, other, publisher = render(), render(), at_address(receiver)
    waiting = [asked(publisher, made, ref=f"lamp-{number}") for number in range(3)]
    held = transact(lambda session: claims.claim(session, waiting[0], lease=0))
    assert held is not None
    left = asked(publisher, other, ref="chair")
    counted = _ended("failed", "publish.no_video")

    deleted(made)
    assert [the(one).state for one in (*waiting, left)] == ["pending", "failed", "failed", "pending"]
    assert _ended("failed", "publish.no_video") == counted + 2
    transact(lambda session: outcomes.wait(session, held, "begin", {}, timedelta(hours=1)))
    assert (the(waiting[0]).state, the(waiting[0]).error_code) == ("failed", "publish.no_video")


def test_nothing_of_the_render_moves(receiver: Receiver, tools: Tools, render: Make):
    """But the number of its events, whether it goes well or not."""
    made = render()

    def row() -> dict[str, object]:
        found = transact(lambda session: session.get_one(Render, made))
        return {one.key: getattr(found, one.key) for one in Render.__mapper__.column_attrs}

    before = row()
    asked(at_address(receiver), made)
    settled(tools)
    receiver.fails("POST", Reply(410), before=True)
    asked(at_address(receiver), made)
    settled(tools)
    after = row()
    assert after.pop("event_number") == before.pop("event_number") + 2
    assert after == before


def test_the_same_is_asked_for_once(receiver: Receiver, render: Make):
    """And only what has a video; an owner sees his own alone."""
    publisher, made, other = at_address(receiver), render(), render(owner_name="other")
    publication = asked(publisher, made)

    def work(session):
        again = publications.ask(session, publisher, session.get_one(Render, made), "lamp", {})
        session.execute(update(Render).where(Render.id == other).values(status="failed", error_code="internal"))
        session.expire_all()
        without = publications.ask(session, publisher, session.get_one(Render, other), "lamp", {})
        return again, without, publications.get(session, owner_id("other"), publication)

    assert transact(work) == (None, None, None)
    assert transact(lambda session: session.get_one(Publication, publication)).ref == "lamp"
