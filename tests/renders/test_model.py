"""Any interleaving of claims, silence, takeovers, zombies, cancels and retries keeps what the store promises.

The real store on a real PostgreSQL beside a model in plain Python. The same seeds each time; for others, and more:

    VIVIDEO_TEST_MODEL=2000 python -m pytest tests/renders/test_model.py
"""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.renders.model.dispatching import Dispatching
from tests.renders.model.owners import Owners
from tests.renders.model.scene import SETTINGS
from tests.renders.model.working import Working
from tests.stack import here


class Machine(Owners, Dispatching, Working):
    """Workers, a dispatcher, a broker that repeats and forgets, owners, and a reader of the feed."""


CHOSEN = int(os.environ.get("VIVIDEO_TEST_MODEL", "0"))
"""So many examples of new seeds instead of the few that are the same each time."""
EXAMPLES = settings(
    max_examples=CHOSEN or 32,
    stateful_step_count=50,
    derandomize=not CHOSEN,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(autouse=True)
def _waits(_settings: None) -> Iterator[None]:
    with here(SETTINGS):
        yield


def test_any_interleaving_keeps_the_promises():
    """After each step, whatever came before: the model's rows, one owner, one message, one end, nothing unreachable."""
    run_state_machine_as_test(Machine, settings=EXAMPLES)
