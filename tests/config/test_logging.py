"""The log vocabulary: one list of names, no secrets in a line."""

import ast
import io
import json
from contextlib import redirect_stderr
from pathlib import Path

import pytest

from config import logging

ROOT = Path(__file__).resolve().parents[2]


def names_used() -> set[str]:
    """The first argument of every call on a logger of ours."""
    found: set[str] = set()
    for room in ("worker", "api", "deploy/local", "config"):
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
                    said = node.args[0]
                    if _is_log(node.func) and isinstance(said, ast.Constant) and isinstance(said.value, str):
                        found.add(said.value)
    return found


def _is_log(call: ast.Attribute) -> bool:
    levels = {"debug", "info", "warning", "error", "exception"}
    owner = call.value
    named = isinstance(owner, ast.Name) and owner.id in {"log", "logger"}
    made = isinstance(owner, ast.Call) and isinstance(owner.func, ast.Name) and owner.func.id == "get"
    return call.attr in levels and (named or made)


def test_every_event_name_is_in_the_list_and_every_listed_one_is_used():
    """Who searches the logs finds every name in one place, and no name that nothing writes."""
    assert names_used() == logging.EVENTS


@pytest.mark.parametrize("name", ["token", "authorization", "api_key", "Token"])
def test_a_secret_is_masked_by_its_name(name: str):
    """A value logged under a secret's name does not reach the line."""
    written = io.StringIO()
    with redirect_stderr(written):
        logging.setup("test")
        logging.get("test").info("worker.strays", **{name: "nmv_usr_1234", "render": "rnd_1"})
    line = json.loads(written.getvalue())
    assert (line[name], line["render"], line["event"]) == ("***", "rnd_1", "worker.strays")
