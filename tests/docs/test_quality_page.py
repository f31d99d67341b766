"""What docs/quality.md says of prompts is what is read."""

import re
from pathlib import Path

from worker.media.quality.asked import Asked
from worker.media.quality.words import read

PAGE = Path(__file__).parents[2] / "docs" / "quality.md"
_ROW = re.compile(r"^\| (?P<counts>.*) \| (?P<not>.*) \|$", re.MULTILINE)


def _examples(column: str) -> list[str]:
    table = PAGE.read_text().partition("| counts | does not count |")[2].partition("\n\n")[0]
    return [one for row in _ROW.finditer(table) for one in re.findall(r"`([^`]+)`", row[column])]


def test_every_example_is_true() -> None:
    """In the left column each asks for something, in the right none does."""
    counts, does_not = _examples("counts"), _examples("not")
    assert (len(counts) > 15, len(does_not) > 15) == (True, True)
    assert [one for one in counts if read(one) == Asked()] == []
    assert [one for one in does_not if read(one) != Asked()] == []
