"""Who decides something of publications in the same moment waits for the other; no two of them wait for each other."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import func, select, text

from api.idempotency import Key
from api.publishing import intake
from api.publishing.schemas import ProductPlace, PublicationRequest
from api.routes import publishers as routes
from tests.publishing.conftest import asked, at_address, at_shopify, change, owner_id, the, the_publisher
from tests.publishing.receiver_standin import Receiver
from tests.publishing.shopify_standin import Shopify
from tests.stack import until
from worker.database import transact
from worker.publishing import claims, outcomes, publications, publishers
from worker.publishing.claims import Held
from worker.publishing.errors import Again
from worker.publishing.settings import ShopifySettings
from worker.renders import purge, store
from worker.renders.models import Render

Make = Callable[..., str]


def _claims(publication: str) -> Callable[[Any], Held | None]:
    return lambda session: claims.claim(session, publication, lease=0)


def _claimed(publication: str) -> Held:
    held = transact(_claims(publication))
    assert held is not None
    return held


def _somebody_waits(number: int = 1) -> None:
    """Until one, or so many, wait for another's lock."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    until(lambda: transact(lambda session: session.scalar(waiting)) == number, 10, what="somebody at the lock")


def _beside(first: Callable[[Any], None], then: Callable[[Any], object], other: Callable[[Any], object]) -> object:
    """`first` and `then` in one transaction, between them `other` in another, up to where it waits; what that came to.
    Neither may be undone by the other."""
    with ThreadPoolExecutor(1) as threads:

        def work(session: Any) -> Any:
            first(session)
            pending = threads.submit(lambda: transact(other, retry_for=0))
            _somebody_waits()
            then(session)
            return pending

        return transact(work, retry_for=0).result(timeout=20)


def test_a_claim_waits_for_a_change_of_settings(shopify: Shopify, render: Make):
    """What it is told afterwards is of the new shop."""
    publisher = at_shopify(shopify)
    publication, rows = asked(publisher, render()), list[Any]()
    held = _beside(
        lambda session: rows.append(publishers.locked(session, owner_id(), publisher, shut=True)),
        lambda session: publishers.change(session, rows[0], settings=ShopifySettings(shop=f"{shopify.url}/other")),
        _claims(publication),
    )
    assert isinstance(held, Held)
    assert held.publisher.settings["shop"] == f"{shopify.url}/other"


def test_a_change_of_settings_waits_for_a_claim(shopify: Shopify, render: Make):
    """And then sees that something is in hand, which its worker was told for the shop of before."""
    publisher = at_shopify(shopify)
    publication = asked(publisher, render())

    def moves(session: Any) -> None:
        row = publishers.locked(session, owner_id(), publisher, shut=True)
        publishers.change(session, row, settings=ShopifySettings(shop=f"{shopify.url}/other"))

    with pytest.raises(publishers.Moved):
        _beside(_claims(publication), lambda session: None, moves)
    assert the_publisher(publisher).settings["shop"] == shopify.url


def test_a_claim_waits_for_nobody_who_writes_of_another(receiver: Receiver, render: Make):
    """One that ends has its publisher's row, and waits for its render's, which a message may have that waits for the
    product of this claim."""
    publisher, made = at_address(receiver), render()
    ending, other = (asked(publisher, made, ref=ref) for ref in ("lamp", "chair"))
    held = _claimed(ending)

    def work(session: Any) -> Held | None:
        outcomes.published(session, held, {}, ())
        with ThreadPoolExecutor(1) as threads:
            return threads.submit(lambda: transact(_claims(other))).result(timeout=5)

    assert transact(work) is not None


def test_a_publication_is_given_up_while_a_message_comes(receiver: Receiver, render: Make):
    """The message has the render, and decides of the product then."""
    publisher, made = at_address(receiver), render()
    publication = asked(publisher, made)
    change(publication, failing_since=func.now() - timedelta(days=4))
    held = _claimed(publication)
    standing = select(Render.id).where(Render.id == made).with_for_update(read=True)
    _beside(
        lambda session: session.execute(standing),
        lambda session: publications.alone(session, publisher, "lamp"),
        lambda session: outcomes.again(session, held, Again("publish.unavailable")),
    )
    assert the(publication).state == "failed"


def test_a_video_is_asked_for_while_its_publisher_is_changed(receiver: Receiver, render: Make):
    """Who asks does not wait for it."""
    publisher, made = at_address(receiver), render()

    def work(session: Any) -> str:
        assert publishers.locked(session, owner_id(), publisher) is not None
        with ThreadPoolExecutor(1) as threads:
            return threads.submit(lambda: asked(publisher, made)).result(timeout=5)

    assert the(transact(work)).state == "pending"


def test_who_forgets_a_publisher_waits_before_anybody_waits_for_him(receiver: Receiver, render: Make):
    """For who has just put a publication there. One that ends writes of the publisher meanwhile: the first might wait
    for its product."""
    publisher, made = at_address(receiver), render()
    held = _claimed(asked(publisher, made, ref="lamp"))
    with ThreadPoolExecutor(2) as threads:

        def work(session: Any) -> Any:
            publications.ask(session, publisher, session.get_one(Render, made), "chair", {})
            forgets = threads.submit(routes.delete, publisher, SimpleNamespace(owner_id=owner_id()))
            _somebody_waits()
            fault = Again("publish.unavailable")
            ends = threads.submit(lambda: transact(lambda other: outcomes.again(other, held, fault)))
            assert ends.result(timeout=5)
            return forgets

        assert transact(work, retry_for=0).result(timeout=20).status_code == 204


def test_a_render_is_deleted_while_its_second_publication_ends(receiver: Receiver, render: Make):
    """Its video came, another, then its own again: the first is marked by whom the deletion waits for, or who waits."""
    publisher, made = at_address(receiver), render()
    first, between = asked(publisher, made), asked(publisher, render())
    for one in (first, between):
        change(one, state="published", finished_at=func.now(), remote={"media_id": 1})
    held = _claimed(asked(publisher, made))

    def deletes(session: Any) -> None:
        row = store.locked(session, owner_id(), made)
        assert row is not None
        purge.purge(session, row)

    _beside(
        deletes,
        lambda session: publications.scrub(session, session.get_one(Render, made)),
        lambda session: outcomes.published(session, held, {}, (first, between)),
    )
    assert [the(one).remote["removed"] for one in (first, between)] == [True, True]
    last = the(held.publication.id)
    assert (last.state, last.ref.startswith("deleted:")) == ("published", True)


def test_two_products_are_asked_for_at_once_without_a_reference(receiver: Receiver, render: Make):
    """Whoever comes second sees the first, and takes a reference of his own: else he would supersede it."""
    publisher, made = at_address(receiver), render(external_ref="lamp-7")
    caller: Any = SimpleNamespace(owner_id=owner_id())

    def asks(handle: str) -> str:
        wish = PublicationRequest(render_id=made, product=ProductPlace(handle=handle))
        return intake.ask(caller, Key(handle, given=False), publisher, wish).body.id

    with ThreadPoolExecutor(2) as threads:

        def work(session: Any) -> list[Any]:
            publications.alone(session, publisher, "lamp-7")
            pending = [threads.submit(asks, handle) for handle in ("red", "green")]
            _somebody_waits(2)
            return pending

        ids = [one.result(timeout=20) for one in transact(work, retry_for=0)]
    rows = [the(one) for one in ids]
    assert [one.state for one in rows] == ["pending", "pending"]
    assert len({one.ref for one in rows}) == 2
