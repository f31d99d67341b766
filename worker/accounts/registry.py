"""What who runs the service does with its accounts: registers tokens, holds, resumes and removes them."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from worker.accounts import admission, store
from worker.accounts.models import Account
from worker.database import new_id
from worker.owners.models import Owner
from worker.remote.intents import Intent
from worker.renders import waiting
from worker.renders.models import Render
from worker.renders.states import Reason


class AlreadyRegistered(Exception):
    """The token is on file; `account` has it, or had it."""

    def __init__(self, account: Account) -> None:
        super().__init__(f"{account.name} has this token")
        self.account = account


class NameTaken(Exception):
    """Another account has this name."""


class StillAtWork(Exception):
    """Renders are in flight on the account, or sessions of its messages are read on."""

    def __init__(self, renders: int, watched: int) -> None:
        super().__init__(f"{renders} renders are in flight, {watched} messages are watched")
        self.renders = renders
        self.watched = watched


class OthersAtWork(Exception):
    """Renders of other owners are on the account that is to be one owner's."""

    def __init__(self, renders: int) -> None:
        super().__init__(f"{renders} renders of other owners are on it")
        self.renders = renders


class NotRegistered(Exception):
    """The anonymous trial has no token of an owner's to be replaced or removed."""


@dataclass(frozen=True)
class Listed:
    """An account with what is derived about it."""

    account: Account
    owner: str | None
    slots_in_use: int
    reserved: float


def add(session: Session, token: str, *, name: str, owner_id: str | None, slots: int | None) -> Account:
    """Register a token. One that was removed comes back as the account it was, with this name, owner and slots.

    Raises:
        AlreadyRegistered, NameTaken
        OthersAtWork: they were on it when it was removed, and would now send their messages on this owner's account.
    """
    account = store.with_token(session, token)
    if account is not None and account.disabled_at is None:
        raise AlreadyRegistered(account)
    _check_name(session, name, account)
    if account is None:
        account = Account(id=new_id("acc"), kind="registered", token_version=0)
        session.add(account)
    elif owner_id is not None and (others := _of_others(session, account.id, owner_id)):
        raise OthersAtWork(others)
    account.name, account.owner_id, account.slots, account.held_at = name, owner_id, slots, None
    store.put_token(account, token)
    session.flush()
    waiting.wake(session, Reason.TOKEN, Reason.SLOT, account_id=account.id)
    return account


def _of_others(session: Session, account_id: str, owner_id: str) -> int:
    theirs = (*_not_final(account_id), Render.owner_id != owner_id)
    return session.execute(select(func.count()).where(*theirs)).scalar_one()


def free_name(session: Session) -> str:
    """A name that no account has: `account 1`, `account 2` …"""
    taken = set(session.scalars(select(Account.name)))
    return next(name for name in (f"account {number}" for number in range(1, len(taken) + 2)) if name not in taken)


def _check_name(session: Session, name: str, mine: Account | None) -> None:
    """Names tell accounts apart on the command line. A removed account does not keep its name from others."""
    other = select(Account.id).where(Account.name == name, Account.disabled_at.is_(None))
    found = session.scalars(other).first()
    if found is not None and (mine is None or found != mine.id):
        raise NameTaken


def replace(session: Session, account: Account, token: str) -> None:
    """Give a locked account another token: its renders go on with it. Its own one is put on file anew, as where the
    secret key it was encrypted with is lost.

    Raises:
        NotRegistered, AlreadyRegistered
    """
    if account.kind != "registered":
        raise NotRegistered
    known = store.with_token(session, token)
    if known is not None and known.id != account.id:
        raise AlreadyRegistered(known)
    store.put_token(account, token)
    session.flush()
    waiting.wake(session, Reason.TOKEN, Reason.CREDITS, Reason.RATE_LIMIT, account_id=account.id)


def named(session: Session, reference: str) -> Sequence[Account]:
    """The accounts with this id or name, locked; those not removed first."""
    meant = or_(Account.id == reference, Account.name == reference)
    rows = session.scalars(
        select(Account).where(meant).order_by(Account.created_at, Account.id).with_for_update()
    ).all()
    return [row for row in rows if row.disabled_at is None] or rows


def hold(session: Session, account: Account) -> None:
    """A locked account takes nothing new and sends no message until it is resumed; what is past its message goes on."""
    if account.held_at is None:
        account.held_at = session.execute(select(func.now())).scalar_one()
        session.flush()


def resume(session: Session, account: Account) -> int:
    """End the hold of a locked account, and with it every other reason it stands still for: its token is tried again.
    How many renders were woken."""
    account.held_at = account.token_refused_at = None
    account.paused_until = account.pause_reason = account.pause_seconds = None
    session.flush()
    reasons = (Reason.PAUSED, Reason.TOKEN, Reason.CREDITS, Reason.RATE_LIMIT)
    return waiting.wake(session, *reasons, account_id=account.id)


def remove(session: Session, account: Account, *, force: bool = False) -> None:
    """Take a locked account out of use and erase its token. Its row stays: the books name it.

    Raises:
        NotRegistered, StillAtWork
    """
    if account.kind != "registered":
        raise NotRegistered
    renders, watched = in_flight(session, account.id), _watched(session, account.id)
    if (renders or watched) and not force:
        raise StillAtWork(renders, watched)
    account.token_encrypted = None
    account.disabled_at = session.execute(select(func.now())).scalar_one()
    session.flush()


def in_flight(session: Session, account_id: str) -> int:
    """Renders of the account that are not final: each still needs its token."""
    return session.execute(select(func.count()).where(*_not_final(account_id))).scalar_one()


def _not_final(account_id: str) -> tuple[ColumnElement[bool], ...]:
    return Render.account_id == account_id, Render.finished_at.is_(None)


def _watched(session: Session, account_id: str) -> int:
    """Messages of the account that nobody could be sure of: their sessions are read on, with its token."""
    watched = (Intent.account_id == account_id, Intent.watch_at.is_not(None))
    return session.execute(select(func.count()).where(*watched)).scalar_one()


def listed(session: Session) -> list[Listed]:
    """Every account, removed ones too, oldest first."""
    query = select(Account, Owner.name).outerjoin(Owner, Owner.id == Account.owner_id)
    rows = session.execute(query.order_by(Account.created_at, Account.id)).all()
    ids = [account.id for account, _ in rows]
    used, reserved = admission.slots_by_account(session, ids), admission.reserved_by_account(session, ids)
    return [Listed(account, owner, used.get(account.id, 0), reserved.get(account.id, 0.0)) for account, owner in rows]
