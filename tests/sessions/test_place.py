"""A session's place at the backend, row by row: when what was said there is over, and whose the state is."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from config.settings import settings
from tests.sessions.rows import (
    CANCELED,
    a_draft,
    a_job,
    a_message,
    a_place,
    a_session,
    a_turn,
    an_account,
    disable,
    set_render,
    the_session,
)
from tests.stages.driving import the
from worker import pipeline
from worker.accounts import admission
from worker.accounts.models import Account
from worker.database import ago, from_now, transact
from worker.outcomes import Advance, Failed, Wait
from worker.remote import intents
from worker.remote.errors import SessionGone
from worker.renders import purge, runs
from worker.renders import store as renders
from worker.renders.states import Reason
from worker.sessions import place
from worker.sessions.place import Place
from worker.stages import refusals, token
from worker.stages import session as session_stage

pytestmark = pytest.mark.usefixtures("empty")


def has_to_wait(render_id: str) -> timedelta | None:
    """How long the next message has to."""

    def look(session):
        row = the(render_id)
        there = row.remote_session_id or ""
        return place.wait_for_the_others(session, row, there, session.scalar(select(func.now())))

    return transact(look)


def a_turn_and_the_next(said: dict[str, Any] | None = None, **columns: Any) -> tuple[str, str]:
    """One that was called off while its draft was read, and the one behind it."""
    session_id = a_session(a_place())
    first = a_turn(session_id, **CANCELED | {"stage": "verify", "charge_state": "incurred"} | columns)
    a_message(first, **said or {})
    return first, a_turn(session_id, stage="generate", started_at=func.now())


def test_a_turn_called_off_before_its_draft_stood_still_may_be_at_work():
    """Its stream was seen to end, but music and titles come after that: until a stream's longest life is over."""
    _, following = a_turn_and_the_next()
    waits = has_to_wait(following)
    assert waits is not None
    assert waits > settings().waits.stream_max_seconds - timedelta(minutes=1)


@pytest.mark.parametrize(
    "read",
    [
        {"state": "not_applied", "unchanged_reads": 5},
        {"evidence": [intents.WANTING]},
        {"send_by": ago(timedelta(minutes=15))},
    ],
)
def test_a_turn_whose_end_was_seen_is_over_once_it_was_read_for_long(read: dict[str, Any]):
    """A question that changed nothing, or a draft that cannot be exported: the answer to it need not wait."""
    _, following = a_turn_and_the_next(read, status="failed", error_code="generation.no_draft")
    assert has_to_wait(following) is None


@pytest.mark.parametrize("run", [1, 2])
def test_a_kept_draft_has_stood_still(run: int):
    """Also one that was read late, or after a retry, and so is kept with a later run than its message's; nobody need
    wait for a stream's life, seen to end or not."""
    first, following = a_turn_and_the_next({"clean_end": False})
    assert has_to_wait(following) is not None
    a_draft(first, run)
    assert has_to_wait(following) is None


def test_a_deleted_turn_was_read_as_far_as_it_got():
    """Its draft goes with it; that it stood still does not."""
    first, following = a_turn_and_the_next(stage="store", status="succeeded")
    a_draft(first)

    def delete(session):
        purge.purge(session, renders.locked(session, the(first).owner_id, first))

    transact(delete)
    assert has_to_wait(following) is None


SENT = [{"name": "lamp.png", "upload": "upl_1", "begun": True, "sent": True}]
UNSENT = [{"name": "lamp.png", "upload": "upl_1"}]


def a_retried_turn() -> tuple[str, str]:
    """Its files are in the place, it was refused there, and waits behind another one; with its session."""
    session_id = a_session(a_place())
    first = a_turn(session_id, **CANCELED | {"stage": "generate", "assets": SENT})
    a_message(first, state="refused")
    a_turn(session_id, stage="generate", started_at=func.now())
    retry(first)
    return session_id, first


def retry(render_id: str, *, force: bool = False) -> None:
    def work(session):
        row = renders.locked(session, the(render_id).owner_id, render_id)
        runs.retry(session, row, force=force, api_key_id=None)

    transact(work)


def joined(session_id: str, render_id: str) -> dict[str, Any]:
    """What the row of a turn that joins its session's place has from then on."""
    set_render(render_id, stage="session", account_id=the_session(session_id).account_id, started_at=func.now())
    outcome = session_stage.run(a_job(render_id))
    assert isinstance(outcome, Advance)
    return {"assets": the(render_id).assets} | outcome.changes


def test_files_that_are_in_the_place_are_not_sent_again():
    """A retry that joins the place where its files are says so still."""
    session_id, first = a_retried_turn()
    assert the(first).assets == SENT
    assert joined(session_id, first)["assets"] == SENT


def test_files_stay_behind_with_the_place_they_were_sent_to():
    """The turn that a retry waits for finds the place gone and makes another one: there the retry's files are not."""
    session_id, first = a_retried_turn()
    left, account = the_session(session_id).remote_session_id, the_session(session_id).account_id
    transact(lambda session: place.leave(session, left))
    other = a_place(account)
    transact(lambda session: place.note(session, session_id, account, other))
    row = joined(session_id, first)
    assert (row["remote_session_id"], row["assets"]) == (other, UNSENT)


def test_files_sent_to_a_place_that_is_gone_already_are_sent_again():
    """The retry comes after another place was made."""
    session_id = a_session(a_place())
    first = a_turn(session_id, **CANCELED | {"stage": "generate", "assets": SENT})
    transact(lambda session: place.leave(session, the(first).remote_session_id))
    transact(lambda session: place.note(session, session_id, the(first).account_id, a_place(the(first).account_id)))
    retry(first)
    assert joined(session_id, first)["assets"] == UNSENT


@pytest.mark.parametrize("files", [SENT, UNSENT, []])
def test_files_of_earlier_turns_that_are_gone_with_the_place_are_told_of(files: list[dict[str, Any]]):
    """Its owner was told that they are there, and the next message may speak of them."""
    session_id = a_session(a_place())
    a_turn(session_id, **CANCELED | {"stage": "generate", "assets": files})
    following = a_turn(session_id, stage="generate", status="running", started_at=func.now(), sessions=1)
    job = a_job(following)
    outcome = refusals.outcome(job, SessionGone("state", "gone"))
    assert isinstance(outcome, Advance)
    pipeline._write(job, outcome)
    assert [one["code"] for one in the(following).hints] == (["session.files"] if files is SENT else [])


def test_a_turn_waits_for_the_others_before_it_holds_a_slot():
    """While an earlier one may be at work, for a quarter of an hour, others have the account; also where it was
    admitted before and its worker died."""
    session_id = a_session(a_place())
    first = a_turn(session_id, **CANCELED | {"stage": "lookup"})
    a_message(first, clean_end=False, state="unconfirmed")
    account = the(first).account_id
    following = a_turn(session_id, remote_session_id=None)
    for admitted in (None, account):
        set_render(following, account_id=admitted)
        job = a_job(following)
        outcome = token.run(job)
        assert isinstance(outcome, Wait)
        assert (outcome.reason, outcome.wait > timedelta(minutes=10)) == (Reason.SESSION, True)
        pipeline._write(job, outcome)
        assert (the(following).stage, the(following).account_id, the(following).status) == ("token", None, "waiting")
        assert transact(lambda session: admission.slots_by_account(session, [account])) == {}


def waiting_until(render_id: str, wait: timedelta) -> None:
    ready = {"ready_at": from_now(wait), "status": "waiting", "reason": "session", "account_id": None}
    set_render(render_id, **ready)


def test_a_waiting_turn_looks_again_once_the_one_before_goes_on():
    """Its draft may stand still in a minute: nobody waits for what is left of a stream's longest life then."""
    session_id = a_session(a_place())
    first = a_turn(session_id, **CANCELED | {"stage": "verify", "charge_state": "incurred"})
    a_message(first)
    following = a_turn(session_id, remote_session_id=None)
    third = a_turn(session_id)
    waiting_until(following, timedelta(minutes=14))
    behind = the(third).ready_at
    retry(first)
    assert (the(first).stage, the(first).run) == ("verify", 2)
    soon = transact(lambda session: session.scalar(select(func.now()))) + settings().waits.lookup_next_seconds
    assert the(following).ready_at <= soon
    assert the(third).ready_at == behind, "its time is that of the one before it"


def test_a_waiting_turn_that_is_due_earlier_is_not_put_off():
    """Brought forward, never back."""
    session_id = a_session(a_place())
    first = a_turn(session_id, **CANCELED | {"stage": "verify", "charge_state": "incurred"})
    a_message(first)
    following = a_turn(session_id, remote_session_id=None)
    waiting_until(following, timedelta(seconds=2))
    before = the(following).ready_at
    retry(first)
    assert the(following).ready_at == before


def test_a_session_whose_account_was_removed_is_over_once_something_was_said():
    """No other account knows its place: a final status, and no waiting for a token that nobody gives."""
    session_id = a_session(a_place())
    first = a_turn(session_id, **CANCELED | {"stage": "store", "status": "succeeded"})
    a_message(first)
    following = a_turn(session_id, account_id=None, remote_session_id=None)
    disable(the(first).account_id)
    job = a_job(following)
    outcome = token.run(job)
    assert isinstance(outcome, Failed)
    pipeline._write(job, outcome)
    row = the(following)
    assert (row.status, row.error_code, row.charge_state) == ("failed", "session.lost", "none")
    assert the_session(session_id).lost_at is not None


def test_a_session_whose_account_was_removed_before_anything_was_said_moves():
    """As where the place itself is gone: whatever account has room makes another one."""
    session_id = a_session(a_place())
    account, other = the_session(session_id).account_id, an_account()
    following = a_turn(session_id, account_id=None, remote_session_id=None)
    disable(account)
    job = a_job(following)
    where, wait = token._session_of(job)
    assert (where, wait) == (Place(None, None, lost=False), None)
    admitted = transact(lambda session: token._admit(session, job, where))
    assert isinstance(admitted, Account)
    assert admitted.id == other
