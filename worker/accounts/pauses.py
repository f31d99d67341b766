"""An account that stands still for a while: for a rate limit, without credits, or because its owner holds it."""

from datetime import datetime, timedelta

from sqlalchemy import case, func, select, update
from sqlalchemy.orm import Session

from worker.accounts.models import Account
from worker.database import from_now
from worker.renders import waiting
from worker.renders.states import Reason

LONGEST_RATE_LIMIT = timedelta(minutes=10)
"""The longest pause that repeated 429s lead to; a backend that asks for more (`Retry-After`) gets more."""


def standstill(account: Account, at: datetime) -> tuple[str | None, datetime | None]:
    """Why an account that is neither held nor removed takes nothing new at `at` (the database's time), and until when
    as far as that is known. Nothing of a pause that is over, which stays on the row for the next one's length."""
    if account.kind == "registered" and account.token_refused_at is not None:
        return Reason.TOKEN.value, None
    if account.paused_until is not None and account.paused_until > at:
        return account.pause_reason or Reason.PAUSED.value, account.paused_until
    return None, None


def pause(session: Session, account_id: str, reason: Reason, wait: timedelta) -> None:
    """The account takes nothing new and sends no message for `wait`; a longer pause stays."""
    session.execute(
        update(Account)
        .where(Account.id == account_id)
        .values(
            paused_until=func.greatest(Account.paused_until, from_now(wait)),
            pause_reason=case((Account.paused_until > from_now(wait), Account.pause_reason), else_=reason.value),
        )
    )


def rate_limited(session: Session, account_id: str, first: timedelta, *, asked_at: datetime) -> timedelta:
    """Pause the account after a 429 to a call of a work begun at `asked_at`; how long it stands still from now on.

    The pause is `first`: the setting's, or what the backend asked for. A 429 that comes soon after a pause, within
    that pause's length, makes the next twice as long, up to ten minutes. Calls in flight together count once: the
    first that finds the account unpaused pauses it, the others only hear how long.
    """
    account = session.execute(
        select(Account.paused_until, Account.pause_reason, Account.pause_seconds, func.clock_timestamp().label("now"))
        .where(Account.id == account_id)
        .with_for_update(key_share=True)
    ).one()
    last = timedelta(seconds=account.pause_seconds) if account.pause_seconds else timedelta(0)
    until, now = account.paused_until, account.now
    if until is not None and until > now:
        if until >= now + first:
            return until - now
        length = first  # the backend asks for more than there is: longer, but no step further
    elif until is None or account.pause_reason != Reason.RATE_LIMIT.value or now - until > last:
        length = first
    elif asked_at < until - last:
        length = max(first, last)  # begun before the last pause: it had not heard of it
    else:
        length = max(first, min(2 * last, LONGEST_RATE_LIMIT))
    session.execute(
        update(Account)
        .where(Account.id == account_id)
        .values(paused_until=now + length, pause_reason=Reason.RATE_LIMIT.value, pause_seconds=length.total_seconds())
    )
    return length


def end_for_credits(session: Session, account_id: str, covered: int) -> int:
    """The balance is back: a pause for credits ends, and as many of the renders that wait for it as the balance covers
    become due at once; how many. The others come back in their own time."""
    ended = session.execute(
        update(Account)
        .where(Account.id == account_id, Account.pause_reason == Reason.CREDITS.value)
        .where(Account.paused_until > func.now())
        .values(paused_until=None, pause_reason=None, pause_seconds=None)
        .returning(Account.id)
    ).one_or_none()
    return waiting.wake(session, Reason.CREDITS, account_id=account_id, limit=covered) if ended else 0
