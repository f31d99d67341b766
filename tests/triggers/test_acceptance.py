"""One message, one transaction: each verdict, each duplicate, each race, on a real database."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from tests.stack import here, until
from tests.triggers import stand
from tests.triggers.bodies import SHOPIFY, WOOCOMMERCE
from tests.triggers.stand import Shop, ends, product, renders
from worker.catalogs.options import Options
from worker.database import transact
from worker.owners.limits import Limits
from worker.publishing import publications
from worker.renders import revisions
from worker.renders import store as render_store
from worker.renders.models import Render
from worker.renders.store import NewRender, accept
from worker.templates import store as templates
from worker.triggers import acceptance, holding, planning, store
from worker.triggers.acceptance import Gone
from worker.triggers.models import Style, Trigger, TriggerDelivery
from worker.triggers.planning import Said


@pytest.fixture(scope="module", autouse=True)
def _settings(database: str) -> Iterator[None]:
    with here({"VIVIDEO_DATABASE_URL": database, "VIVIDEO_SECRET_KEY": "k" * 40}):
        yield


@pytest.fixture(autouse=True)
def _empty(_settings: None) -> None:
    stand.empty()


def _at_once(*calls: Callable[[], Any]) -> list[Any]:
    """What the calls return, begun in one moment."""
    found: list[Any] = []
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> None:
        barrier.wait()
        found.append(call())

    threads = [threading.Thread(target=run, args=[call]) for call in calls]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return found


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


def test_a_mapping_with_a_reference_knows_what_did_not_change():
    """As a product does."""
    shop = Shop(mapping={"variables": {"title": "/name"}, "external_ref": "/id", "revision": "/v"})
    assert shop.verdict({"name": "A kettle", "id": 7, "v": 2}) == "rendered"
    assert shop.verdict({"name": "A kettle", "id": 7, "v": 3}) == "unchanged"
    assert shop.verdict({"name": "An old kettle", "id": 7, "v": 1}) == "stale"


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

    monkeypatch.setattr(acceptance, "_first", forgotten)
    again = shop.takes(product(), key="one")
    assert (again.duplicate, again.delivery.verdict) == (False, "unchanged")


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
    taken = _at_once(*[lambda: shop.takes(product(), key="one")] * 8)
    assert len(renders()) == 1
    assert {one.delivery.render_id for one in taken} == {renders()[0].id}
    assert shop.deliveries()[0].duplicates == 7


def test_two_edits_in_the_same_moment_leave_the_newer_one():
    """Whichever is decided first: the newer is made, the older is stale or gave way before it began."""
    shop = Shop()
    for round_ in range(6):
        ref = 100 + round_
        old, new = product(ref, at=1), product(ref, at=2, title="Newer")
        _at_once(lambda old=old: shop.takes(old), lambda new=new: shop.takes(new))
        left = [one for one in renders() if one.external_ref == str(ref) and one.finished_at is None]
        assert [one.variables["title"] for one in left] == ["Newer"]


def test_a_fault_before_the_commit_leaves_nothing(monkeypatch: pytest.MonkeyPatch):
    """Neither the message nor the render nor what is known: the source sends it again, and it is new."""
    shop = Shop()

    class PowerWent(BaseException):
        """No fault that anybody may catch."""

    def fails(*_: Any) -> None:
        raise PowerWent

    with monkeypatch.context() as here:
        here.setattr(acceptance, "_overtake", fails)
        with pytest.raises(PowerWent):
            shop.takes(product(), key="one")
    assert (list(renders()), list(shop.deliveries()), shop.thing()) == ([], [], None)
    assert not shop.takes(product(), key="one").duplicate


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


def test_force_makes_what_is_there_again():
    """Another render, though nothing changed."""
    shop = Shop()
    shop.takes(product())
    said = shop.said(product()).said
    again = acceptance.Arrived("replay", said, force=True)
    made = transact(lambda session: acceptance.receive(session, shop.id, again, store.new_delivery_id()))
    assert made.delivery.verdict == "rendered"


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
    assert list(shop.deliveries()) == []


def test_old_messages_are_forgotten():
    """After 30 days; until then they tell duplicates."""
    shop = Shop()
    shop.takes(product(1), key="old")
    transact(
        lambda session: session.execute(
            text("UPDATE trigger_deliveries SET received_at = now() - interval '30 days 1 second'")
        )
    )
    shop.takes(product(2), key="new")
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
