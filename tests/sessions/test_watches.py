"""A watched message of a session, row by row: until when a change of the state is its own, what is locked."""

import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, insert, select, text
from sqlalchemy.orm import Session

from api import intake
from api.auth import Caller
from api.idempotency import Key
from api.schemas import RetryRequest
from tests.sessions.rows import a_job, a_message, a_place, a_session, a_turn, the_message, the_session
from tests.stack import until
from tests.stages.driving import the
from worker import pipeline, watching
from worker.accounts.models import Account, RemoteSession
from worker.database import ago, from_now, new_id, transact
from worker.job import Job
from worker.owners import store as owners
from worker.owners.limits import Limits
from worker.owners.models import ApiKey
from worker.remote.errors import RemoteError
from worker.remote.intents import Intent
from worker.remote.state import State
from worker.remote.stream import Turn
from worker.renders import runs
from worker.renders import store as renders
from worker.renders.models import Render
from worker.sessions import place
from worker.stages import generate

pytestmark = pytest.mark.usefixtures("empty")

WATCHED = {"state": "unconfirmed", "clean_end": False, "send_by": ago(timedelta(minutes=20))}
WATCHED |= {"watch_at": from_now(timedelta(minutes=5)), "last_read_at": func.now()}
FAILED = {"status": "failed", "error_code": "generation.unconfirmed", "stage": "lookup", "charge_state": "unknown"}
FAILED |= {"started_at": ago(timedelta(minutes=20)), "finished_at": ago(timedelta(minutes=1))}


def a_watched_one_and_the_next(**said: Any) -> tuple[str, str]:
    """A message that nobody could know about, and the turn that is about to say the next one."""
    session_id = a_session(a_place())
    first = a_turn(session_id, **FAILED)
    message = a_message(first, **WATCHED | said)
    return message, a_turn(session_id, stage="generate", status="running", started_at=func.now())


def a_state(fingerprint: str) -> State:
    return State(fingerprint=fingerprint, draft=None, ready=False, raw_generated=False)


def begins_to_say(render_id: str) -> tuple[Job, Intent]:
    """The turn's message is on file, and nobody knows yet what becomes of it."""
    job = a_job(render_id)
    intent = generate._commit_intent(job, a_state("nothing"))
    assert intent is not None
    return job, intent


def became(said: tuple[Job, Intent], turn: Turn) -> None:
    job, intent = said
    with suppress(RemoteError):  # a refusal is on file before it is raised
        pipeline._write(job, generate._outcome(job, intent, turn))


def read(message: str, state: State) -> None:
    """A sparse read of a watched message's session."""

    def work(session: Session) -> None:
        intent = session.get_one(Intent, message)
        account, there = (
            session.get_one(Account, intent.account_id),
            session.get_one(RemoteSession, intent.remote_session_id),
        )
        now = session.scalar(select(func.now()))
        watching._read(session, watching.Watched(intent, account, there, now), state)

    transact(work)


NOTHING_DONE = [
    Turn("unsent", cause="aborted:drain"),
    Turn("refused", error=RemoteError("send_message", "no", code=4999)),
]
PERHAPS_DONE = [
    Turn("received", terminal=True, clean_end=True, text="Done"),
    Turn("received", error_frame="no", clean_end=True),
    Turn("unknown", cause="cut"),
]


@pytest.mark.parametrize("turn", NOTHING_DONE)
def test_what_was_refused_ends_no_watch(turn: Turn):
    """Nothing was said after the earlier one: what it did late is found, booked and delivered."""
    message, following = a_watched_one_and_the_next()
    became(begins_to_say(following), turn)
    assert the_message(message).watch_at is not None
    read(message, a_state("changed"))
    assert (the_message(message).state, the(the_message(message).render_id).stage) == ("applied", "verify")


@pytest.mark.parametrize("turn", PERHAPS_DONE)
def test_what_may_have_been_carried_out_ends_the_watches_before_it(turn: Turn):
    """From there on a change says nothing about those before, and they are not waited for or asked about."""
    message, following = a_watched_one_and_the_next()
    became(begins_to_say(following), turn)
    ended = the_message(message)
    assert (ended.watch_at, ended.state) == (None, "unconfirmed")
    assert ended.evidence[-1]["watch"] == "over"


def test_a_read_while_the_next_message_is_under_way_tells_nothing():
    """Whose the change is cannot be known; the watch goes on, as the message may be refused yet."""
    message, following = a_watched_one_and_the_next()
    said = begins_to_say(following)
    read(message, a_state("changed"))
    assert (the_message(message).state, the_message(message).watch_at is not None) == ("unconfirmed", True)
    became(said, NOTHING_DONE[0])
    read(message, a_state("changed"))
    assert the_message(message).state == "applied"


def test_a_followed_message_is_asked_about_no_more():
    """Called off while its stream was open, the next one left the watch before it as it was: no change of the state is
    looked for in that one's name."""
    message, following = a_watched_one_and_the_next()
    a_message(following, state="applied", created_at=func.now())
    third = a_turn(the(following).session_id, stage="generate", status="running", started_at=func.now())
    assert not transact(lambda session: place.unread_change(session, the(third), "changed"))
    read(message, a_state("changed"))
    assert (the_message(message).state, the_message(message).watch_at) == ("unconfirmed", None)


# Beside a message that is about to be on file ------------------------------------------------------------------------


def waits_for_a_lock() -> bool:
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return transact(lambda session: session.scalar(waiting)) > 0


def beside_the_next_message(
    following: str, work: Callable[[], object], check: Callable[[Session], object] | None = None
):
    """What `work` comes to that begins while the next message's record is written and not committed; its error."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    beside = threading.Thread(target=run)

    def hold(session: Session) -> None:
        row = session.get_one(Render, following)
        place.of(session, row.session_id, lock=True)
        if check is None:
            session.execute(insert(Intent).values(**next_message(row)))
        beside.start()
        until(lambda: waits_for_a_lock() or not beside.is_alive(), what="its wait or its end")
        if check is not None:
            check(session)

    transact(hold)
    beside.join()
    return errors[0] if errors else None


def next_message(row: Render) -> dict[str, Any]:
    said = {"id": new_id("int"), "render_id": row.id, "run": 1, "message": "make it blue", "before": "nothing"}
    said |= {"reserved_credits": 50, "send_by": from_now(timedelta(seconds=15)), "owner_id": row.owner_id}
    return said | {"account_id": row.account_id, "remote_session_id": row.remote_session_id}


def test_a_retry_beside_the_next_message_does_not_read_that_ones_draft():
    """Going on from its draft is free as long as nobody has said more there; the next message was quicker."""
    message, following = a_watched_one_and_the_next(state="applied", watch_at=None)
    first = the_message(message).render_id

    def retry() -> None:
        def work(session: Session) -> None:
            runs.retry(session, renders.locked(session, the(first).owner_id, first), force=False, api_key_id=None)

        transact(work)

    assert isinstance(beside_the_next_message(following, retry), runs.ForceNeeded)
    assert the(first).run == 1


def test_a_late_find_beside_the_next_message_is_thrown_away():
    """The read was made before, and the message is on file before its finding: whose the change is nobody knows."""
    message, following = a_watched_one_and_the_next()
    assert beside_the_next_message(following, lambda: read(message, a_state("changed"))) is None
    assert (the_message(message).state, the(the_message(message).render_id).run) == ("unconfirmed", 1)


def test_a_lost_place_is_locked_before_what_was_said_there():
    """In the order in which a message is put on file: neither waits for the other."""
    message, following = a_watched_one_and_the_next()

    def lose() -> None:
        def work(session: Session) -> None:
            intent = session.get_one(Intent, message)
            there = session.get_one(RemoteSession, intent.remote_session_id)
            watching._lost(session, watching.Watched(intent, None, there, None))

        transact(work)

    free = select(Intent.id).where(Intent.id == message).with_for_update(nowait=True)
    assert beside_the_next_message(following, lose, check=lambda session: session.execute(free).one()) is None
    assert the_message(message).watch_at is None
    assert the_session(the(following).session_id).lost_at is not None


def test_a_retry_locks_the_session_before_its_key():
    """In the order of whoever says something in a session with the same key: neither waits for the other."""
    message, following = a_watched_one_and_the_next(state="not_applied", watch_at=None)
    first = the(the_message(message).render_id)
    made = transact(lambda session: owners.new_key(session, first.owner_id, "shop"))
    key = transact(lambda session: owners.key(session, made))
    caller = Caller(first.owner_id, key.id, frozenset(), Limits(renders_in_flight=10))
    free = select(ApiKey.id).where(ApiKey.id == key.id).with_for_update(key_share=True, nowait=True)

    def retry() -> None:
        intake.retry(caller, first.id, RetryRequest(force=True), Key("again", given=False))

    assert beside_the_next_message(following, retry, check=lambda session: session.execute(free).one()) is None
    assert the(first.id).run == 2
