"""What all tests of triggers have in common."""

import pytest

from worker.triggers import holding


@pytest.fixture(autouse=True)
def _time_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tick ends when its work is done, however busy the machine is."""
    monkeypatch.setattr(holding, "BUDGET_SECONDS", 60.0)
