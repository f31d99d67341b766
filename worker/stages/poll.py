"""Asking after exports, every 30 s each, a batch at a time.

Dies here: asked again when due; the next time was written at the claim, so nobody asks sooner.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta

from config.logging import get
from worker.accounts.tokens import NotNow
from worker.job import Job
from worker.metrics import stages as measured
from worker.outcomes import Outcome, Snooze, Wait
from worker.remote.circuit import HeldBack
from worker.remote.client import ExportStatus
from worker.remote.errors import ExportUnknown, RateLimited, TryAgain
from worker.renders import exports
from worker.renders.models import Export
from worker.renders.states import Reason
from worker.stages.export import FORGOTTEN, after_answer, export_lost

log = get(__name__)

AT_ONCE = 50
"""Questions at once in one batch; under gevent these threads are greenlets."""


@dataclass(frozen=True)
class StillGoing:
    """Nothing new but, perhaps, how far it is (0-1)."""

    progress: float


Answer = StillGoing | Outcome | Exception


def ask_all(jobs: list[tuple[Job, Export | None]]) -> list[Answer]:
    """Ask after each export; the answers in the same order."""
    with ThreadPoolExecutor(max_workers=min(AT_ONCE, max(len(jobs), 1))) as pool:
        return list(pool.map(_ask, [job for job, _ in jobs], [export for _, export in jobs]))


def told(answer: Outcome | Exception) -> Outcome:
    """The outcome as it is; an error as it was raised, for the pipeline to act on."""
    if isinstance(answer, Exception):
        raise answer
    return answer


def _ask(job: Job, export: Export | None) -> Answer:
    try:
        return _asked(job, export)
    finally:
        job.services.breaker.leave()


def _asked(job: Job, export: Export | None) -> Answer:
    if export is None:
        return LookupError(f"{job.render.id} is polled but has no export")
    try:
        token = job.bearer()
    except HeldBack as later:
        return Wait(reason=Reason.BACKEND, wait=later.wait)
    except NotNow as later:
        return Snooze(wait=max(job.waits.export_poll_seconds, later.wait))
    except Exception as error:  # told by the pipeline, for this render alone
        return error
    measured.asked(job)
    try:
        return _meaning(job, export, job.remote.poll_export(token, export.id))
    except ExportUnknown:
        return export_lost(job, export.id, FORGOTTEN, asked=True, state="lost")
    except RateLimited as error:
        wait = max(job.waits.export_poll_seconds.total_seconds(), error.retry_after or 0)
        return Wait(
            reason=Reason.RATE_LIMIT,
            wait=timedelta(seconds=wait),
            also=(exports.recording(export.id, "submitted", asked=True),),
        )
    except TryAgain as error:
        # A 5xx answer is an answer: it counts, and the next question keeps the interval.
        log.info("poll.fault", render=job.render.id, error=str(error))
        job.second_opinion()
        if left := job.services.breaker.open_for():
            asked = exports.recording(export.id, "submitted", asked=True)
            return Wait(reason=Reason.BACKEND, wait=max(left, job.waits.export_poll_seconds), also=(asked,))
        return _unless_too_many(job, export, StillGoing(job.render.fraction))
    except Exception as error:  # told by the pipeline, for this render alone
        return error


def _meaning(job: Job, export: Export, status: ExportStatus) -> Answer:
    if status.status in ("completed", "failed"):
        return after_answer(job, export.id, status)
    return _unless_too_many(job, export, StillGoing(max(job.render.fraction, min(status.progress or 0.0, 1.0))))


def _unless_too_many(job: Job, export: Export, answer: StillGoing) -> Answer:
    most = job.services.settings.waits.export_max_polls
    if export.polls + 1 >= most:
        return export_lost(job, export.id, f"not finished after {most} polls", asked=True)
    return answer
