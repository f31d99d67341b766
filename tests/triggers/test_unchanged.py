"""What is there already is not made again: by messages, catalogs, and in the moment in which it changes."""

import json
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from tests.stack import until
from tests.triggers import stand
from tests.triggers.bodies import SHOPIFY, WOOCOMMERCE
from tests.triggers.stand import Shop, ends, product, renders
from worker.database import transact
from worker.publishing import publications
from worker.renders import store as render_store
from worker.renders.models import Render
from worker.triggers import acceptance, store
from worker.triggers.models import Style, Trigger, TriggerDelivery
from worker.triggers.planning import Said

pytestmark = pytest.mark.usefixtures("no_shops")


def test_a_mapping_with_a_reference_knows_what_did_not_change():
    """As a product does."""
    shop = Shop(mapping={"variables": {"title": "/name"}, "external_ref": "/id", "revision": "/v"})
    assert shop.verdict({"name": "A kettle", "id": 7, "v": 2}) == "rendered"
    assert shop.verdict({"name": "A kettle", "id": 7, "v": 3}) == "unchanged"
    assert shop.verdict({"name": "An old kettle", "id": 7, "v": 1}) == "stale"


@pytest.mark.parametrize(
    ("style", "topic", "body", "echo"),
    [
        (
            "shopify",
            "products/update",
            SHOPIFY,
            {
                "updated_at": "2026-03-01T10:00:00Z",
                "media": [{"id": 1, "media_content_type": "VIDEO", "alt": None, "preview_image": None}],
            },
        ),
        (
            "woocommerce",
            "product.updated",
            WOOCOMMERCE,
            {
                "date_modified_gmt": "2026-03-01T10:00:00",
                "meta_data": [{"id": 9, "key": "_vivideo", "value": "https://shop.example/vivideo-pbn_1.mp4"}],
            },
        ),
    ],
)
def test_the_shops_own_echo_of_a_published_video_is_unchanged(style: str, topic: str, body: Any, echo: dict[str, Any]):
    """A video on a product is an edit of it: the message about that makes neither a video nor a publication."""
    shop = Shop(style=style)
    shop.publisher()

    def says(body: Any, number: str) -> TriggerDelivery:
        name = {"shopify": "x-shopify-{}", "woocommerce": "x-wc-webhook-{}"}[style]
        headers = {name.format("topic"): topic, "x-shopify-webhook-id": number, "x-wc-webhook-delivery-id": number}
        said = Said.read(Style(style), headers, json.dumps(body).encode())
        arrived, id = acceptance.Arrived(said.message.key, said), store.new_delivery_id()
        return transact(lambda session: acceptance.receive(session, shop.id, arrived, id)).delivery

    first = says(body, "first")
    assert first.verdict == "rendered"
    ends(first.render_id)
    transact(_brought)
    again = says(body | echo, "echo")
    assert (again.verdict, again.render_id) == ("unchanged", first.render_id)
    assert again.revision is not None
    assert again.revision > (first.revision or 0)
    assert len(renders()) == len(stand.publications()) == 1


def _brought(session: Session) -> None:
    """As the relay does once a render has succeeded: it is asked for, and done."""
    render = session.scalars(select(Render)).one()
    delivery = session.scalars(select(TriggerDelivery)).one()
    publisher = session.scalars(select(Trigger.publisher_id)).one()
    publications.ask(session, publisher or "", render, delivery.ref or "", delivery.product)
    session.execute(text("UPDATE publications SET state = 'published', finished_at = now()"))


def test_what_did_not_change_costs_nothing():
    """While the render is under way, and once its video is there; another price is another video."""
    shop = Shop()
    first = shop.takes(product(at=1)).delivery
    again = shop.takes(product(at=2, vendor="Other")).delivery
    assert (again.verdict, again.render_id) == ("unchanged", first.render_id)
    ends(first.render_id)
    assert shop.verdict(product(at=3)) == "unchanged"
    assert shop.verdict(product(at=4, price="24.90")) == "rendered"
    assert len(renders()) == 2


@pytest.mark.parametrize("end", ["failed", "canceled", "purged"])
def test_a_video_that_is_not_there_is_made_now(end: str):
    """Only one that is there, or will be, stands for another."""
    shop = Shop()
    first = shop.takes(product()).delivery.render_id
    if end == "canceled":
        transact(lambda session: render_store.cancel(session, shop.owner_id, first or ""))
    else:
        ends(first)
        lost = {"failed": "status = 'failed', error_code = 'internal'", "purged": "purged_at = now()"}[end]
        transact(lambda session: session.execute(text(f"UPDATE renders SET {lost}")))  # noqa: S608 - own words
    assert shop.verdict(product()) == "rendered"


@pytest.mark.parametrize("lane", ["held", "paused_at"])
def test_what_waits_for_a_person_stands_for_nothing(lane: str):
    """A batch that is to be approved, or is paused: nobody knows whether its video will ever be."""
    shop = Shop()
    shop.takes(product())
    value = "true" if lane == "held" else "now()"
    transact(lambda session: session.execute(text(f"UPDATE lanes SET {lane} = {value}")))  # noqa: S608 - own words
    assert shop.verdict(product(at=2, tags="new")) == "rendered"


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ("fingerprint = 'with what servers said of its pictures'", "unchanged"),
        ("fingerprint = 'x', assets = '[{\"url\": \"https://shop.example/2.jpg\"}]'", "rendered"),
        ("fingerprint = 'x', language = 'xx'", "rendered"),
        ("fingerprint = 'x', output = '{}'", "rendered"),
        ("fingerprint = 'x', variables = '{}'", "rendered"),
        ("fingerprint = 'x', external_ref = 'other'", "rendered"),
        ("fingerprint = NULL", "rendered"),
    ],
)
def test_what_a_catalog_has_rendered_costs_nothing(change: str, verdict: str):
    """Its number also counts what the pictures' servers said, which no message waits for: what it was made of tells."""
    shop = Shop()
    body = product(images=[{"src": "https://shop.example/1.jpg"}])
    shop.takes(body)
    with_marks = text("UPDATE renders SET assets = jsonb_set(assets, '{0,sent}', 'true')")
    transact(lambda session: session.execute(with_marks))
    transact(lambda session: session.execute(text(f"UPDATE renders SET {change}")))  # noqa: S608 - own words
    transact(lambda session: session.execute(text("DELETE FROM trigger_deliveries")))
    assert shop.verdict(body | {"vendor": "Other"}) == verdict


def test_a_change_taken_back_is_no_new_video():
    """What was queued for the change gives way; the first video stands, and is brought to the product again."""
    shop = Shop()
    publisher = shop.publisher()
    first = shop.takes(product(at=1)).delivery
    ends(first.render_id)
    second = shop.takes(product(at=2, price="1.00")).delivery
    back = shop.takes(product(at=3)).delivery
    assert (back.verdict, back.render_id) == ("unchanged", first.render_id)
    states = {one.id: one.status for one in renders()}
    assert states[second.render_id or ""] == "canceled"
    (asked,) = stand.publications()
    assert (asked.publisher_id, asked.render_id, asked.ref) == (publisher, first.render_id, "1")


def test_a_video_that_ends_in_this_moment_is_brought_to_the_product():
    """Its end is not committed yet when the message comes, and its event is read before the message is on file: the
    message waits for it, then asks for the publication itself."""
    shop = Shop()
    made = shop.takes(product()).delivery.render_id
    shop.publisher()
    with ThreadPoolExecutor(1) as pool:

        def ending(session: Session) -> Future[str]:
            stand.end(session, made)
            session.flush()
            asked = pool.submit(shop.verdict, product(at=2, tags="new"))
            until(lambda: asked.done() or transact(_somebody_waits), what="the message at the row")
            return asked

        assert transact(ending).result(20) == "unchanged"
    assert [(one.render_id, one.ref) for one in stand.publications()] == [(made, "1")]


def test_a_render_that_is_called_off_in_this_moment_stands_for_nothing():
    """It was under way when the message looked for an equal one: another is made."""
    shop = Shop()
    made = shop.takes(product()).delivery.render_id
    with ThreadPoolExecutor(1) as pool:

        def calling_off(session: Session) -> Future[str]:
            render_store.cancel(session, shop.owner_id, made or "")
            session.flush()
            asked = pool.submit(shop.verdict, product(at=2, tags="new"))
            until(lambda: asked.done() or transact(_somebody_waits), what="the message at the row")
            return asked

        assert transact(calling_off).result(20) == "rendered"
    assert [one.status for one in renders()] == ["canceled", "queued"]


def _somebody_waits(session: Session) -> bool:
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return bool(session.scalar(text(query)))


def test_force_makes_what_is_there_again():
    """Another render, though nothing changed."""
    shop = Shop()
    shop.takes(product())
    said = shop.said(product()).said
    again = acceptance.Arrived("replay", said, force=True)
    made = transact(lambda session: acceptance.receive(session, shop.id, again, store.new_delivery_id()))
    assert made.delivery.verdict == "rendered"
