"""The commands as a person runs them: a process, its words, its exit status."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import select

from api.client import Client
from tests.api import working
from tests.api.service import FIRST_KEY, Service, until
from tests.stack import heard
from worker.media.storage import open_storage
from worker.renders.models import Render
from worker.renders.states import Status

ROOT = Path(__file__).parents[2]
PROGRAM = [sys.executable, "-c", "from api.cli import app; app()"]
VIDEO = b"a video as far as these tests go" * 1000


def _environment(url: str | None, key: str | None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("VIVIDEO_")}
    given = {"VIVIDEO_URL": url, "VIVIDEO_API_KEY": key, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    return kept | {name: value for name, value in given.items() if value is not None}


@pytest.fixture
def run(service: Service, tmp_path: Path) -> Any:
    """Runs a command in an empty directory against the service."""

    def ran(
        *arguments: str, url: str | None = service.url, key: str | None = FIRST_KEY, **more: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*PROGRAM, *arguments],
            env=_environment(url, key) | more,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=30,
        )

    return ran


@contextmanager
def _worker(service: Service, ref: str, status: Status = Status.SUCCEEDED) -> Iterator[None]:
    """Something that takes the render with this reference to its end."""
    thread = threading.Thread(target=_work, args=(service, ref, status))
    thread.start()
    yield
    thread.join()


def _work(service: Service, ref: str, status: Status) -> None:
    found: list[str] = []

    def looked() -> list[str]:
        with service.session() as session:
            found[:] = session.scalars(select(Render.id).where(Render.external_ref == ref)).all()
        return found

    until(looked, patience=25)
    held = service.write(lambda session: working.claimed(session, found[0]))
    if status is Status.FAILED:
        why = {"error_code": "generation.no_draft", "error_message": "No video came.", "error_help": "Say more."}
        service.write(lambda session: working.finished(session, held, status, **why))
        return
    key = f"renders/{found[0]}/video.mp4"
    open_storage((service.home / "results").as_uri()).put_bytes(key, VIDEO)

    def end(session: Any) -> None:
        sha256 = hashlib.sha256(VIDEO).hexdigest()
        working.with_result(session, held, key=key, size=len(VIDEO), sha256=sha256)
        working.finished(session, held)

    service.write(end)


def test_one_command_makes_a_video(service: Service, run: Any, tmp_path: Path) -> None:
    """`render` uploads the file, follows the render line by line, and leaves the video where it was asked for."""
    Image.new("RGB", (32, 32)).save(tmp_path / "kite.png")
    with _worker(service, "cli-1"):
        assets = ("-a", "kite.png", "-a", "https://a.example/2.jpg")
        done = run("render", "a kite", *assets, "-o", "out.mp4", "--ref", "cli-1", "--tag", "cli")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.mp4").read_bytes() == VIDEO
    assert "out.mp4" in done.stdout
    assert "succeeded" in done.stderr
    with service.session() as session:
        kept = session.scalars(select(Render).where(Render.external_ref == "cli-1")).one()
    assert [asset.get("name", asset.get("url")) for asset in kept.assets] == ["kite.png", "https://a.example/2.jpg"]


def test_a_failed_render_exits_with_one(service: Service, run: Any, tmp_path: Path) -> None:
    """The words name the error and its remedy; `--json` gives the whole render; no file appears."""
    with _worker(service, "cli-2", Status.FAILED):
        done = run("render", "a kite", "--ref", "cli-2", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["code"] == "generation.no_draft"
    words = run("show", json.loads(done.stdout)["id"])
    assert words.returncode == 0
    assert "No video came. → Say more. [generation.no_draft]" in words.stdout
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_leaves_the_render_running(service: Service, tmp_path: Path) -> None:
    """The command ends with 130 and says how to go on; the render is untouched."""
    command = [*PROGRAM, "render", "a kite", "--ref", "cli-3"]
    with heard(signal.SIGINT):
        process = subprocess.Popen(
            command, env=_environment(service.url, FIRST_KEY), cwd=tmp_path, stderr=subprocess.PIPE, text=True
        )
    with process:
        try:
            assert process.stderr is not None
            assert "queued" in process.stderr.readline()
            process.send_signal(signal.SIGINT)
            _, words = process.communicate(timeout=10)
        finally:
            process.kill()  # leaving the block waits for it
    assert process.returncode == 130, words
    with service.session() as session:
        kept = session.scalars(select(Render).where(Render.external_ref == "cli-3")).one()
    assert f"vivideo show {kept.id} --follow" in words
    assert f"vivideo cancel {kept.id}" in words
    assert kept.status == "queued"


def test_showing_listing_cancelling(service: Service, run: Any) -> None:
    """Each command's words and JSON tell the same; a second cancel is no failure."""
    made = run("render", "a kite", "--no-wait", "--tag", "cli-4")
    assert made.returncode == 0
    render_id = made.stdout.strip()
    assert json.loads(run("show", render_id, "--json").stdout)["id"] == render_id
    assert render_id in run("list", "--tag", "cli-4").stdout
    for _ in range(2):
        canceled = run("cancel", render_id)
        assert (canceled.returncode, canceled.stdout.strip()) == (0, f"{render_id} canceled (prevented)")
    page = json.loads(run("list", "--status", "canceled", "--tag", "cli-4", "--json").stdout)
    assert [row["id"] for row in page["data"]] == [render_id]
    assert "Make one" in run("list", "--tag", "none-such").stdout
    assert run("credits").returncode == 0
    assert "accounts" in json.loads(run("credits", "--json").stdout)


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("render",), 2, "Missing argument"),
        (("render", "a kite", "-a", "none.png"), 2, "none.png is no file"),
        (("render", "a kite", "-o", "no/where.mp4"), 2, "make it first"),
        (("render", "a kite", "--priority", "urgent"), 2, "/priority"),
        (("render", " "), 2, "/prompt"),
        (("list", "--status", "done"), 2, "?status"),
        (("show", "rnd_" + "0" * 26), 1, "render.unknown"),
        (("cancel", "x"), 1, "render.unknown"),
    ],
)
def test_mistakes_have_their_status_and_a_sentence(
    run: Any, arguments: tuple[str, ...], status: int, words: str
) -> None:
    """2 for what was asked wrongly, 1 for what is not there; never a traceback."""
    done = run(*arguments)
    assert done.returncode == status
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_of_a_wrong_format_is_refused_in_words(run: Any, tmp_path: Path) -> None:
    """The refusal of an upload names the accepted formats, before any render is made."""
    (tmp_path / "notes.png").write_text("no picture")
    done = run("render", "a kite", "-a", "notes.png")
    assert done.returncode == 2
    assert "webp" in done.stderr


def test_keys_and_servers_that_are_not_there(run: Any, service: Service) -> None:
    """4 without a valid key; 1 with the remedy where nothing listens; as JSON too."""
    assert run("credits", key="vv_wrong").returncode == 4
    none = run("credits", key=None, VIVIDEO_STATE_DIR="/nowhere")
    assert (none.returncode, "VIVIDEO_API_KEY" in none.stderr) == (4, True)
    nobody = run("credits", "--json", url="http://127.0.0.1:1")
    assert nobody.returncode == 1
    assert "nothing listens at http://127.0.0.1:1 — start it with `vivideo up`" in nobody.stderr
    assert json.loads(nobody.stdout)["error"]["code"] == "unreachable"


def test_a_local_stack_is_found_from_below_its_directory(service: Service, run: Any, tmp_path: Path) -> None:
    """The notes of a running stack give address and key; its key is not sent to another address."""
    notes = tmp_path / ".vivideo" / "stack.json"
    notes.parent.mkdir()
    notes.write_text(json.dumps({"api": {"url": service.url}, "api_key": FIRST_KEY}))
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    found = subprocess.run(
        [*PROGRAM, "credits"], env=_environment(None, None), cwd=below, capture_output=True, text=True, timeout=30
    )
    assert found.returncode == 0, found.stderr
    other = run("credits", url="http://127.0.0.1:1", key=None)
    assert (other.returncode, "no API key" in other.stderr) == (4, True)


def test_help_is_quick() -> None:
    """No command imports what it does not need for its help: neither the client nor the service."""
    program = (
        "import sys\nfrom api.cli import app\n"
        "try: app(['render', '--help'])\n"
        "except SystemExit: pass\n"
        "assert not {'httpx', 'sqlalchemy', 'fastapi', 'config'} & set(sys.modules), 'imported early'\n"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr


def test_the_client_repeats_a_post_without_doubling_it(service: Service) -> None:
    """A server that comes back within the tries is found again, and one call makes one render."""
    service.stop()
    with Client(service.url, FIRST_KEY) as client, ThreadPoolExecutor(1) as pool:
        # The server is started by this thread: the kernel ends it with the thread that started it.
        asked = pool.submit(client.create_render, prompt="patient", external_ref="patient")
        service.start()
        made = asked.result()
        assert [row["id"] for row in client.renders(external_ref="patient")["data"]] == [made["id"]]
