"""A catalog tried out: what a reading would make of a file, without a database."""

from pathlib import Path

import pytest

from tests.catalogs.recipes import recipe
from worker.catalogs.counts import LEFT_OUT, PROBLEMS, PRODUCTS, REJECTED, RENDERED
from worker.catalogs.feeds import NotAFeed
from worker.catalogs.rehearsal import FIRST, rehearse

HEADER = "id,title,price,image_link,availability\n"
PICTURE = "https://shop.example/a.jpg"


@pytest.fixture(scope="module", autouse=True)
def _settings() -> None:
    """No database."""


@pytest.fixture(autouse=True)
def _empty() -> None:
    """Nothing to empty."""


def _file(folder: Path, text: str) -> Path:
    path = folder / "feed"
    path.write_text(text, encoding="utf-8")
    return path


def test_counts_first_products_and_first_prompt(tmp_path: Path):
    """As read, in the feed's order; the first prompt is that of the first product which would be rendered."""
    rows = "".join(f"p{at},Lamp {at},{at} EUR,{PICTURE},in stock\n" for at in range(1, 9))
    feed = _file(tmp_path, f"{HEADER}sold,Chair,5 EUR,{PICTURE},out of stock\n{rows}bad,,1 EUR,{PICTURE},in stock\n")
    seen = rehearse(feed, recipe("a video about {{ title }}", {"title": {}}))
    assert (seen.format, seen.encoding, seen.delimiter, seen.complete) == ("meta_csv", "utf-8", ",", True)
    assert [one.ref for one in seen.products] == ["sold", "p1", "p2", "p3", "p4"]
    assert len(seen.products) == FIRST
    assert seen.prompt == "a video about Lamp 1"
    assert seen.counted == {PRODUCTS: 9, LEFT_OUT: 1, RENDERED: 8, PROBLEMS: 1, REJECTED: 1}
    assert [(one.code, one.place) for one in seen.problems] == [("item.no_title", 11)]


def test_without_a_template_products_are_shown_all_the_same(tmp_path: Path):
    """There is no prompt, and nothing is counted as rendered."""
    seen = rehearse(_file(tmp_path, f"{HEADER}a,Lamp,5 EUR,{PICTURE},in stock\n"), None)
    assert (seen.prompt, seen.renders, [one.title for one in seen.products]) == (None, 0, ["Lamp"])


def test_when_time_is_up_the_beginning_is_counted(tmp_path: Path):
    """And said to be no more than that."""
    rows = "".join(f"{at},Lamp,5 EUR,{PICTURE},in stock\n" for at in range(100))
    seen = rehearse(_file(tmp_path, HEADER + rows), None, seconds=0.0)
    assert (seen.complete, seen.counted[PRODUCTS]) == (False, 1)


def test_what_is_no_feed_is_refused(tmp_path: Path):
    """With the reason."""
    with pytest.raises(NotAFeed) as refusal:
        rehearse(_file(tmp_path, "<html><body>log in</body></html>"), None)
    assert refusal.value.code == "feed.html"
