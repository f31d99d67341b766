"""One message, one transaction: what is made of it, duplicates, faults, limits, on a real database."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.orm import Session

from tests.triggers import stand
from tests.triggers.stand import Shop, at_once, product, renders
from worker.catalogs.options import Options
from worker.database import transact
from worker.owners.limits import Limits
from worker.templates import store as templates
from worker.triggers import acceptance, filing, holding, planning, removal, store, things
from worker.triggers.acceptance import Gone

pytestmark = pytest.mark.usefixtures("no_shops")


def test_a_message_about_a_product_makes_its_render():
    """With the template's prompt, the product's reference, revision and place; the thing is known from then on."""
    shop = Shop(options=Options(ref_prefix="shop/", tags=["hook"]))
    taken = shop.takes(product())
    (render,) = renders()
    assert (taken.delivery.verdict, taken.delivery.render_id) == ("rendered", render.id)
    assert (render.prompt, render.external_ref, render.tags) == ("a video about Lamp 1 for 19.90", "shop/1", ["hook"])
    assert render.revision is None
    assert render.fingerprint is not None
    assert taken.delivery.product["id"] == "1"
    thing = shop.thing("shop/1")
    assert thing is not None
    assert (thing.revision, thing.render_id) == (taken.delivery.revision, render.id)


def test_a_mapping_fills_the_template():
    """From any JSON; without a reference each message is its own."""
    shop = Shop(mapping={"variables": {"title": "/name"}, "pictures": ["/img"]})
    body = {"name": "A kettle", "img": "https://shop.example/k.jpg"}
    assert [shop.verdict(body) for _ in range(2)] == ["rendered", "rendered"]
    assert [one.prompt for one in renders()] == ["a video about A kettle"] * 2
    assert renders()[0].assets == [{"url": "https://shop.example/k.jpg"}]
    assert renders()[0].external_ref is None


@pytest.mark.parametrize("place", ["plan", "reference"])
def test_what_a_message_brings_out_is_no_error_for_its_shop(place: str, monkeypatch: pytest.MonkeyPatch):
    """Its signature was right: it is kept, nothing is half done, and it is decided once the fault is mended."""
    shop = Shop()

    def fails(session: Any, *_: Any, **__: Any) -> None:
        if place == "plan":
            session.execute(text("SELECT 1 / 0"))
        raise RuntimeError("a bug")

    with monkeypatch.context() as here:
        here.setattr(planning, place, fails)
        kept = shop.takes(product()).delivery
    assert (kept.verdict, kept.code, kept.render_id) == ("held", "internal", None)
    assert kept.retry_at is not None
    assert (list(renders()), shop.thing()) == ([], None)
    stand.due_now()
    holding.go_on()
    assert [one.verdict for one in shop.deliveries()] == ["rendered"]


def test_a_duplicate_has_what_became_of_the_first():
    """It is counted, and nothing else happens, whatever it holds."""
    shop = Shop()
    first, again = shop.takes(product(), key="one"), shop.takes(product(2), key="one")
    assert (first.duplicate, again.duplicate) == (False, True)
    assert again.delivery.id == first.delivery.id
    assert len(renders()) == 1
    assert [one.duplicates for one in shop.deliveries()] == [1]


def test_a_first_that_is_forgotten_in_this_moment_is_no_first(monkeypatch: pytest.MonkeyPatch):
    """Housekeeping deletes it while its duplicate comes in: the message is taken as the new one that it is by now."""
    shop = Shop()
    shop.takes(product(), key="one")

    def forgotten(session: Session, *_: Any) -> None:
        session.execute(text("DELETE FROM trigger_deliveries"))

    monkeypatch.setattr(filing, "_first", forgotten)
    again = shop.takes(product(), key="one")
    assert (again.duplicate, again.delivery.verdict) == (False, "unchanged")


def test_a_lost_answer_to_a_commit_is_no_duplicate():
    """The same call again finds its own row."""
    shop, id = Shop(), store.new_delivery_id()
    arrived = shop.said(product(), key="one")
    first, again = (transact(lambda session: acceptance.receive(session, shop.id, arrived, id)) for _ in range(2))
    assert (first.duplicate, again.duplicate) == (False, False)
    assert shop.deliveries()[0].duplicates == 0


def test_duplicates_in_the_same_moment_make_one_render():
    """All but one wait for the one that came first."""
    shop = Shop()
    taken = at_once(*[lambda: shop.takes(product(), key="one")] * 8)
    assert len(renders()) == 1
    assert {one.delivery.render_id for one in taken} == {renders()[0].id}
    assert shop.deliveries()[0].duplicates == 7


def test_a_fault_before_the_commit_leaves_nothing(monkeypatch: pytest.MonkeyPatch):
    """Neither the message nor the render nor what is known: the source sends it again, and it is new."""
    shop = Shop()

    class PowerWent(BaseException):
        """No fault that anybody may catch."""

    def fails(*_: Any, **__: Any) -> None:
        raise PowerWent

    with monkeypatch.context() as here:
        here.setattr(things, "overtake", fails)
        with pytest.raises(PowerWent):
            shop.takes(product(), key="one")
    assert (list(renders()), list(shop.deliveries()), shop.thing()) == ([], [], None)
    assert not shop.takes(product(), key="one").duplicate


def test_conditions_decide():
    """What holds renders; what is compared is compared with the last message that could have led to a video."""
    shop = Shop(conditions=[{"pointer": "/status", "equals": "active"}, {"pointer": "/title", "changed": True}])
    assert shop.verdict(product(at=1)) == "rendered"
    same = shop.takes(product(at=2, price="1.00")).delivery
    assert (same.verdict, "/title" in (same.detail or "")) == ("condition", True)
    assert shop.verdict(product(at=3, title="Other", status="hidden")) == "condition"
    assert shop.verdict(product(at=4, title="Other")) == "rendered"
    assert shop.verdict(product(at=5, title="Other", price="2.00")) == "condition"
    assert shop.verdict(product(at=6, title="Third")) == "rendered"


@pytest.mark.parametrize("unwanted", [{"status": "draft"}, {"availability": "out of stock"}])
def test_what_was_not_for_sale_is_made_once_it_is(unwanted: dict[str, Any]):
    """Nothing that is watched has changed since, but of that there never was a video."""
    shop = Shop(conditions=[{"pointer": "/title", "changed": True}])
    assert shop.verdict(product(at=1) | unwanted) == "condition"
    assert shop.verdict(product(at=2)) == "rendered"
    assert shop.verdict(product(at=3)) == "condition"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "trigger.not_json"),
        ({"id": 1}, "item.no_title"),
        ([1], "trigger.no_product"),
    ],
)
def test_what_cannot_be_made_is_refused_with_a_reason(body: Any, code: str):
    """And can be decided anew later."""
    taken = Shop().takes(body).delivery
    assert (taken.verdict, taken.code) == ("refused", code)
    assert taken.detail


def test_what_the_template_cannot_take_is_refused():
    """Variables that it demands and nobody gives; a ref that is too long; an archived template, until it is mended."""
    shop = Shop(mapping={"variables": {"price": "/p"}})
    assert shop.takes({"p": 1}).delivery.code == "template.variables"
    long = Shop(options=Options(ref_prefix="x" * 200))
    assert long.takes(product()).delivery.code == "item.long_ref"
    gone = Shop()
    transact(lambda session: templates.archive(session, gone.owner_id, gone.name))
    assert gone.takes(product(), key="one").delivery.code == "template.archived"
    gone.changes(template=shop.name)
    said = gone.said(product()).said
    again = acceptance.Arrived("replay", said, replay_of=gone.deliveries()[0].id)
    made = transact(lambda session: acceptance.receive(session, gone.id, again, store.new_delivery_id()))
    assert made.delivery.verdict == "rendered"


def test_drafts_are_made_only_where_asked_for():
    """As in catalogs; sold-out ones likewise."""
    assert Shop().verdict(product(status="draft")) == "condition"
    assert Shop(options=Options(include=["draft"])).verdict(product(status="draft")) == "rendered"


def test_topics_are_asked_for():
    """The rest is kept and ignored."""
    shop = Shop(topics=["product.*"])
    assert shop.verdict(product(), topic="order.created") == "ignored"
    assert shop.verdict(product(), topic="product.created") == "rendered"


def test_limits_of_the_key_hold_a_message():
    """It is kept with when it is tried again, and nothing else happened; what its product was is not yet known."""
    shop = Shop(limits=Limits(renders_in_flight=1))
    assert shop.verdict(product(1)) == "rendered"
    held = shop.takes(product(2)).delivery
    assert (held.verdict, held.code, held.tries) == ("held", "limit.in_flight", 1)
    assert held.retry_at is not None
    assert shop.thing("2") is None
    assert len(renders()) == 1


def test_a_dry_run_writes_nothing():
    """It says what would be made."""
    shop = Shop()

    def work(session):
        trigger = store.get(session, shop.owner_id, shop.id)
        assert trigger is not None
        return planning.plan(session, trigger, shop.said(product()).said)

    plan = transact(work)
    assert plan.request is not None
    assert (plan.verdict, plan.request.prompt) == ("rendered", "a video about Lamp 1 for 19.90")
    assert (list(renders()), list(shop.deliveries()), shop.thing()) == ([], [], None)


def test_a_dropped_trigger_takes_nothing():
    """Its messages went with it; its renders stay."""
    shop = Shop()
    shop.takes(product())

    def drop(session):
        row = store.locked(session, shop.owner_id, shop.id)
        assert row is not None
        store.drop(session, row)

    transact(drop)
    with pytest.raises(Gone):
        shop.takes(product())
    assert len(renders()) == 1
    while transact(removal.remove):
        pass
    assert list(shop.deliveries()) == []


def test_old_messages_are_forgotten():
    """After 30 days; until then they tell duplicates, and longer where their video is yet to come."""
    shop = Shop()
    shop.takes(product(1), key="old")
    transact(
        lambda session: session.execute(
            text("UPDATE trigger_deliveries SET received_at = now() - interval '30 days 1 second'")
        )
    )
    shop.takes(product(2), key="new")
    assert transact(store.forget) == 0
    ended = "UPDATE renders SET status = 'canceled', finished_at = now() - interval '{} hours'"
    transact(lambda session: session.execute(text(ended.format(23))))
    assert transact(store.forget) == 0
    transact(lambda session: session.execute(text(ended.format(25))))
    assert transact(store.forget) == 1
    assert [one.key for one in shop.deliveries()] == ["new"]


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def test_whatever_a_body_holds_is_decided():
    """Each message has a verdict and is on file, by a mapping and as a product."""
    mapping = {"variables": {"title": "/title", "price": "/price"}, "pictures": ["/images"], "external_ref": "/id"}
    changed = [{"pointer": "/title", "changed": True}]
    shops = [Shop(mapping=one, conditions=changed) for one in (mapping, {})]

    @settings(max_examples=30, deadline=None)
    @given(fields=st.dictionaries(st.sampled_from([*product(), "images", "variants"]), _values))
    def decided(fields: dict[str, Any]) -> None:
        for shop in shops:
            taken = shop.takes(json.dumps(product() | fields).encode())
            assert taken.delivery.verdict in ("rendered", "unchanged", "condition", "refused")

    decided()
    for shop in shops:
        assert len(shop.deliveries()) >= 30
