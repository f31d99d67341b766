"""Owners and keys: made, found, installed."""

import hashlib
import secrets
from typing import Any

from sqlalchemy import func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from config.settings import Settings
from worker.database import new_id
from worker.owners.models import ApiKey, Owner

FIRST_OWNER = "default"
SECOND_OWNER = "demo"
"""Two owners from the start: what belongs to one is invisible to the other from the first row on."""


FROM_SETTINGS = "VIVIDEO_API_KEY"
"""The name of the key that the setting gives."""


def key_hash(key: str) -> str:
    """SHA-256 of an API key: keys are 256 random bits, so a slow hash would protect nothing more."""
    return hashlib.sha256(key.encode()).hexdigest()


def owner(session: Session, name: str) -> Owner:
    """The owner of that name; made on first use."""
    session.execute(insert(Owner).values(id=new_id("own"), name=name).on_conflict_do_nothing())
    return session.scalars(select(Owner).where(Owner.name == name)).one()


def new_key(session: Session, owner_id: str, name: str) -> str:
    """Make a key and return its text, which is shown this once."""
    text = f"vv_{secrets.token_urlsafe(32)}"
    _keep(session, owner_id, name, text)
    return text


def _keep(session: Session, owner_id: str, name: str, text: str) -> None:
    values: dict[str, Any] = {
        "id": new_id("key"),
        "owner_id": owner_id,
        "name": name,
        "prefix": text[:8],
        "hash": key_hash(text),
    }
    session.execute(insert(ApiKey).values(**values).on_conflict_do_nothing(index_elements=["hash"]))


def key(session: Session, text: str) -> ApiKey | None:
    """The valid key with this text: known, not revoked, not expired."""
    return session.scalars(
        select(ApiKey).where(
            ApiKey.hash == key_hash(text),
            ApiKey.revoked_at.is_(None),
            or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > func.now()),
        )
    ).one_or_none()


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
        session.execute(update(ApiKey).where(ApiKey.hash == key_hash(text)).values(revoked_at=None))
