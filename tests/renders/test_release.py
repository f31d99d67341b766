"""Renders that follow another one are ready when their turn has come."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, func, select, text
from sqlalchemy.orm import Session

from tests.renders.conftest import a_render, a_worker
from worker import dispatch
from worker.accounts.models import Account
from worker.database import engine, new_id, transact
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


def test_one_that_somebody_holds_holds_up_nobody():
    """Neither where it is released nor where who is before it ended unbegun; the others have their turns."""
    over = a_render(**FINAL)
    called_off = a_follower(over, status="canceled", reason=None, finished_at=func.now())
    held, passed, free = a_follower(over), a_follower(called_off), a_follower(over)
    with Session(engine()) as other, other.begin():
        other.execute(select(Render.id).where(Render.id.in_([held, passed])).with_for_update())
        transact(lambda s: (s.execute(text("SET LOCAL lock_timeout = '2s'")), following.release_followers(s)))
    found = transact(lambda s: lanes.due_new(s, redispatch=timedelta(seconds=30), limit=100))
    assert [due.id for due in found] == [free]
    assert set(released()) == {held, passed}


def test_looks_go_round_among_all_who_wait():
    """Each is at a slice of them, and the next one goes on behind it: whoever is in the last slice has his turn, and
    who came meanwhile after that."""
    at_work, over = a_render(**FIRST), a_render(**FINAL)
    for _ in range(4):
        a_follower(at_work)
    last = a_follower(over)
    turns = following.Turns(2)
    assert [transact(turns.release) for _ in range(4)] == [0, 0, 1, 0]
    late = a_follower(over)
    assert [transact(turns.release) for _ in range(3)] == [0, 1, 0]
    assert set(released()) == {last, late}


def test_a_look_at_many_who_wait_costs_no_more():
    """Of 3,000 of which none has its turn it reads a slice, and a predecessor for each of that: by what the database
    says it read, not by a clock."""
    first = a_render(**FIRST)
    follower = a_follower(first)
    columns = "owner_id, lane_id, prompt, language, status, reason, follows_id, follows_until, ready_at"
    many = f"""INSERT INTO renders (id, {columns}) SELECT 'rnd_' || lpad(n::text, 26, '0'), {columns}
        FROM renders, generate_series(1, 3000) n WHERE id = :id"""  # noqa: S608 - the names above
    transact(lambda s: s.execute(text(many), {"id": follower}))
    transact(lambda s: s.execute(text("ANALYZE renders")))
    explain = text("EXPLAIN (ANALYZE, FORMAT JSON) " + following._RELEASE.text)

    def read(session) -> list[float]:
        (plan,) = session.scalar(explain, {"after": "", "after_id": "", "most": 100})
        return list(_read(plan["Plan"]))

    rows = transact(read)
    assert max(rows) <= 110
    assert sum(rows) > 0, "something was read"


def _read(node: dict[str, Any]) -> Iterator[float]:
    """Rows that each scan of a plan came across, those it filtered out too."""
    if "Scan" in node["Node Type"] and "Relation Name" in node:
        yield (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
    for child in node.get("Plans", []):
        yield from _read(child)


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
