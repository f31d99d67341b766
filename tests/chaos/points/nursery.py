"""A process that has imported everything and forks the workers off: starting one costs a tenth of a second, not three.

    python -m tests.chaos.points.nursery patched|plain

Each line of its input is a child to start: `{"argv": […], "environment": {…}, "log": "…"}`. Each line of its output
says the pid of a new one, or how one ended. Nothing runs in it before a fork: no thread, no connection, no event loop.
"""

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1


class Nursery:
    """The test's end of it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._in, self._out = process.stdin, process.stdout
        self._rest = b""
        self.ended: dict[int, int] = {}

    def start(self, argv: list[str], environment: dict[str, str], log: Path) -> "Child":
        """A new child; it runs `python -m ARGV`."""
        wish = {"argv": argv, "environment": environment, "log": str(log)}
        self._in.write(json.dumps(wish).encode() + b"\n")
        self._in.flush()
        begun: list[int] = []
        while not begun:
            begun = self.hear(60)
        return Child(self, begun[0])

    def hear(self, seconds: float = 0) -> list[int]:
        """Take in what it said; the pids of new children."""
        begun: list[int] = []
        while select.select([self._out], [], [], seconds)[0]:
            piece = os.read(self._out.fileno(), 65536)
            assert piece, "the nursery died: see its log"
            *lines, self._rest = (self._rest + piece).split(b"\n")
            for said in map(json.loads, lines):
                if "status" in said:
                    self.ended[said["pid"]] = said["status"]
                else:
                    begun.append(said["pid"])
            seconds = 0
        return begun


class Child:
    """As far like `subprocess.Popen` as a stack needs it."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self._nursery = nursery
        self.pid = pid

    def poll(self) -> int | None:
        """Its exit status (minus the signal's number); None while it lives."""
        self._nursery.hear()
        return self._nursery.ended.get(self.pid)

    def wait(self, timeout: float = 30) -> int:
        """The same, once it ended."""
        from tests.stack import until

        until(lambda: self.poll() is not None, timeout, what=f"the end of {self.pid}")
        return self._nursery.ended[self.pid]

    def send_signal(self, number: int) -> None:
        """To it, if it lives."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """kill -9."""
        self.send_signal(signal.SIGKILL)


def main(kind: str) -> None:
    """Import, then fork until the input ends."""
    fork = os.fork
    if kind == "patched":  # as `celery worker -P gevent` does, before anything else
        from gevent import monkey

        monkey.patch_all()
        fork = monkey.get_original("os", "fork")
    _import(kind)
    buffer = b""
    while True:
        if _ready(0.02):
            piece = os.read(0, 65536)
            if not piece:
                return
            *lines, buffer = (buffer + piece).split(b"\n")
            for line in lines:
                pid = fork()
                if pid == 0:
                    _child(json.loads(line))
                _say({"pid": pid})
        _reap()


def _ready(seconds: float) -> bool:
    """Whether there is input; by the kernel's own `poll`, which gevent does not touch."""
    return bool(_poll(int(seconds * 1000)))


def _poll(milliseconds: int) -> int:
    entry = (ctypes.c_int * 2)(0, select.POLLIN)  # struct pollfd: fd, events | revents << 16
    return ctypes.CDLL(None).poll(ctypes.byref(entry), 1, milliseconds)


MODULES = (
    "celery.apps.worker",
    "celery.bin.celery",
    "celery.bin.worker",
    "celery.concurrency.prefork",
    "celery.worker.consumer",
    "kombu.transport.redis",
    "worker.tasks",
)
"""What a worker imports before it is ready."""


def _import(kind: str) -> None:
    for name in (*MODULES, "celery.concurrency.gevent" if kind == "patched" else "worker.dispatch"):
        import_module(name)


def _child(wish: dict[str, Any]) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    with open(wish["log"], "ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.update(wish["environment"])
    program, *_ = sys.argv = wish["argv"]
    status = 1
    try:
        if program == "celery":
            from celery.bin.celery import main as run
        else:
            from worker.dispatch import main as run
        run()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _reap() -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        _say({"pid": pid, "status": os.waitstatus_to_exitcode(status)})


def _say(what: dict[str, int]) -> None:
    os.write(1, json.dumps(what).encode() + b"\n")


if __name__ == "__main__":
    main(sys.argv[1])
