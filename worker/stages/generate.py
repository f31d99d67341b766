"""The paid message: its intent is committed, then it is sent once and its stream followed.

Dies here: *unsent* or *refused* → sent again; anything else is looked up, never sent.
"""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from config.logging import get
from worker import liveness
from worker.accounts.tokens import NotNow
from worker.database import at_once, from_now, new_id, transact
from worker.failures import BACKEND_UNAVAILABLE
from worker.job import Job
from worker.outcomes import Advance, Fault, Outcome, Snooze
from worker.remote import clock, gui, intents
from worker.remote.client import State
from worker.remote.errors import RemoteError
from worker.remote.intents import Intent, IntentState
from worker.remote.stream import Abort, StreamEvent, Turn
from worker.renders import leases, runs, takeover
from worker.renders.events import EventType, NewEvent
from worker.renders.states import Charge, Reason, Stage
from worker.sessions import place

log = get(__name__)


def run(job: Job) -> Outcome:
    """Send the message and follow it, unless one of this run may have been received already."""
    open_one = at_once(lambda session: intents.unsettled(session, job.render.id, job.render.run))
    if open_one is not None:
        return _look_up(job, open_one, cause="its sender fell silent")
    if liveness.process().draining:
        return Snooze(wait=timedelta(0))
    job.may_begin()
    _not_beside_an_earlier_turn(job)
    job.bearer()  # renewed beforehand if need be: between the intent and its bytes nothing else may fail
    before = job.remote.state(job.bearer(), job.session_id())
    _not_before_its_news(job, before)
    abort = Abort()
    with _stoppable(job, abort):  # from before the commit on: a cancel that comes later finds it
        began = clock.running()
        intent = _commit_intent(job, before)
        if intent is None:
            return Snooze(wait=timedelta(0))  # cancelled meanwhile: nothing is sent, the canceller ends it
        if intent.state == IntentState.APPLIED.value:
            return _carried_out_before(intent)
        turn = _send(job, intent, abort, send_by=began + job.waits.send_window.total_seconds())
    log.info("message.ended", render=job.render.id, outcome=turn.outcome, cause=turn.cause, seconds=turn.seconds)
    return _outcome(job, intent, turn)


def _not_beside_an_earlier_turn(job: Job) -> None:
    """A run that was asked for without `force` sends nothing while an earlier one's message may still be carried out.
    Raises NotNow."""
    run = job.render.run
    if job.render.session_id is not None:
        # What it asks of the watch has to stay: raised after the commit.
        return _in_its_turn(transact(lambda session: _wait_for_the_others(session, job)))
    if run == 1:
        return None

    def look(session: Session) -> datetime | None:
        return intents.may_still_come(session, job.render.id, runs=range(runs.since_force(session, job.render.id), run))

    ends = transact(look)
    if ends is not None:
        raise NotNow(max(ends - job.held.at, job.waits.lookup_next_seconds), Reason.SESSION)
    return None


def _wait_for_the_others(session: Session, job: Job) -> timedelta | None:
    """In a session nothing is sent while another turn is open there, or may still be at work, `force` or not."""
    assert job.remote_session is not None, "the session stage set it"
    return place.wait_for_the_others(session, job.render, job.remote_session.id, job.held.at)


def _in_its_turn(wait: timedelta | None) -> None:
    if wait is not None:
        raise NotNow(wait, Reason.SESSION)


def _not_before_its_news(job: Job, before: State) -> None:
    """What an earlier message of the session did late is its own: the watch finds it and its video is delivered, before
    the next message takes that state for its beginning. Raises NotNow."""
    if job.render.session_id is None:
        return
    if transact(lambda session: place.unread_change(session, job.render, before.fingerprint)):
        raise NotNow(job.waits.lookup_next_seconds, Reason.SESSION)


@contextmanager
def _stoppable(job: Job, abort: Abort) -> Generator[None]:
    """A drain or a cancel ends the stream through `abort`."""
    process = liveness.process()
    process.streams[job.render.id] = abort.now
    try:
        if process.draining:
            abort.now("drain")
        yield
    finally:
        process.streams.pop(job.render.id, None)


def _commit_intent(job: Job, before: State) -> Intent | None:
    """The record of the message, on disk before its first byte; the state before is what the look-up compares with.
    None where the render was cancelled meanwhile, an earlier attempt's where that turned out to have been carried out:
    the render's row is locked, so the same transaction would have seen either."""
    identity = new_id("int")

    def commit(session: Session) -> Intent | None:
        # A COMMIT whose answer was lost is read back by this id: the row is there or it is not.
        found = session.get(Intent, identity)
        if found is not None:
            return found
        assert job.account is not None, "admission set it"
        assert job.remote_session is not None, "the session stage set it"
        if leases.is_cancelled(session, job.held):
            return None
        if job.render.session_id is not None:
            # Locked, so that of two that were let through at once the second one sees the first one's message.
            place.of(session, job.render.session_id, lock=True)
            _in_its_turn(_wait_for_the_others(session, job))
        since = runs.since_force(session, job.render.id) if job.render.run > 1 else 1
        if (earlier := intents.carried_out(session, job.render.id, since_run=since)) is not None:
            return earlier
        leases.write(session, job.held, {"charge_state": Charge.UNKNOWN.value}, [NewEvent(EventType.MESSAGE_SENT)])
        row = Intent(
            id=identity,
            owner_id=job.render.owner_id,
            render_id=job.render.id,
            run=job.render.run,
            account_id=job.account.id,
            remote_session_id=job.remote_session.id,
            message=job.render.prompt,
            before=before.fingerprint,
            draft_before=before.draft,
            reserved_credits=_price(job, before),
            balance_before=job.account.balance_total,
            balance_read_at=job.account.balance_read_at,
            send_by=from_now(job.waits.send_window),
        )
        session.add(row)
        session.flush()
        session.refresh(row)
        return row

    return transact(commit)


def _price(job: Job, before: State) -> float:
    """Credits: where there is something to edit, it is an edit."""
    return intents.ABOUT_AN_EDIT if job.render.session_id is not None and before.ready else intents.ABOUT_A_CLIP


def _carried_out_before(intent: Intent) -> Advance:
    """An earlier attempt, of this run or the one before, was carried out after all: its draft is taken, nothing is
    sent."""

    def note(session: Session) -> None:
        intents.record_finding(session, intent, {"delivered": True})

    return Advance(to=Stage.VERIFY, changes=runs.place_of(intent), also=(note,))


def _send(job: Job, intent: Intent, abort: Abort, *, send_by: float) -> Turn:
    return job.remote.send_message(
        job.bearer(), job.session_id(), intent.message, deadline=send_by, on_event=_Listener(job), abort=abort
    )


class _Listener:
    """Tells the outside, every two minutes, that the backend is still working (its contract, "Talking to people")."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._began = time.monotonic()
        self._said = self._began

    def __call__(self, _event: StreamEvent) -> None:
        now = time.monotonic()
        if now - self._said < self._job.waits.still_working_seconds.total_seconds():
            return
        self._said = now
        told = NewEvent(EventType.STILL_WORKING, {"seconds": round(now - self._began)})
        try:
            transact(lambda session: leases.write(session, self._job.held, {}, [told]), retry_for=0)
        except SQLAlchemyError:  # the pool's time-out too
            log.warning("still_working.untold", render=self._job.render.id)  # no reason to lose a paid stream


def _outcome(job: Job, intent: Intent, turn: Turn) -> Outcome:
    if turn.outcome == "unsent":
        return _nothing_sent(job, intent, turn)
    if turn.outcome == "refused":
        return _refused(job, intent, turn)
    if turn.outcome == "received":
        return _received(job, intent, turn)
    return _look_up(job, intent, cause=turn.cause, turn=turn)


Step = Callable[[Session], None]


def _settle(intent: Intent, state: IntentState, **facts: Any) -> Step:
    return lambda session: intents.record(session, intent.id, state, **facts)


def _follows(job: Job, intent: Intent) -> Step:
    """Said, for all that is known, after the others of its session: they are watched no longer. Not before that is
    known: one that was refused did nothing that could be taken for theirs."""

    def step(session: Session) -> None:
        if job.render.session_id is not None:
            place.end_watches(session, job.render, intent.id)

    return step


def _recharge(job: Job) -> Step:
    """Nothing was charged for this message: say again what is known of the run's others."""

    def step(session: Session) -> None:
        state, credits = intents.charge(session, job.render.id, job.render.run)
        leases.write(session, job.held, {"charge_state": state, "charge_credits": credits})

    return step


def _nothing_sent(job: Job, intent: Intent, turn: Turn) -> Outcome:
    also = (_settle(intent, IntentState.UNSENT, cause=turn.cause), _recharge(job))
    if turn.cause.startswith("aborted"):
        return Snooze(wait=timedelta(0), also=also)
    return Fault(failure=BACKEND_UNAVAILABLE, detail=str(turn.error or turn.cause), also=also)


def _refused(job: Job, intent: Intent, turn: Turn) -> Outcome:
    """Nothing was done: on file first, then the pipeline acts on the code as for any other call."""
    error = turn.error or RemoteError("send_message", "refused")
    code = error.code if error.code is not None else error.status

    def commit(session: Session) -> None:
        leases.lock(session, job.held)
        intents.record(session, intent.id, IntentState.REFUSED, cause=f"{code}: {error.detail}"[:500])
        _recharge(job)(session)

    transact(commit)
    raise error


def _received(job: Job, intent: Intent, turn: Turn) -> Outcome:
    # Words before the last tool call announce; what was done is told by the state (a silent edit).
    spoken = gui.translate(turn.text).text if turn.terminal else None
    facts = {
        "ended_at": from_now(timedelta(0)),
        "clean_end": True,
        "terminal": turn.terminal,
        "error_frame": turn.error_frame,
        "answer": turn.text or None,
        **_told(turn),
    }
    return Advance(
        to=Stage.VERIFY,
        changes={"answer": spoken or None},
        also=(_settle(intent, IntentState.RECEIVED, **facts), _follows(job, intent)),
    )


def _told(turn: Turn) -> dict[str, Any]:
    """A code told on the stream is kept with the message: should nothing have been done, it says what to wait for."""
    code = turn.error.code if turn.error is not None and turn.error_frame is not None else None
    return {"evidence": [{"told": code}]} if code else {}


def _look_up(job: Job, intent: Intent, *, cause: str, turn: Turn | None = None) -> Outcome:
    """It may have been received: nothing is sent again, the state is read until it tells."""
    facts: dict[str, Any] = {"cause": cause, "ended_at": from_now(timedelta(0))}
    wait = job.waits.lookup_first_seconds
    if turn is not None:
        facts |= {"error_frame": turn.error_frame, "answer": turn.text or None, "terminal": turn.terminal}
        facts |= _told(turn)
    elif lost_at := at_once(lambda session: takeover.last_heard_of(session, job.render.recovery_id)):
        # The stream broke with its worker, a lease ago perhaps: that much of the wait is over.
        facts["ended_at"] = lost_at
        wait = max(timedelta(0), wait - (job.held.at - lost_at))
    return Advance(
        to=Stage.LOOKUP,
        wait=wait,
        also=(_settle(intent, IntentState.UNKNOWN, **facts), _follows(job, intent)),
    )
