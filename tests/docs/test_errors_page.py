"""The page of errors has every code that a caller can meet, and no other."""

import re
from pathlib import Path

import pytest

from api.problems import KINDS
from worker import failures
from worker.failures import Failure
from worker.publishing.errors import HELP

PAGE = Path(__file__).parents[2] / "docs" / "errors.md"
ROW = re.compile(r'^\| <a id="([a-z_.]+)"></a>`([a-z_.]+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$', re.MULTILINE)
FAILURES = {value.code: value for value in vars(failures).values() if isinstance(value, Failure)}


def _part(title: str) -> dict[str, tuple[str, ...]]:
    """Anchor, status or "again", cause and remedy by code, of one of the page's parts."""
    text = PAGE.read_text().partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return {code: (anchor, *map(str.strip, rest)) for anchor, code, *rest in ROW.findall(text)}


@pytest.mark.parametrize("code", sorted(KINDS))
def test_every_problem_is_on_the_page(code: str):
    """With its status, a cause, a remedy and an anchor of its name."""
    rows = _part("Answers")
    assert code in rows, f"add {code} to docs/errors.md"
    anchor, status, cause, remedy = rows[code]
    assert (anchor, status) == (code, str(KINDS[code].status))
    assert cause
    assert remedy


@pytest.mark.parametrize("code", sorted(FAILURES))
def test_every_way_to_fail_is_on_the_page(code: str):
    """With a cause, a remedy, an anchor, and whether the same again can help."""
    rows = _part("Renders")
    assert code in rows, f"add {code} to docs/errors.md"
    anchor, again, cause, remedy = rows[code]
    assert anchor.endswith(code)
    assert again == ("yes" if FAILURES[code].retryable else "no")
    assert cause
    assert remedy


def test_the_page_has_no_code_that_is_gone():
    """And no anchor twice, which would lead to the wrong one."""
    assert _part("Answers").keys() == KINDS.keys()
    assert _part("Renders").keys() == FAILURES.keys()
    anchors = re.findall(r'<a id="([^"]+)">', PAGE.read_text())
    assert len(anchors) == len(set(anchors))


def test_every_way_of_a_publication_to_fail_is_on_the_page():
    """With the remedy that its answer gives."""
    text = PAGE.read_text().partition("\n## Publications\n")[2].partition("\n## ")[0]
    rows = re.findall(r'^\| <a id="([a-z_.]+)"></a>`([a-z_.]+)` \| ([^|]+) \| ([^|]+) \|$', text, re.MULTILINE)
    assert {code: remedy for _, code, _, remedy in rows} == HELP
    assert all(anchor == code for anchor, code, *_ in rows)
