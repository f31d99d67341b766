"""An export of the draft kept with this render: a new id goes on file, then it is submitted.

Dies here, or the answer is lost: the backend is asked for the id on file; unknown there → a new id, exports are free.
"""

from sqlalchemy.orm import Session

from config.logging import get
from worker.database import at_once, transact
from worker.failures import EXPORT_FAILED
from worker.job import Job
from worker.outcomes import Advance, Failed, Outcome, Snooze
from worker.remote.client import ExportStatus
from worker.remote.errors import ExportUnknown, IdTaken, RemoteError, TryAgain, Unintelligible
from worker.renders import exports, leases
from worker.renders.models import Draft, Export
from worker.renders.states import Stage

log = get(__name__)

FORGOTTEN = "the backend took the export and knows nothing of it any more"

MOST_IDS = 5
"""Refused ids in a row: ours are random, so more than one already means something else."""


def run(job: Job) -> Outcome:
    """Submit an export, or find out what became of one that may have been submitted."""
    open_one = at_once(lambda session: exports.current(session, job.render))
    if open_one is not None and open_one.state in ("reserved", "submitted"):
        return _ask(job, open_one)
    return _submit(job)


def _ask(job: Job, export: Export) -> Outcome:
    """Asking by id counts as a poll: never sooner than the interval after the last answer."""
    interval = job.waits.export_poll_seconds
    if export.answered_at is not None and job.held.at < export.answered_at + interval:
        return Snooze(wait=export.answered_at + interval - job.held.at)
    try:
        status = job.remote.poll_export(job.bearer(), export.id)
    except ExportUnknown:
        if export.state == "submitted":
            return export_lost(job, export.id, FORGOTTEN, asked=True, state="lost")
        transact(lambda session: _note(session, job, export.id, "gone", asked=True))
        return _submit(job)
    except RemoteError:
        transact(lambda session: _note(session, job, export.id, export.state, asked=True))
        raise
    return after_answer(job, export.id, status)


def _note(session: Session, job: Job, export_id: str, state: str, *, asked: bool = False) -> None:
    """Under the lease: what a zombie was told must not be written over what its successor found out."""
    leases.write(session, job.held)
    exports.record(session, export_id, state, asked=asked)


def after_answer(job: Job, export_id: str, status: ExportStatus) -> Outcome:
    """What the answer to a question after an export means."""
    if status.status == "completed":
        return Advance(
            to=Stage.STORE,
            also=(exports.recording(export_id, "completed", asked=True, url=status.url),),
        )
    if status.status == "failed":
        return export_lost(job, export_id, status.detail or "the backend says that it failed", asked=True)
    return Advance(
        to=Stage.POLL,
        wait=job.waits.export_poll_seconds,
        also=(exports.recording(export_id, "submitted", asked=True),),
    )


def export_lost(job: Job, export_id: str, detail: str, *, asked: bool = False, state: str = "failed") -> Outcome:
    """An export failed or led to nothing: one new one, then the render fails."""
    before = at_once(lambda session: exports.failed(session, job.render))
    also = (exports.recording(export_id, state, asked=asked, detail=detail[:500]),)
    log.info("export.lost", render=job.render.id, export=export_id, detail=detail[:200])
    if before + 1 < exports.MOST:
        return Advance(to=Stage.EXPORT, changes={"export_id": None}, also=also)
    return Failed(failure=EXPORT_FAILED, detail=detail[:500], also=also)


def _submit(job: Job) -> Outcome:
    kept = at_once(lambda session: session.get(Draft, (job.render.id, job.render.run)))
    if kept is None:
        raise LookupError(f"{job.render.id} is exported but has no draft")
    output = job.render.output
    token = job.bearer()  # first: without one nothing is sent, and an id on file would be asked after for nothing
    for _ in range(MOST_IDS):
        export_id = _reserve(job)
        try:
            status = job.remote.submit_export(
                token, export_id, job.session_id(), kept.body, output["format"], output["quality"]
            )
        except IdTaken:
            transact(lambda session, refused=export_id: _note(session, job, refused, "refused"))
            continue
        except (TryAgain, Unintelligible):
            raise  # it may have been accepted: the next try asks for this id first
        except RemoteError:
            # Refused before anything began: the next try takes a new id.
            transact(lambda session, refused=export_id: _note(session, job, refused, "refused"))
            raise
        return _submitted(job, export_id, status)
    return Failed(failure=EXPORT_FAILED, detail=f"the backend refused {MOST_IDS} new export ids")


def _reserve(job: Job) -> str:
    export_id = exports.new_export_id()

    def reserve(session: Session) -> None:
        exports.reserve(session, job.render, export_id)
        leases.write(session, job.held, {"export_id": export_id})

    transact(reserve)
    return export_id


def _submitted(job: Job, export_id: str, status: ExportStatus) -> Outcome:
    """Accepted: the first question comes an interval later, even if the answer already says more."""
    if status.status == "failed":
        return export_lost(job, export_id, status.detail or "refused at once")
    return Advance(
        to=Stage.POLL,
        wait=job.waits.export_poll_seconds,
        also=(exports.recording(export_id, "submitted"),),
    )
