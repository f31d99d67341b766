"""Keeping one program running: start, log, restart with a back-off, stop."""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

from . import processes
from .errors import LocalError, ServerFailed
from .output import LogFile, Terminal
from .program import PATIENCE, Program

FIRST_PAUSE = 0.25
LONGEST_PAUSE = 5.0
"""Seconds before a restart; doubled each time until the child has lived for `STEADY` seconds."""
STEADY = 30.0
TRIES_AT_START = 4
"""A program that ends this often before it was ever ready is broken, not unlucky."""
LOOK = 0.1
LONGEST_LINE = 65536

Watch = Callable[[Program, str, int], None]
"""Called with "+" and the process group when a program starts, "-" when it is gone."""


class Child:
    """A supervised program, run in `directory` with its lines in `log`."""

    def __init__(
        self,
        program: Program,
        environment: Mapping[str, str],
        directory: Path,
        log: LogFile,
        terminal: Terminal,
        watch: Watch,
    ) -> None:
        self.program = program
        self.pid: int | None = None
        self._environment = {**environment, **program.environment}
        self._directory = directory
        self._log = log
        self._terminal = terminal
        self._watch = watch
        self._ends: list[int] = []
        self._failure: LocalError | None = None
        self._leaving = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to keep it running."""
        self._task = asyncio.create_task(self._keep_running(), name=self.program.name)

    async def until_ready(self, patience: float = 90) -> None:
        """Return when it is ready. Raises LocalError when it cannot become so or takes `patience` seconds."""
        deadline = asyncio.get_running_loop().time() + patience
        while not await self._is_ready():
            if self._failure:
                raise self._failure
            if len(self._ends) >= (1 if self.program.once else TRIES_AT_START):
                raise ServerFailed(self.program.name, f"ended with status {self._ends[-1]}", self._log.path)
            if asyncio.get_running_loop().time() > deadline:
                raise ServerFailed(self.program.name, f"not ready after {patience:.0f} s", self._log.path)
            await asyncio.sleep(LOOK)

    async def stop(self, *, at_once: bool = False) -> None:
        """Ask it to leave, kill it when its patience is over (or at once), and return when it is gone."""
        self._leaving.set()
        if self._task is None:
            return
        if not at_once:
            self._signal(self.program.stop_signal)
            await asyncio.wait([self._task], timeout=PATIENCE[self.program.wave])
        while not self._task.done():
            if self.pid:
                processes.kill_group(self.pid)
            await asyncio.wait([self._task], timeout=0.2)

    async def _is_ready(self) -> bool:
        if self.program.once:
            return self._ends[-1:] == [0]
        return self.pid is not None and await self.program.ready()

    async def _keep_running(self) -> None:
        pause = FIRST_PAUSE
        loop = asyncio.get_running_loop()
        while not self._leaving.is_set():
            began = loop.time()
            status = await self._run_once()
            self._ends.append(status)
            if self._leaving.is_set() or self.program.once:
                return
            if loop.time() - began > STEADY:
                pause = FIRST_PAUSE
            self._terminal.say(f"{self.program.name} ended with status {status}; again in {pause:g} s")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._leaving.wait(), pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _run_once(self) -> int:
        try:
            self.program.prepare()
            process = self._spawn()
        except (LocalError, OSError) as error:
            self._failure = error if isinstance(error, LocalError) else ServerFailed(self.program.name, str(error))
            self._log.write(f"{error}\n".encode())
            return 1
        # Outside of the `try`: what goes wrong here must not look as if nothing had been started.
        self._watch(self.program, "+", process.pid)
        assert process.stdout is not None
        reading = asyncio.create_task(self._read(process.stdout))
        status = await _end_of(process)
        self.pid = None
        # What it started in turn must not keep its port or its queue.
        processes.kill_group(process.pid)
        self._watch(self.program, "-", process.pid)
        await asyncio.wait([reading], timeout=1)
        reading.cancel()
        return status

    def _spawn(self) -> subprocess.Popen[bytes]:
        # Not asyncio's own: its wait() also waits until grandchildren have closed the pipe.
        process = subprocess.Popen(  # noqa: S603 - the stack's own programs
            self.program.command(),
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self._directory,
            process_group=0,
        )
        self.pid = process.pid
        return process

    async def _read(self, pipe: IO[bytes]) -> None:
        stream = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stream), pipe)
        rest = b""
        try:
            while data := await stream.read(LONGEST_LINE):
                self._log.write(data)
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    self._terminal.line(self.program.name, line.decode(errors="replace"))
                rest = rest[-LONGEST_LINE:]
        finally:
            transport.close()

    def _signal(self, number: signal.Signals) -> None:
        if self.pid:
            processes.send([self.pid], number)


async def _end_of(process: subprocess.Popen[bytes]) -> int:
    """The exit status, once the process itself has ended."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    watched = os.pidfd_open(process.pid)
    try:
        loop.add_reader(watched, ended.set)
        await ended.wait()
    finally:
        loop.remove_reader(watched)
        os.close(watched)
    return process.wait()
