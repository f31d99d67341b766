"""A picture's version: changed only where the same was told twice, and differs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.catalogs.versions import Version

TOLD = st.builds(Version, st.sampled_from([None, "1", "2"]), st.sampled_from([None, "early", "late"]))


@given(st.lists(TOLD, max_size=6))
def test_what_was_told_is_kept_until_it_is_another_picture(told: list[Version]):
    """Whatever a server says in whatever order: what it said last of a kind is known, and an answer is never another
    picture than the one just told."""
    known = Version()
    for now in told:
        known = known.after(now)
        assert not known.differs(now)
        assert (known.etag or now.etag, known.modified or now.modified) == (known.etag, known.modified)
        assert Version.read(known.kept()) == known


@given(TOLD, TOLD)
def test_nothing_told_is_no_change(one: Version, other: Version):
    """Nor is a word of the other kind; the ETag decides where both have one."""
    assert not one.differs(Version())
    assert not Version().differs(one)
    assert not Version(etag=one.etag).differs(Version(modified=other.modified))
    if one.etag and other.etag:
        assert one.differs(other) is (one.etag != other.etag)


@pytest.mark.parametrize(
    ("headers", "counts"),
    [
        ({"etag": 'W/"1"', "last-modified": "x"}, 'etag "1"'),
        ({"etag": '"1"'}, 'etag "1"'),
        ({"last-modified": "x"}, "modified x"),
        ({"etag": " ", "last-modified": ""}, None),
        ({}, None),
    ],
)
def test_what_headers_say(headers: dict[str, str], counts: str | None):
    """A weak tag is the tag: compression makes it weak. Empty is nothing."""
    assert Version.told(headers).counts == counts
