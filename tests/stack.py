"""The service's processes for tests: real workers, dispatcher and sandbox on the run's PostgreSQL and Valkey."""

import atexit
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import httpx
import psutil
import pytest

from config.settings import settings
from deploy.local import leash, ports
from tests import nursery

ROOT = Path(__file__).resolve().parents[1]

QUICK = {
    "VIVIDEO_EXPORT_POLL_SECONDS": "0.5",
    "VIVIDEO_EXPORT_MAX_POLLS": "8",
    "VIVIDEO_STREAM_IDLE_SECONDS": "3",
    "VIVIDEO_STREAM_SILENCE_SECONDS": "4",
    "VIVIDEO_STREAM_MAX_SECONDS": "7",
    "VIVIDEO_SETTLE_SECONDS": "0.4",
    "VIVIDEO_STILL_WORKING_SECONDS": "0.5",
    "VIVIDEO_LOOKUP_FIRST_SECONDS": "0.6",
    "VIVIDEO_LOOKUP_NEXT_SECONDS": "0.4",
    "VIVIDEO_LOOKUP_READS": "3",
    "VIVIDEO_WATCH_SECONDS": "1",
    "VIVIDEO_WATCH_FOR_SECONDS": "60",
    "VIVIDEO_RATE_LIMIT_SECONDS": "0.5",
    "VIVIDEO_LEASE_SECONDS": "6",
    "VIVIDEO_REDISPATCH_SECONDS": "3",
    "VIVIDEO_DISPATCH_TICK_SECONDS": "0.2",
    "VIVIDEO_RETRY_FIRST_SECONDS": "0.2",
    "VIVIDEO_RETRY_LONGEST_SECONDS": "1",
    "VIVIDEO_RETRY_FOR_SECONDS": "30",
    "VIVIDEO_HTTP_CONNECT_SECONDS": "3",
    "VIVIDEO_HTTP_READ_SECONDS": "6",
    "VIVIDEO_CREDITS_SECONDS": "0.5",
    "VIVIDEO_SUBSCRIPTION_SECONDS": "0.5",
}
"""Every wait, small: the same code runs with the contract's values in production."""


_claims: list[socket.socket] = []
"""The names of the ports that this process gave away, held until it ends."""


def free_port() -> int:
    """A port below the range that outgoing connections use, never given away twice: its server listens seconds later,
    and a second one would stand aside while the first one's words are taken for its own."""
    for port in random.sample(range(20_000, 32_000), 200):
        # Under a name of its own: the one that `up` looks at would keep the stack under test from its port.
        claimed = ports.claim(f"vivideo-test-port-{port}") if ports.is_free("127.0.0.1", port) else None
        if claimed is not None:
            _claims.append(claimed)
            return port
    raise RuntimeError("no free port")


def until(holds: Callable[[], Any], seconds: float = 30.0, *, what: str = "the condition") -> Any:
    """Wait for a condition and return its value; AssertionError when it does not come."""
    end = time.monotonic() + seconds
    while True:
        if value := holds():
            return value
        assert time.monotonic() < end, f"{what} did not come within {seconds} s"
        time.sleep(0.03)


@contextmanager
def heard(*numbers: signal.Signals) -> Iterator[None]:
    """Start children that take these signals, also where this run ignores them (nohup, a background job of CI): exec
    resets handlers, but not SIG_IGN."""
    before = {number: signal.signal(number, _nothing) for number in numbers if _ignored(number)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ignored(number: signal.Signals) -> bool:
    return signal.getsignal(number) is signal.SIG_IGN


def _nothing(_number: int, _frame: object) -> None:
    """A handler, so that exec sets the signal back to its default."""


@contextmanager
def here(environment: dict[str, str]) -> Iterator[None]:
    """This process with these settings, for as long as it lasts."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        settings.cache_clear()
        try:
            yield
        finally:
            settings.cache_clear()


class Stack:
    """Processes of one stack; each leashed to this one, so that none outlives the test run."""

    def __init__(self, home: Path, database: str, broker: str, **settings: str) -> None:
        self.home = home
        self.sandbox_port = free_port()
        self.sandbox = f"http://127.0.0.1:{self.sandbox_port}"
        self.environment = {
            "VIVIDEO_DATABASE_URL": database,
            "VIVIDEO_BROKER_URL": broker,
            "VIVIDEO_STATE_DIR": str(home),
            "VIVIDEO_SECRET_KEY": "a test's key of more than thirty-two characters",
            "VIVIDEO_API_KEY": "vv_first_owner_of_the_tests",
            "NEMO_API_URL": self.sandbox,
            "VIVIDEO_ALLOW_LOCAL_ADDRESSES": "true",
            **QUICK,
            **settings,
        }
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self._logs = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for name in reversed(list(self.running)):
            self.kill(name)
        self._logs.close()

    def start(self, name: str, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start `python ARGUMENTS…` under a name; its output goes to NAME.log in the stack's folder."""
        log = self._logs.enter_context((self.home / f"{name}.log").open("ab"))
        process = subprocess.Popen(
            leash.command([sys.executable, *arguments]),
            env=os.environ | self.environment | environment,
            cwd=ROOT,
            stdout=log,
            stderr=log,
        )
        self.running[name] = process
        return process

    def start_sandbox(self, *options: str) -> None:
        """The stand-in backend, drawing plain clips."""
        self.start(
            "sandbox",
            *("-m", "deploy.sandbox", "--port", str(self.sandbox_port), "--data", str(self.home / "sandbox")),
            *("--no-draw", "--export-seconds", "0.3", "--min-poll-seconds", "0.5"),
            *options,
        )
        until(self._sandbox_answers, what="the sandbox")

    def _sandbox_answers(self) -> bool:
        try:
            return httpx.get(self.sandbox).status_code == 200
        except httpx.HTTPError:
            return False

    def start_worker(
        self, kind: str, concurrency: int, name: str | None = None, *, before: Sequence[str] = ()
    ) -> subprocess.Popen[bytes]:
        """A Celery worker of a kind; `before` goes before its `-m celery` (a program that runs it)."""
        pool = "prefork" if kind == "media" else "gevent"
        return self.start(
            name or kind,
            *before,
            *("-m", "celery", "-A", "worker.app", "worker", "-P", pool, "-c", str(concurrency), "-Q", kind),
            *("-n", f"{name or kind}@%h", "-E", "--without-gossip", "--without-mingle", "--loglevel", "INFO"),
            VIVIDEO_WORKER_KIND=kind,
            VIVIDEO_WORKER_CAPACITY=str(concurrency),
        )

    def start_all(self) -> None:
        """Everything a render needs."""
        self.start_sandbox()
        self.migrate()
        self.start("dispatcher", "-m", "worker.dispatch")
        self.start_worker("stream", 60)
        self.start_worker("io", 30)
        self.start_worker("media", 2)

    def migrate(self) -> None:
        """Bring the database up to date; owners, keys and accounts are made from the settings."""
        subprocess.run(
            [sys.executable, "-m", "worker.migrations"], env=os.environ | self.environment, cwd=ROOT, check=True
        )

    def start_api(self) -> str:
        """The REST intake; its address."""
        port = free_port()
        self.start(
            "api", "-m", "granian", "--interface", "asgi", "api.app:app", "--host", "127.0.0.1", "--port", str(port)
        )
        return f"http://127.0.0.1:{port}"

    def kill(self, name: str) -> None:
        """kill -9, its children too: a prefork pool's, or the server's below its main process."""
        process = self.running.pop(name)
        family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.kill()
        for child in family:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        process.wait(10)

    def terminate(self, name: str, patience: float = 15) -> float:
        """SIGTERM, and the seconds until the process had ended."""
        process = self.running.pop(name)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.wait(patience)
        return time.monotonic() - began

    def ledger(self) -> dict[str, Any]:
        """What the backend saw."""
        return httpx.get(f"{self.sandbox}/_sandbox/ledger", timeout=30).json()

    def rule(self, **rule: Any) -> None:
        """Have the backend misbehave."""
        httpx.post(f"{self.sandbox}/_sandbox/rules", json=rule).raise_for_status()


class WarmStack(Stack):
    """The same processes, forked from ones of this test run that have imported everything: the stack is there after a
    second or two, not ten. What is started with a program before it, or has a metrics port, is started as ever."""

    def start(self, name: str, *arguments: str, **environment: str) -> Any:
        """As ever, or a fork."""
        whole = os.environ | self.environment | environment
        if arguments[0] != "-m" or arguments[1] not in nursery.PROGRAMS or "VIVIDEO_METRICS_PORT" in whole:
            return super().start(name, *arguments, **environment)
        kind = "patched" if "gevent" in arguments else "plain"
        self.running[name] = child = _nursery(kind).start(list(arguments[1:]), whole, self.home / f"{name}.log")
        return child

    def migrate(self) -> None:
        """As ever, in a fork."""
        process = self.start("migrations", "-m", "worker.migrations")
        self.running.pop("migrations")
        assert process.wait(60) == 0, (self.home / "migrations.log").read_text()


@lru_cache
def _nursery(kind: str) -> nursery.Nursery:
    """This test run's; it ends with it."""
    folder = Path(tempfile.mkdtemp(prefix="vivideo-nursery-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    # Settings only have to be there: each child reads its own.
    own = {"VIVIDEO_DATABASE_URL": "postgresql://nobody@/nothing", "VIVIDEO_BROKER_URL": "redis://127.0.0.1:1/0"}
    return nursery.Nursery(kind, os.environ | own, folder / f"{kind}.log")
