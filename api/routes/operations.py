"""Balances and takeovers."""

from fastapi import APIRouter, Depends
from sqlalchemy import select
from sqlalchemy.orm import Session

from api import cursors, limits
from api.auth import CallerHere
from api.bodies import AccountBody, CreditsBody, RecoveryBody, RecoveryPage
from api.database import transact
from api.routes.common import Cursor, Limit, only_known, problems
from worker.accounts import store as accounts
from worker.accounts.models import Account
from worker.renders.models import Recovery

router = APIRouter(prefix="/v1", tags=["operations"], dependencies=[Depends(only_known)])


@router.get("/credits", responses=problems())
def credits(caller: CallerHere) -> CreditsBody:
    """The balances of the accounts your renders may use, as the workers last read them."""
    found = transact(lambda session: [_account(row) for row in accounts.usable(session, caller.owner_id)])
    known = [account.available for account in found if account.available is not None]
    return CreditsBody(available=sum(known) if known else None, accounts=found)


@router.get("/recoveries", responses=problems("cursor.invalid"))
def recoveries(caller: CallerHere, limit: Limit = limits.PAGE, cursor: Cursor = None) -> RecoveryPage:
    """Which of your renders were taken over from a silent worker, newest first."""
    query = select(Recovery).where(Recovery.owner_id == caller.owner_id).order_by(Recovery.id.desc()).limit(limit + 1)
    if cursor:
        query = query.where(Recovery.id < cursors.unpack_number(cursor))

    def work(session: Session) -> RecoveryPage:
        rows = session.scalars(query).all()
        more = cursors.pack_number(rows[limit - 1].id) if len(rows) > limit else None
        return RecoveryPage(data=[_recovery(row) for row in rows[:limit]], next_cursor=more)

    return transact(work)


def _account(row: Account) -> AccountBody:
    return AccountBody(
        id=row.id,
        name=row.name,
        kind=row.kind,
        available=row.balance_available,
        frozen=row.balance_frozen,
        total=row.balance_total,
        read_at=row.balance_read_at,
        paused_until=row.paused_until,
        pause_reason=row.pause_reason,
    )


def _recovery(row: Recovery) -> RecoveryBody:
    return RecoveryBody(
        id=row.id,
        render_id=row.render_id,
        run=row.run,
        stage=row.stage,
        why=row.why,
        from_worker=row.from_worker,
        to_worker=row.to_worker,
        taken_at=row.taken_at,
        ended_at=row.ended_at,
        outcome=row.outcome,
    )
