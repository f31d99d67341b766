"""An owner's publishers: put on file, shown, listed, changed, dropped. Every query names the owner it is for."""

import json
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Select, func, select, tuple_
from sqlalchemy.orm import Session

from worker.accounts import vault
from worker.database import new_id
from worker.publishing import publications
from worker.publishing.models import Publisher, PublisherKind
from worker.publishing.settings import CREDENTIALS, SETTINGS, SHOP, Credentials, Settings, plain


class Moved(Exception):
    """It belongs to its shop, where something was begun: the ids on file mean nothing in another one."""


class NotForThere(Exception):
    """Its credentials were given for the site of before, and are sent to no other."""


def create(
    session: Session,
    owner_id: str,
    kind: PublisherKind,
    *,
    settings: Settings,
    credentials: Credentials,
    name: str | None = None,
    publisher_id: str | None = None,
) -> Publisher:
    """Put one on file. Raises vault.SecretKeyMissing."""
    row = Publisher(
        id=publisher_id or new_id("pub"),
        owner_id=owner_id,
        kind=kind.value,
        name=name,
        settings=settings.model_dump(mode="json"),
        credentials_encrypted=vault.lock(json.dumps(plain(credentials))),
    )
    session.add(row)
    session.flush()
    return row


def get(session: Session, owner_id: str, publisher_id: str) -> Publisher | None:
    """The owner's publisher, or None: somebody else's is as good as none."""
    return session.scalars(_owned(owner_id, publisher_id)).one_or_none()


def locked(session: Session, owner_id: str, publisher_id: str, *, shut: bool = False) -> Publisher | None:
    """As `get`, with the row locked until the transaction ends; where it is not `shut`, new publications can still name
    it, and workers claim them."""
    query = _owned(owner_id, publisher_id).with_for_update(key_share=not shut)
    return session.scalars(query.execution_options(populate_existing=True)).one_or_none()


def _owned(owner_id: str, publisher_id: str) -> Select[Publisher]:
    return select(Publisher).where(Publisher.id == publisher_id, Publisher.owner_id == owner_id)


def page(
    session: Session, owner_id: str, *, limit: int, after: tuple[datetime, str] | None = None
) -> Sequence[Publisher]:
    """Up to `limit` of the owner's publishers, newest first, behind `after` (keyset: creation time and id)."""
    query = select(Publisher).where(Publisher.owner_id == owner_id)
    if after is not None:
        query = query.where(tuple_(Publisher.created_at, Publisher.id) < tuple_(*after))
    return session.scalars(query.order_by(Publisher.created_at.desc(), Publisher.id.desc()).limit(limit)).all()


def change(
    session: Session,
    row: Publisher,
    *,
    settings: Settings | None = None,
    credentials: Credentials | None = None,
    enabled: bool | None = None,
) -> Publisher:
    """Change a locked publisher; for other settings one that is shut. What waits goes on by what is told now, and what
    a worker has in hand as it was told; where the publisher is disabled, no further than its next write. New
    credentials or settings, or being enabled, are a new start: it no longer counts as failing, and what waits after a
    fault goes on at once. Raises Moved, NotForThere."""
    if settings is not None:
        told = settings.model_dump(mode="json")
        if (shop := SHOP.get(PublisherKind(row.kind))) is not None and told[shop] != row.settings[shop]:
            if publications.begun(session, row.id):
                raise Moved
            if row.kind == PublisherKind.WOOCOMMERCE and credentials is None:
                raise NotForThere
        row.settings = told
    if credentials is not None:
        row.credentials_encrypted = vault.lock(json.dumps(plain(credentials)))
    if settings is not None or credentials is not None or enabled:
        row.failing_since = row.error_code = row.quiet_until = None
        session.flush()
        publications.forgive(session, row.id)
    if enabled is False:
        publications.let_go(session, row.id)
    if enabled is not None:
        row.disabled_at = None if enabled else row.disabled_at or session.scalar(select(func.now()))
    session.flush()
    session.refresh(row)
    return row


def delete(session: Session, row: Publisher) -> None:
    """Forget a locked publisher and its publications; what it brought to the shop stays there."""
    session.delete(row)
    session.flush()


def settings_of(row: Publisher) -> Settings:
    """As they were checked when they were given."""
    return SETTINGS[PublisherKind(row.kind)].model_validate(row.settings)


def credentials_of(row: Publisher) -> Credentials:
    """Decrypted. Raises vault.SecretKeyMissing, vault.SecretKeyChanged."""
    return CREDENTIALS[PublisherKind(row.kind)].model_validate(json.loads(vault.unlock(row.credentials_encrypted)))
