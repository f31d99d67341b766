"""A kept message decided anew, from whatever became of it; a trigger whose key ended, taken over. Without HTTP."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text, update

from api.auth import Caller
from api.idempotency import Key
from api.problems import Problem
from api.triggers import intake, messages, owned
from api.triggers.bodies import TriggerDeliveryDetailBody
from api.triggers.schemas import TriggerChange
from tests.stack import here
from tests.triggers import stand
from tests.triggers.stand import Shop, product, renders
from worker.database import new_id, transact
from worker.owners.limits import Limits
from worker.owners.models import ApiKey
from worker.renders.models import Render
from worker.triggers import holding, shedding, store
from worker.triggers.models import TriggerDelivery


@pytest.fixture(scope="module", autouse=True)
def _settings(database: str) -> Iterator[None]:
    environment = {"VIVIDEO_DATABASE_URL": database, "VIVIDEO_SECRET_KEY": "k" * 40}
    with here(environment | {"VIVIDEO_KEPT_MESSAGE_BYTES": "1"}):
        yield


@pytest.fixture(autouse=True)
def _empty(_settings: None) -> None:
    stand.empty()


def caller(shop: Shop, key_id: str = "") -> Caller:
    """Its owner, with this key."""
    return Caller(shop.owner_id, key_id, frozenset(), Limits())


def replayed(shop: Shop, delivery_id: str, *, force: bool = False) -> TriggerDeliveryDetailBody:
    return messages.replay(caller(shop), delivery_id, Key(new_id("key"), given=True), force=force)


def refusals(shop: Shop, delivery_id: str) -> set[tuple[str, str | None]]:
    """Why it is neither decided anew nor rehearsed; nothing is put on file."""
    before, found = len(shop.deliveries()), set[tuple[str, str | None]]()
    for again in (
        lambda: replayed(shop, delivery_id),
        lambda: messages.rehearsed(caller(shop), delivery_id, force=True),
    ):
        with pytest.raises(Problem) as refused:
            again()
        found.add((refused.value.code, refused.value.detail))
    assert len(shop.deliveries()) == before
    return found


def verdicts(shop: Shop) -> list[str]:
    return [one.verdict for one in shop.deliveries()]


def test_what_is_held_is_held_again_or_decided_at_once():
    """As its trigger is now; what waited is of yesterday once the replay is decided."""
    shop = Shop()
    shop.pauses()
    held = shop.takes(product(1)).delivery
    again = replayed(shop, held.id)
    assert (again.verdict, again.code, again.replay_of) == ("held", "trigger.paused", held.id)
    assert messages.rehearsed(caller(shop), held.id, force=False).verdict == "rendered"
    transact(lambda session: session.execute(text("UPDATE triggers SET paused_at = NULL")))
    assert replayed(shop, held.id).verdict == "rendered"
    assert verdicts(shop) == ["stale", "stale", "rendered"]
    shop.pauses(on=False)
    holding.go_on()
    assert len(renders()) == 1


def test_a_held_one_may_wait_for_its_limits_with_its_force():
    """A replay at a full key waits, and renders then although the video is there."""
    shop = Shop(limits=Limits(renders_in_flight=1))
    first = shop.takes(product(1)).delivery
    stand.ends(first.render_id)
    shop.takes(product(2))
    again = replayed(shop, first.id, force=True)
    assert (again.verdict, again.code) == ("held", "limit.in_flight")
    stand.ends(renders()[1].id)
    stand.due_now()
    holding.go_on()
    assert [one.external_ref for one in renders()] == ["1", "2", "1"]


def test_of_what_was_ignored_nothing_is_left_to_decide():
    """410, whatever the trigger takes now."""
    shop = Shop(topics=["product.created"])
    ignored = shop.takes(product(1)).delivery
    shop.changes(topics=None)
    ((code, detail),) = refusals(shop, ignored.id)
    assert (code, "ignored" in str(detail)) == ("trigger.delivery_emptied", True)


def test_a_body_that_is_gone_is_not_decided():
    """410 where its bytes were too many, 404 where its time was over, or its trigger is gone."""
    shop = Shop()
    taken = shop.takes(product(1)).delivery
    transact(shedding.shed)
    ((code, detail),) = refusals(shop, taken.id)
    assert (code, "no body" in str(detail)) == ("trigger.delivery_emptied", True)
    old = update(TriggerDelivery).values(received_at=text("now() - interval '31 days'"))
    transact(lambda session: session.execute(old))
    stand.ends(taken.render_id)
    over = update(Render).values(finished_at=text("now() - interval '2 days'"))
    transact(lambda session: session.execute(over))
    transact(store.forget)
    assert {code for code, _ in refusals(shop, taken.id)} == {"trigger.delivery_unknown"}
    other = shop.takes(product(2)).delivery
    transact(lambda session: store.drop(session, owned.locked(session, caller(shop), shop.id)))
    assert {code for code, _ in refusals(shop, other.id)} == {"trigger.delivery_unknown"}


def test_what_was_refused_or_stale_is_so_until_something_changes():
    """A mended trigger makes a render of what it refused; what is older than what is known stays so unless forced."""
    shop = Shop(mapping={"variables": {"title": "/name"}, "external_ref": "/nothing"})
    refused = shop.takes(product(1, name="Mug")).delivery
    assert [(one.verdict, one.code) for one in (refused, replayed(shop, refused.id))] == [
        ("refused", "trigger.no_ref")
    ] * 2
    shop.changes(mapping={"variables": {"title": "/name"}, "external_ref": "/id", "revision": "/updated_at"})
    assert replayed(shop, refused.id).verdict == "rendered"
    shop.takes(product(1, at=5, name="Cup"))
    assert [replayed(shop, refused.id, force=force).verdict for force in (False, True)] == ["stale", "rendered"]


def ended(**columns: Any) -> Shop:
    """A shop whose trigger's key has ended, with a message that waits for it."""
    shop = Shop(limits=Limits())
    assert shop.verdict(product(1)) == "rendered"
    columns = columns or {"revoked_at": text("now()")}
    transact(lambda s: s.execute(update(ApiKey).where(ApiKey.id == shop.key_id).values(**columns)))
    assert shop.takes(product(2)).delivery.code == "key.revoked"
    return shop


@pytest.mark.parametrize("column", ["revoked_at", "expires_at"])
def test_who_changes_a_trigger_whose_key_ended_takes_it_over(column: str):
    """Whatever is changed: what waits is decided, and the new key's limits count from then on."""
    shop = ended(**{column: text("now()")})
    other = transact(lambda session: shop.key(session, Limits(renders_in_flight=2)))
    assert intake.change(caller(shop, other), shop.id, TriggerChange(name="ours now")).api_key_id == other
    holding.go_on()
    assert verdicts(shop) == ["rendered", "rendered"]
    assert {one.api_key_id for one in renders()} == {shop.key_id, other}
    shop.takes(product(3))
    assert shop.takes(product(4)).delivery.code == "limit.in_flight"


def test_a_replay_takes_nothing_over():
    """It is no change of the trigger: it waits with the others, also where another key asks for it."""
    shop = ended()
    again = replayed(shop, shop.deliveries()[1].id)
    assert (again.verdict, again.code) == ("held", "key.revoked")
    assert verdicts(shop) == ["rendered", "stale", "held"]


def test_a_key_that_is_valid_keeps_its_trigger():
    """A change with another leaves it."""
    shop = Shop(limits=Limits())
    other = transact(lambda session: shop.key(session, Limits()))
    assert intake.change(caller(shop, other), shop.id, TriggerChange(paused=True)).api_key_id == shop.key_id
