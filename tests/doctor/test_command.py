"""`vivideo doctor` as a person runs it: a process, its words, its exit status; beside a running `vivideo up`, and
where nothing runs."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.journeys.test_local_stack import Up
from tests.stack import ROOT, heard, until

Run = Callable[..., subprocess.CompletedProcess[str]]
PROGRAM = [sys.executable, "-m", "deploy.local.entry", "doctor"]
LONGEST = 30


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs the command in an empty directory."""

    def ran(*options: str, where: Path = tmp_path, **settings: str) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("VIVIDEO_", "NEMO_"))}
        return subprocess.run(
            [*PROGRAM, *options],
            env=kept | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"} | settings,
            cwd=where,
            capture_output=True,
            text=True,
            timeout=LONGEST,
        )

    return ran


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A local stack, from its first start."""
    stack = Up(tmp_path_factory.mktemp("doctor") / ".vivideo")
    stack.state.mkdir(mode=0o700)
    with heard(signal.SIGINT):
        stack.start()
    yield stack
    stack.die()


@pytest.fixture
def unsurprised(up: Up) -> Iterator[psycopg.Connection]:
    """The stack's database, in which nothing unknown was met yet."""
    with psycopg.connect(up.notes["settings"]["VIVIDEO_DATABASE_URL"], autocommit=True) as connection:
        connection.execute("DELETE FROM surprises")
        yield connection


def test_nothing_runs_here(run: Run, tmp_path: Path):
    """The first line says so and what to do; everything else is looked at all the same; nothing is left behind."""
    done = run("--no-backend", VIVIDEO_DATABASE_URL="", VIVIDEO_STATE_DIR=str(tmp_path / "none"))
    first, *rest = done.stdout.splitlines()
    assert first.startswith("No stack is running here: start one with `vivideo up`, or name your own servers")
    assert done.returncode == 1
    assert any(line.startswith("fail settings  VIVIDEO_SECRET_KEY is missing") for line in rest)
    assert rest[-1].endswith("failed")
    assert "Traceback" not in done.stdout + done.stderr
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_servers_of_ones_own(run: Run, tmp_path: Path):
    """Named in a file, they are looked at where they are; no notes of a stack are needed."""
    (tmp_path / ".env").write_text("VIVIDEO_DATABASE_URL=postgresql://127.0.0.1:1/x\n")
    done = run("--no-backend", VIVIDEO_STATE_DIR=str(tmp_path / "none"))
    assert done.stdout.startswith("No local stack runs here: looking at the servers that the settings name.")
    assert "fail database  postgresql://127.0.0.1:1/x does not answer" in done.stdout


def test_a_stack_that_has_ended(run: Run, tmp_path: Path):
    """Notes that outlived their process are not believed."""
    with subprocess.Popen(["true"]) as gone:
        pass
    (tmp_path / ".vivideo").mkdir()
    (tmp_path / ".vivideo" / "stack.json").write_text(json.dumps({"pid": gone.pid, "settings": {}}))
    done = run("--no-backend")
    assert done.stdout.startswith(f"The stack of {tmp_path}/.vivideo has ended (process {gone.pid} is gone): start it")
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--record", "kept", "--no-backend"), "leave --no-backend out"),
        (("--record", "."), "is not an empty directory"),
    ],
)
def test_wrong_use(run: Run, tmp_path: Path, options: tuple[str, ...], words: str):
    """2, and a sentence; no directory is made or filled."""
    (tmp_path / "mine.txt").write_text("")
    done = run(*options)
    assert done.returncode == 2
    assert words in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.usefixtures("unsurprised")
def test_beside_a_running_stack(run: Run, up: Up):
    """Without a single setting it finds the stack, its servers, its secret and its backend, and all is well; it keeps a
    record; the notes that told it hold no key that is not meant to be on disk."""
    below = up.state.parent / "deep" / "down"
    below.mkdir(parents=True)
    began = time.monotonic()
    done = run("--json", "--record", str(below / "record"), where=below)
    took = time.monotonic() - began
    report = json.loads(done.stdout)
    bad = [one for one in report["checks"] if one["level"] != "ok" and one["check"] != "disk"]
    assert bad == []
    assert done.returncode == 0
    assert report["ok"] is True
    assert report["stack"] == {"running": True, "note": f"The stack running in {up.state} (process {up.notes['pid']})."}
    assert {one["check"] for one in report["checks"]} == {
        *("settings", "database", "broker", "limits", "storage", "disk", "api", "workers", "flower"),
        *("network", "backend", "surprises"),
    }
    assert took < LONGEST / 2
    calls = json.loads((below / "record" / "index.json").read_text())["calls"]
    assert [one["call"] for one in calls] == ["anonymous_token", "create_session", "state", "credits"]
    secret = (up.state / "secret-key").read_text().strip()
    held = "".join(path.read_text() for path in (below / "record").iterdir())
    assert secret not in held
    assert secret not in (up.state / "stack.json").read_text()


def test_a_worker_tells_what_it_met(run: Run, up: Up, unsurprised: psycopg.Connection):
    """A refusal with a code that no table has fails the render, and a few seconds later the doctor shows it."""
    rule = {"do": "code", "on": "session", "code": 4777, "times": 1}
    httpx.post(f"{up.notes['sandbox']['url']}/_sandbox/rules", json=rule).raise_for_status()
    head = {"Authorization": f"Bearer {up.notes['api_key']}"}
    with httpx.Client(base_url=up.notes["api"]["url"], headers=head, timeout=30) as intake:
        made = intake.post("/v1/renders", json={"prompt": "a red kite"}).json()["links"]["self"]
        until(lambda: intake.get(made).json()["status"] == "failed", LONGEST, what="the refusal")
    until(lambda: unsurprised.execute("SELECT 1 FROM surprises").fetchone(), LONGEST, what="the count")
    (one,) = json.loads(run("--json", "--no-backend", where=up.state.parent).stdout)["surprises"]
    assert (one["kind"], one["place"], one["name"], one["count"]) == ("code", "create_session", "code 4777", 1)


def test_surprises_are_shown(run: Run, up: Up, unsurprised: psycopg.Connection):
    """With their counts and times, as words and as JSON, and what to do about them."""
    unsurprised.execute(
        "INSERT INTO surprises (kind, place, name, count, example, first_seen_at, last_seen_at) VALUES"
        " ('field', 'state', 'data.version', 1234, 'number', '2026-11-01 08:00Z', '2026-11-24 09:30Z')"
    )
    words = run(where=up.state.parent)
    assert words.returncode == 0, words.stdout
    row = next(line for line in words.stdout.splitlines() if "data.version" in line and "1,234" in line)
    assert "2026-11-01 08:00Z" in row
    assert "2026-11-24 09:30Z" in row
    assert "--record DIR" in words.stdout
    told = json.loads(run("--json", "--no-backend", where=up.state.parent).stdout)
    assert [(one["name"], one["count"]) for one in told["surprises"]] == [("data.version", 1234)]
