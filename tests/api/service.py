"""The intake as it is run: granian in a process of its own, on a real database, asked over HTTP."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from api.client import Client
from deploy.local import leash, ports
from tests import feed
from worker.database import dialect_url
from worker.owners import store as owners

FIRST_KEY = "vv_the-first-owners-key-of-the-tests"
SECRET_KEY = "keeps-the-secrets-of-these-tests-for-them"


class Service:
    """A running intake. `first` and `second` are the two owners' HTTP clients, `nobody` has no key."""

    def __init__(self, database: str, home: Path, port: int, environment: Mapping[str, str] | None = None) -> None:
        self.database = database
        self.home = home
        self.port = ports.choose("127.0.0.1", port, setting="", fixed=False)
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("VIVIDEO_", "NEMO_"))},
            "VIVIDEO_DATABASE_URL": database,
            "VIVIDEO_STATE_DIR": str(home),
            "VIVIDEO_API_KEY": FIRST_KEY,
            "VIVIDEO_SECRET_KEY": SECRET_KEY,
            **(environment or {}),
        }
        self._engine = create_engine(dialect_url(database))
        self._open: list[httpx.Client] = []
        self.process: subprocess.Popen[bytes] | None = None
        self.nobody = self._client(None)
        self.first = self._client(FIRST_KEY)
        self.second_key = ""

    def start(self) -> None:
        """Run it and wait until it answers."""
        serve = ("-m", "granian", "--interface", "asgi", "--host", "127.0.0.1", "--port", str(self.port))
        serve += ("--http", "1", "--no-ws", "--backpressure", "10000")
        with (self.home / "api.log").open("ab") as log:
            self.process = subprocess.Popen(
                leash.command([sys.executable, *serve, "--no-access-log", "--workers", "1", "api.app:app"]),
                env=self.environment,
                cwd=Path(__file__).parents[2],
                stdout=log,
                stderr=log,
                process_group=0,
            )
        until(self._answers, 20, lambda: self.log)

    def stop(self) -> float:
        """Ask it to leave; the seconds it took."""
        if self.process is None:
            return 0.0
        began = time.monotonic()
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(10)
        finally:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        return time.monotonic() - began

    def close(self) -> None:
        """Stop it and drop the connections."""
        self.stop()
        for client in self._open:
            client.close()
        self._engine.dispose()

    def pids(self) -> list[int]:
        """The server's processes."""
        group = [
            int(entry.name)
            for entry in self.proc.iterdir()
            if entry.name.isdecimal() and self._in_group(int(entry.name))
        ]
        assert group
        return group

    def _in_group(self, pid: int) -> bool:
        try:
            return self.process is not None and os.getpgid(pid) == self.process.pid
        except ProcessLookupError:
            return False

    proc = Path("/proc")

    @property
    def log(self) -> str:
        """All it wrote."""
        return (self.home / "api.log").read_text()

    @property
    def second(self) -> httpx.Client:
        """The second owner, with a key made in the database."""
        if not self.second_key:
            self.second_key = self.write(
                lambda session: owners.new_key(session, owners.owner(session, owners.SECOND_OWNER).id, "tests")
            )
            self._second = self._client(self.second_key)
        return self._second

    @property
    def client(self) -> Client:
        """The Python client with the first owner's key."""
        return Client(self.url, FIRST_KEY)

    def session(self) -> Session:
        """A session of the test's own."""
        return Session(self._engine, expire_on_commit=False)

    def write(self, work: Callable[[Session], Any]) -> Any:
        """Run `work` in a transaction of the test's own."""
        with self.session() as session, session.begin():
            return work(session)

    def readable(self) -> None:
        """Wait until the feed shows all that is committed."""
        feed.readable(self.write)

    def forget_connections(self) -> None:
        """After a restart of the database."""
        self._engine.dispose()

    def make(self, owner: httpx.Client | None = None, **fields: Any) -> dict[str, Any]:
        """A render, asked for over HTTP."""
        answer = (owner or self.first).post("/v1/renders", json={"prompt": "a red kite over the sea", **fields})
        assert answer.status_code == 202, answer.text
        return answer.json()

    def _client(self, key: str | None) -> httpx.Client:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        client = httpx.Client(base_url=self.url, headers=headers, timeout=20)
        self._open.append(client)
        return client

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log
        try:
            return self.nobody.get("/livez").status_code == 200
        except httpx.TransportError:
            return False


def until(condition: Callable[[], Any], patience: float = 10, why: Callable[[], str] = lambda: "still not so") -> None:
    """Wait for a condition, not for a time."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, why()
        time.sleep(0.02)


@contextmanager
def serving(database: str, home: Path, port: int, **environment: str) -> Iterator[Service]:
    """An intake that answers, until the end of the block."""
    running = Service(database, home, port, environment)
    try:
        running.start()
        until(lambda: running.first.get("/v1/credits").status_code == 200, why=lambda: running.log)
        yield running
    finally:
        running.close()
