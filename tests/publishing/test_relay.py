"""Finished renders become publications of the products that they stand for."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import insert, select, text, update

from tests import feed
from tests.publishing.conftest import asked, at_address, owner_id
from tests.publishing.receiver_standin import Receiver
from worker.accounts import vault
from worker.catalogs.models import Catalog, CatalogChange, CatalogProduct, CatalogRead
from worker.database import new_id, transact
from worker.publishing import relay
from worker.publishing.models import Publication
from worker.renders import store
from worker.renders.events import EventType, NewEvent
from worker.renders.models import Render
from worker.triggers.models import Trigger, TriggerDelivery, TriggerThing

Make = Callable[..., str]


def _succeeded(*ids: str) -> None:
    """Write the event that the relay waits for."""

    def work(session):
        for one in ids:
            store.change(session, session.get_one(Render, one), {}, NewEvent(EventType.SUCCEEDED))

    transact(work)


def _relayed() -> list[tuple[str, str, dict[str, Any]]]:
    """Let it take all there is; render, reference and product of what came of it, all in all."""
    feed.readable()
    while transact(relay.relay):
        pass
    query = select(Publication).order_by(Publication.id)
    rows = transact(lambda session: session.scalars(query).all())
    return sorted((one.render_id, one.ref, one.product) for one in rows)


def _trigger(publisher_id: str | None) -> str:
    row = {"id": new_id("trg"), "owner_id": owner_id(), "style": "shopify", "template": "promo"}
    secret = {"secret_encrypted": vault.lock("a secret"), "publisher_id": publisher_id}
    transact(lambda session: session.execute(insert(Trigger).values(**row, **secret)))
    return row["id"]


def _delivered(trigger: str, render_id: str | None, verdict: str = "rendered", **columns: Any) -> None:
    row = {"id": new_id("tdl"), "trigger_id": trigger, "owner_id": owner_id(), "key": new_id("key"), "body": b"{}"}
    more = {"verdict": verdict, "render_id": render_id, **columns}
    transact(lambda session: session.execute(insert(TriggerDelivery).values(**row, **more)))


def test_a_triggers_product(receiver: Receiver, render: Make):
    """Two messages about it are one publication, where the later one says; others' and ignored ones are none."""
    first, second, third = render(), render(), render()
    trigger = _trigger(at_address(receiver))
    _delivered(trigger, first, ref="lamp", product={"id": "1"}, received_at=text("now() - interval '1 hour'"))
    _delivered(trigger, first, "unchanged", ref="lamp", product={"id": "2"})
    _delivered(trigger, second, "stale", ref="lamp")
    _delivered(_trigger(None), third, ref="chair")
    _succeeded(first, second, third)
    assert _relayed() == [(first, "lamp", {"id": "2"})]


def test_a_render_that_stands_for_two_products(receiver: Receiver, render: Make):
    """Each gets the video."""
    made, trigger = render(), _trigger(at_address(receiver))
    _delivered(trigger, made, ref="lamp")
    _delivered(trigger, made, "unchanged", ref="lamp, again")
    _succeeded(made)
    assert _relayed() == [(made, "lamp", {}), (made, "lamp, again", {})]


def test_only_successes_once(receiver: Receiver, render: Make):
    """An event that is not one, and one that was taken already."""
    made, trigger = render(), _trigger(at_address(receiver))
    _delivered(trigger, made, ref="lamp")
    assert _relayed() == []
    _succeeded(made)
    assert len(_relayed()) == 1
    _succeeded(made)  # the same run: it is there
    assert len(_relayed()) == 1


def _cataloged(publisher_id: str | None, render_id: str, format: str, ref: str) -> str:
    catalog, read = new_id("cat"), new_id("crd")
    mine = {"owner_id": owner_id()}
    known = {"catalog_id": catalog, "ref": ref, "external_ref": f"shop-{ref}", "template_id": "t", "title": "Lamp"}
    seen = {"fingerprint": "f", "render_id": render_id, "read_id": read}
    change = {"ref": ref, "title": "Lamp", "kind": "new", "outcome": "rendered", **seen}
    ended = {"state": "done", "format": format, "trigger": "asked", "finished_at": text("now()")}

    def work(session):
        session.execute(insert(Catalog).values(id=catalog, template="promo", publisher_id=publisher_id, **mine))
        session.execute(insert(CatalogRead).values(id=read, catalog_id=catalog, **ended, **mine))
        session.execute(insert(CatalogProduct).values(**known, **seen, **mine))
        session.execute(insert(CatalogChange).values(**change))

    transact(work)
    return catalog


def test_a_catalogs_products(receiver: Receiver, render: Make):
    """By `external_ref`, and found in the shop by what the feed's format goes by."""
    publisher, made = at_address(receiver), [render() for _ in range(5)]
    _cataloged(publisher, made[0], "shopify_csv", "red-lamp")
    _cataloged(publisher, made[1], "woocommerce_csv", "L-7")
    _cataloged(publisher, made[2], "woocommerce_csv", "77")
    _cataloged(publisher, made[3], "json", "78")
    _cataloged(None, made[4], "json", "79")
    _succeeded(*made)
    assert _relayed() == [
        (made[0], "shop-red-lamp", {"handle": "red-lamp"}),
        (made[1], "shop-L-7", {"sku": "L-7"}),
        (made[2], "shop-77", {"sku_or_id": "77"}),
        (made[3], "shop-78", {"id": "78"}),
    ]


def test_a_product_with_a_newer_render(receiver: Receiver, render: Make):
    """Gets that one's video alone."""
    made, newer = render(), render()
    catalog = _cataloged(at_address(receiver), made, "json", "78")
    same = CatalogProduct.catalog_id == catalog
    transact(lambda session: session.execute(update(CatalogProduct).where(same).values(render_id=newer)))
    _succeeded(made)
    assert _relayed() == []


def test_a_render_that_ends_late_comes_over_nothing(receiver: Receiver, render: Make):
    """A newer one's video was asked for first, by a message that found it made; or the thing has another by now."""
    made, newer, third = render(), render(), render()
    trigger = _trigger(at_address(receiver))
    _delivered(trigger, made, ref="lamp")
    _delivered(trigger, newer, ref="lamp")
    _succeeded(newer)
    assert _relayed() == [(newer, "lamp", {})]
    _succeeded(made)
    assert _relayed() == [(newer, "lamp", {})]
    _delivered(trigger, third, ref="chair")
    thing = {"trigger_id": trigger, "ref": "chair", "owner_id": owner_id(), "render_id": newer}
    transact(lambda session: session.execute(insert(TriggerThing).values(thing)))
    _succeeded(third)
    assert _relayed() == [(newer, "lamp", {})]


def test_a_backlog_is_taken_in_pieces(receiver: Receiver, render: Make, monkeypatch: pytest.MonkeyPatch):
    """None is missed and none comes twice, wherever a piece ends; the place stays behind what was taken."""
    monkeypatch.setattr(relay, "RENDERS_AT_ONCE", 2)
    trigger, made = _trigger(at_address(receiver)), [render() for _ in range(5)]
    for number, one in enumerate(made):
        _delivered(trigger, one, ref=f"lamp-{number}")
    _succeeded(*made)
    feed.readable()
    found: list[int] = []
    count = text("SELECT count(*) FROM publications")
    while transact(relay.relay):
        found.append(transact(lambda session: session.scalar(count)))
    assert found[-2:] == [2, 4]
    assert [one for one, _, _ in _relayed()] == sorted(made)


def test_the_render_that_its_thing_has_by_now_is_not_late(receiver: Receiver, render: Make):
    """A at work, B made and brought meanwhile, A again by a message without a revision: A's end brings A."""
    made, newer = render(), render()
    trigger = _trigger(at_address(receiver))
    _delivered(trigger, made, ref="lamp")
    _delivered(trigger, newer, ref="lamp")
    _succeeded(newer)
    assert _relayed() == [(newer, "lamp", {})]
    _delivered(trigger, made, "unchanged", ref="lamp")
    thing = {"trigger_id": trigger, "ref": "lamp", "owner_id": owner_id(), "render_id": made}
    transact(lambda session: session.execute(insert(TriggerThing).values(thing)))
    _succeeded(made)
    assert _relayed() == [(made, "lamp", {}), (newer, "lamp", {})]
    query = select(Publication.render_id).order_by(Publication.number.desc()).limit(1)
    assert transact(lambda session: session.scalars(query).one()) == made


def test_the_render_that_a_catalogs_product_has_is_not_late(receiver: Receiver, render: Make):
    """A newer one that was brought by hand, say, does not stand in its way."""
    made, newer, publisher = render(), render(), at_address(receiver)
    asked(publisher, newer, "shop-78")
    _cataloged(publisher, made, "json", "78")
    _succeeded(made)
    assert _relayed() == [(made, "shop-78", {"id": "78"}), (newer, "shop-78", {})]
