"""What one message may cost: many values, the same place watched often, numbers that are compared."""

import json
import time
import tracemalloc
from decimal import Decimal
from itertools import combinations
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.triggers.bodies import JSON, encoded
from worker.triggers import conditions, payloads
from worker.triggers.conditions import check
from worker.triggers.payloads import MOST_VALUES, NotJson, canonical, digest

FULL = 4 * 1024 * 1024
"""Bytes that the intake takes."""


def _filled(unit: bytes) -> bytes:
    return b"[" + unit * (FULL // len(unit) - 1) + unit.rstrip(b",") + b"]"


@pytest.mark.parametrize("unit", [b"1,", b"0.1,", b"[],", b"{},", b'{"a":1},', b'"",'])
def test_too_many_values_are_told_before_they_are_made(monkeypatch: pytest.MonkeyPatch, unit: bytes):
    """None of them is: the refusal takes next to no memory."""
    monkeypatch.setattr(payloads, "MOST_VALUES", 20_000)
    body = _filled(unit)
    tracemalloc.start()
    with pytest.raises(NotJson, match="more than 20,000 values"):
        payloads.read(body)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * FULL


def test_as_many_as_there_may_be():
    """Are read; what stands in a text is none, whatever it looks like."""
    assert len(payloads.read(b"[" + b"1," * (MOST_VALUES - 2) + b"1]")) == MOST_VALUES - 1
    text = "," * MOST_VALUES + '"[{\\' * 1_000
    assert payloads.read(json.dumps({text: [text]}).encode()) == {text: [text]}


@pytest.mark.parametrize("body", [b'"' + b'\\"' * (FULL // 2), b'"' + b"," * FULL, b'"' * FULL, b"," * FULL + b'"\\'])
def test_a_body_that_is_one_riddle_is_looked_through_once(body: bytes):
    """Texts that never end, or begin anew at each character."""
    began = time.thread_time()
    with pytest.raises(NotJson):
        payloads.read(body)
    assert time.thread_time() - began < 5


def test_what_is_compared_costs_little():
    """As many values as there may be, watched as a whole: a fraction of a second."""
    value = payloads.read(b"[" + b"1," * (MOST_VALUES - 2) + b"1]")
    began = time.thread_time()
    digest(value)
    assert time.thread_time() - began < 0.5


def test_a_place_is_watched_once(monkeypatch: pytest.MonkeyPatch):
    """However many conditions name it; and large things are not written out to be compared with a word."""
    written: list[Any] = []
    monkeypatch.setattr(conditions, "digest", lambda value: written.append(value) or digest(value))
    monkeypatch.setattr(conditions, "canonical", lambda value: written.append(value) or canonical(value))
    checked = check([{"pointer": "", "changed": True}] * 20, {"a": 1}, None)
    assert written == [{"a": 1}]
    assert checked.watched == conditions.watched([{"pointer": "", "changed": True}], {"a": 1})
    written.clear()
    assert not check([{"pointer": "/a", "equals": "b"}], {"a": [[1] * 1_000]}, None).holds
    assert written == ["b"]


@pytest.mark.parametrize(
    ("pointers", "at"),
    [
        (["/a", "/a"], "/1/pointer"),
        (["", "/a"], "/1/pointer"),
        (["/a/b", "/a"], "/0/pointer"),
        (["/a/*/b", "/a/0"], None),
        (["/a/0/b", "/a/*/b"], "/0/pointer"),
        (["/*/b", "/a/*"], None),
        (["/images/0", "/images/*/src"], None),
        (["/a~1b", "/a"], None),
        (["/images/*/src", "/images/*/alt", "/title"], None),
    ],
)
def test_a_part_of_what_is_watched_is_not_watched_beside_it(pointers: list[str], at: str | None):
    """It says nothing more, and would be looked through again; what is compared may lie anywhere."""
    given_conditions = [{"pointer": one, "changed": True} for one in pointers] + [{"pointer": "/a", "equals": 1}] * 2
    assert [place for place, _ in conditions.valid(given_conditions)] == ([at] if at else [])


@settings(max_examples=40, deadline=None)
@given(JSON, JSON, st.integers(), st.floats(allow_nan=False, allow_infinity=False))
def test_two_are_the_same_where_their_values_are(one: object, other: object, whole: int, fraction: float):
    """By another reckoning, which takes them apart value by value."""
    some = [one, other, [one], [one, fraction], [fraction, one], {"a": one}, whole, fraction, 0.5, "0.5"]
    known = [(_apart(value), payloads.read(encoded(value))) for value in some]
    texts = [(apart, canonical(value), digest(value)) for apart, value in known]
    for (left, *ours), (right, *theirs) in combinations(texts, 2):
        assert (ours == theirs) is (left == right) is (ours[0] == theirs[0])


def test_a_number_alone():
    """May be Python's own, as a condition has it."""
    assert canonical(0.1) == canonical(Decimal("0.10")) != canonical(Decimal("0.1000000000000000000001"))
    assert canonical(2.0) == canonical(2) == canonical(Decimal("2e0")) != canonical(0.5)
    assert canonical(-0.0) == canonical(0)


def _apart(value: object) -> object:
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return type(value).__name__, value
    if isinstance(value, int | float):
        return "number", Decimal(repr(value))
    if isinstance(value, dict):
        return {name: _apart(one) for name, one in cast("dict[str, object]", value).items()}
    return [_apart(one) for one in cast("list[object]", value)]
