"""Workers die, freeze and leave, the broker forgets: every render ends, and no message goes twice."""

import signal

import pytest
import redis

from tests.journeys.conftest import Journey
from tests.stack import Stack, until

SLOW = "[[sandbox: stream seconds=4]]"


def ended_well(journeys: list[Journey]) -> None:
    """Each succeeded, with one message, once carried out."""
    for journey in journeys:
        row = journey.end()
        assert row.status == "succeeded", (row.error_message, journey.types())
        assert (len(journey.messages()), journey.executed()) == (1, 1)


def streaming(journeys: list[Journey]) -> None:
    """Wait until the backend has all their messages."""
    wanted = {journey.words for journey in journeys}

    def all_there() -> bool:
        return wanted <= {
            message["text"].partition("[[")[0].strip() for message in journeys[0].stack.ledger()["messages"]
        }

    until(all_there, what="all messages")


def begin(stack: Stack, what: str, count: int = 6, more: str = SLOW) -> list[Journey]:
    """Some renders whose streams stay open for 4 s."""
    return [Journey(stack, f"A 2 second clip, {what} number {one}. {more}") for one in range(count)]


def test_a_killed_worker_mid_stream_loses_nothing_and_pays_once(stack: Stack):
    """kill -9 with streams open: the look-up adopts what the backend made; the takeover is on record."""
    journeys = begin(stack, "killed")
    streaming(journeys)
    stack.kill("stream")
    stack.start_worker("stream", 60)
    ended_well(journeys)
    for journey in journeys:
        assert [(one.stage, one.why) for one in journey.recoveries()] == [("generate", "worker process ended")]
        assert journey.recoveries()[0].outcome == "advance"
        assert "recovered" in journey.types()


def test_a_killed_worker_between_calls_loses_nothing(stack: Stack):
    """kill -9 of the worker of all the short calls, again and again while renders pass through it."""
    journeys = begin(stack, "io killed", more="")
    for _ in range(3):
        stack.kill("io")
        stack.start_worker("io", 30)
        until(lambda: any(journey.row.stage != "token" for journey in journeys), what="some progress")
    ended_well(journeys)


def test_a_frozen_worker_that_wakes_changes_nothing(stack: Stack):
    """Stopped for longer than a lease with streams open, taken over, thawed: its writes find no row."""
    journeys = begin(stack, "frozen")
    streaming(journeys)
    frozen = stack.running["stream"]
    frozen.send_signal(signal.SIGSTOP)
    try:
        until(lambda: all(journey.recoveries() for journey in journeys), what="the takeovers")
    finally:
        frozen.send_signal(signal.SIGCONT)
    ended_well(journeys)


def test_a_leaving_worker_hands_its_streams_over(stack: Stack):
    """SIGTERM with streams open: gone within ten seconds, the look-up goes on at once, nothing waits for a lease."""
    journeys = begin(stack, "left", more="[[sandbox: stream seconds=6]]")
    streaming(journeys)
    assert stack.terminate("stream") < 10
    stack.start_worker("stream", 60)
    ended_well(journeys)
    for journey in journeys:
        assert journey.recoveries() == []
        assert journey.intents()[0].cause == "aborted:drain"


def test_a_broker_that_forgets_everything_is_told_again(stack: Stack, redis_url: str):
    """Emptied while every render's message is in it and nobody took one: the rows are sent again."""
    ended_well(begin(stack, "before forgetting", count=1, more=""))  # every worker has reported
    stack.running["io"].send_signal(signal.SIGSTOP)
    journeys = begin(stack, "forgotten", count=8, more="")
    with redis.Redis.from_url(redis_url) as broker:
        # Sent on the strength of the frozen worker's last heartbeat; the first is on its way into its socket.
        until(lambda: broker.llen("io") >= len(journeys) - 1, what="their messages in the broker")
        broker.flushdb()
        assert broker.llen("io") == 0
    stack.kill("io")
    stack.start_worker("io", 30)
    ended_well(journeys)


def test_two_dispatchers_do_no_harm(stack: Stack):
    """A second dispatcher shares the work: nothing is done twice."""
    stack.start("dispatcher 2", "-m", "worker.dispatch")
    journeys = begin(stack, "shared", count=12, more="")
    ended_well(journeys)
    for journey in journeys:
        stages = [event.data.get("stage") for event in journey.events() if event.type == "render.stage"]
        assert len(stages) == len(set(stages))
    stack.kill("dispatcher 2")


@pytest.mark.parametrize(
    ("point", "directive", "effect", "charge"),
    [
        ("generate", "[[sandbox: stream seconds=4]]", "stopped", "unknown"),
        ("poll", "[[sandbox: export_stuck]]", "stopped", "incurred"),
        ("token", "", "prevented", "none"),
    ],
)
def test_a_cancelled_render_says_what_that_achieved(stack: Stack, point: str, directive: str, effect: str, charge: str):
    """Cancelled while queued, in its stream, and while polled: one end, its effect, and the charge as far as known."""
    from worker.database import transact
    from worker.owners.store import owner
    from worker.renders import store

    journey = Journey(stack, f"A 2 second clip, cancelled at {point}. {directive}")
    if point == "generate":
        streaming([journey])
    elif point == "poll":
        until(lambda: journey.row.stage == "poll", what="the poll")
    transact(lambda session: store.cancel(session, owner(session, "default").id, journey.id))
    row = journey.end(15)
    assert row.status == "canceled"
    assert (row.cancel_effect, row.charge_state) in {(effect, charge), ("prevented", "none")}
    if point != "token":
        assert row.cancel_effect == effect
    assert journey.types().count("canceled") == 1
    if point == "poll":
        (export,) = [one for one in stack.ledger()["exports"] if one["id"] == journey.exports()[0].id]
        assert export["error"] == "canceled"


def test_a_question_alone_on_its_account_costs_nothing(stack: Stack):
    """With the balance read before and nobody else spending, an unchanged balance is evidence: no charge."""
    from worker.accounts.models import Account
    from worker.app import app
    from worker.database import transact

    def read_at() -> object:
        return transact(lambda session: session.query(Account).one().balance_read_at)

    ended_well(begin(stack, "before the question", count=1, more=""))
    until(lambda: stack.ledger()["summary"]["streams"] == 0, what="the end of what others left")
    before = read_at()
    with app.connection_for_write(stack.environment["VIVIDEO_BROKER_URL"]) as broker:
        app.send_task("housekeeping", queue="io", connection=broker)
    until(lambda: read_at() != before, what="the balance")
    journey = Journey(stack, "A 2 second clip, answered by a question. [[sandbox: question]]")
    row = journey.end()
    assert (row.error_code, row.charge_state) == ("generation.no_draft", "none")
    assert journey.intents()[0].state == "not_applied"


def test_wake_up_calls_do_not_keep_takeovers_from_happening(stack: Stack):
    """Notified ten times a second, the dispatcher still looks for silent workers."""
    import psycopg

    journeys = begin(stack, "killed in the noise", count=2)
    streaming(journeys)
    stack.kill("stream")
    with psycopg.connect(stack.environment["VIVIDEO_DATABASE_URL"], autocommit=True) as noise:

        def taken() -> bool:
            noise.execute("NOTIFY vivideo_due")
            return all(journey.recoveries() for journey in journeys)

        until(taken, 20, what="the takeovers")
    stack.start_worker("stream", 60)
    ended_well(journeys)


def test_cancelling_does_not_silence_the_workers(stack: Stack):
    """After a cancellation, which every worker hears, all of them go on reporting."""
    from worker.database import transact
    from worker.owners.store import owner
    from worker.renders import store
    from worker.renders.models import Worker

    journey = Journey(stack, "A 2 second clip, cancelled while others listen. [[sandbox: stream seconds=4]]")
    streaming([journey])
    transact(lambda session: store.cancel(session, owner(session, "default").id, journey.id))
    journey.end(15)
    alive = Worker.stopped_at.is_(None)

    def seen() -> dict[str, object]:
        return transact(lambda session: {row.id: row.seen_at for row in session.query(Worker).filter(alive)})

    before = {name: at for name, at in seen().items() if name.split("-")[1] in _pids(stack)}
    assert len(before) >= 2
    until(lambda: all(seen()[name] > at for name, at in before.items()), 10, what="the next heartbeats")


def _pids(stack: Stack) -> set[str]:
    return {str(process.pid) for process in stack.running.values()}
