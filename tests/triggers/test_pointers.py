"""Places in JSON: RFC 6901 with its own examples, and each of a list."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.triggers.bodies import JSON
from worker.templates.grammar import unprintable
from worker.triggers import pointers
from worker.triggers.pointers import BadPointer, get

RFC = {"foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5, 'k"l': 6, " ": 7, "m~n": 8}


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("", RFC),
        ("/foo", ["bar", "baz"]),
        ("/foo/0", "bar"),
        ("/", 0),
        ("/a~1b", 1),
        ("/c%d", 2),
        ("/e^f", 3),
        ("/g|h", 4),
        ("/i\\j", 5),
        ('/k"l', 6),
        ("/ ", 7),
        ("/m~0n", 8),
    ],
)
def test_the_examples_of_the_rfc(pointer: str, value: object):
    """Section 5."""
    got = get(RFC, pointer)
    assert (got.found, got.many, got.value) == (True, False, value)


@pytest.mark.parametrize(
    "pointer", ["/none", "/foo/2", "/foo/-", "/foo/01", "/foo/-1", "/foo/٠", "/foo/0/0", "/foo/bar"]
)
def test_what_is_not_there(pointer: str):
    """A name, a place behind the end, a number written otherwise, something inside a text."""
    got = get(RFC, pointer)
    assert (got.found, got.value) == (False, None)


IMAGES = {"images": [{"src": "a"}, {"alt": "none"}, "x", {"src": None}, {"src": "b"}], "*": {"*": "star"}, "no": []}


@pytest.mark.parametrize(
    ("pointer", "values", "many"),
    [
        ("/images/*/src", ("a", None, "b"), True),
        ("/images/*", tuple(IMAGES["images"]), True),
        ("/no/*", (), True),
        ("/*/*", ("star",), False),
        ("/images/*/src/*", (), True),
        ("/images/0/src", ("a",), False),
    ],
)
def test_each_of_a_list(pointer: str, values: tuple[object, ...], many: bool):
    """Those that have what follows; of an object `*` is a name."""
    got = get(IMAGES, pointer)
    assert (got.values, got.many) == (values, many)
    assert got.value == (list(values) if many else values[0])


def test_lists_in_lists_are_bounded():
    """A thousand values, whatever they are multiplied by."""
    got = get([[[1] * 100] * 100] * 100, "/*/*/*")
    assert len(got.values) == pointers.MOST


@pytest.mark.parametrize(
    "pointer", ["a", "a/b", " /a", "/~", "/~2", "/a~", "/" * 33, "/" + "a" * 500, "/a\0", "/\ud800"]
)
def test_what_is_no_pointer(pointer: str):
    """Without the slash, with a bare tilde, too long, too deep, or no text."""
    with pytest.raises(BadPointer):
        get({}, pointer)


def _places(value: object, at: str = ""):
    yield at, value
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, one in inner:
        yield from _places(one, f"{at}/{str(name).replace('~', '~0').replace('/', '~1')}")


@settings(max_examples=60, deadline=None)
@given(JSON)
def test_every_place_is_found(value: object):
    """By its own pointer, whatever its names are."""
    for pointer, inner in _places(value):
        if not unprintable(pointer):
            got = get(value, pointer)
            assert got.found
            assert got.value is inner


@settings(max_examples=60, deadline=None)
@given(JSON, st.one_of(st.text(), st.text(alphabet="/*~01a").map("/{}".format)))
def test_any_pointer(value: object, pointer: str):
    """Leads somewhere, nowhere, or is none."""
    with suppress(BadPointer):
        got = get(value, pointer)
        assert got.many or len(got.values) <= 1
