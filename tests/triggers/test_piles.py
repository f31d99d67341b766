"""However much is held about one thing, a tick of the dispatcher's is short: everybody's renders wait for it."""

import time
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from tests.triggers.stand import Shop, due_now, ends, product
from worker.database import transact
from worker.owners.limits import Limits
from worker.triggers import acceptance, holding, planning, things
from worker.triggers.models import Trigger
from worker.triggers.planning import Said

BY_VERSION = {"variables": {"title": "/title"}, "external_ref": "/id", "revision": "/version"}


pytestmark = pytest.mark.usefixtures("no_shops")


def _verdicts(shop: Shop) -> list[str]:
    """In the order in which they came."""
    return [one.verdict for one in sorted(shop.deliveries(), key=lambda one: one.number)]


def _lamp(version: int) -> dict[str, Any]:
    return product(1, version=version)


def _copies(shop: Shop, many: int, *, falling: bool) -> None:
    """As if what is held had come so many times more, each of a lower revision, or all of one."""
    copies = text(
        """
        INSERT INTO trigger_deliveries
            (id, trigger_id, owner_id, key, headers, body, verdict, code, retry_at, ref, revision)
        SELECT id || n, trigger_id, owner_id, key || n, headers, body, verdict, code, retry_at, ref,
            revision - n * :step
        FROM trigger_deliveries, generate_series(1, :many) n WHERE trigger_id = :id AND retry_at IS NOT NULL"""
    )
    given = {"id": shop.id, "many": many, "step": int(falling)}
    transact(lambda session: session.execute(copies, given))


def _tick() -> float:
    began = time.monotonic()
    holding.go_on()
    return time.monotonic() - began


def test_what_is_below_what_is_known_is_decided_at_once(monkeypatch: pytest.MonkeyPatch):
    """The first is stale, and all below it are with it: none is looked at by itself."""
    shop = Shop(mapping=BY_VERSION)
    shop.takes(_lamp(5_000))
    with monkeypatch.context() as here:
        here.setattr(planning, "plan", _fails)
        assert shop.verdict(_lamp(4_000)) == "held"
    _copies(shop, 500, falling=True)
    due_now()
    assert _tick() < 1.0
    assert _verdicts(shop) == ["rendered", *["stale"] * 501]


def _fails(*_: Any, **__: Any) -> None:
    raise RuntimeError("a bug")


def test_a_pile_of_which_none_decides_another_goes_over_many_ticks(monkeypatch: pytest.MonkeyPatch):
    """Each is of a topic that nobody wants any more: a transaction decides a few, a tick whose time is over the newest
    and the one that is due, and the next goes on."""
    shop = Shop(mapping=BY_VERSION)
    shop.pauses()
    shop.takes(_lamp(1))
    _copies(shop, 100, falling=False)
    shop.changes(topics=["another"])
    shop.pauses(on=False)
    with monkeypatch.context() as here:
        here.setattr(holding, "BUDGET_SECONDS", 0.0)
        assert holding.go_on()
    assert _verdicts(shop).count("ignored") == 2
    due = shop.deliveries()[50].id
    transact(lambda session: holding.again(session, due, time.monotonic() + 60))
    assert 2 < _verdicts(shop).count("ignored") <= 3 + holding.OF_ONE_THING
    while holding.go_on():
        pass
    assert _verdicts(shop) == ["ignored"] * 101


def test_a_paused_trigger_keeps_nothing_that_is_stale():
    """A revision that is known already makes no video later either."""
    shop = Shop(mapping=BY_VERSION)
    shop.takes(_lamp(9))
    shop.pauses()
    assert [shop.verdict(_lamp(at)) for at in (8, 10)] == ["stale", "held"]


def test_a_paused_trigger_keeps_the_newest_state_alone_also_where_revisions_fall():
    """What comes late and is older than what is held already is not kept beside it."""
    shop = Shop(mapping=BY_VERSION)
    shop.pauses()
    for version in (9, 8, 7):
        shop.takes(_lamp(version))
    assert _verdicts(shop) == ["held", "stale", "stale"]
    shop.pauses(on=False)
    holding.go_on()
    assert _verdicts(shop) == ["rendered", "stale", "stale"]


def _fails_for(version: int, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = planning.plan

    def sometimes(session: Session, trigger: Trigger, said: Said, **how: Any) -> planning.Plan:
        if said.payload()["version"] == version:
            raise RuntimeError("a bug")
        return plan(session, trigger, said, **how)

    monkeypatch.setattr(planning, "plan", sometimes)


def _held_by(shop: Shop) -> list[tuple[str, str | None]]:
    """Verdicts and codes, in the order in which they came."""
    return [(one.verdict, one.code) for one in sorted(shop.deliveries(), key=lambda one: one.number)]


def test_what_a_fault_holds_outdoes_nothing(monkeypatch: pytest.MonkeyPatch):
    """It may never be decided: an older state that can be is made meanwhile, and it itself once it can be."""
    shop = Shop(mapping=BY_VERSION)
    with monkeypatch.context() as here:
        _fails_for(9, here)
        shop.takes(_lamp(9) | {"title": "newer"})
        shop.pauses()
        assert shop.verdict(_lamp(8)) == "held"
        shop.pauses(on=False)
        holding.go_on()
        assert _held_by(shop) == [("held", "internal"), ("rendered", None)]
    due_now()
    holding.go_on()
    assert _verdicts(shop) == ["rendered", "rendered"]


def test_what_fails_beside_another_of_its_thing_is_put_off_alone(monkeypatch: pytest.MonkeyPatch):
    """Both are due in one transaction: the one that brings out a fault leaves nothing, the other is made."""
    shop = Shop(mapping=BY_VERSION)
    shop.pauses()
    shop.takes(_lamp(8))
    shop.takes(_lamp(9) | {"title": "newer"})
    transact(lambda session: session.execute(text("UPDATE trigger_deliveries SET verdict = 'held', retry_at = now()")))
    shop.pauses(on=False)
    with monkeypatch.context() as here:
        _fails_for(9, here)
        holding.go_on()
        assert _held_by(shop) == [("rendered", None), ("held", "internal")]
        assert [one.tries for one in shop.deliveries()] == [1, 1]
    due_now()
    holding.go_on()
    assert _verdicts(shop) == ["rendered", "rendered"]


def test_what_meets_its_fault_at_a_later_try_outdoes_nothing_either(monkeypatch: pytest.MonkeyPatch):
    """It was held for a limit first; from its fault on that is what holds it, as its owner reads."""
    shop = Shop(mapping=BY_VERSION, limits=Limits(renders_in_flight=1))
    at_work = shop.takes(product(2, version=1)).delivery
    shop.takes(_lamp(9))
    _fails_for(9, monkeypatch)
    due_now()
    holding.go_on()
    assert _held_by(shop)[1] == ("held", "internal")
    assert shop.verdict(_lamp(8)) == "held"
    ends(at_work.render_id)
    due_now()
    holding.go_on()
    assert _held_by(shop)[1:] == [("held", "internal"), ("rendered", None)]


def test_a_pile_that_fails_is_tried_once_each(monkeypatch: pytest.MonkeyPatch):
    """Nothing of it is tried again with each of the others before its time."""
    told, tell = list[str](), acceptance.tell

    def counted(delivery_id: str, fault: Exception) -> None:
        told.append(delivery_id)
        tell(delivery_id, fault)

    monkeypatch.setattr(acceptance, "tell", counted)
    shop = Shop(mapping=BY_VERSION)
    shop.pauses()
    shop.takes(_lamp(1))
    _copies(shop, 60, falling=False)
    monkeypatch.setattr(planning, "plan", _fails)
    shop.pauses(on=False)
    while holding.go_on():
        pass
    assert len(told) == len(set(told)) == 61


def test_one_decision_overtakes_no_more_than_a_piece(monkeypatch: pytest.MonkeyPatch):
    """An UPDATE of all would outlast what a statement may take; the rest is stale by what is known then."""
    monkeypatch.setattr(things, "PIECE", 50)
    shop = Shop(mapping=BY_VERSION)
    shop.pauses()
    shop.takes(_lamp(1_000))
    _copies(shop, 120, falling=True)
    assert shop.verdict(_lamp(1_001)) == "held"
    assert _verdicts(shop).count("stale") == 50
    shop.pauses(on=False)
    while holding.go_on():
        pass
    assert sorted(_verdicts(shop)) == ["rendered", *["stale"] * 121]
