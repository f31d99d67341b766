"""The real `vivideo up` as a person runs it: the machine dies and comes back, a second one is refused, it leaves when
asked, it uses servers of yours, and the command line makes a video with it. The backend is a sandbox that lives on."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import redis
from PIL import Image

from api.client import Client
from deploy.local import processes
from tests.stack import QUICK, ROOT, Stack, free_port, until
from worker.media.probe import probe

START_SECONDS = 90
"""Eight Python programs on a machine that runs other tests at the same time."""
KEY = "vv_of-whoever-runs-this-stack"


class Up:
    """A state directory, and the `vivideo up` that runs in it at the moment."""

    def __init__(self, state: Path, **settings: str) -> None:
        self.state = state
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("VIVIDEO_", "NEMO_"))}
        self.environment = {
            **inherited,
            **QUICK,
            "VIVIDEO_STATE_DIR": str(state),
            "VIVIDEO_API_PORT": str(free_port()),
            "VIVIDEO_FLOWER_PORT": str(free_port()),
            "VIVIDEO_STREAM_CONCURRENCY": "20",
            "VIVIDEO_IO_CONCURRENCY": "20",
            "VIVIDEO_MEDIA_CONCURRENCY": "1",
            **settings,
        }
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it and wait until it says that it is ready."""
        (self.state / "stack.json").unlink(missing_ok=True)
        self.process = self.again("--quiet")
        until(self._ready, START_SECONDS, what="the stack")

    def again(self, *options: str) -> subprocess.Popen[str]:
        """`vivideo up`, whether or not one runs already."""
        return subprocess.Popen(
            [sys.executable, "-m", "deploy.local.entry", "up", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
            env=self.environment,
        )

    def _ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.process.communicate()[0][-3000:]
        return (self.state / "stack.json").exists()

    @property
    def notes(self) -> dict[str, Any]:
        """What it tells other programs."""
        return json.loads((self.state / "stack.json").read_text())

    def client(self) -> Client:
        """A client with its key."""
        return Client(self.notes["api"]["url"], self.notes["api_key"])

    def members(self) -> set[int]:
        """Everything that runs for it, wherever it hangs in the tree; the supervisor is not marked."""
        found = {*processes.marked(self.state), *processes.working_in(self.state / "postgres" / "data", "postgres")}
        return found | ({self.process.pid} if self.process and self.process.poll() is None else set())

    def die(self) -> None:
        """The machine's end: SIGKILL to the supervisor and to all it started, until nothing is left."""
        assert self.process is not None
        processes.end(self.members, signal.SIGKILL, patience=0)
        self.process.communicate()

    def leave(self) -> tuple[float, int]:
        """SIGTERM; the seconds until it was gone, and its exit status."""
        assert self.process is not None
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=30)
        return time.monotonic() - began, self.process.returncode


@contextmanager
def up(state: Path, **settings: str) -> Iterator[Up]:
    """A stack that is ready; nothing of it is left afterwards."""
    stack = Up(state, **settings)
    try:
        stack.start()
        yield stack
    finally:
        processes.end(stack.members, signal.SIGKILL, patience=0)
        if stack.process is not None:
            stack.process.communicate()


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A sandbox that no stack here started, as the real backend is none of ours."""
    with Stack(tmp_path_factory.mktemp("backend"), "", "") as running:
        running.start_sandbox()
        yield running


@pytest.fixture(scope="module")
def embedded(backend: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A stack with its own database and broker."""
    with up(tmp_path_factory.mktemp("embedded") / "state", NEMO_API_URL=backend.sandbox) as running:
        yield running


@pytest.fixture(scope="module")
def yours(backend: Stack, database: str, broker_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A stack with a database, a broker, a backend and a key that were there before it."""
    with up(
        tmp_path_factory.mktemp("yours") / "state",
        VIVIDEO_DATABASE_URL=database,
        VIVIDEO_BROKER_URL=broker_url,
        NEMO_API_URL=backend.sandbox,
        VIVIDEO_API_KEY=KEY,
    ) as running:
        yield running


def test_a_second_up_is_refused_while_the_first_goes_on(embedded: Up) -> None:
    """Exit status 1 and one sentence that says who is there and what to do; the first one's processes are the same."""
    before = embedded.notes
    second = embedded.again()
    said, _ = second.communicate(timeout=30)
    assert second.returncode == 1
    assert embedded.process is not None
    assert f"a stack is already running in {embedded.state} (pid {embedded.process.pid})" in said
    assert "VIVIDEO_STATE_DIR=" in said
    assert len(said.strip().splitlines()) == 1
    assert embedded.notes == before
    assert all(processes.alive(pid) for pid in before["processes"].values())
    assert httpx.get(f"{before['api']['url']}/readyz").status_code == 200


def test_its_notes_are_private_and_name_everything(embedded: Up) -> None:
    """All that runs by its pid, and Flower behind a password that stands in no command line."""
    assert (embedded.state / "stack.json").stat().st_mode & 0o777 == 0o600
    names = {"api", "dispatcher", "worker-stream", "worker-io", "worker-media", "beat", "flower"}
    assert set(embedded.notes["processes"]) == names | {"postgres", "valkey"}
    flower = embedded.notes["flower"]
    assert httpx.get(flower["url"]).status_code == 401
    known = (flower["user"], flower["password"])
    assert httpx.get(flower["url"], auth=known, follow_redirects=True).status_code == 200
    for pid in embedded.notes["processes"].values():
        assert flower["password"].encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()


def test_the_machine_dies_and_nothing_is_lost_or_paid_twice(backend: Stack, embedded: Up) -> None:
    """kill -9 of everything with five renders in flight, at the export, in their streams and just accepted: the next
    `up` finds its data, all five succeed, the backend was told each message once and carried it out once."""
    prompts = [
        "A 2 second clip, dying at its export. [[sandbox: export_slow seconds=6]]",
        *(f"A 2 second clip, dying in its stream, {number}. [[sandbox: stream seconds=4]]" for number in (1, 2, 3)),
        "A 2 second clip, dying in the queue.",
    ]
    with embedded.client() as client:
        ids = [client.create_render(prompts[0]).id]
        until(lambda: client.render(ids[0]).stage == "poll", what="the export")
        ids += [client.create_render(prompt).id for prompt in prompts[1:4]]
        until(lambda: all(_messages(backend, prompt) for prompt in prompts[:4]), what="the streams")
        ids.append(client.create_render(prompts[4]).id)
        key = embedded.notes["api_key"]
    embedded.die()
    assert {one["outcome"] for one in _messages(backend, prompts[1])} == {"in_flight"}

    embedded.start()
    assert embedded.notes["api_key"] == key
    with embedded.client() as client:
        ends = [client.wait(render_id, timeout=60).to_dict() for render_id in ids]
        assert [(end["status"], end["error"], end["run"]) for end in ends] == [("succeeded", None, 1)] * 5
        for prompt, end in zip(prompts, ends, strict=True):
            (message,) = _messages(backend, prompt)
            assert (message["executed"], message["charged"]) == (True, 100)
            assert end["charge"] == {"state": "incurred", "credits": 100}
            events = [event.to_dict() for event in client.events(end["id"])]
            assert [event["number"] for event in events] == list(range(1, len(events) + 1))
            assert [event["type"] for event in events if event["final"]] == ["render.succeeded"]
        for end in ends[1:4]:
            stages = [event.data.get("stage") for event in client.events(end["id"])]
            assert "lookup" in stages, "an open stream is looked up, never sent again"
    assert backend.ledger()["violations"] == []


def _messages(backend: Stack, prompt: str) -> list[dict[str, Any]]:
    return [one for one in backend.ledger()["messages"] if one["text"] == prompt]


def test_it_leaves_when_asked_and_leaves_nothing_running(embedded: Up) -> None:
    """SIGTERM: exit status 0 within 15 s, no process, no listening port, no notes; what is worth keeping stays."""
    ports = [embedded.environment["VIVIDEO_API_PORT"], embedded.environment["VIVIDEO_FLOWER_PORT"]]
    assert len(embedded.members()) > 8
    seconds, status = embedded.leave()
    assert status == 0
    assert seconds < 15
    assert embedded.members() == set()
    assert not (embedded.state / "stack.json").exists()
    assert (embedded.state / "postgres" / "data" / "PG_VERSION").exists()
    for port in ports:
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://127.0.0.1:{port}/")


def test_servers_of_yours_are_used_instead(backend: Stack, yours: Up, database: str, redis_url: str) -> None:
    """Nothing is embedded; the workers are on file in your database, the queues are in your broker, and the account's
    token came from your backend."""
    assert set(yours.notes["processes"]) == {
        *("api", "dispatcher", "beat", "flower"),
        *("worker-stream", "worker-io", "worker-media"),
    }
    assert (yours.notes["backend"]["url"], yours.notes["sandbox"]) == (backend.sandbox, None)
    assert not any((yours.state / name).exists() for name in ("postgres", "valkey", "sandbox", "api-key"))
    with psycopg.connect(database) as connection:
        rows = connection.execute("SELECT kind, pid FROM workers WHERE stopped_at IS NULL").fetchall()
    pids = yours.notes["processes"]
    assert {("stream", pids["worker-stream"]), ("io", pids["worker-io"])} <= set(rows)
    with redis.Redis.from_url(redis_url) as broker:
        assert {b"_kombu.binding.stream", b"_kombu.binding.io", b"_kombu.binding.media"} <= set(broker.keys("_kombu*"))


def vivideo(yours: Up, folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command as a person types it in a folder: the stack is found by its state directory alone."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("VIVIDEO_", "NEMO_"))}
    found = {"VIVIDEO_STATE_DIR": str(yours.state), "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, "-m", "deploy.local.entry", *arguments],
        env=kept | found | environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=90,
    )


def test_the_command_line_makes_a_video(backend: Stack, yours: Up, tmp_path: Path) -> None:
    """`vivideo render` with a picture leaves a file that plays to its end; `get`, `list` and `credits` know of it."""
    Image.new("RGB", (300, 200), "firebrick").save(tmp_path / "a.jpg")
    prompt = "Create a 3 second square clip about our red mug."
    made = vivideo(yours, tmp_path, "render", prompt, "-a", "a.jpg", "-o", "out.mp4", "--tag", "mug", "--json")
    assert made.returncode == 0, made.stderr
    facts = probe(tmp_path / "out.mp4")
    assert (facts.video_codec, facts.container, facts.width) == ("h264", "mp4", facts.height)
    assert facts.duration_seconds == pytest.approx(3, abs=0.3)
    render = json.loads(made.stdout)
    assert (render["status"], render["result"]["bytes"]) == ("succeeded", (tmp_path / "out.mp4").stat().st_size)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jpg", "out.mp4"]
    (upload,) = [one for one in backend.ledger()["uploads"] if one["session"] == render["remote"]["session_id"]]
    assert (upload["size"], upload["kind"]) == ((tmp_path / "a.jpg").stat().st_size, "image")

    shown = vivideo(yours, tmp_path, "render", "get", render["id"])
    assert (shown.returncode, "succeeded" in shown.stdout, "Timeline (" in shown.stdout) == (0, True, True)
    listed = vivideo(yours, tmp_path, "render", "list", "--tag", "mug", "--json")
    assert (listed.returncode, [row["id"] for row in json.loads(listed.stdout)["data"]]) == (0, [render["id"]])
    credits = vivideo(yours, tmp_path, "credits")
    assert (credits.returncode, "anonymous" in credits.stdout) == (0, True)


def test_the_command_lines_exit_status_tells_what_happened(yours: Up, tmp_path: Path) -> None:
    """0 cancelled as asked, 1 a render that failed or is not there, 2 a call that cannot be, 4 a key that is none."""
    slow = vivideo(yours, tmp_path, "render", "A 2 second clip. [[sandbox: stream seconds=4]]", "--no-wait")
    render_id = slow.stdout.strip()
    assert (slow.returncode, bool(re.fullmatch(r"rnd_[0-9a-z]{26}", render_id))) == (0, True)
    assert vivideo(yours, tmp_path, "render", "cancel", render_id).returncode == 0
    with yours.client() as client:
        assert client.wait(render_id, timeout=30).status == "canceled"
    assert vivideo(yours, tmp_path, "render", "cancel", render_id).returncode == 0, "a second time is no failure"

    failed = vivideo(yours, tmp_path, "render", "A 2 second clip. [[sandbox: error_frame]]", "-o", "none.mp4")
    assert (failed.returncode, "generation.failed" in failed.stdout) == (1, True)
    for command in (("get", f"rnd_{'0' * 26}"), ("cancel", "nonsense")):
        assert vivideo(yours, tmp_path, "render", *command).returncode == 1
    assert vivideo(yours, tmp_path, "render", "A clip", "-a", "missing.jpg").returncode == 2
    assert vivideo(yours, tmp_path, "render", "list", "--status", "no-such").returncode == 2
    assert vivideo(yours, tmp_path, "credits", VIVIDEO_API_KEY="vv_nobody").returncode == 4
    assert list(tmp_path.iterdir()) == []


def test_it_writes_no_secret_into_its_logs(backend: Stack, yours: Up, embedded: Up) -> None:
    """Neither the keys and passwords of both stacks nor the backend's tokens nor its signed addresses."""
    with sqlite3.connect(f"file:{backend.home / 'sandbox' / 'sandbox.sqlite'}?mode=ro", uri=True) as file:
        secrets = {row[0] for row in file.execute("SELECT token FROM tokens UNION SELECT key FROM exports")}
    for stack in (yours, embedded):
        secrets |= {
            (stack.state / name).read_text().strip()
            for name in ("api-key", "secret-key", "flower-password")
            if (stack.state / name).exists()
        }
    secrets |= {KEY, "Signature=", "Bearer ", "ct=clm_"}
    assert len(secrets) > 12
    for stack in (yours, embedded):
        logs = {path: path.read_text(errors="replace") for path in (stack.state / "logs").iterdir()}
        assert len(logs) >= 8
        for path, text in logs.items():
            assert [secret for secret in secrets if secret in text] == [], path


def test_a_killed_supervisor_leaves_nothing_running(yours: Up, database: str, redis_url: str) -> None:
    """kill -9 of the supervisor alone: what it started ends with it, and the servers that are yours go on."""
    assert yours.process is not None
    assert len(yours.members()) > 6
    yours.process.kill()
    yours.process.communicate(timeout=30)
    until(lambda: not yours.members(), what="the end of everything")
    with psycopg.connect(database) as connection, redis.Redis.from_url(redis_url) as broker:
        assert (connection.execute("SELECT 1").fetchone(), broker.ping()) == ((1,), True)
