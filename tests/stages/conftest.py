"""The stand-in backend for tests that are the worker themselves."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.emptying import empty_tables
from tests.stack import Stack, WarmStack, here
from tests.stages.driving import heal
from worker import app, liveness, pipeline
from worker.database import transact
from worker.remote import circuit


def work_no_more() -> None:
    """This process was a worker; the next module's may be one anew."""
    liveness.goodbye()
    liveness._process = None


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory, database: str, broker_url: str) -> Iterator[Stack]:
    """The stand-in backend alone; this process is the worker."""
    folder: Path = tmp_path_factory.mktemp("backend")
    # Pauses longer than any test: they are ended by hand, not by a slow machine.
    settings = {
        "VIVIDEO_CIRCUIT_FAILURES": "3",
        "VIVIDEO_CREDITS_SECONDS": "600",
        "VIVIDEO_RATE_LIMIT_SECONDS": "600",
    }
    with WarmStack(folder, database, broker_url, **settings) as stack, here(stack.environment):
        pipeline.services.cache_clear()
        circuit.breaker.cache_clear()
        # Read when the module was first imported, which may have been another test's: nobody would answer there.
        app.app.conf.broker_url = broker_url
        stack.start_sandbox()
        stack.migrate()
        yield stack
        work_no_more()
    pipeline.services.cache_clear()
    circuit.breaker.cache_clear()


@pytest.fixture
def backend(stand_in: Stack) -> Stack:
    """The same for a test: healed, with no render and the circuit closed."""
    heal(stand_in)
    transact(lambda session: empty_tables(session, "renders, circuits"))
    pipeline.services().breaker.answered("before the test")
    return stand_in
