"""Admission: an account with a free slot takes the render, and its token is made good.

Dies here: done again; the account chosen is on the row, so its slot is neither lost nor taken twice.
"""

import random
from datetime import timedelta

from sqlalchemy.orm import Session

from worker.accounts import admission
from worker.accounts.admission import NotAdmitted
from worker.accounts.models import Account
from worker.accounts.tokens import NotNow
from worker.database import transact
from worker.failures import SESSION_LOST
from worker.job import Job
from worker.outcomes import Advance, Failed, Outcome, Wait
from worker.renders import leases
from worker.renders.states import Reason, Stage
from worker.sessions import place
from worker.sessions.place import Place
from worker.stages import refusals

LOOK_AGAIN = timedelta(seconds=5)
"""For a slot or an account: soon enough to notice a freed one, seldom enough to cost nothing."""


def run(job: Job) -> Outcome:
    """Admit the render to an account and see to the account's token. One of a session goes on with the session's, and
    waits for its turn there before it is admitted: meanwhile others have its slot."""
    where, turn_in = _session_of(job)
    if where is not None and where.lost:
        return Failed(failure=SESSION_LOST)
    if turn_in is not None:
        return Wait(reason=Reason.SESSION, wait=turn_in, changes={"account_id": None})
    account = _still_mine(job.account) or transact(lambda session: _admit(session, job, where))
    if isinstance(account, NotAdmitted):
        # Spread out: those that wait together must not all look in the same moment.
        return Wait(reason=account.reason, wait=LOOK_AGAIN * random.uniform(1.0, 3.0))  # noqa: S311 - jitter
    job.admitted = account
    try:
        job.bearer()
    except NotNow as later:
        if later.reason is not Reason.TOKEN:
            raise
        # Its owner has to renew it: another account may have a place meanwhile.
        return Wait(reason=Reason.TOKEN, wait=later.wait, changes={"account_id": None})
    return Advance(to=Stage.SESSION)


def _still_mine(account: Account | None) -> Account | None:
    """The account that took the render before, unless it was held or removed since: another may have a place."""
    return account if account is not None and account.held_at is None and account.disabled_at is None else None


def _session_of(job: Job) -> tuple[Place | None, timedelta | None]:
    """Where the render's session is, and how long its turn there has to be waited for."""
    session_id = job.render.session_id
    if session_id is None:
        return None, None

    def look(session: Session) -> tuple[Place, timedelta | None]:
        where = refusals.place_with_its_account(session, job, session_id)
        if where.remote_session_id is None or where.lost:
            return where, None
        return where, place.wait_for_the_others(session, job.render, where.remote_session_id, job.held.at)

    return transact(look)  # what is asked of the watch, and what is given up, stays


def _admit(session: Session, job: Job, where: Place | None = None) -> Account | NotAdmitted:
    """Choose, and note the choice on the render while the account's row is locked."""
    slots = job.services.settings.capacity.account_slots
    if where is not None and where.account_id is not None:
        admitted = admission.admit_to(session, where.account_id, default_slots=slots)
    else:
        admitted = admission.admit(session, job.render.owner_id, default_slots=slots)
    if isinstance(admitted, Account):
        leases.write(session, job.held, {"account_id": admitted.id})
    return admitted
