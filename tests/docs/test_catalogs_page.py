"""The page of catalogs has every code and every name that a feed's reader knows."""

import re
from pathlib import Path

from worker.catalogs.feeds.names import MERCHANT, SHOPIFY, WOOCOMMERCE
from worker.catalogs.feeds.problems import KINDS
from worker.catalogs.feeds.refusals import REFUSALS

PAGE = (Path(__file__).parents[2] / "docs" / "catalogs.md").read_text()


def _rows(title: str) -> dict[str, str]:
    part = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| `([a-z_.]+)` \| (.+) \|$", part, re.MULTILINE))


def test_every_problem_is_on_the_page():
    """With whether it leaves the product out."""
    rows = _rows("Problems")
    assert rows.keys() == KINDS.keys()
    for code, kind in KINDS.items():
        assert rows[code].startswith("left out |" if kind.fatal else "remark |"), code


def test_every_refusal_is_on_the_page():
    """And none that is gone."""
    assert _rows("Refused files").keys() == REFUSALS.keys()


def test_every_name_is_on_the_page():
    """As the readers compare it."""
    for title, names in (("Shopify", SHOPIFY), ("WooCommerce", WOOCOMMERCE), ("Everything else", MERCHANT)):
        rows = _rows(title)
        assert rows.keys() == names.keys(), title
        for field, aliases in names.items():
            assert rows[field] == ", ".join(aliases), field
