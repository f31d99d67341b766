"""A whole stack whose PostgreSQL, broker and connections may die: nothing of it is shared with other tests."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx

from deploy.local.postgres import Postgres
from deploy.local.servers import Running
from deploy.local.valkey import Valkey
from tests.journeys.between import Between
from tests.journeys.conftest import Journey
from tests.stack import Stack, here, until
from worker.database import engine

QUICK = {"VIVIDEO_LEASE_SECONDS": "4", "VIVIDEO_REDISPATCH_SECONDS": "1.5", "VIVIDEO_STREAM_MAX_SECONDS": "5"}


class Doomed:
    """The stack, its servers, and what lies between it and PostgreSQL."""

    def __init__(self, home: Path) -> None:
        self._open = ExitStack()
        self.postgres = Running(Postgres(home / "postgres", durable=False), home / "postgres.log")
        self.valkey = Running(Valkey(home / "valkey"), home / "valkey.log")
        self.home = home
        self.api = ""

    def __enter__(self) -> "Doomed":
        for server in (self.postgres, self.valkey):
            self._open.enter_context(server)
        server = self.postgres.server
        assert isinstance(server, Postgres)
        self.between = self._open.enter_context(Between(server.sockets / ".s.PGSQL.5432"))
        database = f"postgresql://vivideo@127.0.0.1:{self.between.port}/postgres?gssencmode=disable&sslmode=disable"
        broker = self.valkey.server
        assert isinstance(broker, Valkey)
        self.broker = broker.redis_url(0)
        self.stack = self._open.enter_context(Stack(self.home, database, broker.broker_url(0), **QUICK))
        self._open.enter_context(here(self.stack.environment))
        self._open.callback(lambda: engine().dispose())
        self.stack.start_all()
        self.start_api()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def start_api(self) -> None:
        """The intake, answering."""
        self.api = self.stack.start_api()
        until(self._answers, what="the intake")

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.api}/livez", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def post(self, prompt: str, key: str) -> httpx.Response:
        """Ask for a render. Raises httpx.TransportError where no answer comes."""
        token = self.stack.environment["VIVIDEO_API_KEY"]
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": key}
        return httpx.post(f"{self.api}/v1/renders", json={"prompt": prompt}, headers=headers, timeout=30)

    def restart(self, kind: str) -> None:
        """Kill a worker with -9 and start it again."""
        self.stack.kill(kind)
        self.stack.start_worker(kind, {"stream": 60, "io": 30, "media": 2}[kind])

    @contextmanager
    def without(self, server: Running) -> Iterator[None]:
        """A server is killed with -9, and is back afterwards."""
        assert server.process is not None, "it runs"
        server.process.kill()
        server.process.wait(10)
        try:
            yield
        finally:
            server.__enter__()

    def begin(self, words: str, more: str = "", **fields: Any) -> Journey:
        """One render."""
        return Journey(self.stack, f"A 2 second clip, {words}. {more}", **fields)


def ended_once(journey: Journey) -> None:
    """It succeeded, with one message, carried out and charged once, and one end."""
    row = journey.end()
    assert row.status == "succeeded", (row.error_code, row.error_message, journey.types())
    assert (len(journey.messages()), journey.executed(), journey.charged()) == (1, 1, 100)
    assert (row.charge_state, journey.types().count("succeeded")) == ("incurred", 1)


def rescued(journey: Journey) -> list[str]:
    """The stages at which it was taken over."""
    return [one.stage for one in journey.recoveries()]


def sent(journey: Journey) -> None:
    """Wait until the backend has its message."""
    until(journey.messages, what="the message")
