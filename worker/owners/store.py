"""Owners and keys: made, found, installed."""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from config.settings import Settings
from worker.database import new_id
from worker.owners.limits import Limits
from worker.owners.models import ApiKey, Owner
from worker.owners.scopes import Scope

FIRST_OWNER = "default"
SECOND_OWNER = "demo"
"""Two owners from the start: what belongs to one is invisible to the other from the first row on."""


FROM_SETTINGS = "VIVIDEO_API_KEY"
"""The name of the key that the setting gives; no other may have it."""

PREFIX_CHARACTERS = 8
"""`vv_` and five more: enough to recognise a key by, and far from enough to guess it."""
OVERLAP = timedelta(hours=24)
"""How long the old text of a rotated key works by default: a day to change it everywhere."""


class FromSettings(Exception):
    """The key is the setting's: it is changed there."""


class NoLongerValid(Exception):
    """The key is revoked or expired: there is nothing to rotate."""


def key_hash(key: str) -> str:
    """SHA-256 of an API key: keys are 256 random bits, so a slow hash would protect nothing more."""
    return hashlib.sha256(key.encode()).hexdigest()


def owner(session: Session, name: str) -> Owner:
    """The owner of that name; made on first use."""
    session.execute(insert(Owner).values(id=new_id("own"), name=name).on_conflict_do_nothing())
    return session.scalars(select(Owner).where(Owner.name == name)).one()


def find_owner(session: Session, name: str) -> Owner | None:
    """The owner of that name, if there is one."""
    return session.scalars(select(Owner).where(Owner.name == name)).one_or_none()


def owner_names(session: Session) -> Sequence[str]:
    """All of them."""
    return session.scalars(select(Owner.name).order_by(Owner.name)).all()


def new_key(
    session: Session,
    owner_id: str,
    name: str,
    *,
    scopes: Sequence[Scope] = (),
    limits: Limits | None = None,
    expires_at: datetime | ColumnElement[datetime] | None = None,
) -> str:
    """Make a key and return its text, which is shown this once. Without scopes it may do everything."""
    text = _new_text()
    more = {"scopes": [scope.value for scope in scopes], "limits": limits.kept() if limits else {}}
    _keep(session, owner_id, name, text, **more, expires_at=expires_at)
    return text


def _new_text() -> str:
    return f"vv_{secrets.token_urlsafe(32)}"


def _keep(session: Session, owner_id: str, name: str, text: str, **more: Any) -> None:
    values: dict[str, Any] = {
        "id": new_id("key"),
        "owner_id": owner_id,
        "name": name,
        "prefix": text[:PREFIX_CHARACTERS],
        "hash": key_hash(text),
    }
    session.execute(insert(ApiKey).values(**values, **more).on_conflict_do_nothing(index_elements=["hash"]))


def key(session: Session, text: str) -> ApiKey | None:
    """The valid key with this text, or with this as its text before a rotation whose overlap lasts: known, not
    revoked, not expired."""
    digest = key_hash(text)
    before = and_(ApiKey.previous_hash == digest, ApiKey.previous_expires_at > func.now())
    return session.scalars(
        select(ApiKey).where(
            or_(ApiKey.hash == digest, before),
            ApiKey.revoked_at.is_(None),
            or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > func.now()),
        )
    ).first()


def keys(session: Session) -> Sequence[tuple[ApiKey, str]]:
    """Every key with its owner's name, revoked ones too, oldest first."""
    query = select(ApiKey, Owner.name).join(Owner, Owner.id == ApiKey.owner_id).order_by(ApiKey.created_at, ApiKey.id)
    return [(row, name) for row, name in session.execute(query)]


def named(session: Session, reference: str) -> Sequence[ApiKey]:
    """The keys with this id or this prefix, locked: a prefix may be that of several."""
    meant = or_(ApiKey.id == reference, ApiKey.prefix == reference)
    return session.scalars(select(ApiKey).where(meant).order_by(ApiKey.id).with_for_update()).all()


def standing(session: Session, key: ApiKey) -> tuple[str, datetime | None]:
    """`valid`, `expired` or `revoked`, by the database's clock; and until when the text before a rotation works too."""
    now = session.execute(select(func.now())).scalar_one()
    if key.revoked_at is not None:
        return "revoked", None
    if key.expires_at is not None and key.expires_at <= now:
        return "expired", None
    before = key.previous_expires_at
    return "valid", before if before is not None and before > now else None


def revoke(session: Session, key: ApiKey) -> None:
    """End a locked key, and its text before a rotation too. Raises FromSettings."""
    if key.name == FROM_SETTINGS:
        raise FromSettings
    if key.revoked_at is None:
        key.revoked_at = session.execute(select(func.now())).scalar_one()
        session.flush()


def rotate(session: Session, key: ApiKey, overlap: timedelta) -> str:
    """Give a locked key another text, returned and shown this once; the old one works for `overlap` more. One that was
    still working from an earlier rotation ends.

    Raises:
        FromSettings, NoLongerValid
    """
    if key.name == FROM_SETTINGS:
        raise FromSettings
    if standing(session, key)[0] != "valid":
        raise NoLongerValid
    now, text = session.execute(select(func.now())).scalar_one(), _new_text()
    key.previous_hash = key.hash if overlap else None
    key.previous_expires_at = now + overlap if overlap else None
    key.hash, key.prefix = key_hash(text), text[:PREFIX_CHARACTERS]
    session.flush()
    return text


def install(session: Session, settings: Settings) -> None:
    """Make the first two owners, and the first owner's key where the settings name one; harmless to repeat."""
    first = owner(session, FIRST_OWNER)
    owner(session, SECOND_OWNER)
    if settings.servers.api_key is not None:
        text = settings.servers.api_key.get_secret_value()
        _keep(session, first.id, FROM_SETTINGS, text)
        # A key that was replaced in the settings, perhaps because it leaked, is valid no longer.
        session.execute(
            update(ApiKey)
            .where(ApiKey.owner_id == first.id, ApiKey.name == FROM_SETTINGS, ApiKey.hash != key_hash(text))
            .where(ApiKey.revoked_at.is_(None))
            .values(revoked_at=func.now())
        )
        session.execute(
            update(ApiKey).where(ApiKey.name == FROM_SETTINGS, ApiKey.hash == key_hash(text)).values(revoked_at=None)
        )
