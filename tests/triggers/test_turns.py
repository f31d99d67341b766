"""Owners take turns with what is held: however much one has of it, it is no reason for another's to wait."""

from collections import Counter
from collections.abc import Sequence

import pytest
from sqlalchemy import text

from tests.triggers.stand import Shop, product
from worker.database import transact
from worker.triggers import holding

pytestmark = pytest.mark.usefixtures("no_shops")


def _keeps(shop: Shop, many: int) -> None:
    """As if so many messages about things of their own had come while it was paused; it goes on."""
    shop.pauses()
    shop.takes(product(1))
    copies = text(
        """
        INSERT INTO trigger_deliveries
            (id, trigger_id, owner_id, key, headers, body, verdict, code, retry_at, ref, revision)
        SELECT id || n, trigger_id, owner_id, key || n, headers,
            convert_to(replace(convert_from(body, 'UTF8'), '"id": 1,', '"id": ' || 1000 + n || ','), 'UTF8'),
            verdict, code, retry_at, CAST(1000 + n AS text), revision
        FROM trigger_deliveries, generate_series(2, :many) n WHERE trigger_id = :id"""
    )
    transact(lambda session: session.execute(copies, {"id": shop.id, "many": many}))
    shop.pauses(on=False)


def _is_due(shop: Shop, *, seconds_ago: int) -> None:
    """What it keeps has a time of its own, which has come."""
    due = text("UPDATE trigger_deliveries SET retry_at = now() - make_interval(secs => :ago) WHERE trigger_id = :id")
    transact(lambda session: session.execute(due, {"id": shop.id, "ago": seconds_ago}))
    transact(lambda session: session.execute(text("UPDATE triggers SET goes_on_at = NULL")))


def _made(shops: Sequence[Shop]) -> list[int]:
    """How many messages of each are decided."""
    return [sum(one.verdict != "held" for one in shop.deliveries()) for shop in shops]


def test_what_is_due_of_one_owner_keeps_no_other_owners_waiting():
    """A limit that was reached for an hour, say: all of it is older than the one message of another's."""
    much, little = Shop(owner="much"), Shop(owner="little")
    for shop, many, ago in ((much, 100, 60), (little, 1, 1)):
        _keeps(shop, many)
        _is_due(shop, seconds_ago=ago)
    assert holding.go_on()
    assert _made([much, little]) == [holding.AT_ONCE - 1, 1]


def test_many_triggers_that_go_on_are_one_owners_turn():
    """Each kept something: another owner's only one has as many places as all of those."""
    many, one = [Shop(owner="many") for _ in range(holding.AT_ONCE + 1)], Shop(owner="one")
    for shop in many:
        _keeps(shop, 2)
    _keeps(one, 30)
    assert holding.go_on()
    assert (sum(_made(many)), _made([one])) == (holding.AT_ONCE // 2, [holding.AT_ONCE // 2])


@pytest.mark.parametrize("held", ["till their time", "till they go on"])
def test_each_of_more_owners_than_are_tried_at_once_has_its_turn(held: str, monkeypatch: pytest.MonkeyPatch):
    """Also where a look comes to one message alone: who was served is behind all others."""
    monkeypatch.setattr(holding, "BUDGET_SECONDS", 0.0)
    shops = [Shop(owner=f"owner {at}") for at in range(holding.AT_ONCE + 3)]
    for at, shop in enumerate(shops):
        _keeps(shop, 3)
        if held == "till their time":
            _is_due(shop, seconds_ago=60 * (1 + at % 3))
    for turn in (1, 2):
        for _ in shops:
            assert holding.go_on()
        assert Counter(_made(shops)) == {turn: len(shops)}


def test_triggers_of_one_owner_take_turns_when_they_go_on(monkeypatch: pytest.MonkeyPatch):
    """The same among themselves."""
    monkeypatch.setattr(holding, "BUDGET_SECONDS", 0.0)
    shops = [Shop(), Shop()]
    for shop in shops:
        _keeps(shop, 5)
    for turn in (1, 2, 3):
        for _ in shops:
            assert holding.go_on()
        assert _made(shops) == [turn, turn]
