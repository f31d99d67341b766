"""A process that has imported everything and forks the workers off: starting one costs a tenth of a second, not three.

    python -m tests.nursery patched|plain

Each line of its input is a child to start: `{"argv": […], "environment": {…}, "log": "…"}`, with its whole environment.
Each line of its output says the pid of a new one, or how one ended. Nothing runs in it before a fork: no thread, no
connection, no event loop.
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

from deploy.local import leash

ROOT = Path(__file__).resolve().parents[1]
_PR_SET_PDEATHSIG = 1


PROGRAMS = ("celery", "worker.dispatch", "worker.migrations")
"""What its children can run, as `python -m` names it."""


class Nursery:
    """The test's end of it: a process that ends with this one, its own words in `log`."""

    def __init__(self, kind: str, environment: dict[str, str], log: Path) -> None:
        with log.open("ab") as said:
            process = subprocess.Popen(
                leash.command([sys.executable, "-m", "tests.nursery", kind]),
                env=environment,
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
            )
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
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

    def close(self) -> None:
        """Its children end with it."""
        self._process.kill()
        self._process.wait()
        self._in.close()
        self._out.close()

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
    fork, handle = os.fork, signal.signal
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # a run in the background ignores some
        handle(number, signal.SIG_DFL)
    handle(signal.SIGCHLD, _wake)
    if kind == "patched":  # as `celery worker -P gevent` does, before anything else
        from gevent import monkey

        monkey.patch_all()
        fork = monkey.get_original("os", "fork")
    _import(kind)
    buffer = b""
    while True:
        if _ready(0.5):
            piece = os.read(0, 65536)
            if not piece:
                return
            *lines, buffer = (buffer + piece).split(b"\n")
            for line in lines:
                pid = fork()
                if pid == 0:
                    handle(signal.SIGCHLD, signal.SIG_DFL)
                    _child(json.loads(line))
                _say({"pid": pid})
        _reap()


def _wake(_number: int, _frame: object) -> None:
    """A child's end breaks off the wait for input, which Python's own `poll` would take up again."""


_libc = ctypes.CDLL(None)


def _ready(seconds: float) -> bool:
    """Whether there is input; by the kernel's own `poll`, which gevent does not touch. Over sooner if a child ends."""
    entry = (ctypes.c_int * 2)(0, select.POLLIN)  # struct pollfd: fd, events | revents << 16
    return _libc.poll(ctypes.byref(entry), 1, int(seconds * 1000)) > 0


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
    more = ("celery.concurrency.gevent",) if kind == "patched" else ("worker.dispatch", "worker.migrations.install")
    for name in (*MODULES, *more):
        import_module(name)


def _child(wish: dict[str, Any]) -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    with open(wish["log"], "ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.clear()
    os.environ.update(wish["environment"])
    program, *_ = sys.argv = wish["argv"]
    status = 1
    try:
        _read_settings_again()
        _run(program)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _read_settings_again() -> None:
    """What was read of the nursery's own environment as it imported."""
    from config.celery_settings import celery_settings
    from config.settings import settings
    from worker.app import app

    settings.cache_clear()
    app.conf.update(celery_settings(settings().servers.broker_url))


def _run(program: str) -> None:
    if program == "celery":
        from celery.bin.celery import main as run
    elif program == "worker.dispatch":
        from worker.dispatch import main as run
    else:
        from worker.migrations.__main__ import main as run
    run()


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
