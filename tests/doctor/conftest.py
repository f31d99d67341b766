"""An examination of a real PostgreSQL, Valkey and sandbox, in this process."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from config.settings import settings
from tests.emptying import empty_tables
from tests.sandbox.driver import Sandbox
from tests.stack import here
from worker.accounts import store as accounts
from worker.database import transact
from worker.doctor.examination import examine
from worker.doctor.findings import Case, Finding
from worker.remote import noticing

Examine = Callable[..., list[Finding]]
QUICK = ("--no-draw", "--stream-seconds", "0", "--min-poll-seconds", "0")


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A backend in a process of its own."""
    sandbox = Sandbox(tmp_path_factory.mktemp("sandbox"), *QUICK)
    yield sandbox
    sandbox.kill()


@pytest.fixture
def environment(database: str, broker_url: str, tmp_path: Path) -> dict[str, str]:
    """The settings of a sound installation; its backend is not there yet."""
    state = tmp_path / "state"
    state.mkdir()
    return {
        "VIVIDEO_DATABASE_URL": database,
        "VIVIDEO_BROKER_URL": broker_url,
        "VIVIDEO_STATE_DIR": str(state),
        "VIVIDEO_SECRET_KEY": "a test's key of more than thirty-two characters",
        "VIVIDEO_HTTP_READ_SECONDS": "0.5",
        "NEMO_API_URL": "http://127.0.0.1:1",
    }


@pytest.fixture
def examined(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Examine:
    """Examine with these settings changed; the findings."""
    monkeypatch.setattr(noticing, "NOTICES", noticing.Notices())

    def run(*, backend: bool = False, case: Case | None = None, **changes: str) -> list[Finding]:
        with here(environment | changes):
            return list(
                examine(case or Case(read_settings=settings), with_backend=backend, starting=lambda _name: None)
            )

    return run


@pytest.fixture
def on_file(environment: dict[str, str]) -> Callable[..., None]:
    """Make the accounts that these settings speak of, and no others."""

    def install(**changes: str) -> None:
        with here(environment | changes):
            transact(lambda session: empty_tables(session, "accounts, surprises"))
            transact(lambda session: accounts.install(session, settings()))

    return install
