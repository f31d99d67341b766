"""Batches from Python and from the command line."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from api.client import Conflict, Invalid, Unusable
from tests.api.service import FIRST_KEY, Service
from tests.api.wire import relay


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Three rows, one of which is not valid."""
    path = tmp_path / "products.csv"
    path.write_text("sku,prompt\na,a kite\nb,\nc,a boat\n")
    return path


def test_a_file_becomes_a_batch_that_is_steered(service: Service, table: Path, tmp_path: Path):
    """Every call of the library on one batch, with what it returns."""
    told: list[tuple[int, int]] = []
    with service.client as client:
        rehearsed = client.dry_run_batch(table, defaults={"tags": ["wind"]})
        assert (rehearsed.total, rehearsed.rejected, rehearsed.estimate.credits) == (2, 1, 200)
        made = client.create_batch(table, name="kites", first=1, on_progress=lambda *at: told.append(at))
        assert (made.total, made.rejected, made.first, made.final) == (2, 1, 1, False)
        assert told[-1] == (table.stat().st_size,) * 2
        assert client.batches(limit=1).data[0].id == made.id
        assert [one.ref for one in client.iter_batch_items(made.id)] == ["a", "c"]
        assert [one.line for one in client.batch_problems(made.id).data] == [3]
        assert client.approve_batch(made.id).approved_at is not None
        assert client.pause_batch(made.id).status == "paused"
        assert client.resume_batch(made.id).status == "running"
        assert client.update_batch(made.id, max_credits=500, name=None).max_credits == 500
        assert client.retry_failed(made.id).retried == 0
        assert [(one.ref, one.status) for one in client.batch_manifest(made.id)] == [("a", "queued"), ("c", "queued")]
        saved = client.save_batch_manifest(made.id, tmp_path / "done.csv")
        assert [row["ref"] for row in csv.DictReader(saved.open())] == ["a", "c"]
        mended = client.save_batch_problems(made.id, tmp_path / "bad.csv")
        mended.write_text(mended.read_text().replace("b,,", "b,now,"))
        assert client.create_batch(mended).total == 1
        assert client.cancel_batch(made.id).status == "canceling"
        with pytest.raises(Conflict, match="cancelled"):
            client.pause_batch(made.id)


def test_items_become_a_batch(service: Service):
    """With assets as `create_render` takes them."""
    with service.client as client:
        items = [{"prompt": "a kite", "assets": ["https://x.example/1.jpg"]}, {"prompt": "a boat"}]
        made = client.create_batch(items, tags=["t"], metadata={"a": 1}, defaults={"language": "de"})
        assert (made.total, made.tags, made.metadata) == (2, ["t"], {"a": 1})
        first = next(client.iter_batch_items(made.id))
        assert client.render(first.id).assets[0].url == "https://x.example/1.jpg"
        with pytest.raises(Invalid, match="Line 1"):
            client.create_batch([{"prompt": ""}])


def test_what_cannot_be_a_batch_is_not_sent(service: Service, tmp_path: Path):
    """A file of an unknown kind, and labels that a file's batch does not take."""
    (path := tmp_path / "a.xlsx").write_bytes(b"PK")
    with service.client as client:
        with pytest.raises(Unusable, match="neither"):
            client.create_batch(path)
        with pytest.raises(Unusable, match="tags"):
            client.create_batch(tmp_path / "a.csv", tags=["t"])


def test_an_answer_that_was_lost_is_found_again(service: Service, table: Path):
    """The file is sent once more under its key, and leads to the same batch; a manifest goes on where it was cut."""
    from api.client import Client

    with relay(service.url, [0, None, 700, None]) as way, Client(way.url, FIRST_KEY) as client:
        made = client.create_batch(table, name="lost answer")
        found = [one for one in client.batches().data if one.name == "lost answer"]
        assert [one.id for one in found] == [made.id]


def test_rows_of_a_batch_fill_a_template(service: Service, run: Any, tmp_path: Path):
    """The version that is named, or the newest; also where it is only checked. One that is not there fails each row."""
    template = {"name": "of-batches", "prompt": "a video about {{ title }}", "variables": {"title": {}}}
    assert service.first.post("/v1/templates", json=template).status_code == 201
    newer = template | {"prompt": "all about {{ title }}"}
    del newer["name"]
    assert service.first.post("/v1/templates/of-batches/versions", json=newer).status_code == 201
    (tmp_path / "rows.csv").write_text("sku,title,colour\na,a lamp,red\n")
    for named, prompt in [("of-batches", "all about a lamp"), ("of-batches@1", "a video about a lamp")]:
        dry = json.loads(run("batch", "create", "rows.csv", "--template", named, "--dry-run", "--json").stdout)
        assert [one["prompt"] for one in dry["prompts"]] == [prompt]
        sent = run("batch", "create", "rows.csv", "-t", named)
        assert sent.returncode == 0, sent
        with service.client as client:
            (item,) = client.iter_batch_items(sent.stdout.strip())
            made = client.render(item.id)
        assert (made.prompt, made.template) == (prompt, f"of-batches@{named[-1] if '@' in named else 2}")
    for arguments, code in [(("--template", "of-batches@9"), "batch.empty"), ((), "batch.header")]:
        refused = run("batch", "create", "rows.csv", *arguments)
        assert (refused.returncode, code in refused.stderr) == (2, True), refused


def test_the_commands_of_a_batch(run: Any, table: Path, tmp_path: Path):
    """From the file to its manifest."""
    dry = run("batch", "create", str(table), "--dry-run")
    assert (dry.returncode, "2 rows" in dry.stdout, "line 3 (b)" in dry.stdout) == (0, True, True)
    made = run("batch", "create", str(table), "--first", "1", "--name", "kites")
    batch = made.stdout.strip()
    assert (made.returncode, batch[:4], "1 rows were rejected" in made.stderr) == (0, "bat_", True)
    assert batch in run("batch", "list").stdout
    assert "vivideo batch approve" in run("batch", "get", batch).stdout
    assert [json.loads(line)["ref"] for line in run("batch", "items", batch, "--json").stdout.splitlines()] == [
        "a",
        "c",
    ]
    assert "line 3 (b)" in run("batch", "problems", batch).stdout
    for command, shown in [("approve", "running"), ("pause", "paused"), ("resume", "running"), ("cancel", "canceling")]:
        assert json.loads(run("batch", command, batch, "--json").stdout)["status"] == shown
    assert run("batch", "manifest", batch, "-o", "done.csv").returncode == 0
    assert (tmp_path / "done.csv").read_text().startswith("ref,id,position")
    assert [json.loads(line)["ref"] for line in run("batch", "manifest", batch).stdout.splitlines()] == ["a", "c"]
    assert run("batch", "problems", batch, "-o", "bad.csv").returncode == 0
    retried = run("batch", "retry", batch)
    assert (retried.returncode, "batch.canceling" in retried.stderr) == (1, True)
    assert run("batch", "create", "missing.csv").returncode == 2
    assert run("batch", "get", "bat_nothing").returncode == 1
