"""A render that was asked to be cancelled: undo what can be undone and say what that was.

`prevented`: nothing paid was sent. `stopped`: the work at the backend was begun; its export is cancelled, its result is
not fetched, and the charge says what is known.
"""

from collections.abc import Callable

from sqlalchemy.orm import Session

from config.logging import get
from worker.accounts.tokens import NotNow
from worker.database import at_once
from worker.job import Job
from worker.outcomes import Canceled, Outcome
from worker.remote import intents
from worker.remote.errors import RemoteError
from worker.remote.intents import Intent, IntentState
from worker.renders import exports
from worker.renders.states import Stage
from worker.stages.lookup import settle

log = get(__name__)
Steps = tuple[Callable[[Session], None], ...]


def run(job: Job) -> Outcome:
    """End the render as asked."""
    paid = at_once(
        lambda session: intents.count(session, job.render.id, job.render.run, *intents.MAY_HAVE_BEEN_RECEIVED)
    )
    if not paid and job.render.export_id is None:  # a retry that went on from the draft has no message of its own
        return Canceled(effect="prevented")
    open_one = at_once(lambda session: intents.unsettled(session, job.render.id, job.render.run))
    also: Steps = () if open_one is None else (settle(job, open_one, _known(job, open_one)),)
    return Canceled(effect="stopped", also=(*also, *_stop_export(job)))


def _known(job: Job, intent: Intent) -> IntentState:
    """One look at the state: changed means charged; otherwise nobody can know yet."""
    try:
        state = job.remote.state(job.bearer(), job.session_id())
    except (RemoteError, NotNow) as error:
        log.info("cancel.unseen", render=job.render.id, error=str(error))
        return IntentState.UNCONFIRMED
    return IntentState.UNCONFIRMED if state.fingerprint == intent.before else IntentState.APPLIED


def _stop_export(job: Job) -> Steps:
    if job.render.export_id is None or job.render.stage not in (Stage.EXPORT.value, Stage.POLL.value):
        return ()
    export_id = job.render.export_id
    try:
        job.remote.cancel_export(job.bearer(), export_id)
    except (RemoteError, NotNow) as error:
        log.info("cancel.export", render=job.render.id, export=export_id, error=str(error))
    return (exports.recording(export_id, "canceled"),)
