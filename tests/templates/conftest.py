"""The same database as the renders' tests, where it is asked for."""

from collections.abc import Iterator

import pytest

from tests.emptying import empty_tables
from tests.stack import here
from worker.database import transact


@pytest.fixture(scope="module")
def settings(database: str) -> Iterator[None]:
    """The module's database is the service's."""
    with here({"VIVIDEO_DATABASE_URL": database, "VIVIDEO_SECRET_KEY": "k" * 40}):
        yield


@pytest.fixture
def empty(settings: None) -> None:
    """Nobody has anything yet."""
    transact(lambda session: empty_tables(session, "renders, lanes, templates, owners"))
