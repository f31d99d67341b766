"""What the pages point to is there."""

import re
from pathlib import Path

import pytest

from worker.renders.states import Stage

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)")
FILE = re.compile(r"`((?:config|worker|api|deploy|tests|docs)/[\w/.-]+)`")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def _anchors(page: Path) -> set[str]:
    """Headings as a forge makes anchors of them, and those written out."""
    text = page.read_text()
    headings = {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in HEADING.findall(text)}
    return headings | set(re.findall(r'<a id="([^"]+)">', text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path):
    """To a file, and where they name a place in it, to that place."""
    for target, place in LINK.findall(page.read_text()):
        file = (page.parent / target) if target else page
        assert file.exists(), target
        assert not place or place in _anchors(file), f"{target}#{place}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_files_exist(page: Path):
    """A file that was moved takes its mentions along."""
    assert [name for name in FILE.findall(page.read_text()) if not (ROOT / name).exists()] == []


def test_the_readme_leads_to_every_stage():
    """A row for each, with its file."""
    text = (ROOT / "README.md").read_text()
    for stage in Stage:
        assert re.search(rf"^\| {stage.value} \| `worker/stages/{stage.value}\.py` \|", text, re.MULTILINE), stage
