"""Renders that follow another one are ready when their turn has come."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, func, select, text

from tests.renders.conftest import a_render, a_worker
from worker import dispatch
from worker.accounts.models import Account
from worker.database import new_id, transact
from worker.dispatch import Dispatcher
from worker.renders import following, lanes
from worker.renders.models import Render

NEVER = text("'infinity'::timestamptz")


def a_follower(of: str, until: str = "end", **columns: Any) -> str:
    waiting = {"status": "waiting", "reason": "session"}
    return a_render(follows_id=of, follows_until=until, ready_at=NEVER, **waiting | columns)


def released() -> list[str]:
    """Whom a look at the turns makes ready."""
    transact(following.release_followers)
    found = transact(lambda s: lanes.due_new(s, redispatch=timedelta(seconds=30), limit=100))
    return [due.id for due in found]


FIRST = {"started_at": func.now(), "status": "running"}
FINAL = FIRST | {"status": "succeeded", "finished_at": func.now(), "stage": "store"}


@pytest.mark.parametrize(
    ("first", "until", "comes"),
    [
        (FIRST | {"stage": "generate"}, "export", False),
        (FIRST | {"stage": "export"}, "export", False),
        (FIRST | {"stage": "poll"}, "export", True),
        (FIRST | {"stage": "store"}, "export", True),
        (FIRST | {"stage": "store"}, "end", False),
        (FINAL, "end", True),
        (FINAL | {"status": "canceled", "stage": "token"}, "export", True),
    ],
)
def test_a_turn_comes_with_the_export_or_the_end(first: dict[str, Any], until: str, comes: bool):
    """Until then it is ready at no time, whatever the dispatcher does."""
    follower = a_follower(a_render(**first), until)
    assert released() == ([follower] if comes else [])
    status, reason, waits = transact(
        lambda s: s.execute(
            select(Render.status, Render.reason, Render.ready_at == NEVER).where(Render.id == follower)
        ).one()
    )
    assert (status, reason, waits) == (("queued", None, False) if comes else ("waiting", "session", True))


def test_a_follower_of_nobody_is_free():
    """What it followed was thrown away."""
    gone = a_render()
    follower = a_follower(gone)
    transact(lambda s: s.execute(delete(Render).where(Render.id == gone)))
    assert released() == [follower]


def test_one_that_ended_while_it_waited_stays_as_it_is():
    """It was cancelled before its turn."""
    a_follower(a_render(**FINAL), status="canceled", reason=None, finished_at=func.now())
    assert transact(following.release_followers) == 0


def test_turns_come_in_pieces_and_in_order():
    """One behind the other: the second's turn has not come because the first's has."""
    first = a_render(**FINAL)
    second = a_follower(first)
    a_follower(second)
    others = [a_follower(first) for _ in range(3)]
    assert transact(lambda s: following.release_followers(s, limit=2)) == 2
    assert transact(following.release_followers) == 2
    assert set(released()) == {second, *others}


def test_a_look_of_the_dispatcher_sees_to_it(monkeypatch: pytest.MonkeyPatch):
    """In the same transaction: what is ready by it is handed out by it."""
    given: list[str] = []
    monkeypatch.setattr(dispatch, "_send", lambda due: given.extend(one.id for one in due) or True)
    transact(lambda s: s.add(Account(id=new_id("acc"), kind="registered", name="of all")))
    a_worker("stream-1", "stream", capacity=5)
    a_worker("io-1")
    follower = a_follower(a_render(**FINAL))
    Dispatcher().look()
    assert given == [follower]
