"""What is changed, or goes, while a publication is on its way."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from tests.publishing.conftest import (
    a_publisher,
    asked,
    at_address,
    at_shopify,
    at_woocommerce,
    change,
    change_publisher,
    deleted,
    echoed,
    events_of,
    not_asked,
    owner_id,
    published,
    settled,
    the,
    the_publisher,
)
from tests.publishing.receiver_standin import Receiver
from tests.publishing.shopify_standin import TOKEN, Shopify
from tests.publishing.standin import Reply, Request, running
from tests.publishing.woocommerce_standin import PASSWORD, USER, WooCommerce
from tests.stack import here
from worker.database import transact
from worker.publishing import claims, driving, due, outcomes, publications, publishers
from worker.publishing.claims import LeaseLost
from worker.publishing.driving import Tools
from worker.publishing.models import Publication, PublisherKind
from worker.publishing.publishers import Moved, NotForThere
from worker.publishing.settings import SETTINGS, SHOP, WooCommerceCredentials

Make = Callable[..., str]


def _moved(publisher: str, url: str, **told: Any) -> None:
    """Another shop, or address, of its kind."""
    kind = PublisherKind(the_publisher(publisher).kind)
    settings = SETTINGS[kind].model_validate({SHOP.get(kind, "url"): url})
    change_publisher(publisher, settings=settings, **told)


def _mistyped(shop: Shopify) -> str:
    """A publisher of a shop that is not there."""
    return a_publisher("shopify", {"shop": f"{shop.url}/a-typing-error"}, {"access_token": TOKEN})


def test_the_same_shop_goes_on(woocommerce: WooCommerce, tools: Tools, render: Make):
    """It is told again, in another form: what was begun there goes on where it was."""
    woocommerce.has(7)
    publisher = at_woocommerce(woocommerce)
    woocommerce.fails("PUT /wc/v3/products/N", Reply(503), before=True)
    publication = asked(publisher, render(), id=7)
    driving.drive(publication, 0, tools)
    _moved(publisher, f"{woocommerce.url}/")
    assert the(publication).step == "attach"
    settled(tools)
    published(publication)


def test_a_publisher_that_goes_takes_what_is_in_hand(receiver: Receiver, tools: Tools, render: Make):
    """Its worker ends without a word: there is nothing to write to."""
    publisher, made = at_address(receiver), render()
    publication = asked(publisher, made)
    answer = receiver.answer

    def deletes(request: Any) -> Reply:
        transact(lambda session: publishers.delete(session, publishers.locked(session, owner_id(), publisher)))
        return answer(request)

    receiver.answer = deletes
    driving.drive(publication, 0, tools)
    assert transact(lambda session: session.get(Publication, publication)) is None
    assert not [name for name, _ in events_of(made) if name.startswith("render.publish")]


def test_a_deleted_render_leaves_no_words(woocommerce: WooCommerce, tools: Tools, render: Make):
    """And the next video of the product replaces the one that was brought for it all the same."""
    woocommerce.has(7)
    publisher, made = at_woocommerce(woocommerce), render()
    publication = asked(publisher, made, ref="a secret lamp", id=7)
    settled(tools)
    media = published(publication).remote["media_id"]
    deleted(made)
    row = the(publication)
    assert "secret" not in row.ref
    assert (row.product, row.error_detail, row.state) == ({}, None, "published")
    assert row.remote == {"media_id": media, "product_id": 7, "meta_key": "_vivideo_video"}
    newer = asked(publisher, render(), ref="a secret lamp", id=7)
    settled(tools)
    assert list(woocommerce.library) == [published(newer).remote["media_id"]]


def test_a_render_that_is_deleted_while_its_video_is_in_hand(
    woocommerce: WooCommerce, receiver: Receiver, tools: Tools, render: Make
):
    """What is final later has no words either, however it ends."""
    woocommerce.has(7)
    ends, lapses, waits = render(), render(), render()
    ending = asked(at_woocommerce(woocommerce), ends, ref="a secret lamp", id=7)
    lapsing, waiting = (asked(at_address(receiver), one, ref="a secret lamp") for one in (lapses, waits))
    transact(lambda session: claims.claim(session, lapsing, lease=0))
    answer = woocommerce.answer

    def deletes(request: Any) -> Reply:
        if request.method == "PUT":
            deleted(ends)
        return answer(request)

    woocommerce.answer = deletes
    driving.drive(ending, 0, tools)
    for one in (lapses, waits):
        deleted(one)
    change(lapsing, lease_until=None, sent_at=func.now() - timedelta(minutes=5))
    settled(tools)
    assert the(ending).state == "published"
    for one in (ending, lapsing, waiting):
        row = the(one)
        assert (row.state == "pending", "secret" in row.ref, row.product) == (False, False, {})
        assert row.remote.keys() <= {"media_id", "product_id", "meta_key"}
    assert receiver.calls == []


class _Slow:
    """A storage whose file is read for longer than a claim lasts; meanwhile everybody looks for what is to be had."""

    def __init__(self, tools: Tools, publication: str) -> None:
        self.storage, self.publication, self.taken = tools.storage, publication, list[object]()
        self.head = tools.storage.head

    def read(self, key: str) -> Iterator[bytes]:
        [whole] = [b"".join(self.storage.read(key))]
        first = the(self.publication).lease_until
        late = select(func.now() > first)
        place = 0
        while place < len(whole) - 1 and not transact(lambda session: session.scalar(late)):
            yield whole[place : place + 1]
            place += 1
            self.taken += transact(due.due)
            self.taken += self._claimed(the(self.publication).lease)
        yield whole[place:]

    def _claimed(self, lease: int) -> list[object]:
        held = transact(lambda session: claims.claim(session, self.publication, lease=lease))
        return [] if held is None else [held]


def test_a_slow_upload_is_not_taken_over(receiver: Receiver, tools: Tools, render: Make):
    """The claim is renewed while the file is read, piece by piece, however long that takes."""
    with here({"VIVIDEO_PUBLISH_LEASE_SECONDS": "2"}):
        publication = asked(at_address(receiver), render(content=b"a film " * 1000))
        slow = _Slow(tools, publication)
        driving.drive(publication, 0, Tools(slow))
    assert (published(publication).lease, slow.taken) == (1, [])


def test_a_publisher_belongs_to_the_shop_where_something_of_it_is(shopify: Shopify, tools: Tools, render: Make):
    """Being processed, brought, or known of a render that was deleted: its ids mean nothing in another shop, and are
    not forgotten in this one. All else of it may change."""
    lamp, publisher, made = shopify.has(7, "lamp"), at_shopify(shopify), render()
    elsewhere = f"{shopify.url}/another"
    shopify.polls = 1
    publication = asked(publisher, made, handle="lamp")
    driving.drive(publication, 0, tools)
    assert (the(publication).step, len(shopify.videos(lamp))) == ("ready", 1)
    for ends in (lambda: None, lambda: settled(tools), lambda: deleted(made)):
        ends()
        with pytest.raises(Moved):
            _moved(publisher, elsewhere)
    assert the_publisher(publisher).settings["shop"] == shopify.url
    _moved(publisher, shopify.url)
    newer = asked(publisher, render(), handle="lamp")
    settled(tools)
    assert [one["id"] for one in shopify.videos(lamp)] == [published(newer).remote["media_id"]]


def test_one_that_a_worker_has_in_hand_may_be_on_its_way_into_the_shop(shopify: Shopify, tools: Tools, render: Make):
    """Also after its claim is over: that worker may only be late. Once it was let go of, it writes nothing more."""
    shopify.has(7, "lamp")
    publisher = _mistyped(shopify)
    publication = asked(publisher, render(), handle="lamp")
    held = transact(lambda session: claims.claim(session, publication, lease=0))
    assert held is not None
    for until in (the(publication).lease_until, func.now() - timedelta(minutes=1)):
        change(publication, lease_until=until)
        with pytest.raises(Moved):
            _moved(publisher, shopify.url)
    change_publisher(publisher, enabled=False)
    _moved(publisher, shopify.url, enabled=True)
    with pytest.raises(LeaseLost):
        transact(lambda session: outcomes.advance(session, held, "upload", {"product_id": "of there"}))
    change(publication, ready_at=func.now())
    settled(tools)
    published(publication)


def test_a_typing_error_is_put_right(shopify: Shopify, tools: Tools, render: Make):
    """Nothing was begun there: what waits after a fault goes on at the shop at once, and what failed is retried."""
    lamp, chair, publisher = shopify.has(7, "lamp"), shopify.has(8, "chair"), _mistyped(shopify)
    failed = asked(publisher, render(), ref="chair", handle="chair")
    settled(tools)
    assert the(failed).state == "failed"
    waits = asked(publisher, render(), handle="lamp")
    change(waits, tries=3, failing_since=func.now(), ready_at=func.now() + timedelta(hours=1))
    _moved(publisher, shopify.url)
    assert the_publisher(publisher).failing_since is None
    transact(lambda session: publications.retry(session, owner_id(), failed))
    settled(tools)
    for publication, product in ((waits, lamp), (failed, chair)):
        assert [one["id"] for one in shopify.videos(product)] == [published(publication).remote["media_id"]]


def test_a_password_goes_to_no_other_site_than_it_was_given_for(woocommerce: WooCommerce, tools: Tools, render: Make):
    """Nor is another site asked by a check: whoever changes the address gives the password of there."""
    woocommerce.has(7)
    other = WooCommerce()
    with running(other):
        publisher = at_woocommerce(other)
        with pytest.raises(NotForThere):
            _moved(publisher, woocommerce.url)
        driving.check(the_publisher(publisher), tools)
        assert (woocommerce.calls, len(other.calls)) == ([], 2)
    given = {"user": USER, "application_password": PASSWORD}
    credentials = WooCommerceCredentials.model_validate(given)
    _moved(publisher, woocommerce.url, credentials=credentials)
    publication = asked(publisher, render(), id=7)
    settled(tools)
    published(publication)


def test_an_address_of_ones_own_may_change(receiver: Receiver, tools: Tools, render: Make):
    """It is how the same receiver is reached: what waits goes there with the same `webhook-id`, what was delivered is
    delivered, and what is in hand ends as it was told."""
    publisher, made = at_address(receiver), render()
    done = asked(publisher, made, ref="lamp")
    settled(tools)
    waits, held = (asked(publisher, made, ref=ref) for ref in ("chair", "table"))
    receiver.fails("POST", Reply(503), before=True)
    driving.drive(waits, 0, tools)
    answer = receiver.answer

    def moves(request: Request) -> Reply:
        receiver.answer = answer
        _moved(publisher, f"{receiver.url}/new")
        return answer(request)

    receiver.answer = moves
    driving.drive(held, 0, tools)
    assert published(held).lease == 1
    settled(tools)
    published(waits)
    assert set(receiver.kept) == {done, waits, held}
    assert not_asked(publisher, made, ref="lamp")
    assert echoed(publisher, made) is None
