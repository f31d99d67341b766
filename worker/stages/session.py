"""A session at the backend.

Dies here: done again; a session that nobody uses costs nothing.
"""

from sqlalchemy.orm import Session

from worker.accounts.models import RemoteSession
from worker.database import new_id
from worker.job import Job
from worker.outcomes import Advance, Outcome
from worker.renders.states import Stage


def run(job: Job) -> Outcome:
    """Create the remote session and put its ids on file with the move."""
    assert job.account is not None, "admission set it"
    job.may_begin()
    ids = job.remote.create_session(job.bearer(), job.render.language)
    row = RemoteSession(
        id=new_id("ses"),
        owner_id=job.render.owner_id,
        account_id=job.account.id,
        task_id=ids.task_id,
        session_id=ids.session_id,
        bind_id=ids.bind_id,
    )
    return Advance(
        to=Stage.UPLOAD if job.render.assets else Stage.GENERATE,
        changes={"remote_session_id": row.id, "sessions": job.render.sessions + 1},
        also=(lambda session: _keep(session, row),),
    )


def _keep(session: Session, row: RemoteSession) -> None:
    """Before the render's row names it, which a foreign key demands. Merged, for a transaction that runs again."""
    session.merge(row)
    session.flush()
