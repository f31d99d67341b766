"""The page of metrics, and the alert rules on it, say what is declared."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from worker.metrics import declared

PAGE = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
ROW = re.compile(r"^\| `(vivideo_\w+)` \| (counter|gauge|histogram) \|([a-z, ]*)\| ([^|]+) \|$", re.MULTILINE)
ROWS = {name: (kind, re.findall("[a-z]+", labels)) for name, kind, labels, _ in ROW.findall(PAGE)}


def _labels(name: str) -> list[str]:
    found = [one.labels for one in (*declared.FROM_DATABASE, *declared.FROM_SYSTEM) if one.name == name]
    metric = declared.REGISTRY._names_to_collectors.get(name)
    return list(metric._labelnames if metric else found[0])  # type: ignore[attr-defined] - the library has no public way to ask


@pytest.mark.parametrize("name", sorted(declared.names()))
def test_every_metric_is_on_the_page(name: str):
    """With its kind and its labels."""
    assert name in ROWS, f"add {name} to docs/metrics.md"
    assert ROWS[name][1] == _labels(name)


def test_the_page_names_no_metric_that_is_gone():
    """Neither in its table nor in a rule, where a mistyped name would be silent for ever."""
    known = set(declared.names())
    assert set(ROWS) == known
    used = {re.sub(r"_(bucket|sum|count)$", "", name) for name in re.findall(r"\bvivideo_[a-z_]+\b", PAGE)}
    assert used - known == {"vivideo_servers"}, "the name of a network in Compose"


def test_labels_are_words_of_this_service():
    """No name of a label promises an id, an owner, an address or a text of somebody's."""
    assert {label for _, labels in ROWS.values() for label in labels} == {
        *("call", "code", "error", "how", "kind", "method", "outcome", "priority", "process", "python", "queue"),
        *("reason", "route", "stage", "state", "status", "style", "verdict", "version", "why"),
    }


def test_counting_does_not_bring_psycopg_in():
    """A worker imports the hooks before gevent is known to have patched everything."""
    code = "import sys, worker.metrics.declared, worker.metrics.serving; sys.exit('psycopg' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
