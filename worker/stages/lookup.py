"""Whether a message that may have been received was carried out: the state is read, nothing is sent.

First 30 s after the stream was lost, then every 60 s (the backend's contract). *Applied*: the state changed, which
outweighs an error frame. *Not applied*: unchanged, with evidence: an error frame, or the credits given back. Unchanged
on five reads **and** the longest life of a stream over since the message, without evidence: *unconfirmed*, which is all
that can be known for now; `worker.watching` reads on for a day.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sqlalchemy.orm import Session

from worker.database import at_once
from worker.failures import GENERATION_FAILED, UNCONFIRMED, Failure
from worker.job import Job
from worker.outcomes import Advance, Failed, Outcome, Snooze
from worker.remote import intents
from worker.remote.faults import of_code
from worker.remote.intents import Intent, IntentState
from worker.renders import leases
from worker.renders.events import EventType, NewEvent
from worker.renders.runs import unsent
from worker.renders.states import Stage
from worker.stages import balance, refusals

MOST_ATTEMPTS = 3
"""Paid attempts that `on_unconfirmed: retry` makes by itself: each may have been charged."""


def run(job: Job) -> Outcome:
    """Read the state once and decide as far as it lets one."""
    intent = at_once(lambda session: intents.unsettled(session, job.render.id, job.render.run))
    if intent is None:
        raise LookupError(f"{job.render.id} is looked up but has no message that may have been received")
    state = job.remote.state(job.bearer(), job.session_id())
    read: tuple[Callable[[Session], None], ...] = (
        lambda session: intents.record_read(session, intent, state.fingerprint),
    )
    if state.fingerprint != intent.before:
        return applied(job, intent, read)
    if intent.error_frame is not None:
        again = _refused_after_all(job, intent, intent.error_frame, read)
        if again is not None:
            return again
        if _pays_again(job) and not _nothing_more_can_come(job, intent):
            return Snooze(wait=job.waits.lookup_next_seconds, also=read)  # enough to fail, not enough to pay again
        return _over(job, intent, IntentState.NOT_APPLIED, GENERATION_FAILED, intent.error_frame, read)
    if _nothing_more_can_come(job, intent):
        verdict, evidence = balance.weighed(job, intent)
        return _over(job, intent, verdict, UNCONFIRMED, f"stream: {intent.cause}", (*read, *evidence))
    return Snooze(wait=job.waits.lookup_next_seconds, also=read)


def _refused_after_all(
    job: Job, intent: Intent, frame: str, read: tuple[Callable[[Session], None], ...]
) -> Advance | Snooze | None:
    """An error on the stream named a reason that passes (credits, token, rate limit), and every read of the look-up
    shows that nothing was done: as a refusal before the stream, so the message is sent again once the reason is gone.
    It was received and is settled; the new one gets a session of its own like any new attempt. None: the error names no
    such reason."""
    code = intents.refusal_told(intent)
    waited = refusals.passing(job, of_code("send_message", code, frame)) if code is not None else None
    if waited is None:
        return None
    if not _nothing_more_can_come(job, intent):
        # Enough to say that it failed, not enough to pay again: the turn may still be at work in the old session.
        return Snooze(wait=job.waits.lookup_next_seconds, also=read)
    again = new_attempt(job, (*read, settle(job, intent, IntentState.NOT_APPLIED), *waited.also))
    return replace(again, changes={**again.changes, **waited.changes}, events=waited.events)


def _pays_again(job: Job) -> bool:
    """Whether it was asked for. A render of a session cannot leave it for a new one: it is attempted again only with
    `force`, behind the others."""
    return job.render.on_unconfirmed == "retry" and job.render.session_id is None


def _nothing_more_can_come(job: Job, intent: Intent) -> bool:
    """This read is the fifth unchanged one, and a turn begun at the latest moment would have ended."""
    reads = intent.unchanged_reads + 1
    return reads >= job.waits.lookup_reads and job.held.at >= intent.send_by + job.waits.stream_max_seconds


def applied(job: Job, intent: Intent, also: tuple[Callable[[Session], None], ...]) -> Advance:
    """The backend carried it out: charged, and its draft is waited for."""
    return Advance(
        to=Stage.VERIFY,
        also=(*also, settle(job, intent, IntentState.APPLIED)),
    )


def settle(job: Job, intent: Intent, state: IntentState) -> Callable[[Session], None]:
    """A step of the outcome's transaction: settle the message and say what that means for the charge."""

    def step(session: Session) -> None:
        intents.record(session, intent.id, state)
        charge, credits = intents.charge(session, job.render.id, job.render.run)
        told = NewEvent(EventType.MESSAGE_SETTLED, {"state": state.value, "charge": charge})
        leases.write(session, job.held, {"charge_state": charge, "charge_credits": credits}, [told])

    return step


def _over(
    job: Job,
    intent: Intent,
    state: IntentState,
    failure: Failure,
    detail: str,
    read: tuple[Callable[[Session], None], ...],
) -> Outcome:
    also = (*read, settle(job, intent, state))
    made = at_once(
        lambda session: intents.count(session, job.render.id, job.render.run, *intents.MAY_HAVE_BEEN_RECEIVED)
    )
    if _pays_again(job) and made < MOST_ATTEMPTS:
        return new_attempt(job, also)
    return Failed(failure=failure, detail=detail, also=also)


def new_attempt(job: Job, also: tuple[Callable[[Session], None], ...]) -> Advance:
    """The remote work again, in a new session: whoever still acts for the old one acts on a dead one. A render of a
    session joins that again, which has its files: the message before is over for sure."""
    changes: dict[str, Any] = {"answer": None}
    if job.render.session_id is None:
        changes |= {"remote_session_id": None, "assets": unsent(job.render.assets)}
    return Advance(to=Stage.SESSION, changes=changes, also=also)
