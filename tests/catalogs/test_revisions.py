"""A newer revision takes the place of one that is queued and never overtakes one that is at work."""

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from tests.catalogs.conftest import Shop, change, changes, product, renders, the
from worker.catalogs import store as catalogs
from worker.catalogs.models import Catalog
from worker.database import transact
from worker.renders import following, revisions, runs, store
from worker.renders.models import Event
from worker.triggers.models import Trigger, TriggerDelivery


def last_event(render_id: str) -> Event:
    query = select(Event).where(Event.render_id == render_id).order_by(Event.number.desc()).limit(1)
    return transact(lambda session: session.scalars(query).one())


def revised(shop: Shop, catalog: str, price: str) -> str:
    """Change the price of `a` and read; the render that its product has now."""
    shop.offers("a", price=price)
    assert shop.read(catalog).state == "done"
    return product("a").render_id


def begun_anew(render_id: str) -> None:
    """Fail a render and start its next run, as its owner would."""

    def work(session):
        row = store.locked(session, the(render_id).owner_id, render_id)
        runs.retry(session, row, force=False, api_key_id=None)

    failed = {"status": "failed", "error_code": "x", "error_message": "x", "finished_at": text("now()")}
    change(render_id, **failed)
    transact(work)


def is_ready(render_id: str) -> bool:
    ready = text("SELECT ready_at < 'infinity' FROM renders WHERE id = :id").bindparams(id=render_id)
    return transact(lambda session: session.scalar(ready))


def test_a_queued_one_is_replaced(shop: Shop):
    """It is canceled, nothing was spent, and it says which one took its place."""
    shop.offers("a", "b")
    catalog = shop.catalog()
    shop.read(catalog)
    older, newer = product("a").render_id, revised(shop, catalog, "1.00 EUR")
    was = the(older)
    assert (was.status, was.cancel_effect, was.charge_state) == ("canceled", "prevented", "none")
    assert last_event(older).data == {"effect": "prevented", "superseded_by": newer}
    assert (the(newer).status, the(newer).follows_id) == ("queued", None)
    assert the(product("b").render_id).status == "queued"


def test_one_at_work_is_followed(shop: Shop):
    """The newer one is not ready before it is final; nothing of the older one is touched."""
    shop.offers("a")
    catalog = shop.catalog()
    shop.read(catalog)
    older = product("a").render_id
    change(older, started_at=text("now()"), status="running")
    newer = the(revised(shop, catalog, "1.00 EUR"))
    assert (newer.follows_id, newer.follows_until) == (older, "end")
    assert not is_ready(newer.id)
    assert the(older).status == "running"


def test_a_still_newer_one_replaces_the_one_that_waits(shop: Shop):
    """And waits for the one at work in its stead."""
    shop.offers("a")
    catalog = shop.catalog()
    shop.read(catalog)
    at_work = product("a").render_id
    change(at_work, started_at=text("now()"), status="running")
    waiting = revised(shop, catalog, "1.00 EUR")
    newest = revised(shop, catalog, "2.00 EUR")
    assert the(waiting).status == "canceled"
    assert the(newest).follows_id == at_work


def test_a_revision_back_to_a_video_that_is_there_replaces_too(shop: Shop):
    """The queued one is called off: what it would show is no longer so."""
    shop.offers("a")
    catalog = shop.catalog()
    shop.read(catalog)
    shop.finish()
    was = shop.products["a"]["price"]
    queued = revised(shop, catalog, "1.00 EUR")
    back = the(revised(shop, catalog, was))
    assert (back.status, back.reused_from is not None) == ("succeeded", True)
    assert the(queued).status == "canceled"


def test_a_file_sent_again_replaces_too(shop: Shop):
    """A new catalog over the same references, as who sends files makes one each time."""
    shop.offers("a")
    shop.read_file(shop.catalog(url=None), shop.feed())
    (older,) = renders()
    shop.offers("a", price="1.00 EUR")
    shop.read_file(shop.catalog(url=None), shop.feed())
    assert the(older.id).status == "canceled"


def test_what_a_dropped_catalog_left_is_not_overtaken(shop: Shop):
    """Its products are forgotten, its renders go on: a new catalog follows the one at work, and replaces the queued."""
    shop.offers("a", "b")
    catalog = shop.catalog()
    shop.read(catalog)
    at_work, queued = product("a").render_id, product("b").render_id
    change(at_work, started_at=text("now()"), status="running")
    transact(lambda session: catalogs.drop(session, session.get_one(Catalog, catalog)))
    shop.offers("a", "b", price="1.00 EUR")
    shop.read(shop.catalog())
    assert (the(product("a").render_id).follows_id, the(queued).status) == (at_work, "canceled")


def test_what_was_asked_for_one_by_one_is_left_alone(shop: Shop):
    """A render of the same reference that no catalog made is promised to somebody else."""
    shop.offers("a")
    catalog = shop.catalog()
    shop.read(catalog)
    mine = product("a").render_id
    change(mine, fingerprint=None)
    shop.offers("a", price="1.00 EUR")
    shop.read(catalog)
    assert (the(mine).status, the(product("a").render_id).follows_id) == ("queued", None)


def test_what_a_shops_message_asked_for_is_not_replaced(shop: Shop):
    """The feed may be the older one: what is queued for the message is made; one at work is not overtaken."""
    shop.offers("a", "b")
    catalog = shop.catalog()
    shop.read(catalog)
    queued, at_work = product("a").render_id, product("b").render_id
    transact(lambda session: _by_messages(session, shop.owner_id, [queued, at_work]))
    change(at_work, started_at=text("now()"), status="running")
    shop.offers("a", "b", price="1.00 EUR")
    shop.read(catalog)
    assert (the(queued).status, the(product("b").render_id).follows_id) == ("queued", at_work)


def _by_messages(session: Session, owner_id: str, render_ids: list[str]) -> None:
    """As if a trigger's messages had led to them."""
    columns = {"style": "bearer", "secret_encrypted": b"-", "template": "promo"}
    session.add(Trigger(id="trg_1", owner_id=owner_id, **columns))
    session.flush()
    for one in render_ids:
        said = {"key": one, "body": b"{}", "verdict": "rendered", "render_id": one}
        session.add(TriggerDelivery(id=f"tdl_{one}", trigger_id="trg_1", owner_id=owner_id, **said))


def test_another_template_and_another_prefix_are_left_alone(shop: Shop):
    """Two videos of one product, or products of two shops, do not take each other's places."""
    from tests.catalogs.conftest import TEMPLATE
    from worker.templates import store as templates

    transact(lambda session: templates.create(session, shop.owner_id, "story", TEMPLATE))
    shop.offers("a")
    shop.read(shop.catalog())
    shop.read(shop.catalog(template="story"))
    shop.read(shop.catalog(ref_prefix="other-"))
    assert [one.status for one in renders()] == ["queued"] * 3


def test_force_replaces_what_is_queued(shop: Shop):
    """Asked for again before it began, it is made once."""
    shop.offers("a")
    catalog = shop.catalog()
    shop.read(catalog)
    older = product("a").render_id
    assert changes(shop.read(catalog, force=True)) == {"a": ("again", "rendered")}
    assert the(older).status == "canceled"


def test_nobody_follows_himself(shop: Shop):
    """The first one failed and begins anew, the feed goes back to what it shows: it takes the place of the one that
    waits for it, and waits for nobody."""
    shop.offers("a")
    catalog = shop.catalog()
    shop.read(catalog)
    first, was = product("a").render_id, shop.products["a"]["price"]
    change(first, started_at=text("now()"), status="running")
    second = revised(shop, catalog, "1.00 EUR")
    begun_anew(first)
    assert revised(shop, catalog, was) == first
    assert (the(second).status, the(first).follows_id, is_ready(first)) == ("canceled", None, True)


def test_one_that_is_under_way_follows_what_is_at_work(shop: Shop):
    """The same, but the second one began meanwhile: the first, which is the newest now, does not overtake it. And where
    that one begins anew in its turn the two do not wait for each other."""
    shop.offers("a")
    catalog = shop.catalog()
    shop.read(catalog)
    first, was = product("a").render_id, shop.products["a"]["price"]
    change(first, started_at=text("now()"), status="running")
    second = revised(shop, catalog, "1.00 EUR")
    change(second, started_at=text("now()"), status="running", ready_at=text("now()"))
    begun_anew(first)
    assert revised(shop, catalog, was) == first
    assert (the(first).follows_id, is_ready(first)) == (second, False)
    begun_anew(second)
    assert revised(shop, catalog, "1.00 EUR") == second
    assert (the(first).status, is_ready(second)) == ("canceled", True)


def test_nobody_follows_who_comes_to_follow_him_past_one_that_was_called_off(shop: Shop):
    """Whoever waits behind a render that ended before it began comes to wait behind what that one followed."""
    shop.offers("a", "b", "c")
    shop.read(shop.catalog())
    newer, between, older = (product(ref).render_id for ref in ("a", "b", "c"))
    waits = {"follows_until": "end", "ready_at": text("'infinity'")}
    change(between, follows_id=newer, **waits, status="canceled", finished_at=text("now()"))
    change(older, follows_id=between, **waits)
    transact(lambda session: revisions.follow(session, {newer: older}))
    transact(following.release_followers)
    assert (the(newer).follows_id, the(older).follows_id, is_ready(newer)) == (None, newer, True)


def test_a_row_that_says_it_follows_itself_is_let_go(shop: Shop):
    """As an earlier version of this service may have left one."""
    shop.offers("a")
    shop.read(shop.catalog())
    mine = product("a").render_id
    change(mine, follows_id=mine, follows_until="end", ready_at=text("'infinity'"))
    assert transact(following.release_followers) == 1
    assert is_ready(mine)
