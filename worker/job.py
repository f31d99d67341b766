"""What a stage works with: the render it holds, its account and session, and the services."""

import random
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from config.settings import Settings, Waits
from worker.accounts import tokens
from worker.accounts.models import Account, RemoteSession
from worker.accounts.tokens import NotNow
from worker.database import transact
from worker.media.storage import Storage
from worker.remote.circuit import Breaker
from worker.remote.client import Remote
from worker.remote.errors import AccountGone, RemoteError
from worker.renders import leases
from worker.renders.events import NewEvent
from worker.renders.leases import Held
from worker.renders.models import Render
from worker.renders.states import Reason

HELD = timedelta(seconds=60)
"""How soon to look again at an account that its owner holds; resuming it wakes its renders at once."""


@dataclass(frozen=True)
class Services:
    """What every stage may use."""

    settings: Settings
    remote: Remote
    storage: Storage
    breaker: Breaker


@dataclass
class Job:
    """One stage's work on one render."""

    held: Held
    services: Services
    admitted: Account | None = None
    """The account that took the render in this very work."""
    may_probe: bool = True
    """Whether it may be the one call that tries a broken backend: it may hang for as long as a call may last."""
    began: float = field(default_factory=time.monotonic)
    """On `time.monotonic()`'s clock."""
    _token: str | None = field(default=None, repr=False)

    @property
    def render(self) -> Render:
        """The row as it was at the claim."""
        return self.held.render

    @property
    def account(self) -> Account | None:
        """Its account, once admitted."""
        return self.admitted or self.held.account

    @property
    def remote_session(self) -> RemoteSession | None:
        """Its session at the backend, once made."""
        return self.held.remote_session

    @property
    def remote(self) -> Remote:
        """The backend."""
        return self.services.remote

    @property
    def waits(self) -> Waits:
        """The settings' waits."""
        return self.services.settings.waits

    def bearer(self) -> str:
        """The account's token, renewed if need be; the same for the whole of this work. Asked for before the first
        call: here a broken backend's circuit holds the work back.

        Raises:
            tokens.NotNow: another worker renews it, its owner has to, or the circuit is open.
            AccountGone: it was removed, and the render's session with it.
            RemoteError: the renewal failed.
        """
        assert self.account is not None, "admission set it"
        self._demand_account(self.account)
        if self._token is None:
            self.services.breaker.enter(self.held.circuit_open_until, self.held.at, may_probe=self.may_probe)
            self._token = tokens.bearer(self.remote, self.account, self.held.at)
        return self._token

    def _demand_account(self, account: Account) -> None:
        """A render of no session waits for its owner, who may register the account again; turns have others behind
        them."""
        if account.disabled_at is not None and self.render.session_id is not None:
            raise AccountGone("token", "the account was removed")

    def second_opinion(self) -> None:
        """After a call that failed: where the circuit is in doubt whether the backend is broken, or just this session
        or export, the account's balance is asked for. An answer ends the doubt, a failure opens the circuit."""
        token = self._token
        if token is not None:
            with suppress(RemoteError):  # told to the circuit as any call is; the stage's own error says what to do
                self.services.breaker.settle(lambda: self.remote.credits(token))

    def may_begin(self) -> None:
        """Before the message: whether the account stands ready.

        Raises:
            tokens.NotNow: it is held or paused. Spread out, so that its renders do not all come back in one moment.
            AccountGone: as `bearer`.
        """
        account = self.account
        if account is None:
            return
        self._demand_account(account)
        if account.held_at is not None:
            raise NotNow(HELD * random.uniform(1.0, 1.2), Reason.PAUSED)  # noqa: S311 - jitter, not a secret
        if account.paused_until is not None and account.paused_until > self.held.at:
            left = account.paused_until - self.held.at
            reason = Reason(account.pause_reason or Reason.PAUSED.value)
            raise NotNow(left * random.uniform(1.0, 1.2), reason)  # noqa: S311 - jitter, not a secret

    def session_id(self) -> str:
        """The backend's id of the render's session."""
        assert self.remote_session is not None, "the session stage set it"
        return self.remote_session.session_id

    def checkpoint(self, changes: dict[str, Any] | None = None, *new: NewEvent) -> None:
        """Write under the lease in the middle of a stage. Raises LeaseLost."""
        transact(lambda session: leases.write(session, self.held, changes, new))
