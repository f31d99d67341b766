"""`vivideo batch run`: from a file to a directory of videos, in one command that can be repeated."""

import csv
import json
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from structlog.testing import capture_logs

from api.cli.running import source
from api.cli.running.names import ENDING, Names
from api.cli.running.state import NAME, held
from tests.api import working
from tests.api.command import PROGRAM, environment
from tests.api.service import FIRST_KEY, Service, until
from tests.stack import heard
from worker.batches.keeping import Keeper
from worker.batches.models import Batch
from worker.renders.models import Render
from worker.renders.states import Status

Run = Any


def video(render_id: str) -> bytes:
    """A file of its own for each render."""
    return f"the video of {render_id} ".encode() * 50


def end(service: Service, render_id: str, status: Status = Status.SUCCEEDED) -> None:
    """The end of a render, with its file."""
    if status is Status.SUCCEEDED:
        working.delivered(service, render_id, video(render_id))
    else:
        held = service.write(lambda session: working.claimed(session, render_id))
        service.write(lambda session: working.finished(session, held, status, error_code="generation.no_draft"))
    return _keep(service)


def _keep(service: Service) -> None:
    """What the dispatcher does for batches: the last end ends one."""
    keeper = Keeper()
    with capture_logs():  # standard output is the command's
        while service.write(keeper.keep):
            pass


def renders(service: Service, batch_id: str) -> list[Render]:
    with service.session() as session:
        return list(
            session.scalars(select(Render).where(Render.batch_id == batch_id).order_by(Render.batch_position)).all()
        )


def batches(service: Service) -> list[Batch]:
    with service.session() as session:
        return list(session.scalars(select(Batch).order_by(Batch.created_at)).all())


def table(path: str, *refs: str) -> str:
    """A file of this test's own: its content is the key of its batch."""
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("sku", "prompt"), *((ref, f"a kite {uuid4()}") for ref in refs)])
    return path


def asked(run: Run, *arguments: str) -> str:
    """The batch of a run that does not wait."""
    said = run("batch", "run", *arguments, "--no-watch")
    assert said.returncode == 0, said
    return said.stdout.strip()


def remembered(directory: str) -> dict[str, Any]:
    return json.loads((Path(directory) / NAME).read_text())


def here_now(directory: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(directory).glob("*.mp4")}


def test_the_same_command_again_fetches_only_what_is_missing(service: Service, run: Run):
    """It finds its batch without another; whole files keep their time, a lost and a damaged one come back."""
    command = ("batch", "run", table("p.csv", "a", "b", "c"), "-o", "out")
    batch = asked(run, *command[2:])
    assert batch.startswith("bat_")
    for one in renders(service, batch):
        end(service, one.id)
    before = len(batches(service))
    first = run(*command)
    assert (first.returncode, "3 succeeded" in first.stdout) == (0, True), first
    wanted = {f"{one.external_ref}.mp4": video(one.id) for one in renders(service, batch)}
    assert here_now("out") == wanted
    kept = Path("out/a.mp4").stat()
    Path("out/b.mp4").unlink()
    Path("out/c.mp4").write_bytes(b"cut off")
    again = json.loads(run(*command, "--json").stdout)
    assert (again["batch"]["id"], again["fetched"], again["there_before"]) == (batch, 2, 1)
    assert here_now("out") == wanted
    assert (Path("out/a.mp4").stat().st_ino, Path("out/a.mp4").stat().st_mtime_ns) == (kept.st_ino, kept.st_mtime_ns)
    assert len(batches(service)) == before
    assert sorted(path.name for path in Path("out").glob("*.part")) == []


def test_what_was_verified_is_not_read_again(service: Service, run: Run, monkeypatch: pytest.MonkeyPatch):
    """By size and time, which the directory remembers; without that memory files are hashed, and not fetched."""
    from api.cli.running.videos import Videos

    hashed: list[str] = []
    digest = Videos._digest
    monkeypatch.setattr(Videos, "_digest", lambda self, path: hashed.append(path.name) or digest(self, path))
    command = ("batch", "run", table("p.csv", "a", "b"), "-o", "out")
    for one in renders(service, asked(run, *command[2:])):
        end(service, one.id)
    assert [run(*command).returncode for _ in range(2)] == [0, 0]
    assert hashed == []
    (Path("out") / NAME).unlink()
    again = json.loads(run(*command, "--json").stdout)
    assert (sorted(hashed), again["fetched"], again["there_before"]) == (["a.mp4", "b.mp4"], 0, 2)


def test_a_batch_is_found_by_its_key_alone(service: Service, run: Run):
    """From another directory too; other options or --new make another one, another file there is refused."""
    file, other = table("p.csv", "a"), table("q.csv", "b")
    batch = asked(run, file, "-o", "one")
    assert asked(run, file, "-o", "two") == batch
    assert asked(run, file, "-o", "three", "--priority", "low") != batch
    refused = run("batch", "run", other, "-o", "one", "--no-watch")
    assert (refused.returncode, batch in refused.stderr, "--new" in refused.stderr) == (2, True, True)
    assert run("batch", "run", file, "-o", "one", "--max-credits", "500", "--no-watch").returncode == 2
    newer = asked(run, file, "-o", "one", "--new")
    assert newer != batch
    assert asked(run, file, "-o", "one") == newer == remembered("one")["batch"]


def test_somebody_elses_file_stays(service: Service, run: Run):
    """A video whose name is taken by a file that no run put there gets another name, and keeps it."""
    command = ("batch", "run", table("p.csv", "a"), "-o", "out")
    (one,) = renders(service, asked(run, *command[2:]))
    Path("out/a.mp4").write_bytes(b"mine")
    end(service, one.id)
    for _ in range(2):
        assert run(*command).returncode == 0
        assert here_now("out") == {"a.mp4": b"mine", f"a-{one.id}.mp4": video(one.id)}


def test_references_become_names_inside_the_directory(service: Service, run: Run, tmp_path: Path):
    """Whatever they hold, each video has a file of its own in DIR, and nothing is written elsewhere."""
    refs = ["../../x", "a/b", "a_b", "A_B", "", ".hidden", "Größe 漢字 🎬", "l" * 198, "l" * 199, "con", "x\u202egpm"]
    command = ("batch", "run", table("p.csv", *refs), "-o", "in/out")
    made = renders(service, asked(run, *command[2:]))
    for one in made:
        end(service, one.id)
    before = {path for path in tmp_path.rglob("*") if "in/out" not in str(path)}
    said = run(*command)
    assert said.returncode == 0, (said, list(Path("in/out").glob("*.csv")))
    assert {path for path in tmp_path.rglob("*") if "in/out" not in str(path)} == before
    found = here_now("in/out")
    assert sorted(found.values()) == sorted(video(one.id) for one in made)
    expected = {"_.._x.mp4", "a_b.mp4", "a_b-3.mp4", "A_B-4.mp4", "video-000005.mp4", "hidden.mp4"}
    assert expected | {"Größe 漢字 🎬.mp4", "_con.mp4", "x_gpm.mp4"} <= set(found), sorted(found)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(max_size=150) | st.sampled_from(["a", "A", "a-2", "..", "NUL.x", "ﬀ", "ff"]), max_size=12))
def test_names_are_safe_and_distinct(refs: list[str]):
    """Any text: one part of a path, short, no two alike in any case; the same ones again for the same rows."""
    names = [(Names().of(ref, 1), ref) for ref in refs]
    for name, _ in names:
        assert Path(name).name == name
        assert not name.startswith((".", " "))
        assert len(name.encode()) <= 255
        assert name.isprintable() or "\u3000" in name or "\xa0" in name
    made = Names()
    whole = [made.of(ref, at) for at, ref in enumerate(refs, start=1)]
    assert len({name.casefold() for name in whole}) == len(refs)
    assert all(name.endswith(ENDING) for name in whole)


def test_failed_rows_are_told(service: Service, run: Run):
    """The status is 1, failed.csv names each with its reason; after a retry that succeeds both are gone."""
    command = ("batch", "run", table("p.csv", "a", "b"), "-o", "out")
    good, bad = renders(service, batch := asked(run, *command[2:]))
    end(service, good.id)
    end(service, bad.id, Status.FAILED)
    said = run(*command)
    assert (said.returncode, f"vivideo batch retry {batch}" in said.stderr) == (1, True), said
    rows = list(csv.DictReader(Path("out/failed.csv").read_text().splitlines()))
    assert [(row["ref"], row["status"], row["error"]) for row in rows] == [("b", "failed", "generation.no_draft")]
    assert list(here_now("out")) == ["a.mp4"]
    assert run("batch", "retry", batch, "--force").returncode == 0
    end(service, bad.id)
    said = run(*command)
    assert said.returncode == 0, said
    assert (sorted(here_now("out")), Path("out/failed.csv").exists()) == (["a.mp4", "b.mp4"], False)


def test_rejected_rows_are_told(service: Service, run: Run):
    """They lie in rejected.csv, to be mended."""
    Path("p.csv").write_text(f"sku,prompt\na,a kite {uuid4()}\nb,\n")
    (one,) = renders(service, asked(run, "p.csv", "-o", "out"))
    end(service, one.id)
    assert run("batch", "run", "p.csv", "-o", "out").returncode == 1
    assert [row["sku"] for row in csv.DictReader(Path("out/rejected.csv").read_text().splitlines())] == ["b"]


def test_the_first_are_looked_at(service: Service, run: Run):
    """They are fetched, and without a terminal the command says how the others begin; --yes begins them."""
    command = ("batch", "run", table("p.csv", "a", "b", "c"), "-o", "out", "--first", "1")
    first, *others = renders(service, batch := asked(run, *command[2:]))
    end(service, first.id)
    waits = run(*command)
    assert (waits.returncode, f"vivideo batch approve {batch}" in waits.stderr) == (0, True), waits
    assert list(here_now("out")) == ["a.mp4"]

    def rest() -> None:
        until(lambda: service.first.get(f"/v1/batches/{batch}").json()["approved_at"], 20)
        for one in others:
            end(service, one.id)

    with at_the_same_time(rest):
        done = run(*command, "--yes")
    assert done.returncode == 0, done
    assert sorted(here_now("out")) == ["a.mp4", "b.mp4", "c.mp4"]


def test_a_batch_that_pauses_says_why(service: Service, run: Run):
    """What is under way has ended; the status is 1, and the words name the next commands."""
    command = ("batch", "run", table("p.csv", "a", "b"), "-o", "out", "--max-failure-rate", "0.1")
    first, _ = renders(service, batch := asked(run, *command[2:]))
    end(service, first.id)
    assert run("batch", "pause", batch).returncode == 0
    said = run(*command)
    assert said.returncode == 1
    assert "paused: somebody paused it" in said.stderr
    assert f"vivideo batch resume {batch}" in said.stderr
    assert list(here_now("out")) == ["a.mp4"]


def test_progress_is_lines_without_a_terminal(service: Service, run: Run):
    """One for the state it is in and one for its end; the result alone is on standard output."""
    command = ("batch", "run", table("p.csv", "a"), "-o", "out")
    (one,) = renders(service, batch := asked(run, *command[2:]))

    def work() -> None:
        end(service, one.id)

    with at_the_same_time(work):
        said = run(*command)
    lines = said.stderr.splitlines()
    assert lines[0] == "vivideo: p.csv: a table of rows, each with what its video should be"
    assert lines[1] == f"vivideo: {batch} into out"
    assert lines[-1].split("  ")[-1].startswith("finished: ")
    assert "\x1b" not in said.stderr
    assert said.stdout.startswith("out  1 succeeded")


def test_ctrl_c_leaves_the_batch_running(service: Service, run: Run, tmp_path: Path):
    """The status is 130; the words say how to go on and how to end it."""
    command = [*PROGRAM, "batch", "run", table("p.csv", "a"), "-o", "out"]
    batch = asked(run, *command[len(PROGRAM) + 2 :])
    with heard(signal.SIGINT):
        process = subprocess.Popen(
            command, env=environment(service.url, FIRST_KEY), cwd=tmp_path, stderr=subprocess.PIPE, text=True
        )
    with process:
        try:
            assert process.stderr is not None
            while "running" not in (line := process.stderr.readline()):
                assert line, "it ended"
            process.send_signal(signal.SIGINT)
            _, words = process.communicate(timeout=10)
        finally:
            process.kill()
    assert process.returncode == 130, words
    assert f"vivideo batch cancel {batch}" in words
    assert "Traceback" not in words
    assert renders(service, batch)[0].status == "queued"


def test_a_directory_has_one_run(run: Run):
    """A second one at the same time is refused before it asks for anything."""
    file = table("p.csv", "a")
    with held(Path("out")):
        said = run("batch", "run", file, "-o", "out", "--no-watch")
    assert (said.returncode, "another `vivideo batch run`" in said.stderr) == (2, True)


@pytest.fixture
def template(service: Service) -> str:
    """One that demands a title, and may have a price."""
    name = f"run-{uuid4().hex}"
    variables = {"title": {}, "price": {"required": False}}
    made = {"name": name, "prompt": "a video about {{ title }} for {{ price }}", "variables": variables}
    assert service.first.post("/v1/templates", json=made).status_code == 201
    return name


@pytest.mark.parametrize(
    ("name", "content", "with_template", "kind"),
    [
        ("a.csv", "sku,prompt\n1,a kite\n", False, "rows"),
        ("a.txt", '{"prompt": "a kite"}\n', False, "rows"),
        ("a.csv", "SKU;Title;Price\n1;Lamp;9\n", True, "rows"),
        ("a.jsonl", '{"variables": {"title": "Lamp"}}\n', True, "rows"),
        ("a.csv", "id,title,price,image_link\n1,Lamp,9 EUR,https://a.example/1.jpg\n", True, "catalog"),
        ("a.jsonl", '{"id": "1", "name": "Lamp", "price": "9 EUR"}\n', True, "catalog"),
        ("a.csv", "Handle,Title,Variant Price\nlamp,Lamp,9\n", True, "catalog"),
        ("a.csv", "Handle,Title,Variant Price\nlamp,Lamp,9\n", False, "name the template"),
        ("a.csv", "sku,colour\n1,red\n", False, "no column `prompt`"),
        ("a.csv", "sku,colour\n1,red\n", True, "it has no title"),
        ("a.csv", "", False, "no column `prompt`"),
        ("a.csv", "\x89PNG\r\n\x1a\n\x00\x00", True, "no product feed"),
    ],
)  # fmt: skip
def test_files_are_understood_by_their_content(
    service: Service, tmp_path: Path, template: str, name: str, content: str, with_template: bool, kind: str
):
    """Rows, rows for a template, or products; what is none of them is refused with what is missing."""
    (path := tmp_path / name).write_bytes(content.encode("latin-1"))
    with service.client as client:
        try:
            found: str = source.understand(client, str(path), template if with_template else None).kind
        except source.Mistake as mistake:
            found = str(mistake.message)
    assert kind in found


def test_rows_fill_a_template(service: Service, run: Run, template: str):
    """A table named by anything; a dry run keeps nothing, not even the directory."""
    Path("p.data").write_text(f"sku,title,price\na,Lamp {template},9\n")
    dry = run("batch", "run", "p.data", "-t", template, "-o", "out", "--dry-run")
    assert (dry.returncode, "1 rows" in dry.stdout, Path("out").exists()) == (0, True, False), dry
    (one,) = renders(service, asked(run, "p.data", "-t", template, "-o", "out"))
    assert one.prompt == f"a video about Lamp {template} for 9"


def test_a_feed_is_read_and_its_batch_followed(service: Service, run: Run, template: str):
    """The catalog is asked for once; its videos are named by the products' references."""
    ref = uuid4().hex
    Path("feed.csv").write_text(f"id,title,price,image_link,availability\n{ref},Lamp {ref},9 EUR,,in stock\n")
    command = ("batch", "run", "feed.csv", "-t", template, "-o", "out")
    catalog = asked(run, *command[2:])
    assert catalog.startswith("cat_")
    assert asked(run, *command[2:]) == catalog

    working.read_catalogs(service)
    last = service.first.get(f"/v1/catalogs/{catalog}").json()["last_read"]
    for one in renders(service, last["batch_id"]):
        end(service, one.id)
    said = run(*command)
    assert said.returncode == 0, said
    assert "Meta product feed" in said.stderr
    assert list(here_now("out")) == [f"{ref}.mp4"]
    assert remembered("out")["catalog"] == catalog


@contextmanager
def at_the_same_time(work: Callable[[], None]) -> Iterator[None]:
    """In a thread, whose failure is the test's."""
    failed: list[BaseException] = []

    def working() -> None:
        try:
            work()
        except BaseException as why:
            failed.append(why)

    thread = threading.Thread(target=working)
    thread.start()
    try:
        yield
    finally:
        thread.join()
    assert not failed, failed
