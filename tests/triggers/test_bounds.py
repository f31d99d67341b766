"""What a source cannot do without end: send, fill the disk, spend what its key may not any more; be told by a body."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text, update
from sqlalchemy.orm import Session

from tests.triggers.stand import Shop, product, renders
from worker.database import transact
from worker.infinity import NEVER
from worker.owners.limits import Limits
from worker.owners.models import ApiKey
from worker.triggers import acceptance, holding, store
from worker.triggers.acceptance import Arrived
from worker.triggers.models import Style, TriggerDelivery
from worker.triggers.planning import Said

pytestmark = pytest.mark.usefixtures("no_shops")


def test_of_what_is_ignored_the_headers_are_kept_alone():
    """It may be an order with a person's address; a duplicate is told still."""
    shop = Shop(topics=["product.*"])
    order = {"id": 7, "email": "somebody@shop.example"}
    first = shop.takes(order, topic="order.created", key="order-7")
    assert shop.takes(order, topic="order.created", key="order-7").duplicate
    kept = shop.deliveries()[0]
    assert (first.delivery.verdict, kept.body, kept.headers["x-topic"]) == ("ignored", b"", "order.created")
    assert shop.verdict(product(1)) == "rendered"
    assert shop.deliveries()[1].body != b""


@pytest.mark.parametrize("ended", [{"revoked_at": text("now()")}, {"expires_at": text("now()")}])
def test_a_key_that_has_ended_spends_no_more(ended: dict[str, object]):
    """Its triggers keep what comes, until another key takes them over; then the newest of each thing is made."""
    shop = Shop(limits=Limits())
    assert shop.verdict(product(1)) == "rendered"
    change = update(ApiKey).where(ApiKey.id == shop.key_id).values(**ended)
    transact(lambda session: session.execute(change))
    assert shop.verdict(product(1, at=2)) == "unchanged"
    for at in (3, 4):
        kept = shop.takes(product(1, at=at, title=f"Lamp of {at}")).delivery
        assert (kept.verdict, kept.code, kept.retry_at) == ("held", "key.revoked", NEVER)
    assert [one.verdict for one in shop.deliveries()] == ["rendered", "unchanged", "stale", "held"]
    assert not holding.go_on()

    def take_over(session: Session) -> None:
        row = store.locked(session, shop.owner_id, shop.id)
        assert row is not None
        store.take_over(session, row, None)

    transact(take_over)
    holding.go_on()
    assert [one.prompt for one in renders()][1:] == ["a video about Lamp of 4 for 19.90"]


def _without_id(body: bytes) -> Arrived:
    said = Said.read(Style.BEARER, {"x-topic": "product.updated"}, body)
    return Arrived(said.message.key, said)


def test_a_body_without_an_id_is_a_duplicate_for_a_day(shop_of_bodies: Shop):
    """A price that was taken back is news a day later; within it is what a source repeats. Both rows stay."""
    shop, ten, twelve = shop_of_bodies, b'{"title": "Lamp", "price": "10"}', b'{"title": "Lamp", "price": "12"}'
    assert [_takes(shop, one) for one in (ten, ten, twelve)] == [False, True, False]
    received = update(TriggerDelivery).values(received_at=text("now() - interval '24 hours 1 second'"))
    transact(lambda session: session.execute(received))
    assert [_takes(shop, ten), _takes(shop, ten)] == [False, True]
    assert len(shop.deliveries()) == 3
    assert len(renders()) == 3


@pytest.fixture
def shop_of_bodies(no_shops: None) -> Shop:
    return Shop(mapping={"variables": {"title": "/title", "price": "/price"}})


def _takes(shop: Shop, body: bytes) -> bool:
    """Whether it is a duplicate."""
    arrived, id = _without_id(body), store.new_delivery_id()
    return transact(lambda session: acceptance.receive(session, shop.id, arrived, id)).duplicate


def test_a_body_that_comes_many_times_at_once_after_its_day_is_taken_once(shop_of_bodies: Shop):
    """One lets go of the old key; the others find its message."""
    shop, body = shop_of_bodies, b'{"title": "Lamp"}'
    _takes(shop, body)
    received = update(TriggerDelivery).values(received_at=text("now() - interval '2 days'"))
    transact(lambda session: session.execute(received))
    with ThreadPoolExecutor(6) as pool:
        found = [one.result() for one in [pool.submit(_takes, shop, body) for _ in range(6)]]
    assert sorted(found) == [False] + [True] * 5
    assert len(renders()) == 2


def test_an_id_of_the_sources_own_is_told_for_as_long_as_it_is_kept():
    """Standard Webhooks' sources repeat for days."""
    shop = Shop()
    shop.takes(product(1), key="mine")
    received = update(TriggerDelivery).values(received_at=text("now() - interval '29 days'"))
    transact(lambda session: session.execute(received))
    assert shop.takes(product(1), key="mine").duplicate
