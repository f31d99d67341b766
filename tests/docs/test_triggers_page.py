"""The page of webhooks in has every style, verdict, topic and code."""

import json
import re
from pathlib import Path

import pytest

from worker.triggers import conditions, mapping
from worker.triggers.models import Style, Verdict
from worker.triggers.topics import DEFAULTS
from worker.triggers.wanted import CODES

PAGE = (Path(__file__).parents[2] / "docs" / "triggers.md").read_text()


def _part(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def _rows(title: str) -> dict[str, str]:
    return dict(re.findall(r"^\| `([a-z_.]+)` \| (.+) \|$", _part(title), re.MULTILINE))


def test_every_style_and_verdict_is_on_the_page():
    """And none that is gone."""
    assert _rows("Styles").keys() == set(Style)
    verdicts = {name for name in _rows("Verdicts") if "." not in name}
    assert verdicts == set(Verdict)


def test_every_code_is_on_the_page():
    """In the words of the code itself."""
    assert {name: text for name, text in _rows("Verdicts").items() if "." in name} == CODES


@pytest.mark.parametrize("topic", sorted(topic for topics in DEFAULTS.values() for topic in topics))
def test_every_topic_is_on_the_page(topic: str):
    """That renders by itself."""
    assert f"`{topic}`" in _part("Topics")


def test_the_examples_are_valid():
    """As the service would take them."""
    (mapped,) = re.findall(r"```json\n(.*?)```", _part("Mapping"), re.DOTALL)
    (listed,) = re.findall(r"```json\n(.*?)```", _part("Conditions"), re.DOTALL)
    assert mapping.wrong(json.loads(mapped)) == []
    assert conditions.valid(json.loads(listed)) == []
