"""Declared variables: what a declaration may say, and what may be given."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from worker.templates.errors import NotFilled, WrongVariables
from worker.templates.filling import Filler
from worker.templates.limits import GIVEN_CHARACTERS, ITEMS, PROMPT_CHARACTERS, VALUE_CHARACTERS
from worker.templates.variables import Variable, bound, declared

DECLARED = declared(
    {
        "title": {"max_length": 5},
        "price": {"type": "number", "required": False},
        "seconds": {"type": "number", "default": 10},
        "new": {"type": "boolean", "default": False},
        "features": {"type": "list", "required": False, "max_length": 2},
    }
)


def test_what_is_left_out_is_its_default_or_nothing():
    """And what is given stays as it is; null is as good as not given."""
    assert bound(DECLARED, {"title": "mug", "seconds": None}) == {
        "title": "mug",
        "price": None,
        "seconds": 10,
        "new": False,
        "features": None,
    }
    full = {"title": "mug", "price": 9.5, "seconds": 3, "new": True, "features": ["a", 2]}
    assert bound(DECLARED, full) == full


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"title": None}, "it has to be given"),
        ({"title": "too long"}, "at most 5"),
        ({"title": 5}, "a number, where a text"),
        ({"title": "a\0"}, "NUL"),
        ({"title": "\ud800"}, "surrogate"),
        ({"price": "9.5"}, "a text, where a number"),
        ({"price": True}, "a boolean, where a number"),
        ({"price": float("nan")}, "beyond"),
        ({"price": float("inf")}, "beyond"),
        ({"price": 10**16}, "beyond"),
        ({"new": 1}, "a number, where true or false"),
        ({"features": "a"}, "a text, where a list"),
        ({"features": ["a", "b", "c"]}, "at most 2"),
        ({"features": [["a"]]}, "in place 0: a list"),
        ({"features": ["a", None]}, "in place 1: nothing"),
        ({"features": [{"a": 1}]}, "an object"),
        ({"features": ["a" * 2001]}, "over 2,000"),
        ({"other": "x"}, "no such variable"),
    ],
)
def test_what_is_not_as_declared_is_named(wrong: dict[str, Any], words: str):
    """By its name alone, with what was expected."""
    with pytest.raises(WrongVariables) as problem:
        bound(DECLARED, {"title": "mug", **wrong})
    assert list(problem.value.wrong) == list(wrong)
    assert words in next(iter(problem.value.wrong.values()))


def test_everything_wrong_is_named_at_once():
    """Nobody mends one variable at a time."""
    with pytest.raises(WrongVariables) as problem:
        bound(DECLARED, {"price": "x", "more": 1})
    assert list(problem.value.wrong) == ["title", "price", "more"]


def test_all_together_are_bounded():
    """Each of them may be long, but not all of them."""
    long = declared({name: {"max_length": VALUE_CHARACTERS} for name in "abc"})
    assert bound(long, {"a": "x" * VALUE_CHARACTERS, "b": "x" * VALUE_CHARACTERS, "c": ""})
    with pytest.raises(WrongVariables, match=f"{GIVEN_CHARACTERS:,}"):
        bound(long, {"a": "x" * VALUE_CHARACTERS, "b": "x" * VALUE_CHARACTERS, "c": "x"})


@pytest.mark.parametrize(
    "declaration",
    [
        {"type": "object"},
        {"required": True, "default": "a"},
        {"type": "number", "default": "a"},
        {"type": "number", "max_length": 3},
        {"max_length": 0},
        {"max_length": 2, "default": "abc"},
        {"max_length": VALUE_CHARACTERS + 1},
        {"type": "list", "max_length": ITEMS + 1},
        {"type": "list", "default": "a"},
        {"type": "boolean", "default": "yes"},
        {"description": "x" * 501},
        {"required": "yes"},
        {"kind": "text"},
    ],
)
def test_a_declaration_that_contradicts_itself_is_refused(declaration: dict[str, Any]):
    """Unknown fields, a default of another kind, bounds that bound nothing."""
    with pytest.raises(ValidationError):
        Variable.model_validate(declaration)


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        ({"price": "9.5", "seconds": " 3 ", "new": "Yes", "features": '["a", 2]'}, (9.5, 3, True, ["a", 2])),
        ({"price": "", "seconds": "", "new": " ", "features": ""}, (None, 10, False, None)),
        ({"price": 1, "new": True, "features": "red, blue", "column": "x", "sku": 7}, (1, 10, True, ["red, blue"])),
    ],
)
def test_a_row_of_a_table_is_read_as_what_is_declared(cells: dict[str, Any], values: tuple[Any, ...]):
    """Numbers, booleans and lists out of texts; columns that no variable is named after are passed over."""
    found = bound(DECLARED, {"title": "mug", **cells}, strict=False)
    assert tuple(found[name] for name in ("price", "seconds", "new", "features")) == values


@pytest.mark.parametrize("cell", ["9,5", "EUR 9", "[1]", "NaN", "1e999", "nine", "{" * 9999])
def test_a_cell_that_is_no_number_is_named(cell: str):
    """It is not guessed at."""
    with pytest.raises(WrongVariables, match="price"):
        bound(DECLARED, {"title": "mug", "price": cell}, strict=False)


@given(
    st.dictionaries(
        st.sampled_from(list(DECLARED)) | st.text(max_size=5),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
            lambda inner: st.lists(inner, max_size=4),
            max_leaves=8,
        ),
        max_size=6,
    )
)
def test_anything_given_is_bound_or_refused(values: dict[str, Any]):
    """Whatever JSON holds: values as declared, or WrongVariables."""
    for strict in (True, False):
        with suppress(WrongVariables):
            assert set(bound(DECLARED, values, strict=strict)) == set(DECLARED)


def test_the_templates_own_words_are_told_from_what_is_put_in():
    """Numbers and defaults are the template's; given texts are "…", and the template chooses by that."""
    own = Filler.of(
        "{{ n }} seconds about {{ title }}{% if note %}, {{ note }}{% endif %}{% for f in list %} [{{ f }}]{% endfor %}"
        " {{ mood }}",
        declared(
            {
                "n": {"type": "number"},
                "title": {},
                "note": {"required": False},
                "list": {"type": "list", "default": ["own"]},
                "mood": {"default": "vertical"},
            }
        ),
    )
    assert own.own_words({"n": 5, "title": "a 60-second soup"}) == "5 seconds about … [own] vertical"
    given = {"n": "5", "title": "x", "note": "y", "list": '["z", 2]', "mood": "w", "column": "v"}
    assert own.own_words(given, strict=False) == "5 seconds about …, … [… 2] …".replace(" 2]", "] [2]")


def test_own_words_that_cannot_be_told_are_none():
    """A template that computes with a text says nothing without it."""
    filler = Filler.of("{{ 10 // (x|length - 1) }} second video", declared({"x": {}}))
    assert filler.fill({"x": "abc"}) == "5 second video"
    assert filler.own_words({"x": "abc"}) == ""


def test_a_prompt_has_to_come_out():
    """Not an empty one, and none that is longer than a prompt may be; at the bound it does."""
    filler = Filler.of("{{ a }}{{ b }}", declared({name: {"max_length": PROMPT_CHARACTERS} for name in "ab"}))
    assert len(filler.fill({"a": "x" * 7999, "b": "y"})) == PROMPT_CHARACTERS
    with pytest.raises(NotFilled, match="8,001 characters"):
        filler.fill({"a": "x" * 8000, "b": "y"})
    with pytest.raises(NotFilled, match="empty"):
        filler.fill({"a": " ", "b": "\n"})
