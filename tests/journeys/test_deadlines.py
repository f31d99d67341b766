"""Renders that run out of time, wherever they are, and one that is only kept waiting for credits."""

import pytest

from tests.journeys.conftest import Journey
from tests.stack import Stack

IN_ITS_STREAM = "A 2 second clip, late in its stream. [[sandbox: stream seconds=9]]"
IN_ITS_EXPORT = "A 2 second clip, late in its export. [[sandbox: export_stuck]]"
KEPT_WAITING = "A 2 second clip, kept waiting for credits."


@pytest.fixture(scope="module")
def journeys(stack: Stack) -> dict[str, Journey]:
    """All under way together, once the workers are there: a deadline counts from the acceptance."""
    Journey(stack, "A 2 second clip, to see that all are there.").end()
    stack.rule(do="no_credits", match=KEPT_WAITING, times=6)
    return {
        prompt: Journey(stack, prompt, deadline_seconds=seconds)
        for prompt, seconds in ((IN_ITS_STREAM, 4), (IN_ITS_EXPORT, 8), (KEPT_WAITING, 60))
    }


def test_a_render_late_in_its_stream_expires(journeys: dict[str, Journey]):
    """Its stream is ended, nothing more is fetched, and the charge says what is known; one final event."""
    journey = journeys[IN_ITS_STREAM]
    row = journey.end(15)
    assert (row.status, row.error_code, row.cancel_effect) == ("expired", "deadline.passed", "stopped")
    assert journey.types().count("expired") == 1
    assert len(journey.messages()) == 1


def test_a_render_late_in_its_export_expires(journeys: dict[str, Journey]):
    """Its export is cancelled at the backend too; what the message cost is in the books."""
    journey = journeys[IN_ITS_EXPORT]
    row = journey.end(25)
    assert (row.status, row.cancel_effect, row.charge_state) == ("expired", "stopped", "incurred")
    (export,) = [one for one in journey.stack.ledger()["exports"] if one["id"] == journey.exports()[0].id]
    assert export["error"] == "canceled"


def test_waiting_for_credits_costs_no_time(journeys: dict[str, Journey]):
    """Refused for want of credits again and again: its deadline has moved on by as long as it was kept waiting."""
    journey = journeys[KEPT_WAITING]
    row = journey.end(60)
    assert row.status == "succeeded"
    waits = [one.data["seconds"] for one in journey.events() if one.data.get("reason") == "credits"]
    assert len(waits) == 6
    moved_on = (row.deadline_at - row.created_at).total_seconds() - 60
    assert moved_on >= sum(waits)
