"""START HERE: the way of a render, driving one stage, acting on its outcome.

    token → session → upload → generate → verify → export → poll → store
                                   └→ lookup ─┘   (the message may have been received: nothing is sent again)

A task claims its row, works, and commits the outcome and the next stage in one transaction; then the next stage's
message is sent. If that message is lost, the dispatcher finds the row and sends again.
"""

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from config.logging import get
from config.settings import settings
from worker import app, liveness
from worker.accounts.models import Account
from worker.accounts.tokens import NotNow
from worker.database import at_once, transact
from worker.failures import BACKEND_UNAVAILABLE, DEADLINE_PASSED, INTERNAL, Failure
from worker.job import Job, Services
from worker.media.storage import StorageUnavailable, open_storage
from worker.metrics import stages
from worker.metrics.declared import LEASES_LOST
from worker.outcomes import Advance, Canceled, Done, Failed, Fault, Outcome, Snooze, Wait
from worker.remote import circuit, intents
from worker.remote.client import Remote
from worker.remote.errors import RemoteError
from worker.renders import exports, leases, runs
from worker.renders.events import EventType, NewEvent
from worker.renders.leases import Held, LeaseLost
from worker.renders.models import Export
from worker.renders.states import ORDER, Reason, Stage, Status, check_move
from worker.stages import cancel, export, generate, lookup, poll, refusals, session, store, token, upload, verify

__all__ = ["ORDER", "STAGES", "drive", "drive_cancel", "drive_polls"]

log = get(__name__)

STAGES: dict[Stage, Callable[[Job], Outcome]] = {
    Stage.TOKEN: token.run,
    Stage.SESSION: session.run,
    Stage.UPLOAD: upload.run,
    Stage.GENERATE: generate.run,
    Stage.LOOKUP: lookup.run,
    Stage.VERIFY: verify.run,
    Stage.EXPORT: export.run,
    Stage.STORE: store.run,
}
"""POLL goes in batches: `drive_polls`."""

PASSING = (OperationalError, PoolTimeout, StorageUnavailable, OSError)
"""The database, the storage or the disk is away or full: it passes, and nothing is given up for it in a hurry."""

MOST_SURPRISES = 3
"""Exceptions that nobody foresaw, in a row, before a render is given up: one may be a passing one."""

MOST_DEATHS = 8
"""Workers that die in a row with a render at one stage, no outcome between, before it is given up. Chance, be
it a storm or a neighbour that crashes them, seldom hits one so often: the growing pauses part them."""

POLL_BATCH = 100
"""Exports asked after by one task: at 50 questions at once a batch takes two round trips."""


@lru_cache(maxsize=1)
def services() -> Services:
    """This process's services."""
    config = settings()
    breaker = circuit.breaker()
    return Services(config, Remote.from_settings(config, pulse=breaker), open_storage(config.servers.storage), breaker)


def drive(render_id: str, lease: int, stage: Stage) -> None:
    """Claim a render at a stage, work, act on the outcome. Not there to be claimed: somebody else was quicker."""
    me = liveness.process()
    if me.draining:  # taken from the broker and not begun: it is for somebody who stays
        app.send(stage, render_id, lease)
        return
    held = at_once(lambda db: leases.claim(db, render_id, lease=lease, stage=stage, worker=me.id))
    if held is None:
        log.debug("claim.missed", render=render_id, stage=stage.value, lease=lease)
        return
    with me.holding([(render_id, held.lease)]):
        job = Job(held, services())
        try:
            outcome = _deadly(job) or _work(job, STAGES[stage])
        finally:
            job.services.breaker.leave()
        act(job, outcome)


def drive_cancel(render_id: str) -> None:
    """Claim a render that was asked to be cancelled, whatever its stage, and end it."""
    me = liveness.process()
    if me.draining:
        app.send_cancel(render_id)
        return
    held = at_once(lambda db: leases.claim_for_cancel(db, render_id, worker=me.id))
    if held is None:
        return
    with me.holding([(render_id, held.lease)]):
        job = Job(held, services(), may_probe=False)
        act(job, _work(job, cancel.run))


def drive_polls() -> None:
    """Claim a batch of exports that are due, ask after them concurrently, write back what came."""
    me, interval = liveness.process(), settings().waits.export_poll_seconds
    if me.draining:
        app.send_poll()
        return
    held = at_once(lambda db: leases.claim_polls(db, worker=me.id, limit=POLL_BATCH, interval=interval))
    if not held:
        return
    with me.holding([(one.render.id, one.lease) for one in held]):
        jobs = at_once(lambda db: _poll_jobs(db, held))
        over = [(job, _deadly(job)) for job, _ in jobs]
        ended = [(job, end) for job, end in over if end is not None]
        asked = [pair for pair, (_, end) in zip(jobs, over, strict=True) if end is None]
        _write_back([*ended, *zip((job for job, _ in asked), poll.ask_all(asked), strict=True)])


def _poll_jobs(db: Session, held: list[Held]) -> list[tuple[Job, Export | None]]:
    rows = exports.of_renders(db, [one.render.export_id for one in held if one.render.export_id])
    accounts = {row.id: row for row in db.scalars(select(Account))}
    jobs = (Job(replace(one, account=accounts.get(one.render.account_id or "")), services()) for one in held)
    return [(job, rows.get(job.render.export_id or "")) for job in jobs]


def _write_back(answers: list[tuple[Job, poll.Answer]]) -> None:
    """Those that go on in one statement, the others each by its outcome."""
    still = [(job, answer) for job, answer in answers if isinstance(answer, poll.StillGoing)]
    if still:
        released = transact(lambda db: _still_going(db, still))
        for job, _ in still:
            if job.render.id not in released:
                log.info("lease.lost", render=job.render.id, stage=job.render.stage, lease=job.held.lease)
                LEASES_LOST.labels(job.render.stage).inc()
    refused = [job for job, answer in answers if isinstance(answer, RemoteError)]
    if refused:
        transact(lambda db: _refused(db, refused))
    for job, answer in answers:
        if not isinstance(answer, poll.StillGoing):
            try:
                act(job, _work(job, lambda _job, given=answer: poll.told(given)))
            except PASSING as error:  # one that cannot be written must not hold up the others of its batch
                log.warning("poll.unwritten", render=job.render.id, error=type(error).__name__)


def _refused(db: Session, refused: list[Job]) -> None:
    """A refusal was an answer too; but not of a render that went on without us, whose export may be over."""
    ours = leases.still_ours(db, [job.held for job in refused])
    exports.record_asked(db, [job.render.export_id or "" for job in refused if job.render.id in ours])


def _still_going(db: Session, still: list[tuple[Job, poll.StillGoing]]) -> set[str]:
    """The ids of those that were still ours."""
    released = leases.release_polls(
        db, [(job.held, answer.progress) for job, answer in still], interval=settings().waits.export_poll_seconds
    )
    exports.record_asked(db, [job.render.export_id or "" for job, _ in still if job.render.id in released])
    return released


def _deadly(job: Job) -> Failed | None:
    """Over, where its workers died one after the other: it may be what kills them, and every render ends."""
    if job.render.deaths < MOST_DEATHS:
        return None
    log.error("render.deadly", render=job.render.id, stage=job.render.stage, deaths=job.render.deaths)
    return Failed(failure=INTERNAL, detail=f"{job.render.deaths} workers in a row ended while they had it")


def _work(job: Job, run: Callable[[Job], Outcome]) -> Outcome | None:
    """The stage's outcome; None when the render is no longer ours."""
    try:
        return run(job)
    except LeaseLost:
        log.info("lease.lost", render=job.render.id, stage=job.render.stage, lease=job.held.lease)
        LEASES_LOST.labels(job.render.stage).inc()
        return None
    except NotNow as later:
        if later.reason is None:
            return Snooze(wait=later.wait, ends_faults=False)
        # It waits for somebody else's doing: a fault before that and one after it are not in a row.
        return Wait(reason=later.reason, wait=later.wait)
    except RemoteError as error:
        log.info("remote.refused", render=job.render.id, stage=job.render.stage, error=str(error))
        job.second_opinion()
        return _work(job, lambda job, refused=error: refusals.outcome(job, refused))
    except PASSING as error:
        log.warning("stage.fault", render=job.render.id, stage=job.render.stage, error=type(error).__name__)
        return Fault(failure=INTERNAL, detail=type(error).__name__)
    except Exception as error:
        return _surprise(job, error)


def _surprise(job: Job, error: Exception) -> Fault:
    """A bug of ours must end in a final status too, not in a silent loop. Its text stays in the log: it may hold what a
    customer must not see."""
    log.exception("stage.surprise", render=job.render.id, stage=job.render.stage)
    return Fault(failure=INTERNAL, detail=type(error).__name__, most=MOST_SURPRISES)


def act(job: Job, outcome: Outcome | None) -> None:
    """Commit an outcome, then send the next message."""
    if outcome is None:
        return
    outcome = given_up(job, _held_back(job, outcome))
    try:
        _write(job, outcome)
    except LeaseLost:
        log.info("lease.lost", render=job.render.id, stage=job.render.stage, lease=job.held.lease)
        LEASES_LOST.labels(job.render.stage).inc()
        return
    except PASSING:
        raise  # not written: this process notices that it owns a render that it does not work on, and lets go of it
    except Exception as error:
        outcome = given_up(job, _surprise(job, error))
        _write(job, outcome)
    stages.ended(job, outcome)
    log.info("stage.ended", render=job.render.id, stage=job.render.stage, outcome=type(outcome).__name__.lower())
    if isinstance(outcome, Advance) and not outcome.wait and outcome.to is not Stage.POLL:
        app.send(outcome.to, job.render.id, job.held.lease)
    elif isinstance(outcome, Snooze) and not outcome.wait:
        app.send(Stage(job.render.stage), job.render.id, job.held.lease)


def _write(job: Job, outcome: Outcome) -> None:
    if outcome.also or isinstance(outcome, Failed):
        transact(lambda db: _commit(db, job, outcome))
    else:
        at_once(lambda db: _commit(db, job, outcome))


def _held_back(job: Job, outcome: Outcome) -> Outcome:
    """A fault that opened the circuit, or was met while it is open, is no fault of this render: it waits, and the time
    does not count towards giving up."""
    if not isinstance(outcome, Fault) or outcome.failure is not BACKEND_UNAVAILABLE:
        return outcome
    left = job.services.breaker.open_for()
    if not left:
        return outcome
    wait = left * random.uniform(1.0, 1.3)  # noqa: S311 - jitter, not a secret
    if Stage(job.render.stage) is Stage.POLL:
        wait = max(wait, job.waits.export_poll_seconds)
    return Wait(reason=Reason.BACKEND, wait=wait, changes=outcome.changes, events=outcome.events, also=outcome.also)


def given_up(job: Job, outcome: Outcome) -> Outcome:
    """A fault that has come too often or for too long is a failure: every render ends."""
    if not isinstance(outcome, Fault):
        return outcome
    since = job.render.failing_since
    too_long = since is not None and job.held.at - since >= settings().waits.retry_for_seconds
    too_often = outcome.most is not None and job.render.tries + 1 >= outcome.most
    if not (too_long or too_often):
        return outcome
    return Failed(
        failure=outcome.failure,
        detail=outcome.detail,
        changes=outcome.changes,
        events=outcome.events,
        also=outcome.also,
    )


def pause(tries: int) -> timedelta:
    """The pause after that many faults in a row: doubled each time, between half and the whole of it (jitter)."""
    waits = settings().waits
    longest = min(waits.retry_first_seconds * 2 ** min(tries, 20), waits.retry_longest_seconds)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret


def _commit(db: Session, job: Job, outcome: Outcome) -> None:
    if outcome.also or isinstance(outcome, Failed):
        # A late find books what it found under the same lock: a sum read beside it would be written over it.
        leases.lock(db, job.held)
    for step in outcome.also:
        step(db)
    changes, events = _written(db, job, outcome)
    failed = outcome if isinstance(outcome, Failed | Fault) else None
    leases.conclude(
        db,
        job.held,
        {**outcome.changes, **changes},
        [*outcome.events, *events],
        outcome=type(outcome).__name__.lower(),
        error_code=failed.failure.code if failed else None,
        error_message=failed.detail[:500] if failed else None,
    )
    if isinstance(outcome, Failed):
        runs.deliver_late(db, job.render.id)


def _written(db: Session, job: Job, outcome: Outcome) -> tuple[dict[str, Any], list[NewEvent]]:
    """What an outcome changes on the render, and the event that tells of it."""
    stage = Stage(job.render.stage)
    match outcome:
        case Advance():
            check_move(job.render.id, stage, outcome.to)
            return leases.release(to=outcome.to, wait=outcome.wait), [
                NewEvent(EventType.STAGE, {"stage": outcome.to.value, "from": stage.value})
            ]
        case Snooze():
            return leases.release(wait=outcome.wait) | (leases.NO_FAULTS if outcome.ends_faults else {}), []
        case Wait():
            # A fault before the wait and one after it are not faults in a row.
            changes = leases.release(wait=outcome.wait, reason=outcome.reason.value)
            changes |= (leases.NO_FAULTS if outcome.ends_faults else {}) | outcome.changes
            told = NewEvent(
                EventType.WAITING, {"reason": outcome.reason.value, "seconds": outcome.wait.total_seconds()}
            )
            return changes, [told]
        case Fault():
            return _again_later(job, outcome)
        case Done():
            check_move(job.render.id, stage, Status.SUCCEEDED)
            return leases.finish(Status.SUCCEEDED, fraction=1, **leases.TOO_LATE), [NewEvent(EventType.SUCCEEDED)]
        case Failed():
            check_move(job.render.id, stage, Status.FAILED)
            return _failed(db, job, outcome)
        case Canceled() if job.render.expiring:
            check_move(job.render.id, stage, Status.EXPIRED)
            failure = DEADLINE_PASSED
            ended = leases.finish(Status.EXPIRED, cancel_effect=outcome.effect, **_error(failure, failure.message))
            return ended, [NewEvent(EventType.EXPIRED, {"effect": outcome.effect})]
        case Canceled():
            check_move(job.render.id, stage, Status.CANCELED)
            return leases.finish(Status.CANCELED, cancel_effect=outcome.effect), [
                NewEvent(EventType.CANCELED, {"effect": outcome.effect})
            ]
        case _:
            raise TypeError(f"no such outcome: {outcome!r}")


def _again_later(job: Job, outcome: Fault) -> tuple[dict[str, Any], list[NewEvent]]:
    tries = job.render.tries
    wait = max(pause(tries), outcome.at_least)
    if Stage(job.render.stage) is Stage.POLL:
        wait = max(wait, settings().waits.export_poll_seconds)  # a refused question was a question too
    # A single hiccup is not worth telling; from the third in a row on, the outside sees what is waited for.
    reason = outcome.reason.value if tries >= 2 or outcome.at_least else None
    changes = leases.release(wait=wait, reason=reason) | leases.ONE_MORE_FAULT
    return changes, [
        NewEvent(EventType.FAULT, {"code": outcome.failure.code, "seconds": round(wait.total_seconds(), 1)})
    ]


def _failed(db: Session, job: Job, outcome: Failed) -> tuple[dict[str, Any], list[NewEvent]]:
    failure: Failure = outcome.failure
    # Given up before anybody could know what became of its message: that is read on like any other unknown.
    open_one = intents.unsettled(db, job.render.id, job.render.run)
    if open_one is not None:
        intents.record(db, open_one.id, intents.IntentState.UNCONFIRMED)
    charge, credits = intents.charge(db, job.render.id, job.render.run)
    message = failure.message + (f" ({outcome.detail})" if outcome.detail else "")
    changes = leases.finish(
        Status.FAILED,
        **leases.TOO_LATE,
        **_error(failure, message),
        charge_state=charge,
        charge_credits=credits,
    )
    return changes, [NewEvent(EventType.FAILED, {"code": failure.code, "charge": charge})]


def _error(failure: Failure, message: str) -> dict[str, Any]:
    return {
        "error_code": failure.code,
        "error_message": message[:1000],
        "error_retryable": failure.retryable,
        "error_help": failure.help,
    }
