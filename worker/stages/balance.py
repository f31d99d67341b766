"""The account's balance as evidence of what a message cost, where it can be: nobody else spent meanwhile."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from worker.accounts.tokens import NotNow
from worker.database import at_once
from worker.job import Job
from worker.remote import intents
from worker.remote.errors import RemoteError
from worker.remote.intents import Intent, IntentState

SAME = 0.005
"""Credits: balances come as decimal fractions."""


@dataclass(frozen=True)
class Reading:
    """A balance read after a message, beside the last one before it. Credits, frozen ones included."""

    before: float
    after: float
    frozen: float

    @property
    def shows_no_charge(self) -> bool:
        """The same as before, and nothing held back for a turn still at work: whatever was frozen was given back.
        More than before proves nothing: somebody may have topped up."""
        return abs(self.after - self.before) < SAME and self.frozen == 0

    @property
    def finding(self) -> dict[str, object]:
        """As kept with the message."""
        return {"balance": {"before": self.before, "after": self.after, "frozen": self.frozen}}


def read(job: Job, intent: Intent) -> Reading | None:
    """The balance now, where it can be evidence: it was read before the message, and no other message of the account
    was under way since that reading. None where that cannot be known."""
    if intent.balance_before is None or intent.balance_read_at is None:
        return None
    if not at_once(lambda session: _alone(session, intent)):
        return None
    try:
        now = job.remote.credits(job.bearer())
    except (RemoteError, NotNow):
        return None
    total = now.total if now.total is not None else now.available + now.frozen
    return Reading(intent.balance_before, total, now.frozen)


def weighed(job: Job, intent: Intent) -> tuple[IntentState, tuple[Callable[[Session], None], ...]]:
    """What an unchanged state comes to when nothing more can come: not carried out where the balance says so, else
    unconfirmed; with the step that keeps the evidence."""
    reading = read(job, intent)
    if reading is None:
        return IntentState.UNCONFIRMED, ()
    state = IntentState.NOT_APPLIED if reading.shows_no_charge else IntentState.UNCONFIRMED
    return state, (lambda session: intents.record_finding(session, intent, reading.finding),)


def _alone(session: Session, intent: Intent) -> bool:
    """No other message of the account was under way or begun since the balance was read."""
    others = session.execute(
        select(func.count())
        .select_from(Intent)
        .where(
            Intent.account_id == intent.account_id,
            Intent.id != intent.id,
            (Intent.settled_at.is_(None)) | (Intent.settled_at >= intent.balance_read_at),
        )
    ).scalar_one()
    return others == 0
