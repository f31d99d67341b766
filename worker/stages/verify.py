"""Wait until the draft is settled: changed, ready for export, and equal on two reads far enough apart.

Far enough: `SETTLE_SECONDS` after a clean end, `LOOKUP_FIRST_SECONDS` where the end was not seen, because the backend
adds music and titles after the raw video. Dies here: done again, the reads are with the intent.
"""

from collections.abc import Callable
from datetime import timedelta
from itertools import takewhile

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from config.logging import get
from worker.accounts.models import RemoteSession
from worker.database import at_once, from_now
from worker.failures import NO_DRAFT
from worker.job import Job
from worker.outcomes import Advance, Failed, Outcome, Snooze
from worker.remote import draft, intents
from worker.remote.client import State
from worker.remote.errors import RemoteError
from worker.remote.intents import Intent, IntentState
from worker.renders.events import EventType, NewEvent
from worker.renders.models import Draft
from worker.renders.states import Stage
from worker.stages import balance
from worker.stages.lookup import settle

log = get(__name__)
Steps = tuple[Callable[[Session], None], ...]


def run(job: Job) -> Outcome:
    """Read the state once and decide as far as it lets one."""
    intent = at_once(lambda session: intents.under_verification(session, job.render))
    if intent is None:
        raise LookupError(f"{job.render.id} is verified but has no message")
    state = job.remote.state(job.bearer(), job.session_id())
    steps: Steps = (lambda session: intents.record_read(session, intent, state.fingerprint),)
    if state.fingerprint == intent.before and intent.state != IntentState.APPLIED.value:
        return _unchanged(job, intent, steps)
    if intent.state == IntentState.RECEIVED.value:
        steps = (*steps, settle(job, intent, IntentState.APPLIED))
    # Applied and yet as before: a replica that lags. It is read again like a draft that is not ready.
    if state.fingerprint == intent.before:
        return _not_ready(job, intent, steps, reads=_as_before_again(intent) + 1)
    if not state.ready:
        return _not_ready(job, intent, steps, reads=intent.reads - intent.unchanged_reads + 1)
    return _ready(job, intent, state, steps)


def _as_before_again(intent: Intent) -> int:
    """Reads as before since the change was last seen. Those of the look-up and of the watch came before it was found,
    and say nothing about how long a replica lags now."""
    return sum(1 for _ in takewhile(lambda finding: finding.get("changed") is False, reversed(intent.evidence)))


def _apart(job: Job, intent: Intent) -> timedelta:
    return job.waits.settle_seconds if intent.clean_end else job.waits.lookup_first_seconds


def _unchanged(job: Job, intent: Intent, steps: Steps) -> Outcome:
    """Nothing was done so far. A stream whose end said so (a question, words and no video) is believed after a few
    reads; one that may have been cut before its end, or told of an error, is looked up."""
    if not intent.terminal or intent.error_frame is not None:
        return Advance(
            to=Stage.LOOKUP,
            wait=job.waits.lookup_first_seconds,
            also=(*steps, lambda session: intents.record(session, intent.id, IntentState.UNKNOWN, cause="no end seen")),
        )
    reads = intent.reads + 1
    if reads >= job.waits.lookup_reads:
        verdict, evidence = balance.weighed(job, intent)
        also = (*steps, *evidence, settle(job, intent, verdict))
        return Failed(failure=NO_DRAFT, detail=(intent.answer or "")[-500:], also=also)
    return Snooze(wait=_apart(job, intent) if reads == 1 else job.waits.lookup_next_seconds, also=steps)


def _not_ready(job: Job, intent: Intent, steps: Steps, *, reads: int) -> Outcome:
    """Something was done, but there is nothing to export yet."""
    # Where the stream's end was not seen, the turn may still be at work for as long as a stream lives.
    over = intent.clean_end or job.held.at >= intent.send_by + job.waits.stream_max_seconds
    if reads >= job.waits.lookup_reads and over:
        return wanting(intent, steps)
    return Snooze(wait=_apart(job, intent) if reads == 1 else job.waits.lookup_next_seconds, also=steps)


def wanting(intent: Intent, steps: Steps) -> Failed:
    """Its draft was read for long enough: no later run reads it again."""
    note: Steps = (lambda session: intents.record_finding(session, intent, intents.WANTING),)
    return Failed(failure=NO_DRAFT, detail=(intent.answer or "")[-500:], also=(*steps, *note))


def _ready(job: Job, intent: Intent, state: State, steps: Steps) -> Outcome:
    apart = _apart(job, intent)
    if intent.seen != state.fingerprint or intent.seen_since is None:
        if _has_changed_long_enough(job, intent):
            log.warning("draft.restless", render=job.render.id)
            return _settled(job, intent, state, steps)
        return Snooze(wait=apart, also=steps)
    stood = job.held.at - intent.seen_since
    if stood < apart:
        return Snooze(wait=apart - stood, also=steps)
    return _settled(job, intent, state, steps)


def _has_changed_long_enough(job: Job, intent: Intent) -> bool:
    """A draft that differed at every read, of which there were enough, for longer than a turn lives is taken as it is:
    it is paid for and ready."""
    enough = intent.reads - intent.unchanged_reads >= job.waits.lookup_reads
    return enough and intent.ended_at is not None and job.held.at >= intent.ended_at + job.waits.stream_max_seconds


def _settled(job: Job, intent: Intent, state: State, steps: Steps) -> Outcome:
    assert state.draft is not None, "a ready state has a draft"
    body = state.draft
    answer = job.render.answer or _what_changed(intent, body)
    return Advance(
        to=Stage.EXPORT,
        changes={"answer": answer, "timeline": draft.summary(body)},
        events=(NewEvent(EventType.ANSWER, {"answer": answer}),),
        also=(*steps, _keep_draft(job, body), *_claim_link(job)),
    )


def _what_changed(intent: Intent, body: bytes) -> str:
    """For an edit that ended without a word: the states before and after tell what was done."""
    changes = draft.difference(intent.draft_before, body)
    return "\n".join(change.text for change in changes) or draft.summary(body)


def _keep_draft(job: Job, body: bytes) -> Callable[[Session], None]:
    values = {"render_id": job.render.id, "run": job.render.run, "owner_id": job.render.owner_id, "body": body}

    def step(session: Session) -> None:
        session.execute(
            insert(Draft).values(values).on_conflict_do_update(index_elements=["render_id", "run"], set_={"body": body})
        )

    return step


def _claim_link(job: Job) -> Steps:
    """The link to the work in the backend's own editor: a convenience, so a refusal is only logged."""
    assert job.remote_session is not None, "the session stage set it"
    row = job.remote_session
    try:
        link = job.remote.claim_link(job.bearer(), row.task_id, row.session_id)
    except RemoteError as error:
        log.info("claim_link.missing", render=job.render.id, error=str(error))
        return ()

    def step(session: Session) -> None:
        kept = session.get_one(RemoteSession, row.id)
        kept.claim_url = link.url
        if link.expires_in is not None:
            kept.claim_expires_at = from_now(timedelta(seconds=link.expires_in))  # pyright: ignore[reportAttributeAccessIssue] - an SQL expression is assignable

    return (step,)
