"""A session at the backend: the one that the render's own session has, or a new one.

Dies here: done again; a session that nobody uses costs nothing.
"""

from collections.abc import Callable

from sqlalchemy.orm import Session

from worker.accounts.models import RemoteSession
from worker.database import at_once, new_id
from worker.failures import SESSION_LOST
from worker.job import Job
from worker.outcomes import Advance, Failed, Outcome
from worker.renders import leases
from worker.renders.leases import Changes
from worker.renders.runs import unsent
from worker.renders.states import Stage
from worker.sessions import place


def run(job: Job) -> Outcome:
    """Join the remote session that the others of the render's session made; else create one and put its ids on file
    with the move."""
    assert job.account is not None, "admission set it"
    job.may_begin()
    session_id = job.render.session_id
    if session_id is not None:
        found = at_once(lambda session: place.of(session, session_id))
        if found.lost:
            return Failed(failure=SESSION_LOST)
        if found.remote_session_id is not None:
            return _advance(job, _joining(job, found.account_id, found.remote_session_id))
    ids = job.remote.create_session(job.bearer(), job.render.language)
    row = RemoteSession(
        id=new_id("ses"),
        owner_id=job.render.owner_id,
        account_id=job.account.id,
        task_id=ids.task_id,
        session_id=ids.session_id,
        bind_id=ids.bind_id,
    )
    made: Changes = {"sessions": job.render.sessions + 1}
    if session_id is not None:
        return _advance(job, {}, lambda session: _keep_for_all(session, job, session_id, row, made))
    return _advance(job, made | {"remote_session_id": row.id}, lambda session: _keep(session, row))


def _joining(job: Job, account_id: str | None, remote_session_id: str) -> Changes:
    """The place, for the render's row. Files that were sent to another one are not there."""
    joined: Changes = {"account_id": account_id, "remote_session_id": remote_session_id}
    if job.render.remote_session_id != remote_session_id:
        joined["assets"] = unsent(job.render.assets)
    return joined


def _advance(job: Job, changes: Changes, *also: Callable[[Session], None]) -> Advance:
    return Advance(to=Stage.UPLOAD if job.render.assets else Stage.GENERATE, changes=changes, also=also)


def _keep(session: Session, row: RemoteSession) -> None:
    """Before the render's row names it, which a foreign key demands. Merged, for a transaction that runs again."""
    session.merge(row)
    session.flush()


def _keep_for_all(session: Session, job: Job, session_id: str, row: RemoteSession, made: Changes) -> None:
    """For the render and for those that come after it, unless another one was quicker: then that one's is joined, and
    this one, in which nothing was said, is left alone."""
    _keep(session, row)
    holds = place.note(session, session_id, row.account_id, row.id)
    assert holds.remote_session_id is not None, "noted, just now or before"
    leases.write(session, job.held, made | _joining(job, holds.account_id, holds.remote_session_id))
