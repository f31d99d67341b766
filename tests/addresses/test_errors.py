"""Every way for an address to fail has a code, a remedy, and a row on the page of errors."""

import pickle
import re
from pathlib import Path

from worker.addresses import errors
from worker.addresses.errors import AddressError, Unreachable

PAGE = Path(__file__).parents[2] / "docs" / "errors.md"
ROW = re.compile(r"^\| `(address\.[a-z_]+)` \| (yes|no) \| [^|]+ \| [^|]+ \|$", re.MULTILINE)
KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and hasattr(kind, "code")]


def test_the_page_has_each_code_once_and_no_other():
    """With whether asking again can help, as the tree says."""
    told = {kind.code: "yes" if issubclass(kind, Unreachable) else "no" for kind in KINDS}
    assert len(told) == len(KINDS) == 12
    assert ROW.findall(PAGE.read_text()) == list(told.items())


def test_a_failure_is_a_sentence():
    """What is wrong, after how many redirects, at which host; and a remedy of its own."""
    for kind in KINDS:
        error: AddressError = kind(host="shop.example")
        assert str(error) == f"{kind.what} (shop.example)"
        assert str(kind(host="shop.example", hops=2)).startswith("after a redirect, ")
    assert len({kind.help for kind in KINDS}) == len(KINDS)


def test_a_failure_crosses_processes():
    """As a prefork pool hands it on: the same kind, with the same sentence."""
    for kind in KINDS:
        error: AddressError = kind("in other words", host="shop.example", hops=1)
        again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
        assert (type(again), str(again)) == (kind, "after a redirect, in other words (shop.example)")
