"""The proxy that the page recommends leaves `/metrics` closed."""

import re
from pathlib import Path

from api.routes.metrics import FORWARDED

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
PASSED_ON = re.compile(r"^    location (?P<where>[^{]+?) \{\n(?P<directives>(?:     .*\n)+)    \}$", re.MULTILINE)
"""A `location` of nginx, with what is in it."""


def test_what_nginx_passes_on_is_told_from_a_call_of_this_machine():
    """It adds no header by itself, and on the same host its peer is loopback: each place that it passes on has one."""
    places = [one["directives"] for one in PASSED_ON.finditer(PAGE) if "proxy_pass" in one["directives"]]
    assert places
    for directives in places:
        headers = dict(re.findall(r"^ *proxy_set_header (\S+) ([^;]+);", directives, re.MULTILINE))
        told = {name.lower(): value for name, value in headers.items()}
        assert [name for name in FORWARDED if told.get(name, '""') != '""'], "an empty value takes a header away"
