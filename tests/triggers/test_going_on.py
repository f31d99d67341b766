"""A trigger that kept much goes on, or goes away, in pieces: neither its own shop waits for that nor anybody else."""

from collections.abc import Generator
from contextlib import contextmanager

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from tests.triggers.stand import Shop, due_now, ends, product
from worker.database import engine, transact
from worker.infinity import NEVER
from worker.owners.limits import Limits
from worker.triggers import holding, removal, store
from worker.triggers.acceptance import Gone

pytestmark = pytest.mark.usefixtures("no_shops")


def _verdicts(shop: Shop) -> list[str]:
    return [one.verdict for one in shop.deliveries()]


def _drops(shop: Shop) -> None:
    def work(session: Session) -> None:
        row = store.locked(session, shop.owner_id, shop.id)
        assert row is not None
        store.drop(session, row)

    transact(work)


def test_going_on_rewrites_nothing_that_is_held():
    """A night's messages may be hundreds of thousands: the change is one row, whatever there is."""
    shop = Shop()
    shop.pauses()
    for number in range(3):
        shop.takes(product(number))
    before = [one.retry_at for one in shop.deliveries()]
    shop.pauses(on=False)
    assert [one.retry_at for one in shop.deliveries()] == before == [NEVER] * 3
    holding.go_on()
    assert _verdicts(shop) == ["rendered"] * 3


def test_a_trigger_that_went_on_is_looked_at_no_more():
    """Once nothing is left that it kept; and what is kept for another reason is no work for every tick."""
    shop = Shop(limits=Limits())
    shop.pauses()
    shop.takes(product(1))
    shop.pauses(on=False)
    revoked = text("UPDATE api_keys SET revoked_at = now()")
    transact(lambda session: session.execute(revoked))
    assert [holding.go_on() for _ in range(3)] == [False] * 3
    assert [(one.code, one.tries) for one in shop.deliveries()] == [("key.revoked", 1)]
    assert transact(lambda session: session.scalar(text("SELECT count(goes_on_at) FROM triggers"))) == 0


def test_a_trigger_that_is_paused_again_stops_at_once():
    """What was not decided yet stays, and goes on with it."""
    shop = Shop()
    shop.pauses()
    shop.takes(product(1))
    shop.pauses(on=False)
    shop.pauses()
    assert not holding.go_on()
    assert _verdicts(shop) == ["held"]
    shop.pauses(on=False)
    holding.go_on()
    assert _verdicts(shop) == ["rendered"]


def test_what_two_triggers_kept_goes_on_side_by_side():
    """One that kept much lets the other have its share of each tick."""
    much, little = Shop(), Shop()
    for shop, most in ((much, 30), (little, 2)):
        shop.pauses()
        for number in range(most):
            shop.takes(product(number))
        shop.pauses(on=False)
    holding.go_on()
    assert _verdicts(little) == ["rendered"] * 2
    assert _verdicts(much).count("rendered") == 10


def test_a_tick_has_an_end(monkeypatch: pytest.MonkeyPatch):
    """Renders are looked after in between, however long each message takes."""
    shop = Shop()
    shop.pauses()
    for number in range(3):
        shop.takes(product(number))
    shop.pauses(on=False)
    monkeypatch.setattr(holding, "BUDGET_SECONDS", 0.0)
    assert holding.go_on()
    assert _verdicts(shop).count("rendered") == 1


@contextmanager
def _in_hand(shop: Shop) -> Generator[None]:
    with Session(engine()) as session, session.begin():
        assert store.locked(session, shop.owner_id, shop.id) is not None
        yield


@pytest.mark.parametrize("kept_by", ["limit", "pause"])
def test_a_trigger_in_hand_is_passed_over(kept_by: str, monkeypatch: pytest.MonkeyPatch):
    """It costs one wait and not one for each of its messages, and the next look begins with the others'."""
    limits = Limits(renders_in_flight=1) if kept_by == "limit" else None
    waited, again = list[str](), holding.again
    taken, other = Shop(limits=limits), Shop()
    at_work = taken.takes(product(99)).delivery.render_id
    for shop in (taken, other):
        if shop is other or kept_by == "pause":
            shop.pauses()
        for number in range(3):
            shop.takes(product(number))
        shop.pauses(on=False)
    ends(at_work)
    due_now()

    def counted(session: Session, delivery_id: str, until: float) -> None:
        waited.append(delivery_id)
        again(session, delivery_id, until)

    monkeypatch.setattr(holding, "again", counted)
    monkeypatch.setattr(holding, "BUDGET_SECONDS", 60.0)
    with _in_hand(taken):
        holding.go_on()
        assert _verdicts(other) == ["rendered"] * 3
        tried = len(waited)
        assert tried <= 4
        assert not holding.go_on()
        assert len(waited) == tried


def test_a_trigger_that_is_gone_takes_its_messages_along_in_pieces(monkeypatch: pytest.MonkeyPatch):
    """It is nobody's at once, and takes nothing; housekeeping removes what is left."""
    monkeypatch.setattr(removal, "PIECE", 2)
    shop, stays = Shop(), Shop()
    shop.pauses()
    for number in range(3):
        shop.takes(product(number))
    stays.takes(product(9))
    shop.pauses(on=False)
    _drops(shop)
    assert len(shop.deliveries()) == 3
    with pytest.raises(Gone):
        shop.takes(product(4))
    first = shop.deliveries()[0].id
    assert transact(lambda session: store.get(session, shop.owner_id, shop.id)) is None
    assert transact(lambda session: store.any_owners(session, shop.id)) is None
    assert transact(lambda session: store.delivery(session, shop.owner_id, first)) is None
    assert not holding.go_on()
    steps = 0
    while transact(removal.remove):
        steps += 1
    assert steps >= 3
    assert [len(one.deliveries()) for one in (shop, stays)] == [0, 1]
    assert transact(lambda session: session.scalars(text("SELECT id FROM triggers")).all()) == [stays.id]


def test_what_waits_for_the_key_of_a_trigger_that_is_gone_goes_with_it():
    """It is due again and again, and must not stand before what others wait for."""
    shop = Shop(limits=Limits(renders_in_flight=1))
    shop.takes(product(1))
    shop.takes(product(2))
    _drops(shop)
    due_now()
    holding.go_on()
    assert "held" not in _verdicts(shop)


def test_what_is_held_outlives_a_month():
    """It was answered with 200 and never decided; past three months it goes too."""
    shop = Shop()
    assert shop.verdict(product(1, status="draft")) == "condition"
    shop.pauses()
    shop.takes(product(2))
    _ages(31)
    assert transact(store.forget) == 1
    assert _verdicts(shop) == ["held"]
    _ages(91)
    assert transact(store.forget) == 1


def _ages(days: int) -> None:
    received = text(f"UPDATE trigger_deliveries SET received_at = now() - interval '{days} days'")  # noqa: S608 - a number
    transact(lambda session: session.execute(received))


@pytest.mark.parametrize("dropped", [True, False])
def test_a_message_that_another_has_in_hand_keeps_nobody_waiting(dropped: bool, monkeypatch: pytest.MonkeyPatch):
    """Housekeeping removes it with its trigger, say; also where it brings out a bug of ours."""
    shop, other = Shop(), Shop()
    for one in (shop, other):
        one.pauses()
        one.takes(product(1))
    transact(lambda session: session.execute(text("UPDATE trigger_deliveries SET retry_at = now()")))
    other.pauses(on=False)
    shop.pauses(on=False)
    again, taken = holding.again, shop.deliveries()[0].id

    def fails(session: Session, delivery_id: str, until: float) -> None:
        if delivery_id == taken:
            raise Gone(shop.id) if dropped else RuntimeError("a bug")
        again(session, delivery_id, until)

    monkeypatch.setattr(holding, "again", fails)
    if dropped:
        _drops(shop)
    with Session(engine()) as session, session.begin():
        session.execute(text("SELECT 1 FROM trigger_deliveries WHERE id = :id FOR UPDATE"), {"id": taken})
        holding.go_on()
    assert (_verdicts(shop), _verdicts(other)) == (["held"], ["rendered"])
