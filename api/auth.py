"""Who is calling: `Authorization: Bearer vv_…`, looked up by its hash."""

import threading
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from fastapi import Depends, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy import func, or_, update
from sqlalchemy.orm import Session

from api.database import transact
from api.problems import Problem
from worker.database import ago
from worker.owners import store
from worker.owners.models import ApiKey

REMEMBER_SECONDS = 3.0
"""How long a revoked key may still work: the price of not asking the database at every request."""
REMEMBER_KEYS = 10_000
USED_EVERY = timedelta(minutes=1)
"""`last_used_at` is exact to a minute: a write per request would be the most frequent write of all."""
LONGEST_KEY = 200


@dataclass(frozen=True)
class Caller:
    """The owner a valid key belongs to: every query is bound to it."""

    owner_id: str
    key_id: str


_remembered: dict[str, tuple[float, Caller]] = {}
_lock = threading.Lock()

_bearer = HTTPBearer(auto_error=False, description="An API key: `vv_…`.")


def caller(given: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]) -> Caller:
    """The caller of this request. Raises Problem `auth.missing` or `auth.invalid`."""
    if given is None:
        raise Problem("auth.missing", "This address needs an API key.")
    text = given.credentials
    if not text.startswith("vv_") or len(text) > LONGEST_KEY or not text.isascii():
        raise Problem("auth.invalid", "This is no key of this service: keys begin with vv_.")
    digest = store.key_hash(text)
    now = time.monotonic()
    with _lock:
        until, known = _remembered.get(digest, (0.0, None))
    if known is not None and now < until:
        return known
    found = transact(lambda session: _look_up(session, text))
    with _lock:
        if len(_remembered) >= REMEMBER_KEYS:
            _remembered.clear()
        if found is None:
            _remembered.pop(digest, None)
        else:
            _remembered[digest] = (now + REMEMBER_SECONDS, found)
    if found is None:
        raise Problem("auth.invalid", "The key is unknown, revoked or expired.")
    return found


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
    return Caller(key.owner_id, key.id)


CallerHere = Annotated[Caller, Depends(caller)]

RendersReader = CallerHere
RendersWriter = CallerHere
UploadsWriter = CallerHere
AccountReader = CallerHere
AnyKey = CallerHere
