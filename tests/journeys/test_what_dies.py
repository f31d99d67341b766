"""What dies, and who mends it: the table of docs/architecture.md, a test for each row, on processes that really die.

What dies at an exact moment is held there first: by the proxy before PostgreSQL, or by a slow stand-in. Relatives of
these rows, with more renders at once: test_recovery.py, and test_local_stack.py for the whole machine.
"""

import hashlib
import signal
import threading
from collections.abc import Iterator

import httpx
import pytest
import redis

from tests.journeys.between import ACCEPTED, CLAIM, CONCLUSION, INTENT, MARKED, Loss
from tests.journeys.conftest import stored
from tests.journeys.doomed import Doomed, ended_once, rescued, sent
from tests.stack import until
from worker.database import transact
from worker.renders.models import Render

pytestmark = pytest.mark.chaos

WAIT = 20
"""Seconds for something to be caught."""


@pytest.fixture(scope="module")
def doomed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doomed]:
    """One stack for all rows."""
    with Doomed(tmp_path_factory.mktemp("doomed")) as ground:
        yield ground


def renders_of(prompt: str) -> list[Render]:
    return transact(lambda session: list(session.query(Render).filter(Render.prompt == prompt).all()))


def over(prompt: str) -> None:
    """Wait for its end: it must not run into what another row has in store."""
    until(lambda: all(row.finished_at for row in renders_of(prompt)), what=f"the end of {prompt!r}")


def posted(doomed: Doomed, prompt: str, key: str) -> threading.Thread:
    """A request under way, whose answer never comes."""

    def ask() -> None:
        with pytest.raises(httpx.TransportError):
            doomed.post(prompt, key)

    asking = threading.Thread(target=ask)
    asking.start()
    return asking


@pytest.mark.parametrize(("commit", "loss", "made"), [(False, Loss.STATEMENT, 0), (True, Loss.ANSWER, 1)])
def test_the_api_dies_before_its_commit_or_before_its_answer(doomed: Doomed, commit: bool, loss: Loss, made: int):
    """Before: nothing is left. After: the render is. Either way the client repeats with its key and has one render."""
    prompt, key = f"A 2 second clip, asked of a dying API, {loss.value}.", f"dying-{loss.value}"
    trap = doomed.between.lose(ACCEPTED, loss, commit=commit)
    asking = posted(doomed, prompt, key)
    assert trap.sprung.wait(WAIT)
    doomed.stack.kill("api")
    asking.join(WAIT)
    assert len(renders_of(prompt)) == made
    doomed.start_api()
    answer = doomed.post(prompt, key)
    assert (answer.status_code, answer.headers.get("Idempotent-Replayed")) == (202, "true" if made else None)
    assert [row.id for row in renders_of(prompt)] == [answer.json()["id"]]
    over(prompt)


def test_the_dispatcher_dies_between_marking_and_sending(doomed: Doomed):
    """A row marked as sent, and no message: sent again once it is overdue."""
    trap = doomed.between.lose(MARKED, Loss.ANSWER, commit=True)
    journey = doomed.begin("marked, not sent")
    assert trap.sprung.wait(WAIT)
    doomed.stack.kill("dispatcher")
    row = journey.row
    assert (row.sent_at is not None, row.lease) == (True, 0)
    doomed.stack.start("dispatcher", "-m", "worker.dispatch")
    ended_once(journey)


def test_the_broker_is_emptied_and_killed_with_every_message_in_it(doomed: Doomed):
    """Hints lost: sent again from the rows. (The worker is frozen first, or it would take them.)"""
    doomed.stack.running["io"].send_signal(signal.SIGSTOP)
    journeys = [doomed.begin(f"in a broker that dies, number {one}") for one in range(4)]
    with redis.Redis.from_url(doomed.broker) as broker:
        # One goes to the frozen worker, which was waiting for it: taken and never claimed.
        until(lambda: broker.llen("io") >= len(journeys) - 1, what="their messages")
        broker.flushall()
        until(lambda: broker.llen("io") >= len(journeys) - 1, what="their messages again")
    with doomed.without(doomed.valkey):
        pass
    doomed.restart("io")
    for journey in journeys:
        ended_once(journey)


def test_a_worker_dies_between_taking_a_message_and_the_claim(doomed: Doomed):
    """The message is gone, the row is not claimed: sent again."""
    trap = doomed.between.lose(CLAIM, Loss.STATEMENT)
    journey = doomed.begin("popped, not claimed")
    assert trap.sprung.wait(WAIT)
    doomed.restart("io")
    ended_once(journey)
    assert rescued(journey) == []


@pytest.mark.parametrize("kind", ["io", "stream", "media"])
def test_a_worker_dies_in_a_stage(doomed: Doomed, kind: str):
    """Each kind, in a stage of its own: taken over at that stage."""
    more = {"stream": "[[sandbox: stream seconds=3]]"}
    stage = {"io": "session", "stream": "generate", "media": "store"}[kind]
    point = {"io": "session", "media": "download"}
    if kind in point:
        doomed.stack.rule(do="delay", on=point[kind], seconds=6, times=1)
    journey = doomed.begin(f"in the hands of {kind}", more.get(kind, ""))
    until(lambda: (row := journey.row).stage == stage and row.worker_id, what=f"work at {stage}")
    if kind == "stream":
        sent(journey)
    doomed.restart(kind)
    ended_once(journey)
    assert rescued(journey) == [stage]


def test_a_worker_dies_after_the_intent_and_before_the_bytes(doomed: Doomed):
    """Perhaps unsent: looked up, not sent; where nobody can know, the charge says so."""
    trap = doomed.between.lose(INTENT, Loss.ANSWER, commit=True)
    journey = doomed.begin("intended, not sent")
    assert trap.sprung.wait(WAIT)
    doomed.restart("stream")
    row = journey.end()
    assert (row.status, row.error_code, row.charge_state) == ("failed", "generation.unconfirmed", "unknown")
    assert (journey.messages(), [one.state for one in journey.intents()]) == ([], ["unconfirmed"])
    assert rescued(journey) == ["generate"]


def test_the_stream_is_cut(doomed: Doomed):
    """The backend goes on without a listener: looked up and adopted."""
    journey = doomed.begin("cut", "[[sandbox: cut_then_apply seconds=1]]")
    ended_once(journey)
    assert [event.data["stage"] for event in journey.events() if event.type == "render.stage"].count("lookup") == 1


def test_it_finished_but_postgresql_is_down_at_the_write(doomed: Doomed):
    """The end of the stream is not recorded, and its worker dies too: the takeover looks it up."""
    journey = doomed.begin("finished, not written", "[[sandbox: stream seconds=2]]")
    sent(journey)
    with doomed.without(doomed.postgres):
        until(lambda: journey.executed() == 1 and not doomed.stack.ledger()["summary"]["streams"], what="its end")
        doomed.stack.kill("stream")
    doomed.stack.start_worker("stream", 60)
    ended_once(journey)
    assert rescued(journey) == ["generate"]


def test_a_worker_freezes_past_its_lease(doomed: Doomed):
    """A zombie that wakes: its writes find no row."""
    journey = doomed.begin("frozen", "[[sandbox: stream seconds=3]]")
    sent(journey)
    frozen = doomed.stack.running["stream"]
    frozen.send_signal(signal.SIGSTOP)
    try:
        until(journey.recoveries, what="the takeover")
    finally:
        frozen.send_signal(signal.SIGCONT)
    ended_once(journey)


def test_the_exports_answer_is_lost(doomed: Doomed):
    """Perhaps rendering: asked by the id on file, no second export."""
    journey = doomed.begin("exported unheard", "[[sandbox: export_answer_lost]]")
    ended_once(journey)
    assert len(journey.exports()) == 1


def test_the_download_is_cut(doomed: Doomed):
    """Part of a file: fetched again, kept under a name with its hash, whole."""
    journey = doomed.begin("downloaded in part", "[[sandbox: download_truncated]]")
    ended_once(journey)
    result = journey.result()
    kept = stored(doomed.stack, result.storage_key)
    assert hashlib.sha256(kept.read_bytes()).hexdigest() == result.sha256
    assert sorted(path.suffix for path in kept.parent.iterdir()) == [".jpg", ".mp4"]


@pytest.mark.parametrize("how", ["fast", "immediate"])
def test_postgresql_restarts(doomed: Doomed, how: str):
    """With renders at every stage: writes fail and are repeated, nothing paid is sent without its intent on file."""
    journeys = [doomed.begin(f"across a {how} restart, {one}", "[[sandbox: stream seconds=1]]") for one in range(6)]
    sent(journeys[0])
    if how == "fast":
        doomed.postgres.stop()
        doomed.postgres.__enter__()
    else:
        with doomed.without(doomed.postgres):
            pass
    for journey in journeys:
        ended_once(journey)
        # One whose COMMIT took too long was not sent any more, and says so.
        assert [one.state for one in journey.intents() if one.state != "unsent"] == ["applied"]


def test_the_outcome_of_the_intents_commit_is_unknown(doomed: Doomed):
    """COMMIT took effect and its answer was lost: read back by its id, then sent once under that one intent."""
    trap = doomed.between.lose(INTENT, Loss.CONNECTION, commit=True)
    journey = doomed.begin("committed, unanswered")
    assert trap.sprung.wait(WAIT)
    ended_once(journey)
    assert (len(journey.intents()), rescued(journey), journey.types().count("message_sent")) == (1, [], 1)


def test_the_outcome_of_an_acceptance_is_unknown(doomed: Doomed):
    """The intake runs its transaction again, finds what it made, and answers with it."""
    prompt = "A 2 second clip, accepted, unanswered."
    trap = doomed.between.lose(ACCEPTED, Loss.CONNECTION, commit=True)
    answer = doomed.post(prompt, "unanswered")
    assert trap.sprung.is_set()
    assert (answer.status_code, [row.id for row in renders_of(prompt)]) == (202, [answer.json()["id"]])
    over(prompt)


def test_the_outcome_of_a_stages_end_is_unknown(doomed: Doomed):
    """The end of a stage took effect and its answer was lost: written once, and the dispatcher goes on from the row."""
    trap = doomed.between.lose(CONCLUSION, Loss.CONNECTION)
    journey = doomed.begin("concluded, unanswered")
    assert trap.sprung.wait(WAIT)
    ended_once(journey)
    stages = [event.data["stage"] for event in journey.events() if event.type == "render.stage"]
    assert len(stages) == len(set(stages))
    assert rescued(journey) == []


def test_the_outcome_of_a_claim_is_unknown(doomed: Doomed):
    """A row that names a living worker which knows nothing of it: let go at a heartbeat, and worked on."""
    trap = doomed.between.lose(CLAIM, Loss.CONNECTION)
    journey = doomed.begin("claimed, unanswered")
    assert trap.sprung.wait(WAIT)
    ended_once(journey)
    assert [one.why for one in journey.recoveries()] == ["worker lost track of it"]
