"""The supervisor with real small children: what it restarts, refuses, survives and leaves behind."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.local import guard, processes
from tests.local.helpers import leave, members, running, stack, start, until

NOBODY = 65534
NAMELESS = 54321  # as containers have them: no line in /etc/passwd


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def test_a_second_stack_is_refused_and_the_first_runs_on(state: Path) -> None:
    """Two stacks on one directory would fight over the database: the second names the first one's pid and ends."""
    with stack(state) as first:
        second = start(state)
        said, _ = second.communicate(timeout=20)
        assert second.returncode == 1
        assert f"already running in {state} (pid {first.pid})" in said
        assert all(processes.alive(pid) for pid in members(state))
        assert first.poll() is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_everything_cleanly(state: Path, number: signal.Signals) -> None:
    """Ctrl-C, `kill` and a closed terminal stop children, grandchildren and the database, with status 0."""
    with stack(state) as process:
        assert leave(process, number) < 15
        assert process.returncode == 0
        assert not running(state)
        assert "database system is shut down" in (state / "logs" / "postgres.log").read_text()


def test_a_stubborn_worker_does_not_hold_up_the_stop(state: Path) -> None:
    """A worker that ignores SIGTERM is killed in time for the whole stop to take less than 15 s."""
    with stack(state, "stubborn") as process:
        assert 5 < leave(process) < 15
        assert process.returncode == 0
        assert not running(state)


def test_a_second_signal_hurries(state: Path) -> None:
    """Whoever presses Ctrl-C again does not wait for a stubborn worker; the database still shuts down in order."""
    with stack(state, "stubborn") as process:
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        time.sleep(1.5)  # a second signal within a second counts as the same wish
        assert process.poll() is None
        assert leave(process, signal.SIGINT) < 2
        assert time.monotonic() - began < 5
        assert not running(state)
        assert "database system is shut down" in (state / "logs" / "postgres.log").read_text()


def test_a_killed_supervisor_leaves_nothing_and_the_next_start_recovers(state: Path) -> None:
    """After kill -9 of the supervisor no child, grandchild or database process is left, and a new stack starts."""
    with stack(state) as process:
        process.kill()
        process.wait()
        until(lambda: not running(state))
    with stack(state) as again:
        assert leave(again) < 15
        assert again.returncode == 0


def test_leftovers_of_a_stack_killed_with_its_guard_are_swept(state: Path) -> None:
    """With the guard killed first, orphaned grandchildren stay; the next start ends them before its own begin."""
    with stack(state) as process:
        guards = [pid for pid in _children(process.pid) if _runs(pid, str(guard.__file__))]
        assert len(guards) == 1
        before = members(state)
        os.kill(guards[0], signal.SIGKILL)
        process.kill()
        process.wait()
        until(lambda: sum(processes.alive(pid) for pid in before) == 2)  # the two grandchildren
        with stack(state):
            assert not any(processes.alive(pid) for pid in before)


def test_a_dead_child_is_restarted_without_its_leftovers(state: Path) -> None:
    """A killed child's own children are ended (they would hold its port), then it is started again."""
    with stack(state):
        mains = [int(line.split()[1]) for line in (state / "pids").read_text().splitlines() if "main" in line]
        before = members(state)
        os.kill(mains[0], signal.SIGKILL)
        until(lambda: len(members(state)) == 6)
        assert sum(processes.alive(pid) for pid in before) == 2
        assert all(processes.alive(pid) for pid in members(state)[4:])


def test_a_dead_database_is_restarted(state: Path) -> None:
    """kill -9 of PostgreSQL's main process brings a new one up on the same data."""
    with stack(state):
        pid_file = state / "postgres" / "data" / "postmaster.pid"
        old = int(pid_file.read_text().splitlines()[0])
        os.kill(old, signal.SIGKILL)
        log = state / "logs" / "postgres.log"
        until(lambda: log.read_text().count("ready to accept connections") == 2)
        assert int(pid_file.read_text().splitlines()[0]) != old


def test_a_child_that_cannot_start_ends_the_stack_with_its_last_words(state: Path) -> None:
    """A program that ends again and again before it was ready is reported with its log, and nothing is left."""
    process = start(state, "dying")
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "ended with status 3" in said
    assert not running(state)


@pytest.fixture
def home() -> Iterator[Path]:
    """A private directory that other users could reach, were it theirs (pytest's own they cannot)."""
    with tempfile.TemporaryDirectory(prefix="vivideo-user-") as directory:
        yield Path(directory)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("uid", [NOBODY, NAMELESS])
def test_it_works_as_an_ordinary_user_too(home: Path, uid: int) -> None:
    """The same stack, run by an unprivileged user (with and without a name) in a private directory of its own, starts
    and stops cleanly."""
    user: dict[str, Any] = {"user": uid, "group": uid, "extra_groups": []}
    python = next((python for python in (sys.executable, "/usr/bin/python3") if _serves(python, user)), None)
    if python is None:
        pytest.skip("no Python of this version that other users may run")
    os.chown(home, uid, uid)
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    with stack(home / "state", python=python, env=environment, **user) as process:
        assert (home / "state").stat().st_mode & 0o777 == 0o700
        assert leave(process) < 15
        assert process.returncode == 0


def _serves(python: str, user: dict[str, Any]) -> bool:
    """Whether an unprivileged user may run it and it can use this environment's packages."""
    version = f"import sys; sys.exit(sys.version_info[:2] != {sys.version_info[:2]})"
    try:
        tried = subprocess.run([python, "-c", version], check=False, capture_output=True, **user)
    except OSError:
        return False
    return tried.returncode == 0


def _children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in listed]


def _runs(pid: int, file: str) -> bool:
    return file.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
