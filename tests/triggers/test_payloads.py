"""Bodies as JSON: bounded, exact, and comparable."""

import json
from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.triggers.bodies import JSON, encoded
from worker.triggers import payloads
from worker.triggers.payloads import NotJson, canonical, digest


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "Expecting value"),
        (b"webhook_id=1", "Expecting value"),
        (b"\xff\xfe", "not UTF-8"),
        (b"{} {}", "Extra data"),
        (b"NaN", "NaN is no JSON"),
        (b"[-Infinity]", "-Infinity is no JSON"),
        (b"1e9999999999999999999", "too large"),
        (b"-1e309", "too large"),
        (b"9" * 401, "too long"),
        (b"0." + b"9" * 401, "too long"),
        (b"[" * 100_000, "deep"),
        (b"[" * 66 + b"]" * 66, "64 levels"),
        (b'{"a":' * 66 + b"1" + b"}" * 66, "64 levels"),
    ],
)
def test_what_is_no_body(body: bytes, reason: str):
    """Is refused with the reason."""
    with pytest.raises(NotJson, match=reason):
        payloads.read(body)


def test_what_is_read():
    """With a byte order mark, deep within reason, its fractions as they were written."""
    assert payloads.read(b'\xef\xbb\xbf{"price": 19.90, "n": 0e400, "m": 1e-999999}') == {
        "price": Decimal("19.90"),
        "n": 0,
        "m": 0,
    }
    assert str(payloads.read(b"19.90")) == "19.90"
    assert payloads.read(b"[" * 64 + b"]" * 64)


@settings(max_examples=60, deadline=None)
@given(st.binary())
def test_any_bytes(body: bytes):
    """Are JSON or NotJson."""
    with suppress(NotJson):
        payloads.read(body)


@settings(max_examples=60, deadline=None)
@given(JSON)
def test_any_value_is_read_kept_and_numbered(value: object):
    """What is kept is UTF-8 without NUL and JSON again, and the number is of the value, not of how it was written."""
    read = payloads.read(encoded(value))
    kept = json.dumps(payloads.plain(read), ensure_ascii=False, allow_nan=False)
    assert "\\u0000" not in kept
    kept.encode()
    assert digest(read) == digest(payloads.read(json.dumps(value, indent=2, sort_keys=True).encode()))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("1", "1.0", True),
        ("100", "1e2", True),
        ("0", "-0.0", True),
        ("1.10", "1.1", True),
        ('{"a": 1, "b": 2}', '{"b": 2, "a": 1.0}', True),
        ("1", "true", False),
        ("0", "false", False),
        ("1", '"1"', False),
        ("1", "-1", False),
        ("1", "10", False),
        ("[1, 2]", "[2, 1]", False),
        ("[]", "{}", False),
        ("null", '""', False),
        ("1", '{"number": [0, "1", 0]}', False),
        ('{"a": null}', "{}", False),
    ],
)
def test_what_is_the_same(one: str, other: str, same: bool):
    """Numbers by what they are worth, objects by their names, and nothing of another kind."""
    assert (canonical(payloads.read(one.encode())) == canonical(payloads.read(other.encode()))) is same
