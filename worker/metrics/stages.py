"""What the pipeline tells: stages that ended, and runs with them."""

import time
from typing import Protocol

from worker.failures import DEADLINE_PASSED
from worker.metrics.declared import POLL_LATENESS_SECONDS, RUNS_ENDED, STAGE_SECONDS
from worker.outcomes import Canceled, Done, Failed, Outcome
from worker.renders.leases import Held
from worker.renders.states import Status


class Work(Protocol):
    """One stage's work, as far as it is measured."""

    held: Held
    began: float
    """On `time.monotonic()`'s clock."""


def ended(work: Work, outcome: Outcome) -> None:
    """An outcome that is committed."""
    seconds = time.monotonic() - work.began
    STAGE_SECONDS.labels(work.held.render.stage, type(outcome).__name__.lower()).observe(seconds)
    match outcome:
        case Done():
            RUNS_ENDED.labels(Status.SUCCEEDED.value, "").inc()
        case Failed():
            RUNS_ENDED.labels(Status.FAILED.value, outcome.failure.code).inc()
        case Canceled() if work.held.render.expiring:
            RUNS_ENDED.labels(Status.EXPIRED.value, DEADLINE_PASSED.code).inc()
        case Canceled():
            RUNS_ENDED.labels(Status.CANCELED.value, "").inc()
        case _:
            pass


def asked(work: Work) -> None:
    """A question after an export, at the moment it is put."""
    since_claim = time.monotonic() - work.began
    POLL_LATENESS_SECONDS.observe(max(0.0, work.held.late.total_seconds() + since_claim))
