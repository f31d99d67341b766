"""Any interleaving of events, ends, looks, claims, answers, silence, zombies and owners keeps what webhooks promise.

The real tables on a real PostgreSQL beside a model in plain Python. The same seeds each time; for others, and more:

    VIVIDEO_TEST_MODEL=500 python -m pytest tests/webhooks/test_model.py
"""

import os

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.stack import here
from tests.webhooks.model import expected, redelivered, shares
from tests.webhooks.model.machine import Machine
from worker.webhooks import due, redeliveries, schedule

CHOSEN = int(os.environ.get("VIVIDEO_TEST_MODEL", "0"))
"""So many examples of new seeds instead of the few that are the same each time."""
EXAMPLES = settings(
    max_examples=CHOSEN or 8,
    stateful_step_count=40,
    derandomize=not CHOSEN,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)


def test_any_interleaving_keeps_the_promises(monkeypatch: pytest.MonkeyPatch):
    """After each step: the model's rows; at each look, order and shares; at the end, nothing pending is forgotten."""
    monkeypatch.setattr(due, "AT_ONCE", shares.AT_ONCE)
    monkeypatch.setattr(redeliveries, "AT_ONCE", redelivered.PIECE)
    monkeypatch.setattr(schedule, "JITTER", 0.0)
    with here({"VIVIDEO_WEBHOOK_DISABLE_AFTER_SECONDS": str(int(expected.PATIENCE))}):
        run_state_machine_as_test(Machine, settings=EXAMPLES)
