"""Turns of a session driven by hand, on the stand-in backend; this process is the worker. Or as rows, without it."""

from collections.abc import Iterator

import pytest

from tests.emptying import empty_tables
from tests.stack import here
from tests.stages.conftest import backend, stand_in, work_no_more
from worker.database import transact

__all__ = ["backend", "stand_in"]


@pytest.fixture(scope="module")
def database_alone(database: str) -> Iterator[None]:
    """A database of the module's own, and the contract's waits."""
    with here({"VIVIDEO_DATABASE_URL": database, "VIVIDEO_SECRET_KEY": "k" * 40}):
        yield
        work_no_more()


@pytest.fixture
def empty(database_alone: None) -> None:
    """No render, session or account."""
    transact(lambda session: empty_tables(session, "renders, sessions, accounts"))
