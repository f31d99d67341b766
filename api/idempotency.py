"""A request repeated with its `Idempotency-Key` finds what it made the first time."""

import hashlib
import json
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Header
from sqlalchemy import TextClause, select, text, update
from sqlalchemy.orm import Session

from api.problems import FieldError, Problem
from worker.owners.models import IdempotencyKey

IN_FLIGHT_SECONDS = 1
"""`Retry-After`: the other request's transaction takes milliseconds."""

Made = TypeVar("Made")

_VALID = re.compile(r"[\x21-\x7e]{1,255}")
_MINE = "request:"


@dataclass(frozen=True)
class Earlier:
    """What this key led to before."""

    resource_id: str


@dataclass(frozen=True)
class Key:
    """The caller's key, or one of our own for a caller without."""

    text: str
    given: bool


async def key(
    idempotency_key: Annotated[
        str | None,
        Header(description="Any text of your own, once per request.", json_schema_extra={"pattern": "^[!-~]{1,255}$"}),
    ] = None,
):
    """The request's key. Raises Problem `idempotency.invalid`.

    A request without one gets its own: when the database loses the answer to a COMMIT, the transaction is run again,
    and must find what it made.
    """
    if idempotency_key is None:
        return Key(_MINE + uuid.uuid4().hex, given=False)
    if not _VALID.fullmatch(idempotency_key) or idempotency_key.startswith(_MINE):
        errors = [FieldError("Idempotency-Key", "1 to 255 visible ASCII characters, not beginning with `request:`")]
        raise Problem("idempotency.invalid", "The Idempotency-Key cannot be used.", errors=errors)
    return Key(idempotency_key, given=True)


KeyHere = Annotated[Key, Depends(key)]


def body_hash(normalised: Any) -> str:
    """SHA-256 of a request with its defaults filled in: spaces and the order of fields make no difference."""
    text = json.dumps(normalised, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def earlier(session: Session, owner_id: str, route: str, key: Key, hashed: str) -> str | None:
    """The resource this key led to before, or None. Raises Problem `idempotency.mismatch`."""
    where = (IdempotencyKey.owner_id == owner_id, IdempotencyKey.route == route, IdempotencyKey.key == key.text)
    row = session.execute(select(IdempotencyKey.body_hash, IdempotencyKey.resource_id).where(*where)).one_or_none()
    if row is None:
        return None
    if row.body_hash != hashed:
        raise Problem("idempotency.mismatch", "The key was used with another body.")
    return row.resource_id


def once(
    session: Session, owner_id: str, route: str, key: Key, hashed: str, resource_id: str, make: Callable[[], Made]
) -> Made | Earlier:
    """What `make` makes under `resource_id`, or the id of what was made earlier under this key.

    Of simultaneous calls one gets the key's lock, which lasts until it has committed. The others find what it made, or,
    before that, are told to come again. Raises Problem `idempotency.mismatch`, `idempotency.in_flight`.
    """
    names = {"owner_id": owner_id, "route": route, "key": key.text}
    if _reserve(session, names | {"body_hash": hashed, "resource_id": resource_id}, wait=not key.given):
        return make()
    known = earlier(session, owner_id, route, key, hashed)
    if known is None:
        raise Problem("idempotency.in_flight", headers={"Retry-After": str(IN_FLIGHT_SECONDS)})
    return Earlier(known)


def leads_to(session: Session, owner_id: str, route: str, key: Key, resource_id: str) -> None:
    """What a key led to, for a resource that gets its id as it is made; in the transaction of `once`."""
    where = (IdempotencyKey.owner_id == owner_id, IdempotencyKey.route == route, IdempotencyKey.key == key.text)
    session.execute(
        update(IdempotencyKey)
        .where(*where)
        .values(resource_id=resource_id)
        .execution_options(synchronize_session=False)
    )


def _reserve(session: Session, row: dict[str, str], *, wait: bool) -> bool:
    """Put the key on file, in one statement with taking its lock; False where it is there or another request has it.

    A key of our own is known to one request alone: what holds it is that request's own transaction whose COMMIT was
    never answered, which is worth waiting for.
    """
    lock = "\n".join((row["owner_id"], row["route"], row["key"]))
    return session.execute(_WAITING if wait else _TRYING, row | {"lock": lock}).scalar_one_or_none() is not None


def _reservation(free: str) -> TextClause:
    return text(
        "INSERT INTO idempotency_keys (owner_id, route, key, body_hash, resource_id)"
        f" SELECT :owner_id, :route, :key, :body_hash, :resource_id WHERE {free}"
        " ON CONFLICT DO NOTHING RETURNING key"
    )


_TRYING = _reservation("pg_try_advisory_xact_lock(hashtextextended(:lock, 0))")
_WAITING = _reservation("CAST(:lock AS text) IS NOT NULL")
