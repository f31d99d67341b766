"""However much comes in, so many bytes of it are kept."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy.orm import Session

from tests.stack import here
from tests.triggers import stand
from tests.triggers.stand import Shop, product
from worker import housekeeping
from worker.database import transact
from worker.triggers import shedding, store

MOST = 10_000
BODY = 4_000


@pytest.fixture(scope="module", autouse=True)
def _settings(database: str) -> Iterator[None]:
    most = {"VIVIDEO_KEPT_MESSAGE_BYTES": str(MOST)}
    with here({"VIVIDEO_DATABASE_URL": database, "VIVIDEO_SECRET_KEY": "k" * 40} | most):
        yield


@pytest.fixture(autouse=True)
def _empty(_settings: None) -> None:
    stand.empty()


def large(ref: int) -> dict[str, object]:
    """A product's message of some 4 KB, kept beside its row."""
    return product(ref, note="".join(chr(33 + (n * n * ref) % 90) for n in range(BODY)))


def kept(shop: Shop) -> list[bool]:
    """Whether each message has its body, oldest first."""
    return [bool(one.body) for one in shop.deliveries()]


def test_the_newest_bodies_of_an_owner_are_kept():
    """Over all of his triggers; the rows stay with their verdicts, and another owner's are no matter of his."""
    shop, theirs = Shop(), Shop(owner="demo")
    other = Shop()
    for ref in (1, 2):
        shop.takes(large(ref), key=f"m{ref}")
        theirs.takes(large(ref))
    for ref in (3, 4):
        other.takes(large(ref))
    housekeeping._forget_messages()  # pyright: ignore[reportPrivateUsage]
    assert (kept(shop), kept(other), kept(theirs)) == ([False, False], [True, True], [True, True])
    assert [one.verdict for one in shop.deliveries()] == ["rendered", "rendered"]
    assert shop.takes(large(1), key="m1").duplicate


def test_what_is_held_goes_last_and_says_so():
    """It waits for its turn, which is nothing without its body."""
    shop = Shop()
    shop.pauses()
    for ref in (1, 2):
        shop.takes(large(ref))
    shop.pauses(on=False)
    other = Shop()
    other.takes(large(3))
    transact(shedding.shed)
    assert (kept(shop), kept(other)) == ([True, True], [False])
    shop.pauses()
    shop.takes(large(4))
    transact(shedding.shed)
    first, *rest = shop.deliveries()
    assert (first.verdict, first.code, first.body, first.retry_at) == ("refused", "trigger.not_kept", b"", None)
    assert [(one.verdict, bool(one.body)) for one in rest] == [("held", True)] * 2


def test_it_goes_in_pieces(monkeypatch: pytest.MonkeyPatch):
    """No transaction empties more than a piece; the last one says that there is no more."""
    monkeypatch.setattr(shedding, "AT_ONCE", 2)
    shop = Shop()
    for ref in range(1, 8):
        shop.takes(large(ref))
    said = [transact(shedding.shed) for _ in range(4)]
    assert said == [True, True, False, False]
    assert kept(shop) == [False] * 5 + [True] * 2


def _drops(shop: Shop) -> None:
    def work(session: Session) -> None:
        row = store.locked(session, shop.owner_id, shop.id)
        assert row is not None
        store.drop(session, row)

    transact(work)


@pytest.mark.parametrize("tick", [housekeeping._forget_messages, lambda: transact(shedding.shed)])  # pyright: ignore[reportPrivateUsage]
def test_what_a_deleted_trigger_left_costs_the_others_nothing(tick: Callable[[], object]):
    """It goes anyway, however long that takes: what the owner's other triggers hold stays."""
    shop, wild = Shop(), Shop()
    for one, refs in ((shop, (1, 2)), (wild, (3, 4, 5))):
        one.pauses()
        for ref in refs:
            one.takes(large(ref))
    _drops(wild)
    tick()
    assert [(one.verdict, bool(one.body)) for one in shop.deliveries()] == [("held", True)] * 2


def test_the_oldest_go_first_also_where_a_pass_ends_early(monkeypatch: pytest.MonkeyPatch):
    """What comes next may have time enough."""
    monkeypatch.setattr(shedding, "AT_ONCE", 2)
    shop = Shop()
    for ref in range(1, 8):
        shop.takes(large(ref))
    transact(shedding.shed)
    assert kept(shop) == [False] * 2 + [True] * 5
