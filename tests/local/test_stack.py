"""What `vivideo up` starts and with which settings, and what it refuses before anything is started. (The whole of it
runs in `tests/journeys/test_local_stack.py`.)"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local import ports, processes
from deploy.local.errors import LocalError, PortTaken
from deploy.local.stack import Wishes, build
from deploy.local.state import State
from deploy.local.up import summary
from tests.local.helpers import ROOT


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "state"
    yield path
    processes.end(lambda: processes.marked(path), signal.SIGKILL)


@pytest.fixture
def environment(state: Path, worker_number: int) -> dict[str, str]:
    """Settings of a small stack on ports of its own, free of the caller's settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("VIVIDEO_", "NEMO_"))}
    first = 21_000 + 100 * worker_number
    return kept | {
        "VIVIDEO_STATE_DIR": str(state),
        "VIVIDEO_API_PORT": str(_free(first)),
        "VIVIDEO_FLOWER_PORT": str(_free(first + 50)),
        "VIVIDEO_STREAM_CONCURRENCY": "20",
        "VIVIDEO_IO_CONCURRENCY": "20",
        "VIVIDEO_MEDIA_CONCURRENCY": "1",
    }


def _free(first: int) -> int:
    """A free port, which this process does not reserve: the stack does."""
    return next(port for port in range(first, first + 50) if ports.is_free("127.0.0.1", port))


def _up(environment: dict[str, str], *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "deploy.local.entry", "up", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        env=environment,
    )


def test_a_taken_api_port_is_named_with_its_setting(state: Path, environment: dict[str, str]) -> None:
    """Nothing is started when the API could not listen; the message says which setting chooses another port."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        process = _up(environment | {"VIVIDEO_API_PORT": str(port)})
        said, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert f"127.0.0.1:{port} is in use" in said
    assert "VIVIDEO_API_PORT=" in said
    assert not (state / "postgres").exists()


def test_a_wrong_setting_is_named(environment: dict[str, str]) -> None:
    """A setting that is no number ends in one line that names it, without a traceback."""
    process = _up(environment | {"VIVIDEO_API_PORT": "eight thousand"})
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "api_port" in said
    assert "Traceback" not in said


def test_a_port_nobody_asked_for_moves_and_a_chosen_one_does_not() -> None:
    """A default that is taken gives way to the next free port; one that somebody set is an error."""
    with socket.socket() as other:
        port = ports.choose("127.0.0.1", 22_500, setting="X", fixed=False)
        other.bind(("127.0.0.1", port))
        other.listen()
        assert port < ports.choose("127.0.0.1", port, setting="X", fixed=False) <= ports.LAST
        with pytest.raises(PortTaken, match="X="):
            ports.choose("127.0.0.1", port, setting="X", fixed=True)


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """An environment without settings, in a directory without `.env`."""
    for name in list(os.environ):
        if name.startswith(("VIVIDEO_", "NEMO_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VIVIDEO_API_PORT", str(ports.choose("127.0.0.1", 22_700, setting="", fixed=False)))
    return monkeypatch


def _programs(state: State, wishes: Wishes) -> tuple[set[str], dict[str, str]]:
    stack = build(state, wishes)
    return {program.name for step in stack.steps for program in step}, stack.environment


def test_named_servers_and_backends_replace_the_embedded_ones(settings: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With a database, a broker and a backend of one's own nothing is embedded; the children get those addresses."""
    settings.setenv("VIVIDEO_DATABASE_URL", "postgresql://me@db.example/renders")
    settings.setenv("VIVIDEO_BROKER_URL", "amqp://me@mq.example//")
    settings.setenv("NEMO_API_URL", "https://backend.example")
    settings.setenv("NEMO_TOKEN", "kept")
    state = State(tmp_path / "state")
    names, environment = _programs(state, Wishes())
    assert names.isdisjoint({"postgres", "valkey", "sandbox"})
    assert environment["VIVIDEO_DATABASE_URL"] == "postgresql://me@db.example/renders"
    assert environment["VIVIDEO_BROKER_URL"] == "amqp://me@mq.example//"
    assert environment["NEMO_API_URL"] == "https://backend.example"
    assert environment["NEMO_TOKEN"] == "kept"
    state.release()


def test_without_a_sandbox_the_live_backend_is_used(settings: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`--no-sandbox` alone means the vendor's own address, with the waits of its contract."""
    state = State(tmp_path / "state")
    names, environment = _programs(state, Wishes(sandbox=False, sandbox_settings={"VIVIDEO_SETTLE_SECONDS": "1"}))
    assert "sandbox" not in names
    assert environment["NEMO_API_URL"].startswith("https://")
    assert "VIVIDEO_SETTLE_SECONDS" not in environment
    state.release()


def test_the_sandbox_never_sees_the_real_token(settings: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A token of the real backend's, from the environment or `.env`, is not handed to children that use the sandbox."""
    (tmp_path / ".env").write_text("NEMO_TOKEN=real\nVIVIDEO_SETTLE_SECONDS=4\n")
    state = State(tmp_path / "state")
    stack = build(state, Wishes(sandbox_settings={"VIVIDEO_SETTLE_SECONDS": "1"}))
    assert stack.addresses.sandbox
    assert "NEMO_TOKEN" not in stack.environment
    assert stack.environment["VIVIDEO_SETTLE_SECONDS"] == "4"
    assert "NEMO_TOKEN is set but not used" in summary(stack, tmp_path)
    state.release()


def test_secrets_are_made_once_and_private(tmp_path: Path) -> None:
    """Keys survive a restart and are readable by their owner alone."""
    state = State(tmp_path / "state")
    key = state.secret("api-key", prefix="vv_")
    assert key.startswith("vv_")
    assert len(key) > 40
    assert (tmp_path / "state" / "api-key").stat().st_mode & 0o777 == 0o600
    state.release()
    again = State(tmp_path / "state")
    assert again.secret("api-key") == key
    again.release()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_state_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """Secrets are not written where another user could read or replace them."""
    (tmp_path / "state").mkdir(mode=0o777)
    os.chown(tmp_path / "state", 12345, 12345)
    with pytest.raises(LocalError, match="VIVIDEO_STATE_DIR"):
        State(tmp_path / "state")


def test_a_linked_state_directory_is_used_where_it_points(tmp_path: Path) -> None:
    """`.vivideo` may be a link to another disk; the lock and the addresses then name the real place."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "state").symlink_to(tmp_path / "disk")
    state = State(tmp_path / "state")
    assert state.directory == tmp_path / "disk"
    state.release()


def test_help_imports_nothing_heavy() -> None:
    """`vivideo --help` answers at once because servers, HTTP and settings are imported by the commands alone."""
    program = "import sys, deploy.local.entry; print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    heavy = {"celery", "psycopg", "pydantic", "httpx", "sqlalchemy", "fastapi", "asyncio"}
    assert heavy.isdisjoint(shown.stdout.split())
