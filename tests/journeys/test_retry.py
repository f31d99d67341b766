"""A retry through the whole pipeline: what is paid for is not paid again, what may be paid is paid only on demand."""

import pytest
from sqlalchemy.orm import Session

from config.settings import settings
from tests.journeys.conftest import Journey, stored
from tests.stack import Stack
from worker.database import transact
from worker.media.storage import open_storage
from worker.renders import purge, runs, store
from worker.renders.models import Result, Run


def retry(journey: Journey, *, force: bool = False) -> None:
    """Start the next run as the intake does."""

    def work(session: Session) -> None:
        render = store.locked(session, journey.row.owner_id, journey.id)
        runs.retry(session, render, force=force, api_key_id=None)

    transact(work)


FAILED_EXPORTS = "a lamp whose exports fail [[sandbox: export_fails times=2]]"
UNCONFIRMED = "a chair that nobody heard of"
SESSIONLESS = "a kettle without a session"
SECRET = "a secret teapot"


@pytest.fixture(scope="module")
def journeys(stack: Stack) -> dict[str, Journey]:
    """The first runs, all under way together."""
    stack.rule(do="cut_before", match=UNCONFIRMED, times=1)
    stack.rule(do="lost", match=SESSIONLESS, times=10)
    return {prompt: Journey(stack, prompt) for prompt in (SESSIONLESS, UNCONFIRMED, FAILED_EXPORTS, SECRET)}


def test_a_paid_draft_is_exported_again_and_not_paid_again(journeys: dict[str, Journey]):
    """Both exports failed: the next run makes a third from the draft on file, in the session it belongs to; the backend
    saw one message, and each run is kept as it ended."""
    journey = journeys[FAILED_EXPORTS]
    first = journey.end()
    assert (first.status, first.error_code, first.charge_state) == ("failed", "export.failed", "incurred")
    retry(journey)
    second = journey.end()
    assert (second.status, second.run, second.error_code) == ("succeeded", 2, None)
    assert (journey.executed(), journey.charged()) == (1, 100)
    assert [(one.run, one.status, one.charge_credits) for one in journey.all(Run)] == [(1, "failed", 100)]
    assert (second.charge_state, second.charge_credits) == ("none", None)
    assert second.remote_session_id == first.remote_session_id
    assert [one.run for one in journey.exports()] == [1, 1, 2]
    assert journey.result().run == 2
    assert [
        (event.run, event.type) for event in journey.events() if event.type in ("render.failed", "render.succeeded")
    ] == [
        (1, "render.failed"),
        (2, "render.succeeded"),
    ]
    numbers = [event.number for event in journey.events()]
    assert numbers == list(range(1, len(numbers) + 1))


def test_what_may_have_been_charged_is_sent_again_only_by_force(journeys: dict[str, Journey]):
    """Nobody can know what became of the first message: without `force` nothing is sent, with it a new session gets a
    new message, and the first one's charge stays unknown in the books."""
    journey = journeys[UNCONFIRMED]
    first = journey.end()
    assert (first.error_code, first.charge_state) == ("generation.unconfirmed", "unknown")
    with pytest.raises(runs.ForceNeeded):
        retry(journey)
    assert (journey.row.run, journey.row.status) == (1, "failed")
    retry(journey, force=True)
    second = journey.end()
    assert (second.status, second.run) == ("succeeded", 2)
    assert second.remote_session_id != first.remote_session_id
    assert [(one.run, one.charge_state) for one in journey.all(Run)] == [(1, "unknown")]
    assert [intent.run for intent in journey.intents()] == [1, 2]
    assert len(journey.messages()) == 2


def test_what_certainly_cost_nothing_is_begun_anew(journeys: dict[str, Journey]):
    """Every session of the first run was lost before its message: the next run begins with admission and succeeds."""
    journey = journeys[SESSIONLESS]
    first = journey.end()
    assert (first.error_code, first.charge_state) == ("session.lost", "none")
    retry(journey)
    second = journey.end()
    assert (second.status, second.run, journey.charged()) == ("succeeded", 2, 100)


def test_a_purged_render_leaves_nothing_behind(stack: Stack, journeys: dict[str, Journey]):
    """A render deleted after its end: its rows hold no word, its files are gone, its charge is still in the books."""
    journey = journeys[SECRET]
    done = journey.end()
    assert done.status == "succeeded"
    result = journey.result()
    files = [stored(stack, key) for key in (result.storage_key, result.poster_key)]
    assert all(file.is_file() for file in files)

    def work(session: Session) -> None:
        purge.purge(session, store.locked(session, done.owner_id, journey.id))

    transact(work)
    purge.clear(open_storage(settings().servers.storage))
    assert not any(file.exists() for file in files)
    assert transact(lambda session: store.get(session, done.owner_id, journey.id)) is None
    row = journey.row
    assert (row.prompt, row.answer, row.timeline, row.assets) == ("", None, None, [])
    assert [(intent.message, intent.answer, intent.state) for intent in journey.intents()] == [("", None, "applied")]
    assert journey.types() == ["deleted"]
    assert (row.charge_state, row.charge_credits) == ("incurred", 100)
    assert len(journey.all(Result)) == 1
