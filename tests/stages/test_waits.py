"""What a render waits for, stage by stage: the pipeline driven by hand against the stand-in backend."""

import threading
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from tests.stack import Stack, until
from tests.stages.driving import a_render, break_it, heal, probe_is_due, refused, step, the, to_its_end, until_stage
from worker import housekeeping, pipeline, watching
from worker.accounts import registry, store
from worker.accounts.models import Account
from worker.database import ago, from_now, transact
from worker.metrics import declared
from worker.remote import circuit, intents
from worker.remote.intents import Intent
from worker.renders import queue, runs
from worker.renders import store as renders
from worker.renders.models import Render
from worker.renders.states import Stage


@pytest.mark.parametrize("stage", [Stage.SESSION, Stage.GENERATE, Stage.VERIFY, Stage.POLL])
def test_a_broken_backend_is_asked_no_more_and_the_stage_waits(backend: Stack, stage: Stage):
    """Three faults open the circuit (about one session or export: with a second opinion); the one that does so, and
    every work after it, is a wait that counts as no fault and asks nothing; the probe's answer takes the render on."""
    opinion = 0 if stage is Stage.SESSION else 1
    render = a_render()
    until_stage(render, stage)
    sent = len(backend.ledger()["messages"])
    break_it(backend)
    rows = [step(render, early=True) for _ in range(3)]
    assert [row.failing_since is None for row in rows[:2]] == ([True, True] if stage is Stage.POLL else [False, False])
    for row in (rows[-1], step(render, early=True), step(render, early=True)):
        assert (row.status, row.reason, row.tries, row.failing_since) == ("waiting", "backend", 0, None)
    assert refused(backend) == 3 + opinion
    probe_is_due()
    assert step(render, early=True).reason == "backend"  # the probe fails
    assert refused(backend) == 4 + 2 * opinion
    assert len(backend.ledger()["messages"]) == sent
    heal(backend)
    probe_is_due()
    step(render, early=stage is not Stage.POLL)
    assert transact(circuit.standing) is None
    assert to_its_end(render).status == "succeeded"


def test_a_session_that_is_broken_by_itself_ends_its_own_render(backend: Stack):
    """The backend answers everything but this one state: nobody else is held back, and the render is given up once it
    has failed for as long as faults are repeated."""
    render = a_render("A 2 second clip, in a broken session.")
    until_stage(render, Stage.VERIFY)
    httpx.post(
        f"{backend.sandbox}/_sandbox/rules", json=[{"on": "state", "do": "http_status", "status": 500, "times": 1000}]
    ).raise_for_status()
    for _ in range(8):
        row = step(render, early=True)
        assert transact(circuit.standing) is None
    assert (row.tries, row.failing_since is not None) == (8, True)
    long_ago = update(Render).where(Render.id == render).values(failing_since=ago(timedelta(hours=2)))
    transact(lambda session: session.execute(long_ago))
    row = step(render, early=True)
    assert (row.status, row.error_code) == ("failed", "backend.unavailable")


def test_a_cancellation_asks_nothing_of_a_broken_backend(backend: Stack):
    """It ends at once, though it could be the probe; the export at the backend is left as it is."""
    render = a_render()
    until_stage(render, Stage.POLL)
    break_it(backend)
    for _ in range(3):
        step(render, early=True)
    probe_is_due()
    transact(lambda session: renders.cancel(session, the(render).owner_id, render))
    before = refused(backend)
    pipeline.drive_cancel(render)
    assert (the(render).status, the(render).cancel_effect) == ("canceled", "stopped")
    assert refused(backend) == before


@pytest.mark.parametrize("dialect", ["adk", "typed"])
@pytest.mark.parametrize(("code", "reason"), [(2001, "credits"), (429, "rate_limit"), (1001, None)])
def test_a_refusal_told_on_the_stream_is_waited_for(backend: Stack, code: int, reason: str | None, dialect: str):
    """The state unchanged shows that nothing was done: another message, in another session, once that is possible."""
    render = a_render(f"A 2 second clip of a lamp. [[sandbox: {dialect}]]")
    until_stage(render, Stage.GENERATE)
    backend.rule(on="message", do="error_frame", code=code)
    until_stage(render, Stage.LOOKUP)
    row = step(render)
    assert (row.stage, row.status) == ("lookup", "running")  # one read is not enough to pay again
    transact(lambda session: session.execute(update(Intent).values(send_by=ago(timedelta(hours=1)))))
    row = until_stage(render, Stage.SESSION)
    assert (row.stage, row.remote_session_id, row.charge_state) == ("session", None, "none")
    row = step(render)
    assert (row.status, row.reason) == (("waiting", reason) if reason else ("running", None))
    end_pauses()
    step(render, early=True)
    row = to_its_end(render)
    assert (row.status, row.charge_state, row.charge_credits) == ("succeeded", "incurred", 100)


def end_pauses() -> None:
    transact(lambda session: session.execute(update(Account).values(paused_until=None, pause_reason=None)))


def test_a_held_account_is_asked_nothing_before_the_message(backend: Stack):
    """Each stage before it waits (paused); what is past it goes on to its end."""
    past = a_render()
    until_stage(past, Stage.VERIFY)
    before = {stage: a_render() for stage in (Stage.SESSION, Stage.GENERATE)}
    for stage, render in before.items():
        until_stage(render, stage)
    fresh = a_render()
    account = the(past).account_id
    transact(lambda session: registry.hold(session, session.get_one(Account, account)))
    for render in (*before.values(), fresh):
        row = step(render)
        assert (row.status, row.reason) == ("waiting", "paused")
    assert to_its_end(past).status == "succeeded"
    assert transact(lambda session: registry.resume(session, session.get_one(Account, account))) == 3
    for render in (*before.values(), fresh):
        assert to_its_end(render).status == "succeeded"


def test_a_429_to_the_token_call_pauses_the_account(backend: Stack):
    """Also in the work that admitted the render: the account is known by then, and its identity stays."""
    render = a_render()
    mine = transact(lambda session: session.query(Account).one())
    transact(lambda session: store.refuse_token(session, mine.id, mine.token_version))
    backend.rule(on="token", do="rate_limited")
    row = step(render)
    after = transact(lambda session: session.query(Account).one())
    assert (row.status, row.reason, after.pause_reason) == ("waiting", "rate_limit", "rate_limit")
    assert (after.client_id, after.paused_until is not None) == (mine.client_id, True)
    end_pauses()


def test_a_message_of_a_render_that_is_given_up_is_read_on(backend: Stack):
    """The backend refuses every read of the state after a cut stream: failed, charge unknown, and watched like any
    other message that nobody could know about, so that its video is delivered later."""
    render = a_render("A 2 second clip, given up. [[sandbox: cut_after]]")
    until_stage(render, Stage.LOOKUP)
    backend.rule(on="state", do="http_status", status=403, times=1)
    row = step(render)
    assert (row.status, row.error_code, row.charge_state) == ("failed", "backend.rejected", "unknown")
    intent = transact(lambda session: session.query(Intent).filter(Intent.render_id == render).one())
    assert (intent.state, intent.watch_at is not None) == ("unconfirmed", True)
    until(lambda: transact(lambda session: session.get_one(Intent, intent.id).watch_at <= queue.now(session)))
    watching.run(pipeline.services().remote)
    assert (the(render).run, the(render).stage) == (2, "verify")
    assert to_its_end(render).status == "succeeded"
    assert len([one for one in backend.ledger()["messages"] if "given up" in one["text"]]) == 1


def test_an_attempt_is_not_made_where_the_first_one_turns_up(backend: Stack):
    """The first attempt is unconfirmed, the second stands before its message; then the first is found: its draft is
    taken from its own session, nothing is sent a second time."""
    render = a_render(
        "A 2 second clip, found just in time. [[sandbox: cut_then_apply seconds=1]]", on_unconfirmed="retry"
    )
    until_stage(render, Stage.LOOKUP)
    first = transact(lambda session: session.query(Intent).filter(Intent.render_id == render).one())
    # As if all reads had been made before the backend was done.
    enough = {"unchanged_reads": 10, "send_by": ago(timedelta(hours=1)), "before": "x"}
    transact(lambda session: session.execute(update(Intent).where(Intent.id == first.id).values(**enough)))
    transact(lambda session: intents.record(session, first.id, intents.IntentState.UNCONFIRMED))
    again = {"stage": "session", "remote_session_id": None, "ready_at": ago(timedelta(seconds=1))}
    transact(lambda session: session.execute(update(Render).where(Render.id == render).values(**again)))
    until_stage(render, Stage.GENERATE)
    until(lambda: any(one["executed"] for one in backend.ledger()["messages"] if "just in time" in one["text"]))
    transact(lambda session: watching.found(session, first, "changed"))
    row = step(render)
    assert (row.stage, row.remote_session_id) == ("verify", first.remote_session_id)
    assert to_its_end(render).status == "succeeded"
    assert len([one for one in backend.ledger()["messages"] if "just in time" in one["text"]]) == 1


def test_an_unforced_run_sends_nothing_beside_an_earlier_turn(backend: Stack):
    """An error was told and the run failed; the next one waits before its message and takes what turns up by then."""
    render = a_render("A 2 second clip, refused and then done.")
    until_stage(render, Stage.GENERATE)
    backend.rule(on="message", do="error_frame")
    row = to_its_end(render)
    assert (row.error_code, row.charge_state) == ("generation.failed", "none")
    first = transact(lambda session: session.query(Intent).filter(Intent.render_id == render).one())
    transact(lambda session: session.execute(update(Intent).values(send_by=from_now(timedelta(minutes=5)))))
    transact(lambda session: runs.retry(session, session.get_one(Render, render), force=False, api_key_id=None))
    until_stage(render, Stage.GENERATE)
    row = step(render)
    assert (row.status, row.reason, row.run) == ("waiting", "session", 2)
    transact(lambda session: watching.found(session, first, "changed"))
    transact(lambda session: session.execute(update(Intent).values(send_by=ago(timedelta(hours=1)))))
    row = step(render, early=True)
    assert (row.stage, row.remote_session_id) == ("verify", first.remote_session_id)
    assert len([one for one in backend.ledger()["messages"] if "refused and then done" in one["text"]]) == 1


def test_a_draft_that_could_not_be_read_is_retried_from_its_reading(backend: Stack):
    """The message was carried out and the state then refused: failed, charged. Asked for again without `force`, the
    next run begins at the reading of the draft, in the same session, and nothing is sent a second time."""
    render = a_render("A 2 second clip, refused to its reader. [[sandbox: cut_after]]")
    before = until_stage(render, Stage.VERIFY)
    backend.rule(on="state", do="http_status", status=403, times=1)
    row = step(render)
    assert (row.status, row.error_code, row.charge_state) == ("failed", "backend.rejected", "incurred")

    def retry(session: Session) -> None:
        runs.retry(session, session.get_one(Render, render), force=False, api_key_id=None)

    transact(retry)
    row = the(render)
    assert (row.run, row.stage, row.remote_session_id) == (2, "verify", before.remote_session_id)
    ended = to_its_end(render)
    assert (ended.status, ended.charge_state) == ("succeeded", "none")
    assert len([one for one in backend.ledger()["messages"] if "refused to its reader" in one["text"]]) == 1


def test_a_watch_asks_nothing_of_a_broken_backend(backend: Stack):
    """While the circuit is open no call is made and the read stays due; once the backend answers again, it finds the
    video."""
    render = a_render("A 2 second clip, watched through a breakdown. [[sandbox: cut_after]]")
    until_stage(render, Stage.LOOKUP)
    backend.rule(on="state", do="http_status", status=403, times=1)
    assert step(render).status == "failed"
    other = a_render("A 2 second clip that meets the breakdown.")
    until_stage(other, Stage.SESSION)
    break_it(backend)
    for _ in range(3):
        step(other, early=True)
    assert transact(circuit.standing) is not None
    before = refused(backend)
    watch_now(render)
    watching.run(pipeline.services().remote)
    assert refused(backend) == before
    assert transact(intents.is_any_watch_due)
    heal(backend)
    probe_is_due()
    assert to_its_end(other).status == "succeeded"
    watching.run(pipeline.services().remote)
    assert (the(render).run, the(render).stage) == (2, "verify")


@pytest.mark.parametrize("sweeps", [False, True], ids=["by the watch", "by housekeeping"])
def test_a_refused_token_is_noticed_without_any_render_under_way(backend: Stack, sweeps: bool):
    """The only calls are a watch's reads, or housekeeping's: the first meets 1001, the next read has a new token."""
    render = a_render(f"A 2 second clip, watched with an old token {sweeps}. [[sandbox: cut_after]]")
    until_stage(render, Stage.LOOKUP)
    backend.rule(on="state", do="http_status", status=403, times=1)
    assert step(render).status == "failed"
    httpx.post(f"{backend.sandbox}/_sandbox/expire-tokens", json={}).raise_for_status()
    if sweeps:
        housekeeping.run()
    else:
        watch_now(render)
        watching.run(pipeline.services().remote)
    assert (the(render).run, the(render).status) == (1, "failed")
    watch_now(render)
    watching.run(pipeline.services().remote)
    assert (the(render).run, the(render).stage) == (2, "verify")


def watch_now(render: str) -> None:
    """Its message is due for a sparse read."""
    due = update(Intent).where(Intent.render_id == render).values(watch_at=ago(timedelta(seconds=1)))
    transact(lambda session: session.execute(due))


def test_a_poll_whose_render_was_moved_meanwhile_is_a_lost_lease(backend: Stack):
    """Its export still goes on, so it is written back with its batch: it changes nothing, and is counted."""
    render = a_render("A 2 second clip of a lamp. [[sandbox: export_stuck]]")
    until_stage(render, Stage.POLL)
    until(lambda: the(render).ready_at <= transact(queue.now), what="its time")
    backend.rule(on="poll", do="delay", seconds=2)
    before = lost()
    asking = threading.Thread(target=pipeline.drive_polls)
    asking.start()
    until(lambda: the(render).worker_id is not None, what="the claim")
    moved = update(Render).where(Render.id == render).values(worker_id=None, lease=Render.lease + 1)
    transact(lambda session: session.execute(moved))
    as_moved = the(render)
    asking.join(30)
    after = the(render)
    assert (after.lease, after.event_number) == (as_moved.lease, as_moved.event_number)
    assert after.ready_at == as_moved.ready_at
    assert lost() == before + 1


def lost() -> float:
    return declared.REGISTRY.get_sample_value("vivideo_leases_lost_total", {"stage": "poll"}) or 0
