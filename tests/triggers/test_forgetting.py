"""What is known of things goes with their videos, or once nothing was heard of them for long."""

import pytest
from sqlalchemy import text, update
from sqlalchemy.orm import Session

from tests.triggers import stand
from tests.triggers.stand import Shop, product
from worker import housekeeping
from worker.database import transact
from worker.renders.models import Render
from worker.triggers import store
from worker.triggers.models import TriggerThing

pytestmark = pytest.mark.usefixtures("no_shops")


def _of(shop: Shop, *refs: str) -> list[str]:
    return [ref for ref in refs if shop.thing(ref)]


def _as_old(ref: str, days: int) -> None:
    at = {"updated_at": text(f"now() - interval '{days} days'")}
    transact(lambda session: session.execute(update(TriggerThing).where(TriggerThing.ref == ref).values(**at)))


def test_things_without_a_video_are_forgotten_with_their_messages():
    """A draft of which nothing was heard for as long as messages are kept; not one of yesterday, and none that has a
    video, whose next message is to find it unchanged."""
    shop = Shop()
    for ref, status in ((1, "draft"), (2, "draft"), (3, "active")):
        shop.takes(product(ref, status=status))
    for ref, days in (("1", 31), ("2", 29), ("3", 31)):
        _as_old(ref, days)
    transact(housekeeping._forget)  # pyright: ignore[reportPrivateUsage]
    assert _of(shop, "1", "2", "3") == ["2", "3"]


def test_they_go_in_pieces(monkeypatch: pytest.MonkeyPatch):
    """No transaction deletes more than a piece."""
    monkeypatch.setattr(store, "FORGOTTEN_AT_ONCE", 2)
    shop = Shop()
    for ref in range(1, 4):
        shop.takes(product(ref, status="draft"))
        _as_old(str(ref), 31)
    assert [transact(store.forget_things) for _ in range(3)] == [2, 1, 0]


def test_a_deleted_video_takes_the_name_of_its_thing_along():
    """And its order: what comes next of the thing is rendered, whatever its revision. Other things stay."""
    shop = Shop()
    render_id = shop.takes(product(1, at=9)).delivery.render_id
    shop.takes(product(2))

    def work(session: Session) -> None:
        store.scrub(session, session.get_one(Render, render_id))

    transact(work)
    assert _of(shop, "1", "2") == ["2"]
    stand.ends(render_id, "canceled")
    assert shop.verdict(product(1, at=8)) == "rendered"
