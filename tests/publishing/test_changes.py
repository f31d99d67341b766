"""What is changed, or goes, while a publication is on its way."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, text

from tests.publishing.conftest import (
    asked,
    at_address,
    at_shopify,
    at_woocommerce,
    change,
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
from tests.publishing.shopify_standin import Shopify
from tests.publishing.standin import Reply, running
from tests.publishing.woocommerce_standin import WooCommerce
from tests.stack import here
from worker.database import transact
from worker.publishing import claims, driving, due, publications, publishers
from worker.publishing.claims import LeaseLost
from worker.publishing.driving import Tools
from worker.publishing.models import Publication, PublisherKind
from worker.publishing.settings import SETTINGS
from worker.renders import purge, store

Make = Callable[..., str]


def _moved(publisher: str, url: str) -> None:
    """Another place, of its kind."""

    def work(session: Any) -> None:
        row = publishers.locked(session, owner_id(), publisher)
        assert row is not None
        name = "shop" if row.kind == "shopify" else "url"
        publishers.change(session, row, settings=SETTINGS[PublisherKind(row.kind)].model_validate({name: url}))

    transact(work)


def _deleted(render: str) -> None:
    def work(session: Any) -> None:
        row = store.locked(session, owner_id(), render)
        assert row is not None
        purge.purge(session, row)
        publications.scrub(session, row)

    transact(work)


def test_another_shop_is_begun_with_anew(woocommerce: WooCommerce, tools: Tools, render: Make):
    """The old shop's ids mean nothing there; what was in hand writes nothing more; what was brought to the old shop
    stays, and its number is not asked for in the new one."""
    woocommerce.has(7)
    publisher = at_woocommerce(woocommerce)
    first = asked(publisher, render(), handle="lamp-7")
    settled(tools)
    woocommerce.fails("PUT /wc/v3/products/N", Reply(503), before=True)
    second = asked(publisher, render(), handle="lamp-7")
    driving.drive(second, 0, tools)
    assert the(second).step == "attach"
    lease = the(second).lease
    other = WooCommerce()
    other.has(9)["slug"] = "lamp-7"
    other.has(7)
    with running(other):
        _moved(publisher, other.url)
        row = the(second)
        assert (row.step, row.remote, row.lease) == ("begin", {}, lease + 1)
        settled(tools)
    assert woocommerce.meta(other.products[9])["_vivideo_video_id"] == str(published(second).remote["media_id"])
    assert (other.products[7]["meta_data"], other.deleted, woocommerce.deleted) == ([], [], [])
    assert "removed" not in the(first).remote


def test_the_same_shop_goes_on(woocommerce: WooCommerce, tools: Tools, render: Make):
    """Another field is no other place."""
    woocommerce.has(7)
    publisher = at_woocommerce(woocommerce)
    woocommerce.fails("PUT /wc/v3/products/N", Reply(503), before=True)
    publication = asked(publisher, render(), id=7)
    driving.drive(publication, 0, tools)
    _moved(publisher, woocommerce.url)
    assert the(publication).step == "attach"


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
    _deleted(made)
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
            _deleted(ends)
        return answer(request)

    woocommerce.answer = deletes
    driving.drive(ending, 0, tools)
    for one in (lapses, waits):
        _deleted(one)
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


def test_an_unchanged_product_gets_its_video_at_the_new_place(receiver: Receiver, render: Make, tools: Tools):
    """Once: what was brought to the place before says nothing of this one."""
    publisher, made = at_address(receiver), render()
    asked(publisher, made, ref="lamp")
    settled(tools)
    assert echoed(publisher, made) is None
    _moved(publisher, f"{receiver.url}/new-shop")
    assert echoed(publisher, made) is not None
    assert echoed(publisher, made) is None


def test_what_was_brought_to_another_place_is_not_rewritten(receiver: Receiver, render: Make, tools: Tools):
    """A change of place costs what waits, not what is final; what was asked for beside it begins at the new place."""
    publisher = at_address(receiver)
    done = asked(publisher, made := render(), ref="lamp")
    settled(tools)
    row_of = select(text("xmin::text")).select_from(Publication).where(Publication.id == done)
    before = transact(lambda session: session.scalar(row_of))
    beside = asked(publisher, render(), ref="chair")
    assert not_asked(publisher, made, ref="lamp")
    _moved(publisher, f"{receiver.url}/other")
    assert transact(lambda session: session.scalar(row_of)) == before
    asked(publisher, made, ref="lamp")
    change(beside, place="elsewhere", step="send", remote={"media_id": 1})
    held = transact(lambda session: claims.claim(session, beside, lease=the(beside).lease))
    assert held is not None
    place = the_publisher(publisher).place
    assert (held.publication.place, held.publication.step, held.publication.remote) == (place, "begin", {})
    _moved(publisher, f"{receiver.url}/third")
    change(beside, lease=held.lease, place=place)  # as where it was claimed in that very moment
    with pytest.raises(LeaseLost):
        transact(lambda session: claims.renew(session, held))


def test_a_place_that_is_changed_and_changed_back_is_the_one_of_before(shopify: Shopify, tools: Tools, render: Make):
    """A typing error: no unchanged product's video is brought there again, and the next one replaces the one of
    before."""
    lamp, publisher, made = shopify.has(7, "lamp"), at_shopify(shopify), render()
    asked(publisher, made, handle="lamp")
    settled(tools)
    for url in (f"{shopify.url}/a-typing-error", shopify.url):
        _moved(publisher, url)
    assert echoed(publisher, made) is None
    assert not_asked(publisher, made, handle="lamp")
    newer = asked(publisher, render(), handle="lamp")
    settled(tools)
    assert [one["id"] for one in shopify.videos(lamp)] == [published(newer).remote["media_id"]]


def test_who_had_it_in_hand_before_the_place_was_changed_and_changed_back_writes_nothing(
    receiver: Receiver, render: Make
):
    """Whatever he made was made before it began anew."""
    publisher = at_address(receiver)
    publication = asked(publisher, render())
    held = transact(lambda session: claims.claim(session, publication, lease=0))
    assert held is not None
    for url in (f"{receiver.url}/other", f"{receiver.url}/videos"):
        _moved(publisher, url)
    assert the(publication).place == held.publication.place
    with pytest.raises(LeaseLost):
        transact(lambda session: claims.renew(session, held))
