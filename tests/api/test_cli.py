"""The commands as a person runs them: a process, its words, its exit status."""

import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import delete, insert, select

from tests.api import working
from tests.api.command import PROGRAM, ROOT, environment
from tests.api.service import FIRST_KEY, Service, until
from tests.api.wire import Told, answering, problem
from tests.stack import heard
from worker.accounts.models import Account
from worker.renders.models import Render
from worker.renders.states import Status

VIDEO = b"a video as far as these tests go" * 1000


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
    _end(service, found[0], status)


def _end(service: Service, render_id: str, status: Status = Status.SUCCEEDED) -> None:
    if status is Status.FAILED:
        why = {"error_code": "generation.no_draft", "error_message": "No video came.", "error_help": "Say more."}
        return working.failed(service, render_id, **why)
    return working.delivered(service, render_id, VIDEO)


def _kept(service: Service, ref: str) -> Render:
    with service.session() as session:
        return session.scalars(select(Render).where(Render.external_ref == ref)).one()


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
    kept = _kept(service, "cli-1")
    assert [asset.get("name", asset.get("url")) for asset in kept.assets] == ["kite.png", "https://a.example/2.jpg"]


def test_a_render_with_everything_that_can_be_said(service: Service, run: Any, tmp_path: Path) -> None:
    """Options in any order and before the prompt, uploads by id, metadata, a prompt from a file and from a pipe."""
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    (tmp_path / "brief.txt").write_text("\ufeffein Drachen über dem Meer\n")
    sent = run("upload", "a.png", "a.png")
    assert sent.returncode == 0, sent.stderr
    ids = re.findall("upl_[0-9a-z]{26}", sent.stdout)
    assert len(ids) == 2
    options = (
        "--no-wait",
        "--priority",
        "low",
        "--metadata",
        "a=1",
        "--metadata",
        "b=x=y",
        "--on-unconfirmed",
        "retry",
        "--deadline",
        "2h",
    )
    made = run("render", *options, "--language", "de", "--ref", "cli-all", "-a", ids[0], "--prompt-file", "brief.txt")
    assert (made.returncode, made.stdout.strip()) == (0, _kept(service, "cli-all").id), made.stderr
    kept = _kept(service, "cli-all")
    assert (kept.prompt, kept.language, kept.priority) == ("ein Drachen über dem Meer", "de", "low")
    assert (kept.meta, kept.on_unconfirmed, kept.assets[0]["upload"]) == ({"a": "1", "b": "x=y"}, "retry", ids[0])
    assert kept.deadline_seconds == 7200
    piped = run("render", "-", "--no-wait", "--json", stdin=b"a kite from a pipe")
    assert json.loads(piped.stdout)["prompt"] == "a kite from a pipe"
    assert json.loads(run("upload", "a.png", "--json").stdout)["data"][0]["name"] == "a.png"


def test_an_older_revision_ends_with_the_reason(run: Any) -> None:
    """A newer one is made and shown with its number; the older one fails, and the words name the newer."""
    revised = ("render", "a kite", "--no-wait", "--ref", "cli-revised", "--revision")
    newer = run(*revised, "2")
    assert newer.returncode == 0, newer.stderr
    assert re.search(r"revision +2\b", run("render", "get", newer.stdout.strip()).stdout)
    older = run(*revised, "1")
    assert (older.returncode, "cli-revised is at revision 2" in older.stderr) == (1, True), older.stderr
    assert run("render", "a kite", "--dry-run", "--revision", "1").returncode == 2


def test_a_command_repeated_with_its_key_finds_its_render(run: Any, tmp_path: Path) -> None:
    """Also with a file among the assets, which is sent again and is the same upload; another prompt is refused."""
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    command = ("render", "a kite", "-a", "a.png", "--no-wait", "--idempotency-key", "my order 7".replace(" ", "-"))
    first, second = run(*command), run(*command)
    assert (first.returncode, first.stdout) == (0, second.stdout), second.stderr
    other = run("render", "another", *command[2:])
    assert (other.returncode, "idempotency.mismatch" in other.stderr) == (2, True)


def test_a_dry_run_keeps_nothing(service: Service, run: Any, tmp_path: Path) -> None:
    """It says the language, the credits, the hints and what of the files it cannot know; no render, no upload."""
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    said = run("render", "make a video", "-a", "a.png", "--ref", "cli-dry", "--dry-run")
    assert said.returncode == 0, said.stderr
    for words in ("about 100", "language  en", "a.png (not sent", "hint"):
        assert words in said.stdout
    assert json.loads(run("render", "a kite", "--dry-run", "--json").stdout)["valid"] is True
    assert run("render", " ", "--dry-run").returncode == 2
    with service.session() as session:
        assert session.scalars(select(Render).where(Render.external_ref == "cli-dry")).all() == []


def test_a_failed_render_exits_with_one_and_can_be_retried(service: Service, run: Any, tmp_path: Path) -> None:
    """The words name the error, its remedy and the next command, which starts run 2 under the same id."""
    with _worker(service, "cli-2", Status.FAILED):
        done = run("render", "a kite", "--ref", "cli-2", "--json")
    assert done.returncode == 1
    render = json.loads(done.stdout)
    assert render["error"]["code"] == "generation.no_draft"
    said = run("render", "get", render["id"])
    assert said.returncode == 0
    assert "No video came. → Say more. [generation.no_draft]" in said.stdout
    assert f"vivideo render retry {render['id']}" in said.stdout
    assert list(tmp_path.iterdir()) == []
    again = run("render", "retry", render["id"], "--no-wait", "--json")
    assert (again.returncode, json.loads(again.stdout)["run"]) == (0, 2), again.stderr
    twice = run("render", "retry", render["id"], "--json")
    assert (twice.returncode, json.loads(twice.stdout)["error"]["code"]) == (1, "render.not_final")
    assert "run 1  failed  No video came." in run("render", "get", render["id"]).stdout


def test_ctrl_c_leaves_the_render_running(service: Service, tmp_path: Path) -> None:
    """The command ends with 130 and says how to go on; the render is untouched."""
    command = [*PROGRAM, "render", "a kite", "--ref", "cli-3"]
    with heard(signal.SIGINT):
        process = subprocess.Popen(
            command, env=environment(service.url, FIRST_KEY), cwd=tmp_path, stderr=subprocess.PIPE, text=True
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
    kept = _kept(service, "cli-3")
    assert f"vivideo render watch {kept.id}" in words
    assert f"vivideo render cancel {kept.id}" in words
    assert "Traceback" not in words
    assert kept.status == "queued"


def test_watching_getting_and_opening(service: Service, run: Any, tmp_path: Path) -> None:
    """`watch` follows to the end and downloads, `get -o` downloads, `open` hands the video to the browser."""
    render_id = run("render", "a kite", "--no-wait", "--ref", "cli-open").stdout.strip()
    early = run("render", "open", render_id)
    assert (early.returncode, f"vivideo render watch {render_id}" in early.stderr) == (1, True)
    with _worker(service, "cli-open"):
        watched = run("render", "watch", render_id)
    assert watched.returncode == 0, watched.stderr
    (tmp_path / "videos").mkdir()
    got = run("render", "get", render_id, "-o", "videos", "--json")
    assert json.loads(got.stdout)["file"] == f"videos/{render_id}.mp4"
    for path in (tmp_path / f"{render_id}.mp4", tmp_path / "videos" / f"{render_id}.mp4"):
        assert path.read_bytes() == VIDEO
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > "{tmp_path}/opened"\n')
    browser.chmod(0o755)
    opened = run("render", "open", render_id, "-o", "videos", "--json", BROWSER=str(browser))
    address = (tmp_path / "videos" / f"{render_id}.mp4").as_uri()
    assert json.loads(opened.stdout) == {"id": render_id, "address": address, "opened": True}
    assert (tmp_path / "opened").read_text().strip() == address
    nobody = run("render", "open", render_id, "-o", "videos", DISPLAY="", WAYLAND_DISPLAY="", BROWSER="")
    assert (nobody.returncode, nobody.stdout.strip()) == (0, address)


def test_listing_and_cancelling(run: Any) -> None:
    """Words and JSON tell the same; filters narrow; more pages are named; a second cancel is no failure."""
    ids = [run("render", "a kite", "--no-wait", "--tag", "cli-4").stdout.strip() for _ in range(3)]
    rows = run("render", "list", "--tag", "cli-4", "--since", "1h").stdout.splitlines()
    assert [row.split()[0] for row in rows] == ["id", *reversed(ids)]
    for _ in range(2):
        canceled = run("render", "cancel", ids[0])
        assert (canceled.returncode, canceled.stdout.strip()) == (0, f"{ids[0]} canceled (prevented)")
    narrowed = ("render", "list", "--status", "canceled", "--status", "failed", "--tag", "cli-4", "--json")
    assert [row["id"] for row in json.loads(run(*narrowed).stdout)["data"]] == [ids[0]]
    some = run("render", "list", "--tag", "cli-4", "--limit", "2")
    assert (len(some.stdout.splitlines()), "--all" in some.stderr) == (3, True)
    assert len(json.loads(run("render", "list", "--tag", "cli-4", "--all", "--json").stdout)["data"]) == 3
    assert run("render", "list", "--tag", "cli-4", "--until", "2020-01-31").stdout.startswith("No renders here")
    assert "vivideo render" in run("render", "list", "--tag", "none-such").stdout


def test_events_are_lines(service: Service, run: Any) -> None:
    """With `--json` a document each; `--follow` ends with the render; nothing new says how to wait."""
    render_id = run("render", "a kite", "--no-wait", "--ref", "cli-5").stdout.strip()
    so_far = run("render", "events", render_id, "--json")
    assert [json.loads(line)["number"] for line in so_far.stdout.splitlines()] == [1]
    with _worker(service, "cli-5"):
        followed = run("render", "events", render_id, "--follow", "--json")
    events = [json.loads(line) for line in followed.stdout.splitlines()]
    assert [event["number"] for event in events] == list(range(1, len(events) + 1))
    assert events[-1]["type"] == "render.succeeded"
    assert "render.succeeded" in run("render", "events", render_id).stdout
    nothing = run("render", "events", render_id, "--after", str(len(events)))
    assert (nothing.returncode, nothing.stdout, "--follow" in nothing.stderr) == (0, "", True)


def test_balances_accounts_and_usage(service: Service, run: Any) -> None:
    """Empty states name the next command; then a row each; JSON holds the same."""
    row = {"id": "acc_cli", "name": "cli's", "kind": "registered", "token_encrypted": b"x", "balance_available": 12.5}
    with answering(Told(200, b'{"data": [], "accounts": []}')) as (url, _):
        for command in ("credits", "accounts", "usage"):
            assert "vivideo render" in run(command, url=url).stdout
    service.write(lambda session: session.execute(insert(Account).values(**row)))
    assert "12.5" in run("credits").stdout
    assert "acc_cli" in run("accounts").stdout
    assert "acc_cli" in {one["id"] for one in json.loads(run("accounts", "--json").stdout)["data"]}
    assert "No run ended" in run("usage", "--until", "2020-01-31", "--since", "2020-01-01").stdout
    _end(service, run("render", "a kite", "--no-wait").stdout.strip())
    assert re.search(r" [\d,.]+ s, [\d,.]+ MB", run("usage", "--since", "1h").stdout)
    service.write(lambda session: session.execute(delete(Account).where(Account.id == row["id"])))
    assert json.loads(run("usage", "--by", "day", "--json").stdout)["data"][-1]["succeeded"] >= 1


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ((), 2, ""),
        (("render",), 2, ""),
        (("render", "create"), 2, "give one prompt"),
        (("render", "create", "a", "--prompt-file", "b"), 2, "give one prompt"),
        (("render", "a kite", "-a", "none.png"), 2, "none.png is no file"),
        (("render", "a kite", "-a", "."), 2, ". is a directory"),
        (("render", "a kite", "-a", "large.mp4"), 2, "200,000,001 bytes"),
        (("render", "--dry-run", "large.mp4"), 2, "say --prompt-file large.mp4"),
        (("render", "--prompt-file", "."), 2, "the prompt cannot be read"),
        (("render", "--prompt-file", "none.txt"), 2, "No such file"),
        (("render", "--prompt-file", "large.mp4"), 2, "longer than a prompt may be"),
        (("render", "a kite", "-o", "no/where.mp4"), 2, "make it first"),
        (("render", "a kite", "--priority", "urgent"), 2, "'high', 'normal', 'low'"),
        (("render", "a kite", "--metadata", "x"), 2, "key=value"),
        (("render", "a kite", "--language", "klingon"), 2, "/language"),
        (("render", " "), 2, "/prompt"),
        (("render", "wacth"), 2, "did you mean 'watch'"),
        (("render", "rnd_" + "0" * 26), 2, "did you mean 'get'"),
        (("render", "list", "--status", "done"), 2, "--status"),
        (("render", "list", "--since", "yesterday"), 2, "neither like 30m"),
        (("render", "list", "--limit", "0"), 2, "--limit"),
        (("render", "get", "rnd_" + "0" * 26), 1, "render.unknown"),
        (("render", "cancel", "x y"), 1, "render.unknown"),
        (("render", "retry", "x"), 1, "render.unknown"),
        (("upload", "."), 2, ". is a directory"),
        (("upload",), 2, "Missing argument"),
        (("list",), 2, "No such command 'list'"),
        (("credits", "--nope"), 2, "No such option: --nope"),
    ],
)
def test_mistakes_have_their_status_and_a_sentence(
    run: Any, tmp_path: Path, arguments: tuple[str, ...], status: int, words: str
) -> None:
    """2 for what was asked wrongly, 1 for what is not there, before anything is sent; with `--json` a document."""
    with (tmp_path / "large.mp4").open("wb") as file:
        file.truncate(200_000_001)
    done = run(*arguments)
    assert (done.returncode, words in done.stderr) == (status, True), done.stderr
    if words:
        told = run(*arguments, "--json")
        assert (told.returncode, set(json.loads(told.stdout))) == (status, {"error"})
        assert words in json.loads(told.stdout)["error"]["message"] + json.loads(told.stdout)["error"]["code"]


def test_a_file_of_a_wrong_format_is_refused_in_words(run: Any, tmp_path: Path) -> None:
    """The refusal of an upload names the accepted formats, before any render is made; an unreadable file its reason."""
    (tmp_path / "notes.png").write_text("no picture")
    done = run("render", "a kite", "-a", "notes.png")
    assert done.returncode == 2
    assert "webp" in done.stderr
    assert run("render", "--prompt-file", "-", stdin=b"\xff\xfe").stderr == "vivideo: - is no text in UTF-8\n"


def test_keys_and_servers_that_are_not_there(run: Any) -> None:
    """4 without a valid key; 1 with the remedy where nothing listens, where something else answers."""
    assert run("credits", key="vv_wrong").returncode == 4
    none = run("credits", key=None, VIVIDEO_STATE_DIR="/nowhere")
    assert (none.returncode, "VIVIDEO_API_KEY" in none.stderr) == (4, True)
    nobody = run("credits", "--json", url="http://127.0.0.1:1")
    assert nobody.returncode == 1
    assert "nothing listens at http://127.0.0.1:1 — start it with `vivideo up`" in nobody.stderr
    assert json.loads(nobody.stdout)["error"]["code"] == "unreachable"
    for url in ("localhost:8000", "http://", "ftp://a.example"):
        wrong = run("credits", url=url)
        assert (wrong.returncode, "must be like http://127.0.0.1:8000" in wrong.stderr) == (2, True)
    assert run("credits", key="vv_schlüssel").returncode == 2
    with answering(Told(200, b"<html>")) as (url, _):
        other = run("credits", url=url)
    assert (other.returncode, "is not this service" in other.stderr) == (1, True)
    with answering(problem(429, "limit.credits", Retry_After="4000")) as (url, _):
        limited = run("render", "a kite", url=url)
    assert (limited.returncode, "Retry-After: 4000" in limited.stderr) == (1, True)


def test_output_that_goes_nowhere(service: Service, run: Any, tmp_path: Path) -> None:
    """A reader that has enough ends the command quietly with 141; a full disk with 1 and its reason."""
    render_id = service.make()["id"]
    for arguments in (("render", "get", render_id, "--json"), ("render", "list"), ("--help",)):
        reading, writing = os.pipe()
        os.close(reading)
        command = subprocess.run(
            [*PROGRAM, *arguments],
            env=environment(service.url, FIRST_KEY),
            stdout=writing,
            stderr=subprocess.PIPE,
            timeout=30,
        )
        os.close(writing)
        assert (command.returncode, command.stderr) == (141, b""), arguments
    with open("/dev/full", "wb") as full:
        command = subprocess.run(
            [*PROGRAM, "render", "list"],
            env=environment(service.url, FIRST_KEY),
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=30,
        )
    assert (command.returncode, b"No space left on device" in command.stderr) == (1, True)
    assert b"Traceback" not in command.stderr


def test_a_disk_that_is_full_is_said(service: Service, run: Any, tmp_path: Path) -> None:
    """The video does not fit: 1, the reason and what to do; no part of it stays."""
    render_id = service.make()["id"]
    _end(service, render_id)
    (tmp_path / "closed").mkdir(mode=0o500)
    limited = ["sh", "-c", 'ulimit -f 8; exec "$@"', "sh", *PROGRAM, "render", "get", render_id, "-o", "v.mp4"]
    done = subprocess.run(
        limited, env=environment(service.url, FIRST_KEY), cwd=tmp_path, capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, "File too large" in done.stderr, "Traceback" in done.stderr) == (1, True, False)
    assert [path.name for path in tmp_path.iterdir()] == ["closed"]


def test_a_local_stack_is_found_from_below_its_directory(service: Service, run: Any, tmp_path: Path) -> None:
    """The notes of a running stack give address and key; its key is not sent to another address."""
    notes = tmp_path / ".vivideo" / "stack.json"
    notes.parent.mkdir()
    notes.write_text(json.dumps({"api": {"url": service.url}, "api_key": FIRST_KEY}))
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    found = subprocess.run(
        [*PROGRAM, "credits"], env=environment(None, None), cwd=below, capture_output=True, text=True, timeout=30
    )
    assert found.returncode == 0, found.stderr
    other = run("credits", url="http://127.0.0.1:1", key=None)
    assert (other.returncode, "no API key" in other.stderr) == (4, True)


def _at_a_terminal(columns: int, *arguments: str, **environment: str) -> str:
    """What a command shows on a terminal this wide."""
    near, far = pty.openpty()
    import fcntl
    import struct
    import termios

    fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    # What runs the tests may name a width of its own, which would outrank the terminal's.
    inherited = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(
        [*PROGRAM, *arguments], env=inherited | environment | {"TERM": "xterm"}, stdin=far, stdout=far, stderr=far
    )
    os.close(far)
    shown = b""
    while piece := _read(near):
        shown += piece
    os.close(near)
    assert process.wait(30) == 0, shown
    return shown.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # the other side is closed
        return b""


def test_narrow_terminals_and_those_without_colour(service: Service) -> None:
    """Forty columns: an id is whole on its line. NO_COLOR: no colours. A wide one has a table with colours."""
    render_id = service.make(tags=["cli-narrow"])["id"]
    service.first.post(f"/v1/renders/{render_id}/cancel")
    command = ("render", "list", "--tag", "cli-narrow")
    where = {"VIVIDEO_URL": service.url, "VIVIDEO_API_KEY": FIRST_KEY}
    narrow = _at_a_terminal(40, *command, **where, NO_COLOR="1")
    assert f"id  {render_id}" in narrow
    assert all(len(line) <= 40 for line in re.sub(r"\x1b\[[0-9;]*m", "", narrow).splitlines())
    wide = _at_a_terminal(120, *command, **where)
    assert re.search(rf"{render_id}.*\x1b\[33mcanceled", wide)
    assert "\x1b[33m" not in _at_a_terminal(120, *command, **where, NO_COLOR="1")


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("vivideo re", "render"),
        ("vivideo render ", "watch"),
        ("vivideo render create --pri", "--priority"),
        ("vivideo render create --priority ", "normal"),
        ("vivideo render 'a kite' --meta", "--metadata"),
        ("vivideo render list --status su", "succeeded"),
    ],
)
def test_the_shell_completes(line: str, found: str) -> None:
    """As bash asks for it: commands, options, values, also behind the short form."""
    place = len(shlex.split(line)) - (not line.endswith(" "))
    asked = {"_VIVIDEO_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(place)}
    done = subprocess.run(
        PROGRAM, env=environment(None, None) | asked, cwd=ROOT, capture_output=True, text=True, timeout=30
    )
    assert found in done.stdout.split(), done.stderr


@pytest.mark.parametrize("asked", [["--help"], ["render", "create", "--help"], []])
def test_help_and_completion_are_quick(asked: list[str]) -> None:
    """Neither imports what it does not need: not the client, not the service."""
    program = (
        f"import sys\nsys.argv = ['vivideo', *{asked!r}]\nfrom deploy.local.entry import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "early = {'httpx', 'sqlalchemy', 'fastapi', 'celery', 'asyncio'} & set(sys.modules)\n"
        "assert not early, early\n"
    )
    completing = {"_VIVIDEO_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": "vivideo render "} if not asked else {}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=os.environ | completing,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    assert "watch" in done.stdout or asked
