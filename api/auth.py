"""Who is calling: `Authorization: Bearer vv_…`, looked up by its hash."""

import threading
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi.security.utils import get_authorization_scheme_param
from sqlalchemy import func, or_, update
from sqlalchemy.orm import Session

from api.database import transact
from api.problems import Problem
from api.rate_limits import FailedKeys
from worker.database import ago
from worker.owners import store
from worker.owners.limits import UNLIMITED, Limits
from worker.owners.models import ApiKey
from worker.owners.scopes import Scope, granted

REMEMBER_SECONDS = 3.0
"""How long a revoked key may still work: the price of not asking the database at every request."""
REFUSE_SECONDS = 1.0
"""How long a key that was not valid is refused without asking: whoever repeats it costs little, and a key just made
works soon."""
COUNT_SECONDS = 60.0
"""How long the same wrong key counts once: who repeats it guesses nothing, and a straggler that still has the key of
before a rotation must not shut out its neighbours."""
REMEMBER_KEYS = 10_000
USED_EVERY = timedelta(minutes=1)
"""`last_used_at` is exact to a minute: a write per request would be the most frequent write of all."""
LONGEST_KEY = 200


@dataclass(frozen=True)
class Caller:
    """The owner a valid key belongs to, which every query is bound to; and what the key may do, how often, how much."""

    owner_id: str
    key_id: str
    scopes: frozenset[Scope]
    limits: Limits


class _Memory:
    """What is known of some keys by their hashes, for a while."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._known: dict[str, tuple[float, Caller | None]] = {}
        self._lock = threading.Lock()

    def recall(self, digest: str) -> tuple[bool, Caller | None]:
        """Whether it is still known, and what."""
        until, caller = self._known.get(digest, (0.0, None))
        return time.monotonic() < until, caller

    def keep(self, digest: str, caller: Caller | None) -> None:
        with self._lock:
            if len(self._known) >= REMEMBER_KEYS:
                self._known.clear()
            self._known[digest] = (time.monotonic() + self._seconds, caller)

    def forget(self, digest: str) -> None:
        with self._lock:
            self._known.pop(digest, None)

    def __contains__(self, digest: str) -> bool:
        """Whether it was ever kept, and not forgotten since."""
        return digest in self._known


_valid = _Memory(REMEMBER_SECONDS)
_refused = _Memory(REFUSE_SECONDS)
_counted = _Memory(COUNT_SECONDS)
_failed = FailedKeys()


def key_text(authorization: str | None) -> str:
    """The key in the header. Raises Problem `auth.missing`, and `auth.invalid` for what can be no key."""
    scheme, text = get_authorization_scheme_param(authorization)
    if scheme.lower() != "bearer" or not text:
        raise Problem("auth.missing", "This address needs an API key.")
    if not text.startswith("vv_") or len(text) > LONGEST_KEY or not text.isascii():
        raise Problem("auth.invalid", "This is no key of this service: keys begin with vv_.")
    return text


def remembered(text: str) -> Caller | None:
    """The caller as known from a moment ago. Raises Problem `auth.invalid` for a key that was not valid then."""
    digest = store.key_hash(text)
    known, caller = _valid.recall(digest)
    if known:
        return caller
    if _refused.recall(digest)[0]:
        raise _invalid()
    return None


def look_up(text: str, peer: str) -> Caller:
    """The caller, from the database. Raises Problem `auth.invalid`, and `rate.limited` where too many keys that are not
    valid came from the peer; one that was valid before is looked up all the same."""
    digest = store.key_hash(text)
    if digest not in _valid:
        _failed.demand(peer)
    caller = transact(lambda session: _look_up(session, text))
    if caller is not None:
        _valid.keep(digest, caller)
        return caller
    _valid.forget(digest)
    _refused.keep(digest, None)
    if not _counted.recall(digest)[0]:
        _counted.keep(digest, None)
        _failed.count(peer)
    raise _invalid()


def _invalid() -> Problem:
    return Problem("auth.invalid", "The key is unknown, revoked or expired.")


def _look_up(session: Session, text: str) -> Caller | None:
    key = store.key(session, text)
    if key is None:
        return None
    session.execute(
        update(ApiKey)
        .where(ApiKey.id == key.id, or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at < ago(USED_EVERY)))
        .values(last_used_at=func.now())
        .execution_options(synchronize_session=False)
    )
    limits = UNLIMITED if key.name == store.FROM_SETTINGS else Limits.read(key.limits)
    return Caller(key.owner_id, key.id, granted(key.scopes), limits)


_bearer = HTTPBearer(auto_error=False, description="An API key: `vv_…`.")


class Needs:
    """A route's demand: a valid key, and with a scope one that has it.

    `api.gate` reads it off the route and has checked it before a byte of the body is read; here the route gets its
    caller. A route that the gate did not see has none, and fails.
    """

    def __init__(self, scope: Scope | None = None) -> None:
        self.scope = scope

    async def __call__(
        self, request: Request, _: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]
    ) -> Caller:
        return request.scope["caller"]


RendersReader = Annotated[Caller, Depends(Needs(Scope.RENDERS_READ))]
RendersWriter = Annotated[Caller, Depends(Needs(Scope.RENDERS_WRITE))]
UploadsWriter = Annotated[Caller, Depends(Needs(Scope.UPLOADS_WRITE))]
WebhooksWriter = Annotated[Caller, Depends(Needs(Scope.WEBHOOKS_WRITE))]
AccountReader = Annotated[Caller, Depends(Needs(Scope.ACCOUNT_READ))]
AnyKey = Annotated[Caller, Depends(Needs())]
