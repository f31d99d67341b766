"""The account's balance as evidence of what a message cost, where it can be: nobody else spent meanwhile."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from worker.accounts import store as accounts
from worker.accounts.tokens import NotNow
from worker.database import at_once
from worker.job import Job
from worker.remote.errors import RemoteError
from worker.remote.intents import Intent


def shows_no_charge(job: Job, intent: Intent) -> bool:
    """Whether the balance is what it was when last read before the message, with no other message of the account since
    that reading. False also where that cannot be known."""
    account = job.account
    if account is None or account.balance_read_at is None or account.balance_total is None:
        return False
    if account.balance_read_at > intent.created_at or not at_once(lambda session: _alone(session, intent, account)):
        return False
    try:
        now = job.remote.credits(job.bearer())
    except (RemoteError, NotNow):
        return False
    total = now.total if now.total is not None else now.available + now.frozen
    return total >= account.balance_total and now.frozen == 0


def _alone(session: Session, intent: Intent, account: accounts.Account) -> bool:
    """No other message of the account was under way or begun since the balance was read."""
    others = session.execute(
        select(func.count())
        .select_from(Intent)
        .where(
            Intent.account_id == intent.account_id,
            Intent.id != intent.id,
            (Intent.settled_at.is_(None)) | (Intent.settled_at >= account.balance_read_at),
        )
    ).scalar_one()
    return others == 0
