"""Of what is held the newest state of a thing is made, whatever held it and however it was numbered."""

import tracemalloc
from typing import Any

import pytest
from sqlalchemy import text

from tests.triggers.stand import Shop, due_now, ends, product, renders
from worker.database import transact
from worker.owners.limits import Limits
from worker.triggers import acceptance, holding, planning, store

MAPPED = {"variables": {"title": "/title"}, "external_ref": "/id"}


pytestmark = pytest.mark.usefixtures("no_shops")


def _verdicts(shop: Shop) -> list[str]:
    """In the order in which they came."""
    return [one.verdict for one in sorted(shop.deliveries(), key=lambda one: one.number)]


def _titles() -> list[str]:
    return [one.variables["title"] for one in renders()]


def _force(shop: Shop, body: Any) -> str:
    arrived, id = acceptance.Arrived("replay", shop.said(body).said, force=True), store.new_delivery_id()
    return transact(lambda session: acceptance.receive(session, shop.id, arrived, id)).delivery.verdict


def _fails(*_: Any, **__: Any) -> None:
    raise RuntimeError("a bug")


@pytest.mark.parametrize("place", ["plan", "reference"])
@pytest.mark.parametrize("mapping", [MAPPED, {}])
def test_what_a_fault_held_is_of_yesterday_once_a_newer_one_is_made(
    place: str, mapping: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    """With revisions and without; also where the fault was in finding out what it is about."""
    shop = Shop(mapping=mapping)
    with monkeypatch.context() as here:
        here.setattr(planning, place, _fails)
        assert shop.verdict(product(at=1, title="yesterday")) == "held"
    assert shop.verdict(product(at=2, title="today")) == "rendered"
    due_now()
    holding.go_on()
    assert _verdicts(shop) == ["stale", "rendered"]
    assert _titles() == ["today"]


def test_what_a_fault_held_is_made_where_it_is_the_newest(monkeypatch: pytest.MonkeyPatch):
    """By its revision: an older state that comes after it overtakes nothing, and is stale once it is made."""
    shop = Shop()
    with monkeypatch.context() as here:
        here.setattr(planning, "plan", _fails)
        shop.takes(product(at=5, title="newer"))
    shop.takes(product(at=4, title="older"))
    due_now()
    holding.go_on()
    assert _verdicts(shop)[0] == "rendered"
    assert _titles()[-1] == "newer"


@pytest.mark.parametrize("mapping", [MAPPED | {"revision": "/updated_at"}, MAPPED, {}])
def test_what_was_before_something_refused_is_not_made(mapping: dict[str, Any]):
    """No video can be made of the newest state, and one of the state before it is of yesterday."""
    shop = Shop(mapping=mapping)
    shop.pauses()
    shop.takes(product(at=1))
    shop.takes(product(at=2, title={"an": "object"} if mapping else None))
    shop.pauses(on=False)
    holding.go_on()
    assert _verdicts(shop) == ["stale", "refused"]


@pytest.mark.parametrize("mapping", [MAPPED | {"revision": "/updated_at"}, {}])
def test_a_state_before_a_refused_one_that_comes_late_is_stale(mapping: dict[str, Any]):
    """That nothing could be made of the newer one does not make the older one new."""
    shop = Shop(mapping=mapping)
    refused = shop.takes(product(at=9, title={"an": "object"} if mapping else None)).delivery
    assert (refused.verdict, refused.ref) == ("refused", "1")
    assert refused.revision is not None
    assert shop.verdict(product(at=3)) == "stale"


@pytest.mark.parametrize("newer", [{}, {"status": "draft"}])
def test_what_is_asked_for_again_outlives_what_makes_no_video(newer: dict[str, Any]):
    """A replay by force that waits for its key is overtaken only by what would be rendered itself."""
    shop = Shop(limits=Limits(renders_in_flight=1))
    ends(shop.takes(product()).delivery.render_id)
    at_work = shop.takes(product(2)).delivery
    assert _force(shop, product()) == "held"
    assert shop.verdict(product() | newer) in ("unchanged", "condition")
    ends(at_work.render_id)
    due_now()
    holding.go_on()
    assert _verdicts(shop)[2] == "rendered"


def test_what_is_asked_for_again_gives_way_to_a_newer_video():
    """It would be of yesterday."""
    shop = Shop(limits=Limits(renders_in_flight=1))
    ends(shop.takes(product()).delivery.render_id)
    at_work = shop.takes(product(2)).delivery
    assert _force(shop, product()) == "held"
    assert shop.verdict(product(at=2, title="newer")) == "held"
    ends(at_work.render_id)
    due_now()
    holding.go_on()
    assert _verdicts(shop)[2:] == ["stale", "rendered"]


def test_the_newest_is_told_by_no_processs_clock():
    """Of two processes one is two seconds behind: the later message has the smaller id, and is the newest still."""
    shop = Shop(mapping=MAPPED)
    shop.pauses()
    for id, title in ((f"tdl_{'7' * 26}", "first"), (f"tdl_{'0' * 26}", "second")):
        arrived = shop.said(product(title=title))
        transact(lambda session, id=id, arrived=arrived: acceptance.receive(session, shop.id, arrived, id))
    shop.pauses(on=False)
    holding.go_on()
    assert _verdicts(shop) == ["stale", "rendered"]
    assert _titles() == ["second"]


def test_a_paused_trigger_keeps_one_state_of_each_thing():
    """A newer message overtakes what is held already while the trigger is paused."""
    shop = Shop(mapping=MAPPED)
    shop.pauses()
    for title in ("first", "second", "third"):
        shop.takes(product(title=title))
    assert _verdicts(shop) == ["stale", "stale", "held"]


def test_many_held_messages_about_one_thing_take_the_memory_of_few():
    """Whatever is there: the dispatcher has one of them in hand, and looks again."""
    shop, size = Shop(mapping=MAPPED), 1_000_000
    shop.pauses()
    shop.takes(product(description="x" * size))
    copies = """
        INSERT INTO trigger_deliveries
            (id, trigger_id, owner_id, key, headers, body, verdict, code, retry_at, ref, revision)
        SELECT id || n, trigger_id, owner_id, key || n, headers, body, verdict, code, retry_at, ref, n
        FROM trigger_deliveries, generate_series(1, 30) n"""
    transact(lambda session: session.execute(text(copies)))
    shop.pauses(on=False)
    tracemalloc.start()
    try:
        while holding.go_on():
            pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "held" not in _verdicts(shop)
    assert peak < 15 * size
