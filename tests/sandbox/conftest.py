"""One sandbox for all tests of a process, emptied before each."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sandbox.driver import Caller, Sandbox

QUICK = ("--no-draw", "--stream-seconds", "0", "--min-poll-seconds", "0")


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A sandbox that draws nothing."""
    sandbox = Sandbox(tmp_path_factory.mktemp("sandbox"), *QUICK)
    yield sandbox
    sandbox.terminate()


@pytest.fixture
def sandbox(running: Sandbox) -> Iterator[Sandbox]:
    """The sandbox with an empty ledger, no rules and its usual settings."""
    usual = running.http.get("/_sandbox/settings").json()
    running.http.post("/_sandbox/reset").raise_for_status()
    yield running
    fixed = ("data", "draw", "render_slots")
    running.switch(**{name: value for name, value in usual.items() if name not in fixed})


@pytest.fixture
def own_sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """A sandbox of the test's own, to be killed."""
    sandbox = Sandbox(tmp_path, *QUICK)
    yield sandbox
    sandbox.kill()


@pytest.fixture
def caller(sandbox: Sandbox) -> Caller:
    """A registered client."""
    return Caller(sandbox)
