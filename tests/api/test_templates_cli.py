"""`vivideo templates …` and `render create --template`, as a person runs them."""

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

DECLARED = {"title": {"max_length": 40}, "price": {"type": "number", "required": False}}


@pytest.fixture
def name(run: Any, tmp_path: Path) -> str:
    """A template made from two files."""
    name = f"t-{uuid4().hex}"
    (tmp_path / "text").write_text("a video about {{ title }}{% if price %} for {{ price }} EUR{% endif %}\n")
    (tmp_path / "variables.json").write_text(json.dumps(DECLARED))
    made = run("templates", "create", name, "--prompt-file", "text", "--var-file", "variables.json", "--tag", "shop")
    assert (made.returncode, made.stdout) == (0, f"{name}@1\n"), made
    return name


def test_a_template_is_made_tried_and_rendered(run: Any, name: str) -> None:
    """Texts by =, anything else by :=, files under both; the render has the template's tags."""
    tried = run("templates", "preview", name, "--var", "title=a mug=cup", "--var", "price:=9.5")
    assert tried.returncode == 0
    assert "a video about a mug=cup for 9.5 EUR" in tried.stdout
    Path("row.json").write_text('{"title": "a lamp", "price": 3}')
    given = ("--template", name, "--var-file", "row.json", "--var", "price:=4", "--json")
    dry = json.loads(run("render", "create", *given, "--dry-run").stdout)["render"]
    assert (dry["prompt"], dry["template"]) == ("a video about a lamp for 4 EUR", f"{name}@1")
    made = json.loads(run("render", "create", *given, "--no-wait").stdout)
    assert (made["variables"], made["tags"]) == ({"title": "a lamp", "price": 4}, ["shop"])


def test_a_template_can_be_tried_before_it_is_kept(run: Any, tmp_path: Path) -> None:
    """It says what it would be; nothing is there afterwards."""
    (tmp_path / "variables.json").write_text(json.dumps(DECLARED))
    given = ("templates", "create", "only-tried", "all about {{ title }}", "--var-file", "variables.json", "--dry-run")
    said = run(*given)
    assert (said.returncode, "title" in said.stdout, "nothing was kept" in said.stdout) == (0, True, True), said
    assert json.loads(run(*given, "--json").stdout)["content"]["prompt"] == "all about {{ title }}"
    assert run("templates", "show", "only-tried").returncode == 1


def test_an_update_keeps_what_it_does_not_name(run: Any, name: str) -> None:
    """The text is new; variables and tags are those of the version before. Each version can be shown."""
    updated = run("templates", "update", name, "-", stdin=b"one more about {{ title }}")
    assert (updated.returncode, updated.stdout) == (0, f"{name}@2\n")
    newest = json.loads(run("templates", "show", name, "--json").stdout)["version"]
    assert (newest["number"], sorted(newest["variables"]), newest["tags"]) == (2, ["price", "title"], ["shop"])
    first = run("templates", "show", name, "--version", "1").stdout
    assert "{% if price %}" in first
    assert "required" in first
    assert name in run("templates", "list").stdout


def test_an_archived_template_is_no_longer_listed(run: Any, name: str) -> None:
    """And makes no render: a refusal with its code and a remedy."""
    gone = json.loads(run("templates", "delete", name, "--json").stdout)
    assert gone["archived_at"]
    assert name not in run("templates", "list", "--limit", "200").stdout
    refused = run("render", "create", "--template", name, "--var", "title=x", "--no-wait")
    assert refused.returncode == 1
    assert "template.archived" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("templates", "preview", "NAME", "--var", "title"), "name=text"),
        (("templates", "preview", "NAME", "--var", "price:=nine"), "no JSON"),
        (("templates", "preview", "NAME", "--var-file", "text"), "JSON object"),
        (("templates", "preview", "NAME", "--var-file", "missing"), "missing"),
        (("templates", "preview", "NAME"), "/variables/title"),
        (("templates", "preview", "NAME", "--var", "title=a", "--var", "price=9"), "a text, where a number"),
        (("templates", "create", "other", "{{ x }}"), "line 1: `x` is not among the variables"),
        (("templates", "create", "other"), "one prompt"),
        (("render", "create", "a kite", "--template", "NAME"), "either `prompt` or `template`"),
        (("render", "create", "a kite", "--var", "title=a"), "for a `template`"),
    ],
)
def test_mistakes_are_named(run: Any, name: str, arguments: tuple[str, ...], words: str) -> None:
    """With the status of a wrong use, before or after asking the service."""
    said = run(*(one.replace("NAME", name) for one in arguments))
    assert said.returncode == 2, said
    assert words in said.stderr
