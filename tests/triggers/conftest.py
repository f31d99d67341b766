"""A database of a module's own, and shops on it, for the tests that need them."""

from collections.abc import Iterator

import pytest

from tests.stack import here
from tests.triggers import stand
from worker.triggers import holding


@pytest.fixture(scope="module")
def on_database(database: str) -> Iterator[None]:
    """This process with the module's database."""
    with here({"VIVIDEO_DATABASE_URL": database, "VIVIDEO_SECRET_KEY": "k" * 40}):
        yield


@pytest.fixture
def no_shops(on_database: None) -> None:
    """Nothing is on file yet."""
    stand.empty()


@pytest.fixture(autouse=True)
def _time_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tick of the dispatcher ends when its work is done, however busy the machine is."""
    monkeypatch.setattr(holding, "BUDGET_SECONDS", 60.0)
