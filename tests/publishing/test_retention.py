"""What may be forgotten of publications, and what has to be known as long as its render can be asked for."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from tests.publishing.conftest import asked, at_address, at_shopify, change, deleted, echoed, owner_id, settled, the
from tests.publishing.receiver_standin import Receiver
from tests.publishing.shopify_standin import Shopify
from worker.database import transact
from worker.publishing import publications, retention
from worker.publishing.driving import Tools
from worker.publishing.models import Publication
from worker.publishing.scrubbing import digested
from worker.renders import purge, store

Make = Callable[..., str]

FAILED: dict[str, Any] = {"state": "failed", "error_code": "publish.rejected"}
"""It can be asked for again."""


def _ended(publication: str, *, days: int = 31, **columns: Any) -> str:
    change(publication, finished_at=func.now() - timedelta(days=days), **columns)
    return publication


def _left() -> list[str]:
    query = select(Publication.id).order_by(Publication.number)
    return list(transact(lambda session: session.scalars(query).all()))


def test_what_is_over_is_forgotten_after_a_month(receiver: Receiver, render: Make):
    """Not what may be in a shop, not what a product was asked for last."""
    publisher, made = at_address(receiver), render()
    remotes = [{}, {"media_id": 1}, {"media_id": 1, "removed": True}, {}, {"media_id": 2, "removed": True}, {}]
    ids = [
        _ended(asked(publisher, made), days=29 if place == 3 else 31, remote=remote, **FAILED)
        for place, remote in enumerate(remotes)
    ]
    assert transact(retention.forget) == 3
    assert _left() == [ids[1], ids[3], ids[5]]


def test_a_video_that_was_replaced_by_hand_does_not_come_back(shopify: Shopify, tools: Tools, render: Make):
    """However long after: that it was brought there is known as long as its render is there."""
    shopify.has(7, "lamp")
    publisher, made = at_shopify(shopify), render()
    first = asked(publisher, made, handle="lamp")
    settled(tools)
    by_hand = asked(publisher, render(), handle="lamp")
    settled(tools)
    assert the(first).remote["removed"]
    for one in (first, by_hand):
        _ended(one)
    assert transact(retention.forget) == 0
    assert echoed(publisher, made) is None


def test_what_failed_before_it_began_is_not_asked_for_by_an_echo(receiver: Receiver, render: Make):
    """Nor a month later: its owner retries it."""
    publisher, made = at_address(receiver), render()
    _ended(asked(publisher, made), **FAILED)
    _ended(asked(publisher, render()), **FAILED)
    assert transact(retention.forget) == 0
    assert echoed(publisher, made, moved=True) is None


def test_nothing_is_kept_of_a_deleted_render_that_is_in_no_shop(receiver: Receiver, render: Make):
    """It is never asked for again."""
    publisher, made = at_address(receiver), render()
    gone, there = (_ended(asked(publisher, made), remote=remote, **FAILED) for remote in ({}, {"media_id": 1}))

    deleted(made)
    assert the(gone).ref.startswith("deleted:")
    assert transact(retention.forget) == 1
    assert _left() == [there]


def test_an_owners_own_word_is_no_digest(receiver: Receiver, render: Make):
    """It looks like the mark of a deleted render: kept as long as all others, and gone with its render."""
    publisher, made = at_address(receiver), render()
    one = _ended(asked(publisher, made, ref="deleted:old-lamp"), **FAILED)
    assert transact(retention.forget) == 0
    assert echoed(publisher, made, ref="deleted:old-lamp") is None

    def scrubbed_twice(session: Any) -> None:
        row = store.locked(session, owner_id(), made)
        assert row is not None
        purge.purge(session, row)
        publications.scrub(session, row)
        publications.scrub(session, row)

    transact(scrubbed_twice)
    assert the(one).ref == digested(publisher, "deleted:old-lamp")
    assert transact(retention.forget) == 1


def test_who_looks_for_what_may_go_reads_nothing_of_what_is_kept(receiver: Receiver, render: Make):
    """Once a minute: the index has those alone."""
    publisher = at_address(receiver)
    for ref in ("lamp", "chair"):
        _ended(asked(publisher, made := render(), ref=ref), **FAILED)
    asked(publisher, made, ref="chair")
    rows = select(Publication.ref, Publication.asked_again).order_by(Publication.number)
    assert list(map(tuple, transact(lambda session: session.execute(rows).all()))) == [
        ("lamp", False),
        ("chair", True),
        ("chair", False),
    ]

    def plan(session: Session) -> str:
        session.execute(text("SET LOCAL enable_seqscan = off"))
        told = retention.over().compile(session.connection(), compile_kwargs={"literal_binds": True})
        return "\n".join(session.scalars(text(f"EXPLAIN {told}")))

    assert "ix_publications_over" in transact(plan)
