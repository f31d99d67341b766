"""Accounts' verbs: install, find, renew, refuse, balance. Admission and pauses have files of their own."""

import hashlib
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Select, and_, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from config.settings import Settings, settings
from worker.accounts import vault
from worker.accounts.models import Account
from worker.database import from_now, new_id
from worker.renders import waiting
from worker.renders.states import Reason

FROM_SETTINGS = "NEMO_TOKEN"
"""The name of the account whose token the setting gives."""

TOKEN_MARGIN = timedelta(minutes=20)
"""A token that ends sooner is renewed beforehand: a stream begun with it should not see its end."""


def install(session: Session, settings: Settings) -> None:
    """Make the accounts the settings speak of: the registered token, or the one anonymous trial. Harmless to repeat."""
    token = settings.upstream.token
    if token is not None:
        _install_registered(session, token.get_secret_value())
    elif session.scalar(_any_registered()) is None:
        session.execute(
            insert(Account)
            .values(
                id=new_id("acc"),
                kind="anonymous",
                name="anonymous trial",
                client_id=settings.upstream.client_id or str(uuid.uuid4()),
            )
            .on_conflict_do_nothing()
        )


def _any_registered() -> Select[str]:
    return select(Account.id).where(Account.kind == "registered", Account.disabled_at.is_(None)).limit(1)


def _install_registered(session: Session, token: str) -> None:
    """A new token under the setting's name replaces the account's old one: renders under way go on with it."""
    if with_token(session, token) is not None:
        return
    known = session.scalars(select(Account).where(Account.name == FROM_SETTINGS).with_for_update()).first()
    if known is None:
        known = Account(id=new_id("acc"), kind="registered", name=FROM_SETTINGS, token_version=0)
        session.add(known)
    put_token(known, token)
    session.flush()
    waiting.wake(session, Reason.TOKEN, Reason.CREDITS, Reason.RATE_LIMIT, account_id=known.id)


def token_hash(token: str) -> str:
    """SHA-256 of a registered token, by which it is recognised: it is as random as a key."""
    return hashlib.sha256(token.encode()).hexdigest()


def with_token(session: Session, token: str) -> Account | None:
    """The account, removed or not, that has or had this registered token."""
    return session.scalars(select(Account).where(Account.token_hash == token_hash(token)).with_for_update()).first()


def put_token(account: Account, token: str) -> None:
    """Give a registered account this token. What was known of the old one's account says nothing of the new one's."""
    account.token_encrypted = vault.lock(token)
    account.token_hash = token_hash(token)
    account.token_version += 1
    account.disabled_at = account.token_refused_at = account.token_expires_at = None
    account.paused_until = account.pause_reason = account.pause_seconds = None
    account.balance_available = account.balance_frozen = account.balance_total = account.balance_read_at = None
    account.remote_user_id = None


def visible(session: Session, owner_id: str) -> Sequence[Account]:
    """The accounts that are an owner's or everybody's, oldest first."""
    return session.scalars(
        select(Account)
        .where(or_(Account.owner_id.is_(None), Account.owner_id == owner_id))
        .order_by(Account.created_at, Account.id)
    ).all()


def usable(session: Session, owner_id: str) -> list[Account]:
    """The accounts an owner's renders may use: registered ones first, the trial only where there is no other."""
    rows = [row for row in visible(session, owner_id) if row.disabled_at is None]
    return [row for row in rows if row.kind == "registered"] or rows


def get(session: Session, account_id: str) -> Account:
    """The account of a render; it exists, a foreign key says so."""
    return session.get_one(Account, account_id)


def token_is_good(account: Account, at: datetime) -> bool:
    """Whether the token on file may be used at `at` (the database's time)."""
    return (
        account.token_encrypted is not None
        and account.token_refused_at is None
        and (account.token_expires_at is None or account.token_expires_at > at + TOKEN_MARGIN)
    )


def begin_renewal(session: Session, account_id: str, version: int) -> bool:
    """Whether the caller is the one to renew: the version is still the one it saw and nobody else is at it.

    After the longest that a call may last whoever was at it counts as dead, and the next one may try. Sooner would be a
    second call for one token, which the backend counts.
    """
    return (
        session.execute(
            update(Account)
            .where(
                Account.id == account_id,
                Account.token_version == version,
                or_(Account.renewing_until.is_(None), Account.renewing_until < func.now()),
            )
            .values(renewing_until=from_now(settings().waits.call_longest))
            .returning(Account.id)
        ).scalar_one_or_none()
        is not None
    )


def end_renewal(session: Session, account_id: str) -> None:
    """Let the next one try: the renewal failed."""
    session.execute(update(Account).where(Account.id == account_id).values(renewing_until=None))


def keep_token(
    session: Session,
    account_id: str,
    version: int,
    *,
    token: str,
    expires_at: datetime | None,
    credits: float | None,
    user_id: str | None,
) -> None:
    """Put a new token on file in place of that `version`; one that came first stays."""
    session.execute(
        update(Account)
        .where(Account.id == account_id, Account.token_version == version)
        .values(
            token_encrypted=vault.lock(token),
            token_version=Account.token_version + 1,
            token_expires_at=expires_at,
            token_refused_at=None,
            renewing_until=None,
            remote_user_id=user_id,
            **_balance(credits),
        )
    )


def _balance(credits: float | None) -> dict[str, object]:
    """A fresh token comes with what is available; what is frozen is not told."""
    if credits is None:
        return {}
    return {"balance_available": credits, "balance_total": credits, "balance_read_at": func.now()}


def keep_client_id(session: Session, account_id: str) -> None:
    """Replace a client id that the backend does not take; only an anonymous account that never got a token does."""
    session.execute(
        update(Account)
        .where(Account.id == account_id, and_(Account.kind == "anonymous", Account.token_version == 0))
        .values(client_id=str(uuid.uuid4()))
    )


def refuse_token(session: Session, account_id: str, version: int) -> None:
    """The backend refused the token of this version; a newer one on file is left alone."""
    session.execute(
        update(Account)
        .where(Account.id == account_id, Account.token_version == version)
        .values(token_refused_at=func.now())
    )


def keep_balance(
    session: Session,
    account_id: str,
    *,
    version: int,
    available: float,
    frozen: float,
    total: float,
    asked_at: datetime,
) -> bool:
    """Note a balance asked for at `asked_at` (the database's time): it shows no message that was begun later.

    False, and nothing noted, where it was asked for with another token than that on file (`version`), or a later one
    came first.
    """
    written = session.execute(
        update(Account)
        .where(
            Account.id == account_id,
            Account.token_version == version,
            or_(Account.balance_read_at.is_(None), Account.balance_read_at <= asked_at),
        )
        .values(balance_available=available, balance_frozen=frozen, balance_total=total, balance_read_at=asked_at)
        .returning(Account.id)
    )
    return written.scalar_one_or_none() is not None
