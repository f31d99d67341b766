"""Balances as the workers last read them."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from api.bodies import AccountBody, CreditsBody
from config.settings import settings
from worker.accounts import admission, pauses
from worker.accounts import store as accounts
from worker.accounts.models import Account
from worker.renders import queue


def of(session: Session, owner_id: str) -> CreditsBody:
    """Those of the accounts that an owner's renders may use."""
    found = bodies_of(session, accounts.usable(session, owner_id))
    known = [account.available for account in found if account.available is not None]
    return CreditsBody(available=sum(known) if known else None, accounts=found)


def bodies_of(session: Session, rows: Sequence[Account]) -> list[AccountBody]:
    """The answers for some accounts."""
    ids = [row.id for row in rows]
    used, reserved = admission.slots_by_account(session, ids), admission.reserved_by_account(session, ids)
    now = queue.now(session)
    return [_account(row, used.get(row.id, 0), reserved.get(row.id, 0.0), now) for row in rows]


def _account(row: Account, used: int, reserved: float, now: datetime) -> AccountBody:
    reason, until = pauses.standstill(row, now)
    slots = row.slots if row.slots is not None else settings().capacity.account_slots
    return AccountBody(
        id=row.id,
        name=row.name,
        kind=row.kind,
        available=row.balance_available,
        frozen=row.balance_frozen,
        total=row.balance_total,
        reserved=reserved,
        read_at=row.balance_read_at,
        slots=slots or None,
        slots_in_use=used,
        paused_until=until,
        pause_reason=reason,
        held=row.held_at is not None,
        disabled=row.disabled_at is not None,
    )
