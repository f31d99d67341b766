"""Messages that nobody could know about when their run ended, read on: what turns up late is booked, and delivered
where its video is still missing. Nothing is sent again for it."""

import pytest

from tests.journeys.conftest import Journey, stored
from tests.journeys.test_retry import retry
from tests.stack import Stack, until
from worker.database import transact
from worker.owners.store import owner
from worker.renders import store
from worker.renders.models import Run

LATE = "A 2 second clip, done long after its stream was cut. [[sandbox: cut_then_apply seconds=14]]"
CANCELED = "A 2 second clip, called off in the middle. [[sandbox: stream seconds=5]]"
NEVER = "A 2 second clip that never comes. [[sandbox: cut_before]]"


@pytest.fixture(scope="module")
def journeys(stack: Stack) -> dict[str, Journey]:
    """All under way together; the second is cancelled in its stream."""
    made = {prompt: Journey(stack, prompt) for prompt in (LATE, CANCELED, NEVER)}
    journey = made[CANCELED]
    until(lambda: journey.messages(), what="its message")
    transact(lambda session: store.cancel(session, owner(session, "default").id, journey.id))
    return made


def test_a_video_that_turns_up_late_is_delivered(journeys: dict[str, Journey]):
    """Given up as unknown; a sparse read finds the draft: the charge is corrected, and run 2 begins by itself at the
    reading of the draft and succeeds. The backend saw one message."""
    journey = journeys[LATE]
    first = journey.end()
    assert (first.run, first.error_code, first.charge_state) == (1, "generation.unconfirmed", "unknown")
    until(lambda: journey.row.run == 2, what="the next run")
    second = journey.end()
    assert (second.status, second.run, second.charge_state) == ("succeeded", 2, "none")
    (run,) = journey.all(Run)
    assert (run.status, run.charge_state, run.charge_credits) == ("failed", "incurred", 100)
    assert (len(journey.messages()), journey.executed(), journey.charged()) == (1, 1, 100)
    assert stored(journey.stack, journey.result().storage_key).stat().st_size == journey.result().bytes
    told = [(one.run, one.type.removeprefix("render."), one.data.get("stage")) for one in journey.events()]
    after = told[told.index((1, "failed", None)) + 1 :]
    assert after[:3] == [(1, "message_settled", None), (2, "queued", "verify"), (2, "started", None)]
    assert {stage for run, _, stage in after if run == 2} >= {"verify", "export", "store"}
    (intent,) = journey.intents()
    assert (intent.state, intent.watch_at, intent.evidence[-1].get("changed")) == ("applied", None, True)
    assert any(finding.get("late") for finding in intent.evidence)


def test_what_was_called_off_is_booked_and_not_delivered(journeys: dict[str, Journey]):
    """Cancelled in its stream, which the backend went on with: the charge becomes known, no run begins by itself; asked
    for, it goes on from the paid draft without `force` and without a second message."""
    journey = journeys[CANCELED]
    journey.end()
    row = until(lambda: (now := journey.row).charge_state == "incurred" and now, what="the charge")
    assert (row.run, row.status, row.charge_credits) == (1, "canceled", 100)
    settled = [one.data for one in journey.events() if one.type == "render.message_settled"]
    assert [(one["charge"], one.get("late", False)) for one in settled] == [("unknown", False), ("incurred", True)]
    retry(journey)
    second = journey.end()
    assert (second.status, second.run) == ("succeeded", 2)
    assert (len(journey.messages()), journey.charged()) == (1, 100)


def test_what_never_comes_is_read_on_and_stays_unknown(journeys: dict[str, Journey]):
    """Read again and again, unchanged: failed as before, its charge unknown, the reads kept as evidence."""
    journey = journeys[NEVER]
    ended = journey.end()
    reads = journey.intents()[0].reads
    until(lambda: journey.intents()[0].reads >= reads + 2, what="two sparse reads")
    now = journey.row
    assert (now.run, now.status, now.charge_state, now.finished_at) == (1, "failed", "unknown", ended.finished_at)
    (intent,) = journey.intents()
    assert (intent.state, intent.unchanged_reads) == ("unconfirmed", intent.reads)
    assert intent.watch_at is not None
