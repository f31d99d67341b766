"""What the dispatcher has done beside renders: one that fails keeps nobody waiting."""

import time
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from worker import app, chores, database, portions
from worker.chores import Chore
from worker.database import in_passing, transact
from worker.portions import Portion
from worker.publishing import due as publishing_due
from worker.publishing import relay as publishing_relay
from worker.webhooks import chores as webhooks
from worker.webhooks import due as webhook_due
from worker.webhooks import redeliveries
from worker.webhooks import relay as webhook_relay


def test_a_fault_of_one_is_passed_over_and_the_others_are_done():
    """It is left alone for a while, and tried again after that."""
    done: list[str] = []

    def broken() -> bool:
        done.append("broken")
        transact(lambda db: db.execute(text("SELECT no_such_column")), retry_for=0)
        return True

    def sound() -> bool:
        done.append("sound")
        return False

    both = [Chore("broken", broken), Chore("sound", sound)]
    assert not chores.do(both)
    assert not chores.do(both)
    assert done == ["broken", "sound", "sound"]
    both[0].left_alone_until = 0.0
    chores.do(both)
    assert done == ["broken", "sound", "sound", "broken", "sound"]


def test_a_database_that_is_away_is_no_fault_of_the_chore():
    """The dispatcher hears of it, as of its own statements."""

    def away() -> bool:
        raise OperationalError("SELECT 1", {}, Exception("server closed the connection"), connection_invalidated=True)

    one = Chore("away", away)
    with pytest.raises(OperationalError):
        chores.do([one])
    assert one.left_alone_until == 0.0


@pytest.mark.parametrize("state", ["40P01", "40001", "55P03"])
def test_a_row_that_somebody_else_has_is_no_database_that_is_away(state: str):
    """A deadlock, a serialization failure or a lock that is not had in time: the next tick tries again."""

    def locked() -> bool:
        transact(lambda db: db.execute(text(f"DO $$BEGIN RAISE SQLSTATE '{state}'; END$$")), retry_for=0)
        return True

    one = Chore("locked", locked)
    assert not chores.do([one])
    assert one.left_alone_until == 0.0


def test_no_chore_waits_long_for_a_row(monkeypatch: pytest.MonkeyPatch):
    """Its transactions give up after a moment, and its statements after a few: they are in the thread that renders wait
    for."""
    seen: list[str] = []

    def shows(db: Session, *_: Any) -> list[Any]:
        seen.extend(db.execute(text(f"SHOW {name}_timeout")).scalar_one() for name in ("lock", "statement"))
        return []

    for module in (webhook_relay, webhook_due, publishing_relay, publishing_due):
        for name in {"relay", "hand_out", "due"} & vars(module).keys():
            monkeypatch.setattr(module, name, shows)
    monkeypatch.setattr(redeliveries, "next_turn", shows)
    chores.do(chores.usual())
    assert len(seen) >= 10
    assert set(seen[::2]) == {"1s"}
    assert set(seen[1::2]) == {"5s"}
    assert transact(lambda db: db.execute(text("SHOW lock_timeout")).scalar_one()) == "0"
    assert transact(lambda db: db.execute(text("SHOW statement_timeout")).scalar_one()) == "0"


def test_a_statement_that_runs_for_long_is_ended_and_its_chore_left_alone(monkeypatch: pytest.MonkeyPatch):
    """It would run into the same at the next tick."""
    monkeypatch.setattr(database, "STATEMENT_SECONDS", 0.1)
    one = Chore("long", lambda: bool(in_passing(lambda db: db.execute(text("SELECT pg_sleep(60)")))))
    assert not chores.do([one])
    assert one.left_alone_until > time.monotonic()


def test_a_chore_that_is_ended_does_less_the_next_time(monkeypatch: pytest.MonkeyPatch):
    """Until it is done in time; and more again once that has gone well for a while, twice as long after each time that
    it did not: what makes it slow may be there to stay."""
    monkeypatch.setattr(database, "STATEMENT_SECONDS", 0.05)
    tried: list[int] = []

    def takes_its_time(db: Session, portion: Portion) -> bool:
        tried.append(portion.of(8))
        db.execute(text("SELECT pg_sleep(:seconds)"), {"seconds": 60 if tried[-1] > 2 else 0})
        return False

    monkeypatch.setattr(webhook_relay, "relay", takes_its_time)
    monkeypatch.setattr(webhooks, "_MADE", Portion())
    (make,) = [one for one in chores.usual() if one.name == "webhooks.make"]
    for _ in range(2 + 3 * portions.WELL + 3):
        make.left_alone_until = 0.0
        chores.do([make])
    assert tried[:2] == [8, 4]
    assert tried[2:] == [2] * portions.WELL + [4] + [2] * 2 * portions.WELL + [4, 2]


def test_no_free_connection_is_no_fault_of_the_chore():
    """The dispatcher hears of it, as of a database that is away."""

    def crowded() -> bool:
        raise PoolTimeout("QueuePool limit of size 20 overflow 10 reached")

    one = Chore("crowded", crowded)
    with pytest.raises(PoolTimeout):
        chores.do([one])
    assert one.left_alone_until == 0.0


def test_a_broker_that_refuses_is_asked_once_for_publications(monkeypatch: pytest.MonkeyPatch):
    """The others would each wait for the same time-out: all of them are sent again once overdue."""
    asked: list[str] = []
    monkeypatch.setattr(publishing_due, "due", lambda _: [publishing_due.Due(str(n), 0) for n in range(3)])
    monkeypatch.setattr(app, "send_publish", lambda id, _: bool(asked.append(id)))
    (publications,) = [one for one in chores.usual() if one.name == "publications.hand_out"]
    publications.run()
    assert asked == ["0"]


def test_publications_that_cannot_be_made_now_keep_none_from_going_out(monkeypatch: pytest.MonkeyPatch):
    """Somebody has a product's lock: that is for the next tick, what is due for this one."""
    done: list[str] = []

    def contended(db: Session) -> bool:
        done.append("make")
        db.execute(text("DO $$BEGIN RAISE SQLSTATE '55P03'; END$$"))
        return True

    monkeypatch.setattr(publishing_relay, "relay", contended)
    monkeypatch.setattr(publishing_due, "due", lambda _: done.append("hand_out") or [])
    assert not chores.do([one for one in chores.usual() if one.name.startswith("publications")])
    assert done == ["make", "hand_out"]


def test_more_to_do_is_said_by_any():
    """All get their piece, whoever has more."""
    done: list[str] = []
    first = Chore("first", lambda: done.append("first") is None)
    second = Chore("second", lambda: bool(done.append("second")))
    assert chores.do([first, second])
    assert done == ["first", "second"]
