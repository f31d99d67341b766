"""What a transaction wrote is counted once, and only when it is committed."""

from collections.abc import Iterator
from contextlib import suppress

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from tests.stack import here
from worker.database import transact
from worker.metrics.commits import on_commit


@pytest.fixture(scope="module", autouse=True)
def _settings(database: str) -> Iterator[None]:
    with here({"VIVIDEO_DATABASE_URL": database}):
        yield


def test_what_is_committed_is_counted_after_it():
    """Not while the transaction may still fail."""
    counted: list[int] = []

    def work(session) -> int:
        session.execute(text("SELECT 1"))
        on_commit(session, lambda: counted.append(1))
        return len(counted)

    assert transact(work) == 0
    assert counted == [1]


def test_what_is_rolled_back_is_not_counted():
    """A fault takes the count along with the rows."""
    counted: list[int] = []

    def work(session) -> None:
        session.execute(text("SELECT 1"))
        on_commit(session, lambda: counted.append(1))
        raise LookupError

    with pytest.raises(LookupError):
        transact(work)
    assert counted == []


def test_what_is_rolled_back_to_a_savepoint_is_not_counted():
    """What was counted before it, and what is after it, are."""
    counted: list[str] = []

    def work(session) -> None:
        on_commit(session, lambda: counted.append("before"))
        for name in ("kept", "undone"):
            with suppress(LookupError), session.begin_nested():
                session.execute(text("SELECT 1"))
                on_commit(session, lambda name=name: counted.append(name))
                if name == "undone":
                    raise LookupError
        on_commit(session, lambda: counted.append("after"))

    transact(work)
    assert counted == ["before", "kept", "after"]


def test_what_is_run_again_is_counted_once():
    """The first try ends with its connection cut, the second is committed."""
    counted: list[int] = []
    tries: list[int] = []

    def work(session) -> None:
        session.execute(text("SELECT 1"))
        on_commit(session, lambda: counted.append(1))
        tries.append(1)
        if len(tries) == 1:
            raise OperationalError("SELECT 1", {}, psycopg.OperationalError("the server went away"))

    transact(work)
    assert (len(tries), counted) == (2, [1])
