"""The schedule, and what an answer asks for, as plain functions."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.settings import Waits
from worker.webhooks import schedule

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
WAITS = Waits().webhook_retry_seconds


def test_the_schedule_is_the_standards():
    """0, 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h: ten tries, then none."""
    waits = [schedule.wait(failures, WAITS, asked=None, chance=0) for failures in range(1, 11)]
    assert [wait and wait.total_seconds() / 60 for wait in waits] == [
        *(5 / 60, 5, 30, 120, 300, 600, 840, 1200, 1440),
        None,
    ]


@given(st.integers(1, 9), st.floats(0, 1), st.none() | st.timedeltas(timedelta(0), timedelta(days=3)))
def test_a_wait_is_never_shorter_than_planned_or_asked_and_never_endless(failures, chance, asked):
    """Up to a fifth later, a day at most where the receiver asks for more."""
    planned, wait = WAITS[failures - 1], schedule.wait(failures, WAITS, asked=asked, chance=chance)
    assert wait is not None
    assert wait >= max(planned, min(asked or planned, schedule.LONGEST))
    assert wait <= max(planned * 1.2, min(asked or planned, schedule.LONGEST))


@pytest.mark.parametrize(
    ("status", "header", "seconds"),
    [
        (429, "120", 120),
        (503, " 7 ", 7),
        (429, "Thu, 26 Nov 2026 12:01:30 GMT", 90),
        (429, "Thu, 26 Nov 2026 12:01:30 -0000", 90),
        (429, "Thu, 26 Nov 2026 11:00:00 GMT", 0),
        (429, "Thu, 26 Nov 2099 11:00:00 GMT", 86_400),
        (429, "9" * 40, 86_400),
        (500, "120", None),
        (200, "120", None),
        (429, None, None),
        (429, "soon", None),
        (429, "-5", None),
        (429, "1.5", None),
        (429, "\u0661\u0662", None),
    ],
)
def test_retry_after_in_seconds_or_as_a_date(status, header, seconds):
    """Of a 429 or 503 alone; what nobody can read is not there; a day at most."""
    asked = schedule.retry_after(status, header, NOW)
    assert (asked.total_seconds() if asked is not None else None) == seconds


@given(st.text())
def test_no_header_is_a_fault(header):
    """Whatever a receiver writes there."""
    asked = schedule.retry_after(429, header, NOW)
    assert asked is None or timedelta(0) <= asked <= schedule.LONGEST


def test_only_2xx_is_taken():
    """410 and redirects are told apart from the rest."""
    codes = {status: schedule.fault(status) for status in (200, 204, 299, 301, 304, 308, 400, 410, 429, 500, 199)}
    assert {status for status, code in codes.items() if code is None} == {200, 204, 299}
    assert {status for status, code in codes.items() if code == "webhook.redirected"} == {301, 304, 308}
    assert codes[410] == "webhook.gone"
