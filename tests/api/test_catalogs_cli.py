"""`vivideo catalog …` against the service, as a person runs it; `check`, which needs none, is tested with the feeds."""

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.api import working
from tests.api.service import Service


@pytest.fixture
def template(service: Service) -> str:
    """One that two versions have, the newer of which is the shorter."""
    name = f"shop-{uuid4().hex}"
    content = {"prompt": "a video about {{ title }} for {{ price }}", "variables": {"title": {}, "price": {}}}
    assert service.first.post("/v1/templates", json={"name": name, **content}).status_code == 201
    newer = content | {"prompt": "all about {{ title }} for {{ price }}"}
    assert service.first.post(f"/v1/templates/{name}/versions", json=newer).status_code == 201
    return name


@pytest.fixture
def feed(tmp_path: Path) -> Path:
    """Two products of this test's own."""
    path = tmp_path / "feed.csv"
    rows = ["id,title,price,image_link", f"a,Lamp {uuid4().hex},19.90 EUR,", f"b,Chair {uuid4().hex},5 EUR,"]
    path.write_text("\n".join(rows))
    return path


def test_a_catalog_from_its_file_to_its_end(service: Service, run: Any, template: str, feed: Path) -> None:
    """Added with the newest version, read, shown, read again with another file, forgotten; its videos stay."""
    made = run("catalog", "add", "feed.csv", "--template", template, "--name", "the shop")
    catalog = made.stdout.split()[0]
    assert (made.returncode, catalog[:4], f"vivideo catalog get {catalog}" in made.stdout) == (0, "cat_", True), made
    working.read_catalogs(service)
    shown = run("catalog", "get", catalog).stdout
    for words in ("the shop", template, "done", "rendered  2"):
        assert words in shown
    batch = json.loads(run("catalog", "get", catalog, "--json").stdout)["last_read"]["batch_id"]
    renders = service.first.get("/v1/renders", params={"batch": batch}).json()["data"]
    assert {one["template"] for one in renders} == {f"{template}@2"}
    assert [line.split()[:2] for line in run("catalog", "diff", catalog).stdout.splitlines()[1:]] == [
        ["new", "a"],
        ["new", "b"],
    ]

    feed.write_text(feed.read_text().replace("5 EUR", "6 EUR"))
    again = run("catalog", "read", catalog, "feed.csv")
    assert (again.returncode, "began" in again.stdout) == (0, True), again
    working.read_catalogs(service)
    changed = json.loads(run("catalog", "diff", catalog, "--json").stdout)["data"]
    assert [(one["ref"], one["kind"]) for one in changed] == [("b", "changed")]
    assert run("catalog", "list").stdout.count(catalog) == 1
    assert run("catalog", "remove", catalog).returncode == 0
    assert run("catalog", "get", catalog).returncode == 1
    assert service.first.get(f"/v1/renders/{renders[0]['id']}").status_code == 200


def test_the_version_of_the_template_can_be_named(service: Service, run: Any, template: str, feed: Path) -> None:
    """In a try as in earnest; with -t too."""
    tried = json.loads(run("catalog", "add", "feed.csv", "--template", f"{template}@1", "--dry-run").stdout)
    assert tried["prompt"].startswith("a video about Lamp")
    assert json.loads(run("catalog", "add", "feed.csv", "-t", template, "--dry-run").stdout)["prompt"].startswith("all")
    made = json.loads(run("catalog", "add", "feed.csv", "-t", f"{template}@1", "--first", "1", "--json").stdout)
    assert made["template"] == f"{template}@1"
    working.read_catalogs(service)
    batch = json.loads(run("catalog", "get", made["id"], "--json").stdout)["last_read"]["batch_id"]
    got = json.loads(run("batch", "get", batch, "--json").stdout)
    assert (got["first"], got["total"]) == (1, 2)


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("add", "feed.csv"), 2, "--template"),
        (("add", "feed.csv", "-t", "nowhere"), 2, "template.unknown"),
        (("add", "feed.csv", "-t", "TEMPLATE@9"), 2, "template.unknown"),
        (("add", "missing.csv", "-t", "TEMPLATE"), 1, "missing.csv"),
        (("add", "http://127.0.0.1/feed", "-t", "TEMPLATE"), 2, "/url"),
        (("diff", "cat_nothing"), 1, "catalog.unknown"),
        (("read", "cat_nothing"), 1, "catalog.unknown"),
        (("remove", "cat_nothing"), 1, "catalog.unknown"),
    ],
)
def test_mistakes_are_named(
    run: Any, template: str, feed: Path, arguments: tuple[str, ...], status: int, words: str
) -> None:
    """With the status of a wrong use where it is one; nothing is kept."""
    said = run("catalog", *(one.replace("TEMPLATE", template) for one in arguments))
    assert (said.returncode, words in said.stderr) == (status, True), said
