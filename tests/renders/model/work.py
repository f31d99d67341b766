"""What the work of a stage may come to: outcomes as the stages build them, what they do on the way, and what each does
to the model. The backend's part is a choice; everything written goes through the stages' and the pipeline's own code.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

from sqlalchemy.orm import Session

from tests.renders.model.expected import OVERDUE, Message, Row
from tests.renders.model.world import Claim
from worker import failures, pipeline
from worker.accounts.models import Account, RemoteSession
from worker.database import new_id, transact
from worker.job import Job
from worker.outcomes import Advance, Canceled, Done, Failed, Fault, Outcome, Snooze, Wait
from worker.remote import intents
from worker.remote.errors import RemoteError
from worker.remote.intents import IntentState
from worker.remote.stream import Turn
from worker.renders import exports
from worker.renders.models import Result
from worker.renders.states import Reason, Stage, Status
from worker.stages import generate, lookup, refusals, session, token, verify

LATER = timedelta(seconds=OVERDUE)
NOW = timedelta(0)
MOST_TRIES = 3


@dataclass(frozen=True)
class Way:
    """One thing that a stage's work may come to."""

    outcome: Outcome
    effect: Callable[[Row], None] = lambda row: None
    """On the model, beside what the kind of outcome does anyway."""


def commit(job: Job, outcome: Outcome) -> Outcome:
    """As the pipeline does. Raises LeaseLost."""
    outcome = pipeline.given_up(job, outcome)
    pipeline._write(job, outcome)
    return outcome


def applied(row: Row, outcome: Outcome, now: int) -> None:
    """The same on the model."""
    match outcome:
        case Advance():
            row.released(now, int(outcome.wait.total_seconds()), outcome.to)
        case Snooze():
            row.released(now, int(outcome.wait.total_seconds()))
            row.faultless()
        case Wait():
            row.released(now, int(outcome.wait.total_seconds()), reason=outcome.reason)
            row.faultless()
        case Fault():
            row.released(now, OVERDUE, reason=outcome.reason if row.tries >= 2 else None)
            row.tries, row.failing_since = row.tries + 1, now if row.failing_since is None else row.failing_since
        case Done():
            row.ended(Status.SUCCEEDED)
        case Failed():
            row.ended(Status.FAILED, outcome.failure.code)
            if row.wants_its_video() and (late := row.draft_to_read(late=True)) is not None:
                row.delivered(now, late)
        case Canceled():
            row.ended(row.called_off_status, failures.DEADLINE_PASSED.code if row.expiring else None)
        case _:
            raise TypeError(outcome)


# What a stage puts on file before its outcome.


def admit(claim: Claim, row: Row) -> bool:
    """Whether an account took it."""
    job = claim.job()
    claim.admitted = isinstance(transact(lambda db: token._admit(db, job)), Account)
    row.admitted = claim.admitted or row.admitted
    return claim.admitted


def commit_intent(claim: Claim, row: Row) -> None:
    """The paid message, unless the render was cancelled."""
    before = cast(Any, SimpleNamespace(fingerprint="before", draft=None))
    claim.intent = generate._commit_intent(claim.job(), before)
    expected = None if row.canceling else row.carried_out()
    if expected is not None:
        assert claim.intent is not None, "one that was carried out is taken"
        assert claim.intent.id == expected.id, "one that was carried out is taken"
        claim.carried_out = True
    elif claim.intent is not None:
        row.messages.append(Message(claim.intent.id, row.run, claim.intent.remote_session_id))


def reserve(claim: Claim) -> None:
    """An export's id."""
    from worker.stages import export

    claim.reserved = export._reserve(claim.job())


# What a stage comes to.


def ways(claim: Claim, row: Row) -> list[Way]:
    """All that the claim's stage could come to, best first."""
    if claim.cancelling:
        return [*_cancelled(claim, row), _fault()]
    return [*STAGES[claim.stage](claim, row), _fault(), _fault(most=MOST_TRIES), Way(Snooze(wait=LATER))]


def _fault(most: int | None = None) -> Way:
    return Way(Fault(failure=failures.BACKEND_UNAVAILABLE, detail="away", most=most))


def _cancelled(claim: Claim, row: Row) -> list[Way]:
    mine = [one for one in row.messages if one.run == row.run]
    if not any(one.state not in (IntentState.UNSENT, IntentState.REFUSED) for one in mine):
        return [Way(Canceled(effect="prevented"))]
    last = row.unsettled()
    if last is None:
        return [Way(Canceled(effect="stopped"))]
    return [
        Way(Canceled(effect="stopped", also=(_settling(claim, last, state),)), _settled(last, state))
        for state in (IntentState.APPLIED, IntentState.UNCONFIRMED)
    ]


def _token(claim: Claim, row: Row) -> list[Way]:
    waiting = Way(Wait(reason=Reason.SLOT, wait=LATER))
    if not (claim.admitted or claim.held.account):
        return [waiting]

    def left(row: Row) -> None:
        row.admitted = False

    refused = Wait(reason=Reason.TOKEN, wait=LATER, changes={"account_id": None})
    return [Way(Advance(to=Stage.SESSION)), Way(refused, left)]


def _session(claim: Claim, row: Row) -> list[Way]:
    remote = RemoteSession(
        id=new_id("ses"), owner_id=claim.held.render.owner_id, account_id="acc", task_id="t", session_id=new_id("rem")
    )

    def made(row: Row) -> None:
        row.session = remote.id

    def way(to: Stage) -> Way:
        keep = (lambda db: session._keep(db, remote),)
        return Way(Advance(to=to, changes={"remote_session_id": remote.id, "sessions": 1}, also=keep), made)

    return [way(Stage.UPLOAD), way(Stage.GENERATE)]


def _upload(claim: Claim, row: Row) -> list[Way]:
    return [Way(Advance(to=Stage.GENERATE)), _session_lost(claim)]


def _session_lost(claim: Claim) -> Way:
    def lost(row: Row) -> None:
        row.lost.add(row.session or "")
        row.session = None

    also = (refusals._mark_lost(claim.job(), heard=False),)
    return Way(Advance(to=Stage.SESSION, changes={"remote_session_id": None}, also=also), lost)


def _generate(claim: Claim, row: Row) -> list[Way]:
    """Whoever finds a message that may have been received looks it up, whatever else there is to do."""
    if claim.carried_out:
        return [_taken(claim, row)]
    if claim.intent is not None:
        return _sent(claim)
    job = claim.job()
    found = transact(lambda db: intents.unsettled(db, job.render.id, job.render.run))
    if found is not None:
        return [Way(generate._look_up(job, found, cause="silent"), _known(found.id, IntentState.UNKNOWN))]
    return [Way(Snooze(wait=NOW)), Way(Wait(reason=Reason.RATE_LIMIT, wait=LATER)), _session_lost(claim)]


def _taken(claim: Claim, row: Row) -> Way:
    """Another message was carried out: its draft is read where it is."""
    intent, message = claim.intent, row.carried_out()
    assert intent is not None, "the caller looked"

    def effect(row: Row) -> None:
        row.session = intent.remote_session_id
        for one in row.messages:
            one.late = one.late and one.id != intent.id

    return Way(generate._carried_out_before(intent), effect) if message else _fault()


def _sent(claim: Claim) -> list[Way]:
    """What became of the message that this claim sent."""
    intent, job = claim.intent, claim.job()
    assert intent is not None, "the caller looked"
    turns = {
        IntentState.RECEIVED: Turn("received", terminal=True, clean_end=True, text="Done"),
        IntentState.UNKNOWN: Turn("unknown", cause="cut"),
        IntentState.UNSENT: Turn("unsent", cause="connect"),
    }
    return [Way(generate._outcome(job, intent, turn), _known(intent.id, state)) for state, turn in turns.items()]


def refuse(claim: Claim) -> None:
    """The backend did nothing: on file before the pipeline acts on the code. Raises LeaseLost."""
    assert claim.intent is not None, "the caller looked"
    error = RemoteError("send_message", "refused")
    with suppress(RemoteError):  # the pipeline would act on it
        generate._outcome(claim.job(), claim.intent, Turn("refused", error=error))
    claim.intent = None


def _lookup(claim: Claim, row: Row) -> list[Way]:
    job = claim.job()
    found = transact(lambda db: intents.unsettled(db, job.render.id, job.render.run))
    if found is None:
        return []
    read = (lambda db: intents.record_read(db, found, "before"),)

    def over(state: IntentState) -> Way:
        outcome = lookup._over(job, found, state, failures.UNCONFIRMED, "", read)

        def effect(row: Row) -> None:
            _known(found.id, state)(row)
            if isinstance(outcome, Advance):
                row.session = None

        return Way(outcome, effect)

    return [
        Way(lookup.applied(job, found, read), _known(found.id, IntentState.APPLIED)),
        over(IntentState.UNCONFIRMED),
        over(IntentState.NOT_APPLIED),
        Way(Failed(failure=failures.SESSION_LOST, also=_given_up(job)), _gone(found.id)),
        Way(Snooze(wait=LATER, also=read)),
    ]


def _given_up(job: Job) -> tuple[Callable[[Session], None], ...]:
    return (refusals._mark_lost(job, heard=True), refusals._give_up_message(job))


def _gone(intent_id: str) -> Callable[[Row], None]:
    def effect(row: Row) -> None:
        _known(intent_id, IntentState.UNCONFIRMED)(row)
        row.lost.add(row.session or "")

    return effect


def _verify(claim: Claim, row: Row) -> list[Way]:
    last = row.under_verification()
    if last is None:
        return []  # a void claim of a run long over
    kept = verify._keep_draft(claim.job(), b"{}")

    def drafted(row: Row) -> None:
        row.has_draft = True
        last.state = IntentState.APPLIED

    settled = () if last.settled else (_settling(claim, last, IntentState.APPLIED),)
    found = [Way(Advance(to=Stage.EXPORT, also=(*settled, kept)), drafted)]
    if last.settled:
        kept_intent = cast(Any, SimpleNamespace(id=last.id, answer=None))

        def wanting(row: Row) -> None:
            last.wanting = True

        return [*found, Way(verify.wanting(kept_intent, ()), wanting)]
    unknown = (lambda db: intents.record(db, last.id, IntentState.UNKNOWN),)
    state = IntentState.UNCONFIRMED
    return [
        *found,
        Way(Snooze(wait=LATER, also=settled), _settled(last, IntentState.APPLIED)),
        Way(Advance(to=Stage.LOOKUP, wait=LATER, also=unknown), _settled(last, IntentState.UNKNOWN)),
        Way(Failed(failure=failures.NO_DRAFT, also=(_settling(claim, last, state),)), _settled(last, state)),
    ]


def _export(claim: Claim, row: Row) -> list[Way]:
    export_id = claim.reserved or claim.held.render.export_id or ""
    return [
        Way(Advance(to=Stage.POLL, wait=LATER, also=(exports.recording(export_id, "submitted"),))),
        Way(Advance(to=Stage.STORE, also=(exports.recording(export_id, "completed", url="https://file"),))),
        Way(Advance(to=Stage.EXPORT, changes={"export_id": None}, also=(exports.recording(export_id, "failed"),))),
        Way(Failed(failure=failures.EXPORT_FAILED)),
    ]


def _poll(claim: Claim, row: Row) -> list[Way]:
    return [Way(Advance(to=Stage.STORE)), *_store(claim, row)[1:]]


def _store(claim: Claim, row: Row) -> list[Way]:
    facts: dict[str, Any] = {"storage_key": "k", "sha256": "0", "bytes": 1, "duration_seconds": 1.0, "width": 1}
    facts |= {"height": 1, "video_codec": "h264", "pixel_format": "yuv420p"}
    mine = {"render_id": claim.id, "run": claim.held.render.run, "owner_id": claim.held.render.owner_id}
    return [
        Way(Done(also=(lambda db: db.merge(Result(**mine, **facts)),))),
        Way(Advance(to=Stage.EXPORT, changes={"export_id": None})),
        Way(Failed(failure=failures.EXPORT_FAILED)),
    ]


def _settling(claim: Claim, message: Message, state: IntentState) -> Callable[[Session], None]:
    intent = cast(Any, SimpleNamespace(id=message.id))
    return lookup.settle(claim.job(), intent, state)


def _settled(message: Message, state: IntentState) -> Callable[[Row], None]:
    return _known(message.id, state)


def _known(intent_id: str, state: IntentState) -> Callable[[Row], None]:
    def effect(row: Row) -> None:
        for message in row.messages:
            if message.id == intent_id and not message.settled:
                message.state = state

    return effect


STAGES: dict[Stage, Callable[[Claim, Row], list[Way]]] = {
    Stage.TOKEN: _token,
    Stage.SESSION: _session,
    Stage.UPLOAD: _upload,
    Stage.GENERATE: _generate,
    Stage.LOOKUP: _lookup,
    Stage.VERIFY: _verify,
    Stage.EXPORT: _export,
    Stage.POLL: _poll,
    Stage.STORE: _store,
}
