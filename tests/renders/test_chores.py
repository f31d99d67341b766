"""What the dispatcher has done beside renders: one that fails keeps nobody waiting."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from worker import chores
from worker.chores import Chore
from worker.database import transact


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


def test_more_to_do_is_said_by_any():
    """All get their piece, whoever has more."""
    done: list[str] = []
    first = Chore("first", lambda: done.append("first") is None)
    second = Chore("second", lambda: bool(done.append("second")))
    assert chores.do([first, second])
    assert done == ["first", "second"]
