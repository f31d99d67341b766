"""Who takes a render: an account that stands ready, has a slot, and credits as far as that can be known.

Limits are derived, not counted: the slots in use are the renders between admission and the settling of their message,
the credits reserved those of messages that the last balance cannot show, whoever owns them; a crash leaks none.
Admission holds the account's row lock, so two cannot take the last slot.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import Session

from worker.accounts import pauses, store
from worker.accounts.models import Account
from worker.database import id_of_moment
from worker.remote.intents import ABOUT_A_CLIP, MAY_HAVE_BEEN_RECEIVED, Intent, IntentState
from worker.renders.models import Render
from worker.renders.sharing import kept_free
from worker.renders.states import Reason, Stage

HOLDS_A_SLOT = (Stage.TOKEN, Stage.SESSION, Stage.UPLOAD, Stage.GENERATE, Stage.LOOKUP, Stage.VERIFY)
"""From admission to the settling of the message."""

MESSAGE_TO_COME = (Stage.TOKEN, Stage.SESSION, Stage.UPLOAD, Stage.GENERATE)

ENDS_BY_ITSELF = (Reason.SLOT, Reason.RATE_LIMIT)
"""What an account may be short of without anybody having to do something about it, the soonest first."""

SPENDS = tuple(state for state in MAY_HAVE_BEEN_RECEIVED if state is not IntentState.NOT_APPLIED)
"""Messages that may cost something: one that evidence says was not carried out costs nothing."""

BALANCE_TELLS_FOR = timedelta(minutes=5)
"""Balances are read once a minute; one that could not be read for longer says nothing, and holds nobody back."""

CLOCKS_APART = timedelta(minutes=10)
"""Ids carry the workers' clocks, times the database's: no two that are set at all are further apart."""


@dataclass(frozen=True)
class NotAdmitted:
    """Why no account took the render."""

    reason: Reason


@dataclass(frozen=True)
class Taken:
    """What accounts have taken on at a moment, `now` (the database's time); those that have nothing are left out."""

    now: datetime
    slots: dict[str, int]
    credits: dict[str, float]
    of_batches: dict[str, int]
    """Of the slots."""


def admit(session: Session, owner_id: str, *, default_slots: int) -> Account | NotAdmitted:
    """Choose the account for a render, with its row locked until the caller's transaction, which notes the render's
    account and stage, commits. Where none takes it, it waits for what ends soonest by itself."""
    refusals = [NotAdmitted(Reason.TOKEN)]
    for candidate in store.usable(session, owner_id):
        found = admit_to(session, candidate.id, default_slots=default_slots)
        if not isinstance(found, NotAdmitted):
            return found
        refusals.append(found)
    return min(reversed(refusals), key=_patience)


def admit_to(session: Session, account_id: str, *, default_slots: int) -> Account | NotAdmitted:
    """As `admit`, to this account and no other: what was begun with it goes on there, whoever may begin something on it
    now."""
    account = session.scalars(
        select(Account)
        .where(Account.id == account_id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    ).one()
    places = places_of(account, _taken(session, [account], default_slots), default_slots=default_slots)
    return places if isinstance(places, NotAdmitted) else account


def _patience(refusal: NotAdmitted) -> int:
    """Somebody's doing, for which a deadline's clock may stand, comes last: another account is only busy."""
    return ENDS_BY_ITSELF.index(refusal.reason) if refusal.reason in ENDS_BY_ITSELF else len(ENDS_BY_ITSELF)


@dataclass(frozen=True)
class Openings:
    """How many more renders the accounts would take now; None: no limit. What cannot be admitted stays queued, where it
    can be reordered and cancelled, and asks nobody."""

    shared: int | None
    """By the accounts that all owners may use."""
    own: dict[str, int | None]
    """By those that are one owner's, where they take any."""
    left_out: tuple[str, ...]
    """Owners whom the shared ones are not for: the trial serves those alone who have no registered account."""
    shared_batches: int | None
    """As `shared`, of batches: they leave some of an account's slots free for renders that are in none."""
    own_batches: dict[str, int | None]

    @property
    def total(self) -> int | None:
        """All together."""
        known = [places for places in (self.shared, *self.own.values()) if places is not None]
        return sum(known) if len(known) == 1 + len(self.own) else None


def openings(session: Session, *, default_slots: int) -> Openings:
    """What the dispatcher may begin: by whom each account may be used, as `admit` chooses."""
    rows = session.scalars(select(Account).where(Account.disabled_at.is_(None))).all()
    taken = _taken(session, rows, default_slots)
    registered = [row for row in rows if row.kind == "registered"]
    for_all = [row for row in registered if row.owner_id is None]
    owners = {row.owner_id for row in registered if row.owner_id is not None}
    mine = {owner: [row for row in registered if row.owner_id == owner] for owner in sorted(owners)}
    own = {owner: _together(_places(accounts, taken, default_slots)) for owner, accounts in mine.items()}
    shared = for_all or [row for row in rows if row.kind != "registered"]
    return Openings(
        _together(_places(shared, taken, default_slots)),
        {owner: places for owner, places in own.items() if places != 0},
        () if for_all else tuple(sorted(owners)),
        _together(_for_batches(shared, taken, default_slots)),
        {owner: _together(_for_batches(accounts, taken, default_slots)) for owner, accounts in mine.items()},
    )


def _together(places: Iterable[int | None]) -> int | None:
    known = list(places)
    return None if None in known else sum(one for one in known if one is not None)


def _places(accounts: Sequence[Account], taken: Taken, default_slots: int) -> Iterator[int | None]:
    for account in accounts:
        places = places_of(account, taken, default_slots=default_slots)
        yield 0 if isinstance(places, NotAdmitted) else places


def _for_batches(accounts: Sequence[Account], taken: Taken, default_slots: int) -> Iterator[int | None]:
    for account, places in zip(accounts, _places(accounts, taken, default_slots), strict=True):
        slots = _slots(account, default_slots)
        if not slots or places is None:
            yield places
        else:
            open_to_them = slots - kept_free(slots) - taken.of_batches.get(account.id, 0)
            yield max(min(places, open_to_them), 0)


def _taken(session: Session, accounts: Sequence[Account], default_slots: int) -> Taken:
    """With as many statements for twenty accounts as for one, and with none that nothing depends on."""
    now: datetime = session.execute(select(func.now())).scalar_one()
    limited = [account.id for account in accounts if _slots(account, default_slots)]
    told = [account.id for account in accounts if _balance_tells(account, now)]
    return Taken(
        now,
        slots_by_account(session, limited) if limited else {},
        reserved_by_account(session, told) if told else {},
        slots_by_account(session, limited, Render.batch_id.is_not(None)) if limited else {},
    )


def _slots(account: Account, default_slots: int) -> int:
    return account.slots if account.slots is not None else default_slots


def _balance_tells(account: Account, now: datetime) -> bool:
    read_at = account.balance_read_at
    return account.balance_available is not None and read_at is not None and read_at > now - BALANCE_TELLS_FOR


def places_of(account: Account, taken: Taken, *, default_slots: int) -> int | NotAdmitted | None:
    """How many more renders this account takes, at least one; None: no limit; or why none."""
    if account.disabled_at is not None:
        return NotAdmitted(Reason.TOKEN)
    if account.held_at is not None:
        return NotAdmitted(Reason.PAUSED)
    reason, _ = pauses.standstill(account, taken.now)
    if reason is not None:
        return NotAdmitted(Reason(reason))
    slots = _slots(account, default_slots)
    free = slots - taken.slots.get(account.id, 0) if slots else None
    if free is not None and free <= 0:
        return NotAdmitted(Reason.SLOT)
    covered = _covered(account, taken)
    if covered is not None and covered <= 0:
        return NotAdmitted(Reason.CREDITS)
    known = [places for places in (free, covered) if places is not None]
    return min(known) if known else None


def is_on_hold(session: Session, owner_id: str) -> bool:
    """Whether every account that an owner's renders may use is paused for want of credits, or by whoever paused it."""
    rows = store.usable(session, owner_id)
    return bool(rows) and all(_waits_for_somebody(session, row) for row in rows)


def _waits_for_somebody(session: Session, account: Account) -> bool:
    return account.held_at is not None or (
        account.pause_reason in (Reason.CREDITS.value, Reason.PAUSED.value) and _paused(session, account)
    )


def _covered(account: Account, taken: Taken) -> int | None:
    """How many more messages the balance covers; None where it is not known. With nothing reserved one is always let
    try: the backend is the judge, and a refusal costs nothing."""
    if account.balance_available is None or not _balance_tells(account, taken.now):
        return None
    reserved = taken.credits.get(account.id, 0.0)
    covered = int((account.balance_available - reserved) // ABOUT_A_CLIP)
    return max(covered, 0 if reserved else 1)


def reserved_by_account(session: Session, account_ids: Sequence[str]) -> dict[str, float]:
    """Credits that each account's last balance does not show as spent, and probably will be: newer messages that
    may have been received, and renders admitted whose message is still to come. Accounts with none are left out."""
    found: dict[str, float] = dict(spent_since_reading(session, account_ids))
    for account, count in session.execute(_messages_to_come(account_ids)):
        found[str(account)] = found.get(str(account), 0.0) + count * ABOUT_A_CLIP
    return found


def spent_since_reading(session: Session, account_ids: Sequence[str]) -> dict[str, float]:
    """Credits of the messages begun since the balance was read that may have been received; of an account whose balance
    was never read nothing can be said."""
    read_at = select(func.min(Account.balance_read_at)).where(Account.id.in_(account_ids))
    oldest = session.execute(read_at).scalar_one()
    if oldest is None:
        return {}
    rows = session.execute(
        select(Intent.account_id, func.sum(Intent.reserved_credits))
        .join(Account, Account.id == Intent.account_id)
        .where(
            Intent.account_id.in_(account_ids),
            # Their ids are ordered by time: an account's messages of a year are not looked at each second.
            Intent.id > id_of_moment("int", oldest - CLOCKS_APART),
            Intent.created_at > Account.balance_read_at,
            Intent.state.in_([state.value for state in SPENDS]),
        )
        .group_by(Intent.account_id)
    )
    return {str(account): float(credits) for account, credits in rows}


def _messages_to_come(account_ids: Sequence[str]):
    sent = select(Intent.id).where(Intent.render_id == Render.id, Intent.run == Render.run, Intent.settled_at.is_(None))
    return (
        select(Render.account_id, func.count())
        .where(
            Render.account_id.in_(account_ids),
            Render.finished_at.is_(None),
            Render.cancel_requested_at.is_(None),
            Render.stage.in_([stage.value for stage in MESSAGE_TO_COME]),
            ~and_(Render.stage == Stage.GENERATE.value, sent.exists()),
        )
        .group_by(Render.account_id)
    )


def _paused(session: Session, account: Account) -> bool:
    if account.paused_until is None:
        return False
    return bool(session.execute(select(func.now() < account.paused_until)).scalar_one())


def slots_by_account(session: Session, account_ids: Sequence[str], *of_those: ColumnElement[bool]) -> dict[str, int]:
    """Each account's renders between admission and the settling of their message; those with none are left out."""
    rows = session.execute(
        select(Render.account_id, func.count())
        .where(
            Render.account_id.in_(account_ids),
            Render.finished_at.is_(None),
            Render.stage.in_([stage.value for stage in HOLDS_A_SLOT]),
            *of_those,
        )
        .group_by(Render.account_id)
    ).all()
    return {str(account): count for account, count in rows}
