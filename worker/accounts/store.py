"""Accounts' verbs: install, admit, renew, refuse, balance.

Limits are derived, not counted: the slots in use are the renders between admission and the settling of their message,
whoever owns them, so a crash leaks none. Admission holds the account's row lock, so two cannot take the last slot.
"""

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, case, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from config.settings import Settings
from worker.accounts import vault
from worker.accounts.models import Account
from worker.database import from_now, new_id
from worker.renders.models import Render
from worker.renders.states import Reason, Stage

HOLDS_A_SLOT = (Stage.TOKEN, Stage.SESSION, Stage.UPLOAD, Stage.GENERATE, Stage.LOOKUP, Stage.VERIFY)
"""From admission to the settling of the message."""

FROM_SETTINGS = "NEMO_TOKEN"
"""The name of the account whose token the setting gives."""

RENEWAL_TAKES = timedelta(seconds=90)
"""Longer than one call may last (10 s to connect, 60 s to read): after it, the renewal's worker has died and the next
one may try."""

TOKEN_MARGIN = timedelta(minutes=20)
"""A token that ends sooner is renewed beforehand: a stream begun with it should not see its end."""


@dataclass(frozen=True)
class NotAdmitted:
    """Why no account took the render."""

    reason: Reason


def install(session: Session, settings: Settings) -> None:
    """Make the accounts the settings speak of: the registered token, or the one anonymous trial. Harmless to repeat."""
    token = settings.upstream.token
    if token is not None:
        _install_registered(session, token.get_secret_value())
    elif session.scalar(select(Account.id).where(Account.kind == "registered").limit(1)) is None:
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


def _install_registered(session: Session, token: str) -> None:
    """A new token under the setting's name replaces the account's old one: renders under way go on with it."""
    digest = hashlib.sha256(token.encode()).hexdigest()
    if session.scalar(select(Account.id).where(Account.token_hash == digest)) is not None:
        return
    known = session.scalars(select(Account).where(Account.name == FROM_SETTINGS).with_for_update()).first()
    if known is None:
        known = Account(id=new_id("acc"), kind="registered", name=FROM_SETTINGS, token_version=0)
        session.add(known)
    known.token_encrypted = vault.lock(token)
    known.token_hash = digest
    known.token_version += 1
    # What was known of the old token's account says nothing of the new one's.
    known.token_refused_at = known.token_expires_at = known.paused_until = known.pause_reason = None
    known.balance_available = known.balance_frozen = known.balance_total = known.balance_read_at = None
    known.remote_user_id = None


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


def admit(session: Session, owner_id: str, *, default_slots: int) -> Account | NotAdmitted:
    """Choose the account for a render, with its row locked until the caller's transaction, which notes the render's
    account and stage, commits."""
    refusal = NotAdmitted(Reason.TOKEN)
    for candidate in usable(session, owner_id):
        account = session.scalars(
            select(Account)
            .where(Account.id == candidate.id)
            .with_for_update(key_share=True)
            .execution_options(populate_existing=True)
        ).one()
        if account.kind == "registered" and account.token_refused_at is not None:
            continue
        if _paused(session, account):
            refusal = NotAdmitted(Reason(account.pause_reason or Reason.PAUSED.value))
            continue
        slots = account.slots if account.slots is not None else default_slots
        if slots and slots_in_use(session, account.id) >= slots:
            refusal = NotAdmitted(Reason.SLOT)
            continue
        return account
    return refusal


def open_places(session: Session, *, default_slots: int) -> int | None:
    """How many more renders the accounts would take now; None: no limit. What cannot be admitted stays queued, where it
    can be reordered and cancelled, and asks nobody."""
    rows = session.scalars(select(Account).where(Account.disabled_at.is_(None))).all()
    registered = [row for row in rows if row.kind == "registered"]
    total = 0
    for account in registered or rows:  # as `admit` chooses: the trial only where there is no other
        refused = account.kind == "registered" and account.token_refused_at is not None
        if refused or _paused(session, account):
            continue
        slots = account.slots if account.slots is not None else default_slots
        if not slots:
            return None
        total += max(0, slots - slots_in_use(session, account.id))
    return total


def is_on_hold(session: Session, owner_id: str) -> bool:
    """Whether every account that an owner's renders may use waits for credits, or for whoever paused it."""
    rows = usable(session, owner_id)
    return bool(rows) and all(_waits_for_somebody(session, row) for row in rows)


def _waits_for_somebody(session: Session, account: Account) -> bool:
    return account.held_at is not None or (
        account.pause_reason in (Reason.CREDITS.value, Reason.PAUSED.value) and _paused(session, account)
    )


def _paused(session: Session, account: Account) -> bool:
    if account.paused_until is None:
        return False
    return bool(session.execute(select(func.now() < account.paused_until)).scalar_one())


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


def slots_in_use(session: Session, account_id: str) -> int:
    """Renders between admission and the settling of their message."""
    return slots_by_account(session, [account_id]).get(account_id, 0)


def slots_by_account(session: Session, account_ids: Sequence[str]) -> dict[str, int]:
    """The same for several; those with none in use are left out."""
    rows = session.execute(
        select(Render.account_id, func.count())
        .where(
            Render.account_id.in_(account_ids),
            Render.finished_at.is_(None),
            Render.stage.in_([stage.value for stage in HOLDS_A_SLOT]),
        )
        .group_by(Render.account_id)
    ).all()
    return {str(account): count for account, count in rows}


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
    """Whether the caller is the one to renew: the version is still the one it saw and nobody else is at it."""
    return (
        session.execute(
            update(Account)
            .where(
                Account.id == account_id,
                Account.token_version == version,
                or_(Account.renewing_until.is_(None), Account.renewing_until < func.now()),
            )
            .values(renewing_until=from_now(RENEWAL_TAKES))
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


def keep_balance(session: Session, account_id: str, *, available: float, frozen: float, total: float) -> None:
    """Note the balance read just now."""
    session.execute(
        update(Account)
        .where(Account.id == account_id)
        .values(
            balance_available=available,
            balance_frozen=frozen,
            balance_total=total,
            balance_read_at=func.now(),
        )
    )
