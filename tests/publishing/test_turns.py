"""Whose publications go next: owners take turns, and shops that do not answer keep nobody's places."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import func, select, text, update

from tests.publishing.conftest import a_publisher, asked, at_address, change, io_worker, the, the_publisher
from tests.publishing.receiver_standin import SECRET, Receiver
from tests.publishing.standin import Reply
from worker.database import transact
from worker.publishing import driving, due
from worker.publishing.driving import Tools
from worker.publishing.models import Publication, Publisher

Make = Callable[..., str]


def _handed_out() -> set[str]:
    return {one.id for one in transact(due.due)}


def _of(found: set[str]) -> Counter[str]:
    query = select(Publication.publisher_id).where(Publication.id.in_(found))
    return Counter(transact(lambda session: session.scalars(query).all()))


def _many(receiver: Receiver, render: str, shops: int, each: int, owner: str = "default") -> list[str]:
    made = [a_publisher("http", {"url": receiver.url}, {"secret": SECRET}, owner) for _ in range(shops)]
    for shop in made:
        for number in range(each):
            asked(shop, render, ref=f"lamp-{number}")
    return made


def _fail(publishers: list[str], code: str = "publish.unavailable") -> None:
    failing = update(Publisher).where(Publisher.id.in_(publishers)).values(failing_since=func.now(), error_code=code)
    transact(lambda session: session.execute(failing))


@pytest.fixture(autouse=True)
def _places():
    """A quarter of a hundred."""
    with io_worker(capacity=100):
        yield


def test_who_has_least_in_hand_is_next(receiver: Receiver, render: Make):
    """However many shops another has, however long their videos are due, a place is left for him at once."""
    mine, other = render(), render(owner_name="other")
    _many(receiver, mine, shops=13, each=3)
    change_all = update(Publication).values(ready_at=func.now() - timedelta(hours=1))
    transact(lambda session: session.execute(change_all))
    assert len(_handed_out()) == 19
    [shop] = _many(receiver, other, shops=1, each=2, owner="other")
    assert _of(_handed_out()) == {shop: 2}
    assert _handed_out() == set()


def test_his_shops_take_turns(receiver: Receiver, render: Make):
    """Each has one before any has two."""
    shops = _many(receiver, render(), shops=15, each=4)
    found = _of(_handed_out())
    assert found.keys() == set(shops)
    assert set(found.values()) <= {1, 2}


def test_shops_that_do_not_answer_go_one_at_a_time_and_keep_half_the_places(receiver: Receiver, render: Make):
    """The others' are free, also for the same owner's."""
    hanging = _many(receiver, render(), shops=14, each=2)
    _fail(hanging)
    assert len(_handed_out()) == 12
    well = at_address(receiver)
    first = asked(well, render())
    assert _handed_out() == {first}


def test_one_that_answers_is_none_of_them(receiver: Receiver, render: Make):
    """A product that it does not have says nothing of the others."""
    shops = _many(receiver, render(), shops=2, each=3)
    _fail(shops[:1], "publish.no_product")
    _fail(shops[1:], "publish.throttled")
    assert _of(_handed_out()) == {shops[0]: 3, shops[1]: 1}


def test_a_shop_fails_from_its_first_fault_on(receiver: Receiver, tools: Tools, render: Make):
    """Until something goes through; a fault of ours is none of its."""
    shop = at_address(receiver)
    publication = asked(shop, render())
    receiver.fails("POST", Reply(503), before=True)
    driving.drive(publication, 0, tools)
    row = the_publisher(shop)
    assert (row.failing_since is not None, row.error_code) == (True, "publish.unavailable")
    change(publication, ready_at=func.now())
    driving.drive(publication, 1, tools)
    assert the(publication).state == "published"
    assert the_publisher(shop).failing_since is None
    lost = asked(shop, render())
    transact(lambda session: session.execute(text("UPDATE publishers SET credentials_encrypted = 'unreadable'")))
    driving.drive(lost, 0, tools)
    assert the(lost).error_code == "publish.internal"
    assert the_publisher(shop).failing_since is None


def test_a_products_fault_does_not_hide_that_the_shop_does_not_answer(receiver: Receiver, tools: Tools, render: Make):
    """One that was in flight ends: its publisher has one in flight all the same, until something goes through."""
    shop, made = at_address(receiver), render()
    ending, silent = (asked(shop, made, ref=ref) for ref in ("lamp", "chair"))
    receiver.fails("POST", Reply(410), before=True)
    driving.drive(ending, 0, tools)
    assert (the(ending).state, the_publisher(shop).error_code) == ("failed", "publish.rejected")
    receiver.fails("POST", Reply(503), before=True)
    driving.drive(silent, 0, tools)
    receiver.fails("POST", Reply(410), before=True)
    driving.drive(asked(shop, made, ref="table"), 0, tools)
    assert the_publisher(shop).error_code == "publish.unavailable"
