"""Runs a stack of programs: in steps up, all watched, in waves down."""

import asyncio
import contextlib
import resource
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from pathlib import Path

from . import guard as guard_program
from . import processes
from .child import Child
from .output import LogFile, Terminal
from .program import Program, Wave, nothing
from .state import State

OnReady = Callable[[], Awaitable[int | None]]
"""Awaited once everything is ready; a number ends the stack and is the exit status, None lets it run on."""
SAME_WISH = 1.0
"""Seconds in which a second signal means the same as the first: `make` and `timeout` send it on."""


class Supervisor:
    """Children in steps: those of one step start together, the next step begins when all are ready."""

    def __init__(
        self, state: State, steps: Sequence[Sequence[Program]], environment: Mapping[str, str], terminal: Terminal
    ) -> None:
        self.children: list[Child] = []
        self.on_change: Callable[[], None] = nothing
        """Called whenever a child starts or ends."""
        self._state = state
        self._steps = steps
        self._environment = {**environment, processes.MARK: str(state.directory)}
        self._terminal = terminal
        self._guard: subprocess.Popen[str] | None = None
        self._logs: list[LogFile] = []

    def pids(self) -> dict[str, int]:
        """Process ids of the running children by name."""
        return {child.program.name: child.pid for child in self.children if child.pid}

    async def run(self, on_ready: OnReady) -> int:
        """Start everything, wait for a signal or for `on_ready`'s verdict, stop everything; the exit status.

        Raises LocalError when something cannot be started; by then all is stopped again.
        """
        stop, hurry = _signals()
        # A stack killed together with its guard may have left grandchildren.
        processes.end(lambda: processes.marked(self._state.directory), signal.SIGTERM, patience=1)
        _raise_file_limit()
        self._start_guard()
        try:
            return await self._until(stop, self._live(on_ready))
        finally:
            self._terminal.say("stopping")
            await self._stop(hurry)
            self._stop_guard()
            for log in self._logs:
                log.close()

    async def _live(self, on_ready: OnReady) -> int:
        for step in self._steps:
            begun = [self._start(program) for program in step]
            await _all(child.until_ready() for child in begun)
        status = await on_ready()
        if status is None:
            await asyncio.Event().wait()
            raise AssertionError("waits for ever")
        return status

    async def _until(self, stop: asyncio.Event, life: Awaitable[int]) -> int:
        living = asyncio.ensure_future(life)
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait([living, stopping], return_when=asyncio.FIRST_COMPLETED)
            return living.result() if living.done() else 0
        finally:
            for task in (living, stopping):
                task.cancel()
            await asyncio.gather(living, stopping, return_exceptions=True)

    def _start(self, program: Program) -> Child:
        log = LogFile(self._state.logs / f"{program.name}.log")
        self._logs.append(log)
        child = Child(program, self._environment, self._state.directory, log, self._terminal, self._watch)
        self.children.append(child)
        child.start()
        return child

    async def _stop(self, hurry: asyncio.Event) -> None:
        """Wave after wave; a second signal kills what is still busy, but never the database."""
        for wave in Wave:
            group = [child for child in self.children if child.program.wave is wave]
            if not group:
                continue
            leaving = asyncio.gather(*(child.stop() for child in group))
            impatient = asyncio.create_task(hurry.wait())
            await asyncio.wait([leaving, impatient], return_when=asyncio.FIRST_COMPLETED)
            if not leaving.done() and wave is not Wave.DATABASE:
                await asyncio.gather(*(child.stop(at_once=True) for child in group))
            await leaving
            impatient.cancel()

    def _start_guard(self) -> None:
        # A session of its own: what is sent to this process's group or terminal must not reach it.
        self._guard = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-I", "-S", str(Path(guard_program.__file__))],
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def _stop_guard(self) -> None:
        if self._guard and self._guard.stdin:
            with contextlib.suppress(OSError):
                self._guard.stdin.write("bye\n")
                self._guard.stdin.close()
            self._guard.wait()

    def _watch(self, program: Program, sign: str, group: int) -> None:
        if program.guarded and self._guard and self._guard.stdin:
            with contextlib.suppress(OSError):  # killed; the next start sweeps instead
                self._guard.stdin.write(f"{sign}{group}\n")
                self._guard.stdin.flush()
        self.on_change()


async def _all(waits: Iterable[Coroutine[None, None, None]]) -> None:
    """Like gather, but the first failure ends the other waits."""
    tasks = [asyncio.create_task(wait) for wait in waits]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


def _signals() -> tuple[asyncio.Event, asyncio.Event]:
    """Set by the first signal to leave, and by one that comes clearly later."""
    stop, hurry = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    asked_at: list[float] = []

    def leave() -> None:
        asked_at.append(loop.time())
        stop.set()
        if asked_at[-1] - asked_at[0] > SAME_WISH:
            hurry.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # `nohup` means it
            loop.add_signal_handler(number, leave)
    return stop, hurry


def _raise_file_limit() -> None:
    """Each stream is an open file; the usual soft limit of 1,024 is too low. Children inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
