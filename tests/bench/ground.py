"""What the intake's benchmarks stand on: the embedded servers as the local stack runs them, and the intake alone.

There is no dispatcher and no worker, so that every render stays queued and nothing else uses the machine.
"""

import secrets
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

from deploy.local import commands
from deploy.local.postgres import Postgres
from deploy.local.servers import Running
from deploy.local.valkey import Valkey
from tests.stack import Stack, free_port, here, until
from worker.database import engine, new_id, transact
from worker.owners import store as owners
from worker.owners.models import ApiKey

NO_LIMIT = "1000000000"
"""Requests a minute: the counting is part of what is measured, its refusals are not."""


class Ground:
    """Durable PostgreSQL, Valkey, a migrated database, and a key whose requests are counted like a customer's."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.key = f"vv_{secrets.token_urlsafe(32)}"
        self.port = 0
        self._open = ExitStack()

    def __enter__(self) -> "Ground":
        postgres, valkey = Postgres(self.home / "postgres"), Valkey(self.home / "valkey")
        self.postgres = self._open.enter_context(Running(postgres, self.home / "postgres.log"))
        self.valkey = self._open.enter_context(Running(valkey, self.home / "valkey.log"))
        self.database = postgres.url("postgres")
        limits = {"VIVIDEO_WRITES_PER_MINUTE": NO_LIMIT, "VIVIDEO_READS_PER_MINUTE": NO_LIMIT}
        self.stack = self._open.enter_context(Stack(self.home, self.database, valkey.broker_url(0), **limits))
        self._open.enter_context(here(self.stack.environment))
        self.stack.migrate()
        self._open.callback(engine().dispose)
        transact(self._install)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def _install(self, session) -> None:
        mine = owners.owner(session, owners.FIRST_OWNER).id
        kept = owners.key_hash(self.key)
        session.add(ApiKey(id=new_id("key"), owner_id=mine, name="bench", prefix=self.key[:8], hash=kept))

    @property
    def api(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def headers(self) -> dict[str, str]:
        """What a call needs."""
        return {"Authorization": f"Bearer {self.key}"}

    @contextmanager
    def intake(self) -> Iterator[int]:
        """The intake as the local stack starts it, freshly started; its process id."""
        self.port = free_port()
        started = self.stack.start("api", *commands.api("127.0.0.1", self.port).arguments)
        try:
            until(self._answers, what="the intake")
            yield started.pid
        finally:
            self.stack.kill("api")

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.api}/v1/renders", headers=self.headers, timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    @contextmanager
    def broker_killed(self) -> Iterator[None]:
        """`kill -9` of the broker; it is back afterwards."""
        assert self.valkey.process is not None, "it runs"
        self.valkey.process.send_signal(signal.SIGKILL)
        self.valkey.process.wait(10)
        assert not self.valkey.server.ready(), "it is dead"
        try:
            yield
        finally:
            self.valkey.__enter__()
