"""Accounts, balances, usage, takeovers, and the calling key."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from sqlalchemy import select
from sqlalchemy.orm import Session

from api import balances, cursors, limits
from api import usage as spent
from api.auth import AccountReader, AnyKey
from api.bodies import (
    AccountBody,
    AccountPage,
    CreditsBody,
    KeyBody,
    RecoveryBody,
    RecoveryPage,
    UsagePage,
)
from api.database import look
from api.problems import FieldError, Problem
from api.routes.common import AccountId, Cursor, Limit, Moment, only_known
from api.routes.documented import answer, problems
from worker.accounts import store as accounts
from worker.owners.models import ApiKey, Owner
from worker.renders.models import Recovery

USUAL_SPAN = timedelta(days=30)
LONGEST_SPAN = timedelta(days=366)

router = APIRouter(prefix="/v1", tags=["operations"], dependencies=[Depends(only_known)])


@router.get("/credits", summary="Your balances", responses=problems() | {200: answer("What is left.")})
def credits(caller: AccountReader) -> CreditsBody:
    """The balances of the accounts your renders may use, as the workers last read them."""
    return look(lambda session: balances.of(session, caller.owner_id))


@router.get(
    "/accounts", summary="The accounts your renders may use", responses=problems() | {200: answer("All of them.")}
)
def account_list(caller: AccountReader) -> AccountPage:
    """The accounts at the backend that your renders may use: balances, slots, pauses."""
    found = look(lambda session: balances.bodies_of(session, accounts.visible(session, caller.owner_id)))
    return AccountPage(data=found)


@router.get(
    "/accounts/{id}",
    summary="Look at an account",
    responses=problems("account.unknown") | {200: answer("The account as last read.")},
)
def account(id: AccountId, caller: AccountReader) -> AccountBody:
    """One of those accounts."""

    def work(session: Session) -> AccountBody:
        rows = [row for row in accounts.visible(session, caller.owner_id) if row.id == id]
        if not rows:
            raise Problem("account.unknown", f"You have no account {id}.")
        return balances.bodies_of(session, rows)[0]

    return look(work)


@router.get("/usage", summary="What your renders came to", responses=problems() | {200: answer("The totals.")})
def usage(
    caller: AccountReader,
    after: Annotated[Moment | None, Query(description="By default 30 days before `before`.")] = None,
    before: Annotated[Moment | None, Query(description="By default now.")] = None,
    by: Annotated[spent.By | None, Query(description="One total for each day (UTC).")] = None,
) -> UsagePage:
    """What the runs that ended in a span came to: how they ended, credits, seconds and bytes of video."""
    until = before or datetime.now(UTC)
    since = after or _earlier(until)
    if since >= until or until - since > LONGEST_SPAN:
        errors = [FieldError("?after", f"must be before `before`, by at most {LONGEST_SPAN.days} days")]
        raise Problem("request.invalid", "Not valid: ?after", errors=errors)
    return UsagePage(data=look(lambda session: spent.totals(session, caller.owner_id, since, until, by)))


@router.get("/key", summary="The key you call with", responses=problems() | {200: answer("The key.")})
def key(caller: AnyKey) -> KeyBody:
    """The key this call is made with: whose it is, what it may do, how much."""

    def work(session: Session) -> KeyBody:
        row, owner = session.execute(
            select(ApiKey, Owner.name).join(Owner, Owner.id == ApiKey.owner_id).where(ApiKey.id == caller.key_id)
        ).one()
        return KeyBody(owner=owner, **{name: getattr(row, name) for name in KeyBody.model_fields if name != "owner"})

    return look(work)


@router.get(
    "/recoveries", summary="Takeovers of your renders", responses=problems("cursor.invalid") | {200: answer("A page.")}
)
def recoveries(caller: AccountReader, limit: Limit = limits.PAGE, cursor: Cursor = None) -> RecoveryPage:
    """Which of your renders were taken over from a silent worker, newest first."""
    query = select(Recovery).where(Recovery.owner_id == caller.owner_id).order_by(Recovery.id.desc()).limit(limit + 1)
    if cursor:
        query = query.where(Recovery.id < cursors.unpack_number(cursor))

    def work(session: Session) -> RecoveryPage:
        rows = session.scalars(query).all()
        shown, more = cursors.page(rows, limit, lambda last: cursors.pack_number(last.id))
        return RecoveryPage(data=[_recovery(row) for row in shown], next_cursor=more)

    return look(work)


def _earlier(moment: datetime) -> datetime:
    """Thirty days before; the beginning of time where there is no such day."""
    first = datetime.min.replace(tzinfo=UTC)
    return moment - USUAL_SPAN if moment - first > USUAL_SPAN else first


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
