"""The readers are pure: what the room's tests prepare in a database is not prepared for theirs."""

import pytest


@pytest.fixture(scope="module", autouse=True)
def _settings() -> None:
    """No database."""


@pytest.fixture(autouse=True)
def _empty() -> None:
    """Nothing to empty."""
