"""Of two states of one thing the newer one stands, in whatever order and moment their messages come."""

import json
from typing import Any

import pytest
from sqlalchemy import text

from tests.triggers.stand import Shop, at_once, product, renders
from worker.database import transact
from worker.owners.limits import Limits
from worker.renders import revisions
from worker.renders.store import NewRender, accept
from worker.triggers import acceptance, store
from worker.triggers.models import Style
from worker.triggers.planning import Said

pytestmark = pytest.mark.usefixtures("no_shops")


def test_a_revision_of_nothing_is_no_obstacle():
    """Without a reference a number has nothing to be a revision of; the message is made all the same."""
    shop = Shop(mapping={"variables": {"title": "/name"}, "revision": "/v"})
    assert shop.verdict({"name": "A kettle", "v": 3}) == "rendered"


@pytest.mark.parametrize("unset", ["1960-01-01T00:00:00Z", "0001-01-01T00:00:00", "-1", -1])
def test_a_time_that_was_never_set_is_no_revision(unset: Any):
    """Some sources say what they do not know by a time before 1970, or a number below 0."""
    assert Shop().verdict(product(updated_at=unset)) == "rendered"
    mapped = Shop(mapping={"variables": {"title": "/title"}, "external_ref": "/id", "revision": "/updated_at"})
    assert mapped.takes(product(updated_at=unset)).delivery.code == "trigger.revision"


def test_two_edits_in_the_same_moment_leave_the_newer_one():
    """Whichever is decided first: the newer is made, the older is stale or gave way before it began."""
    shop = Shop()
    for round_ in range(6):
        ref = 100 + round_
        old, new = product(ref, at=1), product(ref, at=2, title="Newer")
        at_once(lambda old=old: shop.takes(old), lambda new=new: shop.takes(new))
        left = [one for one in renders() if one.external_ref == str(ref) and one.finished_at is None]
        assert [one.variables["title"] for one in left] == ["Newer"]


def test_an_older_edit_is_stale():
    """Behind what the trigger knows, and behind what another of the same template does."""
    shop = Shop()
    assert shop.verdict(product(at=5)) == "rendered"
    late = shop.takes(product(at=4, title="Older")).delivery
    assert (late.verdict, late.render_id) == ("stale", None)
    other = Shop(template=f"{shop.name}@1")
    assert other.verdict(product(at=4, title="Older")) == "stale"
    assert other.verdict(product(at=6, title="Newer")) == "rendered"
    assert shop.verdict(product(at=5, title="Other")) == "stale"


def test_a_newer_edit_takes_the_place_of_what_nobody_began_and_follows_what_is_at_work():
    """Whichever trigger of the same template hears of it."""
    shop = Shop()
    other = Shop(template=shop.name)
    first = shop.takes(product(at=1)).delivery.render_id
    transact(lambda session: session.execute(text("UPDATE renders SET started_at = now(), status = 'running'")))
    second = shop.takes(product(at=2, title="Newer")).delivery.render_id
    third = other.takes(product(at=3, title="Newest")).delivery.render_id
    states = {one.id: (one.status, one.follows_id) for one in renders()}
    assert states[second or ""][0] == "canceled"
    assert states[third or ""] == ("queued", first)


def test_two_templates_videos_of_one_thing_leave_each_other_alone():
    """One shop, a portrait and a landscape video of each product: both are made of the same edit, and of an older."""
    portrait, landscape = Shop(), Shop()
    assert [one.verdict(product(at=2)) for one in (portrait, landscape)] == ["rendered", "rendered"]
    assert [(one.status, one.follows_id) for one in renders()] == [("queued", None)] * 2
    late = Shop()
    assert late.verdict(product(at=1)) == "rendered"


def test_an_owners_own_revisions_are_another_count():
    """A trigger's are microseconds: what is asked for one by one neither makes them stale nor is made stale by them,
    nor do they take each other's place."""
    shop = Shop()
    wanted = NewRender("by hand", "en", external_ref="1", revision=2**52)
    own = transact(lambda session: accept(session, shop.owner_id, wanted))
    assert shop.verdict(product()) == "rendered"
    assert {one.id: one.status for one in renders()}[own.id] == "queued"
    assert shop.verdict(product(2)) == "rendered"
    transact(lambda session: revisions.refuse_stale(session, shop.owner_id, "2", 8))
    transact(lambda session: revisions.make_way(session, shop.owner_id, "2", 8, newer="rnd_own"))
    assert {one.status for one in renders()} == {"queued"}


def test_of_two_edits_in_one_second_the_later_one_stands():
    """Shopify's `updated_at` has seconds: when each message was sent says which is newer, where both say so."""
    shop = Shop(style="standard", topics=["*"])

    def sent(at: int, title: str) -> str:
        headers = {"webhook-id": f"msg_{title}", "webhook-timestamp": "1770000000"}
        about = {"timestamp": f"2026-03-01T10:00:00.{at}Z", "data": product(title=title)}
        body = json.dumps({"type": "product.updated", **about}).encode()
        said = Said.read(Style.STANDARD, headers, body)
        arrived, id = acceptance.Arrived(said.message.key, said), store.new_delivery_id()
        return transact(lambda session: acceptance.receive(session, shop.id, arrived, id)).delivery.verdict

    assert [sent(2, "later"), sent(1, "earlier"), sent(3, "last")] == ["rendered", "stale", "rendered"]
    assert shop.verdict(product(title="who knows")) == "rendered"


def test_what_gives_way_does_not_count_against_the_key():
    """A newer edit takes the place of the one that waits."""
    shop = Shop(limits=Limits(renders_in_flight=1))
    first = shop.takes(product(at=1)).delivery
    assert shop.verdict(product(at=2, title="Newer")) == "rendered"
    assert {one.id: one.status for one in renders()}[first.render_id or ""] == "canceled"


def test_nothing_gives_way_to_what_is_held():
    """Somebody else's render of the product stays queued while the trigger's own key is at its limit."""
    shop = Shop(limits=Limits(renders_in_flight=0))
    other = transact(lambda session: accept(session, shop.owner_id, NewRender("x", "en", external_ref="1", revision=1)))
    assert shop.verdict(product()) == "held"
    assert {one.id: one.status for one in renders()}[other.id] == "queued"
