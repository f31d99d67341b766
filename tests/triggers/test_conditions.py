"""Which messages are worth a render."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.triggers.bodies import JSON, encoded
from worker.triggers import conditions, payloads
from worker.triggers.conditions import check, watched

BODY = payloads.read(
    b'{"status": "active", "n": 1.0, "none": null, "tags": ["a", "b"], "v": [{"p": "1"}, {"q": 2}], "t": true}'
)


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"pointer": "/status", "equals": "active"}, True),
        ({"pointer": "/status", "equals": "Active"}, False),
        ({"pointer": "/n", "equals": 1}, True),
        ({"pointer": "/n", "equals": "1"}, False),
        ({"pointer": "/n", "equals": True}, False),
        ({"pointer": "/t", "equals": True}, True),
        ({"pointer": "/t", "equals": 1}, False),
        ({"pointer": "/none", "equals": None}, True),
        ({"pointer": "/nowhere", "equals": None}, False),
        ({"pointer": "/tags/*", "equals": "b"}, True),
        ({"pointer": "/tags/*", "equals": "c"}, False),
        ({"pointer": "/status", "not_equals": "draft"}, True),
        ({"pointer": "/status", "not_equals": "active"}, False),
        ({"pointer": "/nowhere", "not_equals": None}, True),
        ({"pointer": "/tags/*", "not_equals": "b"}, False),
        ({"pointer": "/status", "in": ["draft", "active"]}, True),
        ({"pointer": "/status", "in": ["draft"]}, False),
        ({"pointer": "/v/*/p", "in": ["1", 2]}, True),
        ({"pointer": "/v/*/q", "in": ["2"]}, False),
        ({"pointer": "/none", "exists": True}, True),
        ({"pointer": "/nowhere", "exists": True}, False),
        ({"pointer": "/nowhere", "exists": False}, True),
        ({"pointer": "/v/*/none", "exists": True}, False),
        ({"pointer": "/v/*/q", "exists": True}, True),
    ],
)
def test_one_condition(condition: dict[str, Any], holds: bool):
    """By JSON's own equality; what does not hold is named."""
    assert conditions.valid([condition]) == []
    checked = check([condition], BODY, None)
    assert checked.holds is holds
    assert (condition["pointer"] in checked.why) is not holds


TITLE, PRICE = {"pointer": "/title", "changed": True}, {"pointer": "/price", "changed": True}
ACTIVE = {"pointer": "/status", "equals": "active"}


def _after(before: dict[str, Any] | None, now: dict[str, Any], *given_conditions: dict[str, Any]) -> bool:
    known = None if before is None else watched(given_conditions, payloads.read(encoded(before)))
    return check(given_conditions, payloads.read(encoded(now)), known).holds


@pytest.mark.parametrize(
    ("before", "now", "holds"),
    [
        (None, {"title": "a"}, True),
        (None, {}, True),
        ({"title": "a", "price": 1}, {"title": "a", "price": 1.0, "other": 2}, False),
        ({"title": "a", "price": 1}, {"title": "b", "price": 1}, True),
        ({"title": "a", "price": 1}, {"title": "a", "price": 2}, True),
        ({"title": "a"}, {"title": "a", "price": None}, True),
        ({"title": None}, {}, True),
        ({}, {}, False),
        ({"title": {"a": 1, "b": 2}}, {"title": {"b": 2, "a": 1}}, False),
        ({"title": [1, 2]}, {"title": [2, 1]}, True),
    ],
)
def test_one_change_of_several_is_enough(before: dict[str, Any] | None, now: dict[str, Any], holds: bool):
    """And a thing that was never seen has changed."""
    assert _after(before, now, TITLE, PRICE) is holds


@pytest.mark.parametrize(
    ("before", "now", "holds"),
    [
        ({"title": "a"}, {"title": "b", "status": "active"}, True),
        ({"title": "a"}, {"title": "b", "status": "draft"}, False),
        ({"title": "a"}, {"title": "a", "status": "active"}, False),
        (None, {"title": "a", "status": "draft"}, False),
    ],
)
def test_the_others_have_to_hold_all(before: dict[str, Any] | None, now: dict[str, Any], holds: bool):
    """A change alone is not enough, and neither are they."""
    assert _after(before, now, ACTIVE, TITLE) is holds


def test_a_condition_that_is_new_has_changed():
    """What it is about was not looked at before."""
    before = watched([TITLE], {"title": "a", "price": 1})
    assert check([TITLE, PRICE], {"title": "a", "price": 1}, before).holds
    assert not check([TITLE], {"title": "a"}, before | {"/price": "x"}).holds


def test_what_is_watched_says_nothing_of_the_value():
    """Only whether it is another: it is kept for as long as the trigger is."""
    known = watched([TITLE, ACTIVE, {"pointer": "/none", "changed": True}], {"title": "a"})
    assert known == {"/title": "ac8d8342bbb2362d13f0a559a3621bb407011368895164b628a54f7fc33fc43c", "/none": ""}


def test_without_conditions_every_message_is_worth_it():
    """As with a list of pictures that changes by its order."""
    assert check([], BODY, {}).holds
    pictures = {"pointer": "/images/*/src", "changed": True}
    assert _after({"images": [{"src": 1}, {"src": 2}]}, {"images": [{"src": 2}, {"src": 1}]}, pictures)
    assert not _after({"images": [{"src": 1}]}, {"images": [{"src": 1, "alt": "new"}]}, pictures)


@pytest.mark.parametrize(
    ("given_conditions", "at"),
    [
        ({}, ""),
        ([TITLE] * 21, ""),
        (["x"], "/0"),
        ([TITLE, {"pointer": "/a"}], "/1"),
        ([{"equals": 1}], "/0"),
        ([{"pointer": "/a", "equals": 1, "in": [1]}], "/0"),
        ([{"pointer": "/a", "like": 1}], "/0"),
        ([{"pointer": "a", "equals": 1}], "/0/pointer"),
        ([{"pointer": 1, "equals": 1}], "/0/pointer"),
        ([{"pointer": "/a", "equals": {}}], "/0/equals"),
        ([{"pointer": "/a", "not_equals": []}], "/0/not_equals"),
        ([{"pointer": "/a", "equals": "x" * 1001}], "/0/equals"),
        ([{"pointer": "/a", "equals": "\0"}], "/0/equals"),
        ([{"pointer": "/a", "equals": float("inf")}], "/0/equals"),
        ([{"pointer": "/a", "in": "a"}], "/0/in"),
        ([{"pointer": "/a", "in": []}], "/0/in"),
        ([{"pointer": "/a", "in": ["a", {}]}], "/0/in"),
        ([{"pointer": "/a", "exists": 1}], "/0/exists"),
        ([{"pointer": "/a", "changed": False}], "/0/changed"),
    ],
)
def test_what_is_wrong_with_conditions(given_conditions: Any, at: str):
    """Each with its place."""
    ((pointer, reason),) = conditions.valid(given_conditions)
    assert pointer == at
    assert reason


CONDITIONS = st.lists(
    st.one_of(
        JSON,
        st.builds(
            lambda pointer, name, value: {"pointer": pointer, name: value},
            st.sampled_from(["", "/id", "/data/*", "/type/0", "x"]),
            st.sampled_from(["equals", "not_equals", "in", "exists", "changed"]),
            st.one_of(JSON, st.just(True)),
        ),
    ),
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(JSON, CONDITIONS, JSON)
def test_any_conditions_on_any_body(value: object, given_conditions: Any, other: object):
    """Are refused, or hold or not; once noted, the same body has changed nothing, and its watched values are stable."""
    if conditions.valid(given_conditions):
        return
    body = payloads.read(encoded(value))
    known = watched(given_conditions, payloads.read(encoded(other)))
    checked = check(given_conditions, body, known)
    assert bool(checked.why) is not checked.holds
    again = check(given_conditions, body, watched(given_conditions, body))
    assert not (again.holds and any("changed" in one for one in given_conditions))
    assert len(again.why) < 500
