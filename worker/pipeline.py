"""START HERE: the way of a render, driving one stage, acting on its outcome.

    token → session → upload → generate → verify → export → poll → store
                                   └→ lookup ─┘   (the message may have been received: nothing is sent again)

A task claims its row, works, and commits the outcome and the next stage in one transaction; then the next stage's
message is sent. If that message is lost, the dispatcher finds the row and sends again.
"""

import random
from collections.abc import Callable
from datetime import timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import func
from sqlalchemy.orm import Session

from config.logging import get
from config.settings import settings
from worker import app, liveness
from worker.accounts.tokens import NotNow
from worker.database import transact
from worker.failures import INTERNAL, Failure
from worker.job import Job, Services, load
from worker.media.storage import open_storage
from worker.outcomes import Advance, Canceled, Done, Failed, Fault, Outcome, Snooze, Wait
from worker.remote import intents
from worker.remote.client import Remote
from worker.remote.errors import RemoteError
from worker.renders import exports, leases
from worker.renders.events import EventType, NewEvent
from worker.renders.leases import Held, LeaseLost
from worker.renders.models import Export, Render
from worker.renders.states import ORDER, Stage, Status, check_move
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

MOST_SURPRISES = 3
"""Exceptions that nobody foresaw, in a row, before a render is given up: one may be a passing one."""


POLL_BATCH = 100
"""Exports asked after by one task: at 50 questions at once a batch takes two round trips."""


@lru_cache(maxsize=1)
def services() -> Services:
    """This process's services."""
    config = settings()
    return Services(config, Remote.from_settings(config), open_storage(config.servers.storage))


def drive(render_id: str, lease: int, stage: Stage) -> None:
    """Claim a render at a stage, work, act on the outcome. Not there to be claimed: somebody else was quicker."""
    claimed = transact(
        lambda db: _with_job(db, leases.claim(db, render_id, lease=lease, stage=stage, worker=liveness.process().id))
    )
    if claimed is None:
        log.debug("claim.missed", render=render_id, stage=stage.value, lease=lease)
        return
    act(claimed, _work(claimed, STAGES[stage]))


def drive_cancel(render_id: str) -> None:
    """Claim a render that was asked to be cancelled, whatever its stage, and end it."""
    claimed = transact(lambda db: _with_job(db, leases.claim_for_cancel(db, render_id, worker=liveness.process().id)))
    if claimed is not None:
        act(claimed, _work(claimed, cancel.run))


def drive_polls() -> None:
    """Claim a batch of exports that are due, ask after them concurrently, write back what came."""
    waits = settings().waits
    me = liveness.process().id
    jobs = transact(
        lambda db: _poll_jobs(
            db, leases.claim_polls(db, worker=me, limit=POLL_BATCH, interval=waits.export_poll_seconds)
        )
    )
    answers = poll.ask_all(jobs)
    still = [
        (job, answer) for (job, _), answer in zip(jobs, answers, strict=True) if isinstance(answer, poll.StillGoing)
    ]
    if still:
        transact(lambda db: _still_going(db, still))
    refused = [
        job.render.export_id or ""
        for (job, _), answer in zip(jobs, answers, strict=True)
        if isinstance(answer, RemoteError)
    ]
    if refused:
        transact(lambda db: exports.record_asked(db, refused))
    for (job, _), answer in zip(jobs, answers, strict=True):
        if not isinstance(answer, poll.StillGoing):
            act(job, _work(job, lambda _job, given=answer: poll.told(given)))


def _poll_jobs(db: Session, helds: list[Held]) -> list[tuple[Job, Export]]:
    rows = exports.of_renders(db, [held.render.export_id for held in helds if held.render.export_id])
    return [(Job(held, services(), *load(db, held)), rows[held.render.export_id or ""]) for held in helds]


def _still_going(db: Session, still: list[tuple[Job, poll.StillGoing]]) -> None:
    released = leases.release_polls(
        db, [(job.held, answer.progress) for job, answer in still], interval=settings().waits.export_poll_seconds
    )
    exports.record_asked(db, [job.render.export_id or "" for job, _ in still if job.render.id in released])


def _with_job(db: Session, held: Held | None) -> Job | None:
    return None if held is None else Job(held, services(), *load(db, held))


def _work(job: Job, run: Callable[[Job], Outcome]) -> Outcome | None:
    """The stage's outcome; None when the render is no longer ours."""
    try:
        return run(job)
    except LeaseLost:
        log.info("lease.lost", render=job.render.id, stage=job.render.stage, lease=job.held.lease)
        return None
    except NotNow as later:
        if later.reason is None:
            return Snooze(wait=later.wait)
        return Wait(reason=later.reason, wait=later.wait)
    except RemoteError as error:
        log.info("remote.refused", render=job.render.id, stage=job.render.stage, error=str(error))
        return refusals.outcome(job, error)
    except Exception as error:  # a bug of ours must end in a final status too, not in a silent loop
        log.exception("stage.surprise", render=job.render.id, stage=job.render.stage)
        return Fault(failure=INTERNAL, detail=f"{type(error).__name__}: {error}"[:500], most=MOST_SURPRISES)


def act(job: Job, outcome: Outcome | None) -> None:
    """Commit an outcome, then send the next message."""
    if outcome is None:
        return
    outcome = given_up(job, outcome)
    try:
        transact(lambda db: _commit(db, job, outcome))
    except LeaseLost:
        log.info("lease.lost", render=job.render.id, stage=job.render.stage, lease=job.held.lease)
        return
    log.info("stage.ended", render=job.render.id, stage=job.render.stage, outcome=type(outcome).__name__.lower())
    if isinstance(outcome, Advance) and not outcome.wait and outcome.to is not Stage.POLL:
        app.send(outcome.to, job.render.id, job.held.lease)
    elif isinstance(outcome, Snooze) and not outcome.wait:
        app.send(Stage(job.render.stage), job.render.id, job.held.lease)


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
    for step in outcome.also:
        step(db)
    changes, events = _written(db, job, outcome)
    leases.write(db, job.held, {**outcome.changes, **changes}, [*outcome.events, *events])
    failed = outcome if isinstance(outcome, Failed | Fault) else None
    leases.end_attempt(
        db,
        job.held,
        outcome=type(outcome).__name__.lower(),
        error_code=failed.failure.code if failed else None,
        error_message=failed.detail[:500] if failed else None,
    )


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
            return leases.release(wait=outcome.wait), []
        case Wait():
            return leases.release(wait=outcome.wait, reason=outcome.reason.value), [
                NewEvent(EventType.WAITING, {"reason": outcome.reason.value, "seconds": outcome.wait.total_seconds()})
            ]
        case Fault():
            return _again_later(job, outcome)
        case Done():
            check_move(job.render.id, stage, Status.SUCCEEDED)
            return leases.finish(Status.SUCCEEDED, fraction=1), [NewEvent(EventType.SUCCEEDED)]
        case Failed():
            check_move(job.render.id, stage, Status.FAILED)
            return _failed(db, job, outcome)
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
    changes = leases.release(wait=wait, reason=reason) | {
        "tries": Render.tries + 1,
        "failing_since": func.coalesce(Render.failing_since, func.now()),
    }
    return changes, [
        NewEvent(EventType.FAULT, {"code": outcome.failure.code, "seconds": round(wait.total_seconds(), 1)})
    ]


def _failed(db: Session, job: Job, outcome: Failed) -> tuple[dict[str, Any], list[NewEvent]]:
    failure: Failure = outcome.failure
    charge, credits = intents.charge(db, job.render.id, job.render.run)
    message = failure.message + (f" ({outcome.detail})" if outcome.detail else "")
    changes = leases.finish(
        Status.FAILED,
        error_code=failure.code,
        error_message=message[:1000],
        error_retryable=failure.retryable,
        error_help=failure.help,
        charge_state=charge,
        charge_credits=credits,
    )
    return changes, [NewEvent(EventType.FAILED, {"code": failure.code, "charge": charge})]
