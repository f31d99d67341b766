"""`vivideo catalog check`: a feed looked at on this machine."""

import json
from pathlib import Path

from typer.testing import CliRunner

from api.cli.commands import app


def run(*arguments: str):
    return CliRunner().invoke(app, ["catalog", "check", *arguments])


def test_a_feed_is_shown(tmp_path: Path):
    """Format, counts, products and problems, without a service."""
    feed = tmp_path / "feed.csv"
    feed.write_text("id,title,price,image_link\na,Lamp,5 EUR,https://shop.example/a.jpg\nb,,6 EUR,\n")
    shown = run(str(feed))
    assert shown.exit_code == 0, shown.output
    assert "Lamp" in shown.output
    assert "item.no_title" in shown.output
    found = json.loads(run(str(feed), "--json").stdout)
    assert (found["counts"]["products"], found["counts"]["rejected"]) == (1, 1)


def test_what_is_no_feed_is_refused(tmp_path: Path):
    """With what it is, what helps, and exit status 1."""
    page = tmp_path / "feed.xml"
    page.write_text("<!doctype html><html><body>log in</body></html>")
    refused = run(str(page), "--json")
    assert refused.exit_code == 1
    assert json.loads(refused.stdout)["error"]["code"] == "feed.html"
