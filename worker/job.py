"""What a stage works with: the render it holds, its account and session, and the services."""

from dataclasses import dataclass, field
from typing import Any

from config.settings import Settings, Waits
from worker.accounts import tokens
from worker.accounts.models import Account, RemoteSession
from worker.database import transact
from worker.media.storage import Storage
from worker.remote.client import Remote
from worker.renders import leases
from worker.renders.events import NewEvent
from worker.renders.leases import Held
from worker.renders.models import Render


@dataclass(frozen=True)
class Services:
    """What every stage may use."""

    settings: Settings
    remote: Remote
    storage: Storage


@dataclass
class Job:
    """One stage's work on one render."""

    held: Held
    services: Services
    _token: str | None = field(default=None, repr=False)

    @property
    def render(self) -> Render:
        """The row as it was at the claim."""
        return self.held.render

    @property
    def account(self) -> Account | None:
        """Its account, once admitted."""
        return self.held.account

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
        """The account's token, renewed if need be; the same for the whole of this work.

        Raises:
            tokens.NotNow: another worker renews it, or its owner has to.
            RemoteError: the renewal failed.
        """
        assert self.account is not None, "admission set it"
        if self._token is None:
            self._token = tokens.bearer(self.remote, self.account, self.held.at)
        return self._token

    def session_id(self) -> str:
        """The backend's id of the render's session."""
        assert self.remote_session is not None, "the session stage set it"
        return self.remote_session.session_id

    def checkpoint(self, changes: dict[str, Any] | None = None, *new: NewEvent) -> None:
        """Write under the lease in the middle of a stage. Raises LeaseLost."""
        transact(lambda session: leases.write(session, self.held, changes, new))
