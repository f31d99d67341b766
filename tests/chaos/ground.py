"""What a storm blows on: servers and processes of its own, and who starts again what was killed.

Children are leashed to the thread that starts them, so everything here runs in the main thread.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import httpx
import psutil

from deploy.local import commands
from deploy.local.postgres import Postgres
from deploy.local.servers import Running
from deploy.local.valkey import Valkey
from tests.chaos import webhooks
from tests.stack import Stack, free_port, here, until
from worker.database import engine

SETTINGS = {
    # Short, so that a storm of two minutes sees many takeovers; heartbeats still come every second.
    "VIVIDEO_LEASE_SECONDS": "3",
    "VIVIDEO_REDISPATCH_SECONDS": "2",
    "VIVIDEO_WRITES_PER_MINUTE": "0",
    "VIVIDEO_READS_PER_MINUTE": "0",
    **webhooks.SETTINGS,
}
START_SECONDS = 240
"""Twelve Python programs: ten seconds on two idle cores, minutes on two that others use."""
START_AGAIN_SECONDS = (0.1, 1.0)
"""A supervisor's pause before it starts a process again, at least and at most."""


@dataclass
class Death:
    """A process that was killed or frozen, and when (Unix seconds): takeovers of its work count from there."""

    name: str
    pids: set[int]
    at: float


@dataclass
class Program:
    """A process of the stack that is started again when it ends."""

    name: str
    start: Callable[[], object]
    again_at: float | None = None


@dataclass
class Ground:
    """A stack on servers of its own. `tend` is its supervisor: call it often."""

    home: Path
    quick: bool = False
    deaths: list[Death] = field(default_factory=list[Death])
    programs: dict[str, Program] = field(default_factory=dict[str, Program])
    frozen: set[str] = field(default_factory=set[str])
    _open: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._open.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def _start(self) -> None:
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.postgres = self._open.enter_context(Running(Postgres(self.home / "postgres"), self.home / "postgres.log"))
        self.valkey = self._open.enter_context(Running(Valkey(self.home / "valkey"), self.home / "valkey.log"))
        self.database = self._server(self.postgres).url("postgres")
        self.broker = self.valkey.server
        assert isinstance(self.broker, Valkey)
        self.redis_url = self.broker.redis_url()
        self.stack = Stack(self.home, self.database, self.broker.broker_url(), **SETTINGS)
        self._open.enter_context(self.stack)
        self._open.enter_context(here(self.stack.environment))
        self._open.callback(engine().dispose)
        self._open.callback(self.thaw_all)
        self.port = free_port()
        # Long enough that a kill finds streams open, with signs of life closer together than the idle limit.
        self.stack.start_sandbox("--stream-seconds", "3")
        httpx.post(f"{self.stack.sandbox}/_sandbox/settings", json={"heartbeat_seconds": 1}).raise_for_status()
        self.stack.migrate()
        for program in self._wanted():
            self.programs[program.name] = program
            program.start()
        until(self._ready, START_SECONDS, what="the stack")

    @staticmethod
    def _server(running: Running) -> Postgres:
        assert isinstance(running.server, Postgres)
        return running.server

    def _wanted(self) -> Iterator[Program]:
        """Two of each; the short form has one worker for streams and one for media."""
        stack = self.stack
        for number in ("1", "2"):
            yield Program(f"dispatcher-{number}", lambda name=f"dispatcher-{number}": stack.start(name, *_DISPATCHER))
        one_or_two = 1 if self.quick else 2
        for kind, places, count in (("stream", 60, one_or_two), ("io", 30, 2), ("media", 2, one_or_two)):
            for number in range(1, count + 1):
                name = f"{kind}-{number}"
                yield Program(name, lambda kind=kind, places=places, name=name: stack.start_worker(kind, places, name))
        beat = commands.beat(self.home / "beat.schedule")
        yield Program("beat", lambda: stack.start("beat", *beat.arguments))
        api = commands.api("127.0.0.1", self.port)
        yield Program("api", lambda: stack.start("api", *api.arguments))

    @property
    def api(self) -> str:
        """Its address: the same after each restart."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def headers(self) -> dict[str, str]:
        """What a call to it needs."""
        return {"Authorization": f"Bearer {self.stack.environment['VIVIDEO_API_KEY']}"}

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self.api}/readyz", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def tend(self, pause: float = 0.5) -> None:
        """Start again what ended, `pause` seconds after that was seen."""
        now = time.monotonic()
        for name, program in self.programs.items():
            process = self.stack.running.get(name)
            if process is not None and process.poll() is None:
                continue
            if program.again_at is None:
                program.again_at = now + pause
            elif now >= program.again_at:
                program.again_at = None
                program.start()

    def all_up(self) -> bool:
        """Whether nothing is missing: who asks the intake for something now gets an answer."""
        return all(
            (process := self.stack.running.get(name)) is not None and process.poll() is None for name in self.programs
        )

    def called(self, name: str) -> str:
        """The program of this name, or the first of its kind where there is only one."""
        return name if name in self.programs else f"{name.partition('-')[0]}-1"

    def family(self, name: str) -> list[psutil.Process]:
        """A program's processes: itself and its children. Empty when it does not run just now."""
        process = self.stack.running.get(name)
        if process is None or process.poll() is not None:
            return []
        with suppress(psutil.NoSuchProcess):
            mine = psutil.Process(process.pid)
            return [mine, *mine.children(recursive=True)]
        return []

    def kill(self, name: str, *, child: bool = False) -> bool:
        """kill -9 of a program with its children, or of one child of its pool. False when it does not run just now."""
        family = self.family(name)
        doomed = family[1:2] if child else family
        if not doomed or name in self.frozen:
            return False
        self.deaths.append(Death(name, {one.pid for one in doomed}, time.time()))
        for one in doomed:
            with suppress(psutil.NoSuchProcess):
                one.send_signal(signal.SIGKILL)
        return True

    def freeze(self, name: str) -> bool:
        """SIGSTOP; False when it does not run just now."""
        family = self.family(name)
        if not family or name in self.frozen:
            return False
        self.deaths.append(Death(name, {one.pid for one in family}, time.time()))
        self.frozen.add(name)
        for one in family:
            one.send_signal(signal.SIGSTOP)
        return True

    def thaw(self, name: str) -> None:
        """SIGCONT."""
        self.frozen.discard(name)
        for one in self.family(name):
            with suppress(psutil.NoSuchProcess):
                one.send_signal(signal.SIGCONT)

    def thaw_all(self) -> None:
        """Nothing may be left standing still."""
        for name in list(self.frozen):
            self.thaw(name)

    def kill_broker(self) -> None:
        """kill -9 of the broker, and a new one that knows nothing."""
        assert self.valkey.process is not None, "it runs"
        os.kill(self.valkey.process.pid, signal.SIGKILL)
        self.valkey.process.wait(10)
        self.valkey.__enter__()

    def restart_postgres(self, how: signal.Signals) -> float:
        """SIGINT is a fast shutdown, SIGQUIT an immediate one, after which it recovers. The seconds it was away."""
        assert self.postgres.process is not None, "it runs"
        began = time.monotonic()
        self.postgres.process.send_signal(how)
        self.postgres.process.wait(30)
        self.postgres.__enter__()
        return time.monotonic() - began


_DISPATCHER = commands.dispatcher().arguments
