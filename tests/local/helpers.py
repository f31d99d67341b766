"""Starting the stand-in stack and waiting for what it says."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from deploy.local import processes
from tests.stack import heard

ROOT = Path(__file__).resolve().parents[2]


def until(condition: Callable[[], bool], patience: float = 5) -> None:
    """Return once it holds; fail after `patience` seconds."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "still not so"
        time.sleep(0.02)


def start(state: Path, flaw: str = "none", *, python: str = sys.executable, **options: Any) -> subprocess.Popen[str]:
    """The stand-in stack as a process; its lines are read from `stdout`."""
    with heard(signal.SIGINT, signal.SIGHUP):
        return subprocess.Popen(
            [python, "-m", "tests.local.stand_in", str(state), flaw],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
            **options,
        )


@contextlib.contextmanager
def stack(state: Path, flaw: str = "none", **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A stand-in stack that is ready; whatever is left of it is killed at the end."""
    process = start(state, flaw, **options)
    try:
        assert process.stdout is not None
        lines: list[str] = []
        for line in process.stdout:
            lines.append(line)
            if line == "READY\n":
                break
        else:
            raise AssertionError("".join(lines))
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.communicate()
        processes.end(lambda: processes.marked(state), signal.SIGKILL)


def members(state: Path) -> list[int]:
    """Main processes and grandchildren that reported so far."""
    return [int(line.split()[1]) for line in (state / "pids").read_text().splitlines()]


def running(state: Path) -> bool:
    """Whether anything of the stack is left: marked processes, or PostgreSQL's."""
    return bool(processes.marked(state) or processes.working_in(state / "postgres" / "data", "postgres"))


def leave(process: subprocess.Popen[str], number: signal.Signals = signal.SIGTERM) -> float:
    """Ask it to leave; the seconds until it was gone."""
    began = time.monotonic()
    os.kill(process.pid, number)
    process.communicate(timeout=20)
    return time.monotonic() - began
