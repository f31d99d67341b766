"""The backend's accounts, what was spent, and the calling key."""

from datetime import datetime
from typing import Any, Literal

from .answers import Model, Page
from .connection import Connection
from .wire import at


class Account(Model):
    """An account at the backend, its balance in credits as last read at `read_at`."""

    id: str
    name: str
    kind: str
    available: float | None = None
    frozen: float | None = None
    total: float | None = None
    reserved: float = 0
    read_at: datetime | None = None
    slots: int | None = None
    slots_in_use: int = 0
    paused_until: datetime | None = None
    pause_reason: str | None = None
    held: bool = False
    disabled: bool = False


class Credits(Model):
    """`available` is the sum over the accounts whose balance is known; None where none is."""

    available: float | None = None
    accounts: list[Account]


class Usage(Model):
    """What the runs that ended from `since` to `until` came to; `unknown`: runs whose charge nobody can know."""

    since: datetime
    until: datetime
    succeeded: int
    failed: int
    canceled: int
    expired: int
    credits: float
    unknown: int
    video_seconds: float
    video_bytes: int


class Key(Model):
    """The calling key; no scopes means all of them."""

    id: str
    name: str
    prefix: str
    owner: str
    scopes: list[str] = []
    limits: dict[str, Any] = {}
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None


class Recovery(Model):
    """A takeover: which worker fell silent, at which stage, who went on, what became of it."""

    id: int
    render_id: str
    run: int
    stage: str
    why: str
    from_worker: str
    to_worker: str | None = None
    taken_at: datetime
    ended_at: datetime | None = None
    outcome: str | None = None


class Accounts(Connection):
    """Calls about balances, totals and takeovers."""

    def credits(self) -> Credits:
        """The balances as last read from the backend, with their times."""
        return self._ask(Credits, "GET", at("credits"))

    def accounts(self) -> list[Account]:
        """The accounts that your renders may use: balances, slots, pauses."""
        return self._ask(Page[Account], "GET", at("accounts")).data

    def account(self, account_id: str) -> Account:
        """One of them."""
        return self._ask(Account, "GET", at("accounts", account_id))

    def usage(
        self, *, after: datetime | None = None, before: datetime | None = None, by: Literal["day"] | None = None
    ) -> list[Usage]:
        """What the runs that ended from `after` (30 days ago) to `before` (now) came to: one total, or one a day."""
        return self._list(Page[Usage], at("usage"), after=after, before=before, by=by).data

    def key(self) -> Key:
        """The key these calls are made with: whose it is, what it may do, how much."""
        return self._ask(Key, "GET", at("key"))

    def recoveries(self, *, limit: int | None = None, cursor: str | None = None) -> Page[Recovery]:
        """Which of your renders were taken over from a silent worker, newest first."""
        return self._list(Page[Recovery], at("recoveries"), limit=limit, cursor=cursor)
