"""What a sparse read of a watched message comes to, row by row."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session

from config.settings import settings
from tests.renders.conftest import a_render, the
from worker import pipeline, watching
from worker.accounts.models import Account, RemoteSession
from worker.database import ago, from_now, new_id, transact
from worker.failures import BACKEND_UNAVAILABLE, UNCONFIRMED
from worker.job import Job, Services
from worker.outcomes import Canceled, Failed, Snooze
from worker.remote import intents
from worker.remote.intents import Intent, IntentState
from worker.remote.state import State
from worker.renders import leases, runs
from worker.renders.models import Render, Run
from worker.renders.states import Stage
from worker.stages.lookup import settle


def a_message(render_id: str, **columns: Any) -> Intent:
    """An unconfirmed, watched message of a render's run 1, in a session of its own."""

    def work(session):
        account, place = new_id("acc"), new_id("ses")
        mine = session.get_one(Render, render_id)
        session.execute(insert(Account).values(id=account, kind="registered", name=account))
        known = {"owner_id": mine.owner_id, "account_id": account}
        session.execute(insert(RemoteSession).values(id=place, task_id=place, session_id=place, **known))
        values = {
            "id": new_id("int"),
            "render_id": render_id,
            "run": 1,
            "remote_session_id": place,
            "message": "a lamp",
            "before": "nothing",
            "reserved_credits": 100,
            "send_by": ago(timedelta(hours=1)),
            "state": "unconfirmed",
            "settled_at": ago(timedelta(minutes=20)),
            "watch_at": ago(timedelta(seconds=1)),
        }
        session.execute(insert(Intent).values(**values | known | columns))
        session.execute(
            update(Render).where(Render.id == render_id).values(remote_session_id=place, account_id=account)
        )
        return session.get_one(Intent, values["id"])

    return transact(work)


def failed(**columns: Any) -> str:
    """A render that failed because nobody could know."""
    ended = {"status": "failed", "error_code": "generation.unconfirmed", "stage": "lookup", "charge_state": "unknown"}
    times = {"finished_at": ago(timedelta(minutes=20)), "started_at": ago(timedelta(hours=1))}
    return a_render(**ended | times | columns)


def found(intent: Intent) -> None:
    transact(lambda session: watching.found(session, intent, "something"))


def test_a_watched_message_is_read_by_one_worker_and_again_later():
    """A claim moves the next read on before this one is made: a second worker finds nothing."""
    intent = a_message(failed())
    assert [one.id for one in transact(lambda s: intents.claim_watched(s, limit=10))] == [intent.id]
    assert transact(lambda s: intents.claim_watched(s, limit=10)) == []
    assert not transact(intents.is_any_watch_due)


def test_found_twice_starts_one_run():
    """Two workers see the change: one run begins, from `verify`, in the session where it turned up."""
    render = failed()
    intent = a_message(render)
    found(intent)
    found(intent)
    row = the(render)
    assert (row.run, row.stage, row.status, row.finished_at) == (2, "verify", "running", None)
    assert row.remote_session_id == intent.remote_session_id
    assert transact(lambda s: intents.under_verification(s, row)).id == intent.id


@pytest.mark.parametrize(
    "columns",
    [
        {"status": "succeeded", "error_code": None},
        {"status": "canceled", "error_code": None},
        {"status": "expired"},
        {"status": "running", "error_code": None, "finished_at": None},
        {"run": 2, "status": "running", "error_code": None, "finished_at": None},
        {"purged_at": ago(timedelta(0))},
        {"cancel_requested_at": ago(timedelta(minutes=21))},
    ],
)
def test_only_a_failed_render_is_delivered_by_itself(columns: dict[str, Any]):
    """Succeeded, called off (in time or not), too late, at work again or deleted: only the books change, of the run
    that it was."""
    render = failed(**columns)
    intent = a_message(render)
    if columns.get("run") == 2:
        ended = {"status": "failed", "stage": "lookup", "charge_state": "unknown"}
        times = {"queued_at": ago(timedelta(hours=1)), "finished_at": ago(timedelta(minutes=20))}
        transact(
            lambda s: s.execute(
                insert(Run).values(render_id=render, run=1, owner_id=the(render).owner_id, **ended, **times)
            )
        )
    before = the(render)
    found(intent)
    row = the(render)
    assert (row.run, row.status, row.stage) == (before.run, before.status, before.stage)
    booked = row if row.run == 1 else transact(lambda s: s.scalars(select(Run)).one())
    assert (booked.charge_state, booked.charge_credits) == ("incurred", 100)
    if row.run == 2:
        assert row.charge_state == "unknown"  # its own message's, which nothing was said of


def a_second_attempt(render: str) -> tuple[Intent, Intent, Job]:
    """The first message given up, the second under way in a session of its own, its worker's job at the look-up."""
    first = a_message(render)
    second = a_message(render, state="unknown", settled_at=None, watch_at=None)
    held = transact(lambda s: leases.claim(s, render, lease=0, stage=Stage.LOOKUP, worker="io-1"))
    assert held is not None
    nobody: Any = None
    return first, second, Job(held, Services(settings(), nobody, nobody, nobody))


def at_its_second_attempt() -> str:
    return a_render(status="running", stage="lookup", started_at=ago(timedelta(hours=1)), charge_state="unknown")


def test_what_turns_up_during_another_attempt_is_delivered_once_that_has_failed():
    """Booked at once; when the attempt ends without a video, the next run reads the first one's draft. Once: that run's
    own failure begins no other."""
    render = at_its_second_attempt()
    first, second, job = a_second_attempt(render)
    found(first)
    assert (the(render).run, the(render).status, the(render).charge_credits) == (1, "running", 100)
    pipeline.act(job, Failed(failure=UNCONFIRMED, also=(settle(job, second, IntentState.UNCONFIRMED),)))
    row = the(render)
    assert (row.run, row.stage, row.remote_session_id) == (2, "verify", first.remote_session_id)
    held = transact(lambda s: leases.claim(s, render, lease=row.lease, stage=Stage.VERIFY, worker="io-1"))
    assert held is not None
    pipeline.act(Job(held, job.services), Failed(failure=BACKEND_UNAVAILABLE))
    assert (the(render).run, the(render).status) == (2, "failed")


def test_after_a_cancelled_attempt_a_retry_goes_on_from_what_turned_up():
    """Called off, so nothing begins by itself; asked for without `force`, the paid draft is read where it is."""
    render = at_its_second_attempt()
    first, second, job = a_second_attempt(render)
    found(first)
    pipeline.act(job, Canceled(effect="stopped", also=(settle(job, second, IntentState.UNCONFIRMED),)))
    assert (the(render).run, the(render).status) == (1, "canceled")
    transact(lambda s: runs.retry(s, s.get_one(Render, render), force=False, api_key_id=None))
    row = the(render)
    assert (row.run, row.stage, row.remote_session_id) == (2, "verify", first.remote_session_id)


def test_a_draft_found_wanting_is_read_no_more():
    """What is left is to pay again, which has to be asked for."""
    render = failed()
    intent = a_message(render, state="applied", watch_at=None)
    row = the(render)
    assert transact(lambda s: runs.first_stage(s, row, force=False)) is Stage.VERIFY
    transact(lambda s: intents.record_finding(s, intent, intents.WANTING))
    with pytest.raises(runs.ForceNeeded):
        transact(lambda s: runs.first_stage(s, s.get_one(Render, render), force=False))


def test_a_find_beside_an_outcome_is_not_written_over():
    """The outcome has read the sum of the charges when the first message is found: both are in the end."""
    render = at_its_second_attempt()
    first, second, job = a_second_attempt(render)
    finding = threading.Thread(target=found, args=(first,))

    def settled_beside_a_find(session: Session) -> None:
        intents.record(session, second.id, IntentState.APPLIED)
        charge, credits = intents.charge(session, render, 1)
        finding.start()
        finding.join(1)  # held up by the row's lock until this is committed
        leases.write(session, job.held, {"charge_state": charge, "charge_credits": credits})

    pipeline._write(job, Snooze(wait=timedelta(0), also=(settled_beside_a_find,)))
    finding.join()
    assert (the(render).charge_state, the(render).charge_credits) == ("incurred", 200)


def test_an_unforced_run_waits_while_an_earlier_turn_may_go_on():
    """An error was told, and the turn may live on: nothing more comes once it was read after the longest life of a
    stream. That read is asked for; with `force` nothing is waited for."""
    render = failed(run=2, status="running", stage="generate", finished_at=None, error_code=None)
    sent = {"state": "not_applied", "error_frame": "no", "watch_at": from_now(timedelta(minutes=30))}
    intent = a_message(render, **sent | {"send_by": ago(timedelta(seconds=60))})

    def until_when() -> Any:
        return transact(lambda s: intents.may_still_come(s, render, runs=range(1, 2)))

    ends = intent.send_by + settings().waits.stream_max_seconds
    assert until_when() == ends
    assert transact(lambda s: s.scalar(select(Intent.watch_at).where(Intent.id == intent.id))) == ends
    assert transact(lambda s: intents.may_still_come(s, render, runs=range(2, 2))) is None
    read = update(Intent).where(Intent.id == intent.id)
    transact(lambda s: s.execute(read.values(send_by=ago(settings().waits.stream_max_seconds))))
    assert until_when() is not None
    transact(lambda s: s.execute(read.values(last_read_at=from_now(timedelta(seconds=1)))))
    assert until_when() is None


def test_the_last_message_wins_over_an_earlier_session():
    """Run 2 failed too; the first run's message turns up: delivered from its own session, not from run 2's."""
    render = failed(run=2)
    times = {"queued_at": ago(timedelta(hours=1)), "finished_at": ago(timedelta(minutes=30))}
    ended = {"status": "failed", "stage": "lookup", "charge_state": "unknown"}
    owner_id = the(render).owner_id
    transact(lambda s: s.execute(insert(Run).values(render_id=render, run=1, owner_id=owner_id, **ended, **times)))
    early = a_message(render)
    late = a_message(render, run=2)
    assert the(render).remote_session_id == late.remote_session_id
    found(early)
    row = the(render)
    assert (row.run, row.stage, row.remote_session_id) == (3, "verify", early.remote_session_id)


def test_a_settled_message_is_not_watched():
    """The schema refuses it, and settling as unconfirmed begins the watch by itself."""
    render = failed()
    intent = a_message(render, state="unknown", settled_at=None, watch_at=None)
    transact(lambda s: intents.record(s, intent.id, IntentState.UNCONFIRMED))
    watched = transact(lambda s: s.get_one(Intent, intent.id))
    assert watched.watch_at is not None
    assert transact(lambda s: s.scalar(select(Intent.watch_at > from_now(timedelta(seconds=0.5)))))


def test_a_render_deleted_while_its_session_is_read_ends_nothing_else():
    """Gone between the claim and the answer: there is nothing to write, and the task reads the others."""
    render = failed()
    intent = a_message(render)

    def answered(session: Session) -> None:
        account, place = (
            session.get_one(Account, intent.account_id),
            session.get_one(RemoteSession, intent.remote_session_id),
        )
        watched = watching.Watched(intent, account, place, session.scalar(select(func.now())))
        session.execute(delete(Render).where(Render.id == render))
        watching._read(session, watched, State(fingerprint="changed", draft=None, ready=False, raw_generated=False))

    transact(answered)
    assert transact(lambda session: session.get(Intent, intent.id)) is None
