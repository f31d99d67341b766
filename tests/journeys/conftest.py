"""A whole stack for a module's journeys, and what a test does with it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.stack import Stack, WarmStack, here, until
from worker.database import transact
from worker.owners.store import owner
from worker.remote.intents import Intent
from worker.renders import events, store
from worker.renders.models import Event, Export, Recovery, Render, Result
from worker.renders.store import NewRender

START_SECONDS = 90
"""Six Python programs on two cores that run other tests at the same time: 35 s were seen."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, database: str, broker_url: str) -> Iterator[Stack]:
    """Sandbox, dispatcher and workers; this process reads and writes the same database."""
    with WarmStack(tmp_path_factory.mktemp("stack"), database, broker_url) as running, here(running.environment):
        running.start_all()
        yield running


def started_api(stack: Stack) -> str:
    """The intake's address, once it and workers of each kind are ready."""
    address = stack.start_api()

    def ready() -> bool:
        try:
            return httpx.get(f"{address}/readyz").status_code == 200
        except httpx.HTTPError:
            return False

    until(ready, START_SECONDS, what="the intake")
    return address


@contextmanager
def ready_api(stack: Stack) -> Iterator[httpx.Client]:
    """The first owner's calls to a started intake."""
    headers = {"Authorization": f"Bearer {stack.environment['VIVIDEO_API_KEY']}"}
    with httpx.Client(base_url=started_api(stack), headers=headers, timeout=30) as connected:
        yield connected


class Journey:
    """One render on its way."""

    def __init__(self, running: Stack, prompt: str, **fields: Any) -> None:
        self.stack = running
        self.prompt = prompt
        request = NewRender(**{"prompt": prompt, "language": "en", **fields})
        self.id = transact(lambda session: store.accept(session, owner(session, "default").id, request)).id

    @property
    def words(self) -> str:
        """The prompt without what it asks of the sandbox."""
        return self.prompt.partition("[[")[0].strip()

    @property
    def row(self) -> Render:
        """The row as it is now."""
        return transact(lambda session: session.get_one(Render, self.id))

    def end(self, seconds: float = 60) -> Render:
        """The row once it is final."""
        return until(lambda: (row := self.row).finished_at and row, seconds, what=f"the end of {self.prompt!r}")

    def messages(self) -> list[dict[str, Any]]:
        """The paid messages that the backend saw for this render, by their words."""
        return [one for one in self.stack.ledger()["messages"] if one["text"].strip().startswith(self.words)]

    def executed(self) -> int:
        """How many of them it carried out."""
        return sum(one["executed"] for one in self.messages())

    def charged(self) -> float:
        """Credits charged and not given back."""
        return sum(one["charged"] for one in self.messages())

    def events(self) -> list[Event]:
        """Its events, in order."""
        return list(transact(lambda session: events.of_render(session, self.id)))

    def types(self) -> list[str]:
        """Their types."""
        return [event.type.removeprefix("render.") for event in self.events()]

    def all(self, model: Any) -> list[Any]:
        """Rows of a table that belong to it."""
        return transact(lambda session: list(session.query(model).filter(model.render_id == self.id).all()))

    def intents(self) -> list[Intent]:
        """Its paid messages as our books have them."""
        return sorted(self.all(Intent), key=lambda intent: intent.created_at)

    def exports(self) -> list[Export]:
        """Its exports."""
        return sorted(self.all(Export), key=lambda export: export.created_at)

    def result(self) -> Result:
        """Its file."""
        (row,) = self.all(Result)
        return row

    def recoveries(self) -> list[Recovery]:
        """Its takeovers."""
        return self.all(Recovery)


def stored(running: Stack, key: str) -> Path:
    """Where the local object storage keeps a key."""
    return Path(os.path.join(running.home, "results", key))
