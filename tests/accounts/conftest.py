"""The same database and helpers as the renders' tests; accounts emptied as well."""

import threading
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from config.settings import Settings, settings
from tests.emptying import empty_tables
from tests.renders.conftest import _empty, _settings, a_render, claimed  # noqa: F401 - the first are fixtures, used by their names
from tests.stack import Stack, WarmStack, here
from worker.accounts import admission, store
from worker.accounts.models import Account
from worker.database import transact
from worker.owners.store import owner
from worker.remote.client import Remote
from worker.renders import leases, queue


@pytest.fixture(autouse=True)
def _no_accounts(_empty: None) -> None:  # noqa: F811 - the fixture of that name
    transact(lambda session: empty_tables(session, "accounts, circuits"))


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory, database: str) -> Iterator[Stack]:
    """The stand-in backend alone."""
    with WarmStack(tmp_path_factory.mktemp("backend"), database, "") as stack, here(stack.environment):
        stack.start_sandbox()
        yield stack


@pytest.fixture
def remote(backend: Stack) -> Iterator[Remote]:
    """Its client, the backend as if it had just begun."""
    httpx.post(f"{backend.sandbox}/_sandbox/reset").raise_for_status()
    with Remote.from_settings(settings()) as client:
        yield client


def install(**settings: str) -> None:
    """Put on file what these settings speak of."""
    with here(settings):
        transact(lambda session: store.install(session, Settings()))


def accounts() -> list[Account]:
    """All of them, oldest first."""
    return list(transact(lambda session: session.scalars(select(Account).order_by(Account.created_at)).all()))


def admitted(slots: int = 0, owner_name: str = "default") -> Any:
    """The account that takes an owner's render, or why none."""
    return transact(lambda s: admission.admit(s, owner(s, owner_name).id, default_slots=slots))


def admitted_at_once(slots: int) -> list[Any]:
    """What thirty renders get that ask at the same moment: an account each, or why none."""
    held = [claimed(a_render(), worker=f"io-{n}") for n in range(30)]
    gate, got = threading.Barrier(30), list[Any]()

    def ask(mine: leases.Held) -> None:
        def admit(session: Session) -> Any:
            found = admission.admit(session, mine.render.owner_id, default_slots=slots)
            if isinstance(found, Account):
                leases.write(session, mine, {"account_id": found.id})
            return found

        gate.wait()
        got.append(transact(admit))

    threads = [threading.Thread(target=ask, args=(one,)) for one in held]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return got


def open_places(slots: int = 0) -> int | None:
    """What the dispatcher starts."""
    return transact(lambda session: admission.openings(session, default_slots=slots).total)


def now() -> datetime:
    """The database's time."""
    return transact(queue.now)
