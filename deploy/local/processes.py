"""Looking at and ending processes by what /proc says of them, never by name."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path

MARK = "VIVIDEO_SUPERVISED"
"""Environment variable of every process of a local stack; its value is the state directory."""


def kill_group(group: int, with_signal: signal.Signals = signal.SIGKILL) -> None:
    """Signal a process group that may be gone already."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, with_signal)


def alive(pid: int) -> bool:
    """Whether the process runs (a zombie does not)."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"


def marked(state: Path) -> list[int]:
    """Processes of the stack in `state`, this one and its ancestors excepted."""
    wanted = f"{MARK}={state}".encode()
    return _find(lambda process: wanted in (process / "environ").read_bytes().split(b"\0"))


def working_in(directory: Path, program: str) -> list[int]:
    """Processes of `program` (a file's name) whose working directory is `directory`: a server's, its orphaned workers
    included; not somebody's shell that stands there."""

    def matches(process: Path) -> bool:
        running = Path(os.readlink(process / "exe").removesuffix(" (deleted)")).name
        return running == program and os.readlink(process / "cwd") == str(directory)

    return _find(matches)


def end(find: Callable[[], Iterable[int]], ask: signal.Signals, *, patience: float = 5) -> None:
    """Ask what `find` finds to leave and wait until it finds nothing; from `patience` seconds on, kill."""
    send(find(), ask)
    deadline = time.monotonic() + patience
    while found := list(find()):
        if time.monotonic() > deadline:
            send(found, signal.SIGKILL)
        time.sleep(0.02)


def send(pids: Iterable[int], number: signal.Signals) -> None:
    """Signal processes that may be gone already."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _find(matches: Callable[[Path], bool]) -> list[int]:
    found: list[int] = []
    spared = _ancestry()
    for process in Path("/proc").iterdir():
        if not process.name.isdecimal() or int(process.name) in spared:
            continue
        with contextlib.suppress(OSError):  # gone meanwhile, or another user's
            if matches(process) and alive(int(process.name)):
                found.append(int(process.name))
    return found


def _ancestry() -> set[int]:
    pid, chain = os.getpid(), set[int]()
    while pid > 0:
        chain.add(pid)
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            break
    return chain
