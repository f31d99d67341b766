"""What is held goes on: when its trigger does, when its key may, the newest of each thing."""

import pytest
from sqlalchemy.exc import OperationalError

from tests.triggers.stand import Shop, due_now, ends, product, renders
from worker import chores
from worker.database import transact
from worker.infinity import NEVER
from worker.owners.limits import LimitReached, Limits
from worker.triggers import acceptance, holding, store

pytestmark = pytest.mark.usefixtures("no_shops")


def _verdicts(shop: Shop) -> list[str]:
    return [one.verdict for one in shop.deliveries()]


def test_a_paused_trigger_keeps_what_comes_until_it_goes_on():
    """Nothing is tried meanwhile; pings and topics nobody asked for are no work to keep."""
    shop = Shop(topics=["product.*"])
    shop.pauses()
    assert shop.verdict(product(1)) == "held"
    assert shop.verdict(b"no json") == "held"
    assert shop.verdict(product(1), topic="order.created") == "ignored"
    assert shop.deliveries()[0].retry_at == NEVER
    assert not holding.go_on()
    assert _verdicts(shop) == ["held", "held", "ignored"]
    shop.pauses(on=False)
    holding.go_on()
    assert _verdicts(shop) == ["rendered", "refused", "ignored"]


def test_of_one_thing_the_newest_goes_on():
    """What came before it is of yesterday, with and without revisions; other things are their own."""
    shop = Shop(mapping={"variables": {"title": "/title"}, "external_ref": "/id"})
    shop.pauses()
    for title in ("first", "second", "third"):
        shop.takes(product(1, title=title))
    shop.takes(product(2))
    shop.pauses(on=False)
    holding.go_on()
    assert _verdicts(shop) == ["stale", "stale", "rendered", "rendered"]
    assert sorted(one.variables["title"] for one in renders()) == ["Lamp 2", "third"]


def test_what_was_before_something_unwanted_is_not_made():
    """The newest is not to be rendered by its trigger's conditions, and what the thing was before is of yesterday."""
    shop = Shop(conditions=[{"pointer": "/wanted", "equals": True}])
    shop.pauses()
    shop.takes(product(at=1, wanted=True))
    shop.takes(product(at=2, wanted=False))
    shop.pauses(on=False)
    holding.go_on()
    assert _verdicts(shop) == ["stale", "condition"]


@pytest.mark.parametrize(("newest", "verdict"), [({"status": "draft"}, "condition"), ({"title": None}, "refused")])
def test_what_was_before_something_unwanted_is_not_made_without_revisions_either(newest: dict, verdict: str):
    """That the newest is no video says nothing for the one before it."""
    mapping = {"variables": {"title": "/title"}, "external_ref": "/id"}
    shop = Shop(mapping=mapping, conditions=[{"pointer": "/status", "equals": "active"}])
    shop.pauses()
    shop.takes(product())
    shop.takes(product() | newest)
    shop.pauses(on=False)
    holding.go_on()
    assert _verdicts(shop) == ["stale", verdict]


def test_an_older_state_that_comes_late_overtakes_nothing():
    """What is held is newer, by its revision: it waits, and is made."""
    shop = Shop(limits=Limits(renders_in_flight=1))
    first = shop.takes(product(1)).delivery
    shop.takes(product(2, at=5, title="newer"))
    shop.takes(product(2, at=4, title="older"))
    assert shop.verdict(product(2, at=3, status="draft")) == "condition"
    assert _verdicts(shop)[1] == "held"
    ends(first.render_id)
    due_now()
    holding.go_on()
    assert [one.variables["title"] for one in renders() if one.finished_at is None] == ["newer"]


def test_what_is_asked_for_again_is_made_once_its_key_may():
    """`force` is kept with the message: its limit is no reason to take it for unchanged."""
    shop = Shop(limits=Limits(renders_in_flight=1))
    ends(shop.takes(product()).delivery.render_id)
    at_work = shop.takes(product(2)).delivery
    arrived = acceptance.Arrived("replay", shop.said(product()).said, force=True)
    transact(lambda session: acceptance.receive(session, shop.id, arrived, store.new_delivery_id()))
    assert _verdicts(shop) == ["rendered", "rendered", "held"]
    ends(at_work.render_id)
    due_now()
    holding.go_on()
    assert _verdicts(shop) == ["rendered", "rendered", "rendered"]


@pytest.mark.parametrize("what", ["transact", "again"])
def test_a_database_that_is_away_is_the_dispatchers_to_wait_for(what: str, monkeypatch: pytest.MonkeyPatch):
    """No message is put off by it, and nothing is tried again within the tick."""
    shop = Shop()
    shop.pauses()
    shop.takes(product())
    shop.pauses(on=False)
    tries = []

    def away(session, *_):
        tries.append(session)
        raise OperationalError("SELECT 1", {}, Exception("gone"), connection_invalidated=True)

    with monkeypatch.context() as here:
        here.setattr(holding, "_due" if what == "transact" else "again", away)
        with pytest.raises(OperationalError):
            holding.go_on()
    assert len(tries) == 1
    assert shop.deliveries()[0].tries == 0
    holding.go_on()
    assert _verdicts(shop) == ["rendered"]


def test_a_key_that_is_free_again_lets_a_message_go_on():
    """Tried again in vain it waits longer; once something ended it is made, and known."""
    shop = Shop(limits=Limits(renders_in_flight=1))
    first = shop.takes(product(1)).delivery
    shop.takes(product(2))
    due_now()
    holding.go_on()
    held = shop.deliveries()[1]
    assert (held.verdict, held.tries) == ("held", 2)
    ends(first.render_id)
    due_now()
    holding.go_on()
    assert _verdicts(shop) == ["rendered", "rendered"]
    assert shop.deliveries()[1].retry_at is None
    assert shop.thing("2") is not None


def test_a_newer_message_overtakes_one_that_is_held():
    """Held itself, too: of one thing no more than one waits."""
    shop = Shop(limits=Limits(renders_in_flight=1))
    first = shop.takes(product(1)).delivery
    shop.takes(product(2, at=1, title="older"))
    shop.takes(product(2, at=2, title="newer"))
    assert _verdicts(shop) == ["rendered", "stale", "held"]
    ends(first.render_id)
    due_now()
    holding.go_on()
    assert _verdicts(shop) == ["rendered", "stale", "rendered"]
    assert renders()[-1].variables["title"] == "newer"


def test_pauses_grow_and_end():
    """From half a minute to half an hour, or to what the limit says where that is more."""
    soon, late = LimitReached("in_flight", 30, ""), LimitReached("credits", 3000, "")
    seconds = [acceptance.pause(tries, soon).total_seconds() for tries in range(8)]
    assert seconds == sorted(seconds)
    assert (seconds[0], seconds[-1]) == (30, 1800)
    assert acceptance.pause(0, late).total_seconds() == 3000


def test_one_message_that_fails_keeps_no_other_waiting(monkeypatch: pytest.MonkeyPatch):
    """It is put off, and the rest goes on."""
    shop = Shop()
    shop.pauses()
    shop.takes(product(1))
    shop.takes(product(2))
    shop.pauses(on=False)
    broken, again = shop.deliveries()[0].id, holding.again

    def fails(session, delivery_id, until):
        if delivery_id == broken:
            raise RuntimeError("a bug")
        again(session, delivery_id, until)

    monkeypatch.setattr(holding, "again", fails)
    holding.go_on()
    assert _verdicts(shop) == ["held", "rendered"]
    assert shop.deliveries()[0].tries == 1


def test_pieces_are_small_and_told_to_have_more():
    """Twenty at a time, so that renders are looked after in between."""
    shop = Shop()
    shop.pauses()
    for number in range(21):
        shop.takes(product(number))
    shop.pauses(on=False)
    assert (holding.go_on(), holding.go_on()) == (True, False)
    assert set(_verdicts(shop)) == {"rendered"}


def test_the_dispatcher_does_it():
    """It is among its chores."""
    assert "triggers" in [one.name for one in chores.usual()]
