"""Endpoints: made, found, changed, ended."""

import base64
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, tuple_
from sqlalchemy.orm import Session

from worker.accounts import vault
from worker.database import new_id
from worker.renders.events import EventType
from worker.webhooks.models import DisabledReason, EndpointKind, WebhookEndpoint

DEFAULT_EVENTS = ("render.succeeded", "render.failed", "render.canceled", "render.expired")
_TYPES = frozenset(one.value for one in EventType)
_UNSET: Any = object()


def known_pattern(text: str) -> bool:
    return text in ("*", "render.*", "batch.*", "webhook.*") or text in _TYPES


def create(
    session: Session,
    owner_id: str,
    *,
    url: str,
    events: Sequence[str],
    description: str | None = None,
    secret: str | None = None,
) -> tuple[WebhookEndpoint, str]:
    text = secret or _new_secret()
    row = WebhookEndpoint(
        id=new_id("whe"),
        owner_id=owner_id,
        url=url,
        events=list(events),
        description=description,
        secret_encrypted=vault.lock(text),
    )
    session.add(row)
    session.flush()
    session.refresh(row)
    return row, text


def of_render(session: Session, owner_id: str, url: str) -> WebhookEndpoint:
    where = (WebhookEndpoint.owner_id == owner_id, WebhookEndpoint.url == url, WebhookEndpoint.kind == "render")
    row = session.scalars(select(WebhookEndpoint).where(*where)).one_or_none()
    if row is None:
        row, _ = create(session, owner_id, url=url, events=[])
        row.kind = EndpointKind.RENDER.value
        session.flush()
        session.refresh(row)
    return row


def get(session: Session, owner_id: str, id: str) -> WebhookEndpoint | None:
    return session.scalars(
        select(WebhookEndpoint).where(WebhookEndpoint.id == id, WebhookEndpoint.owner_id == owner_id)
    ).one_or_none()


def locked(session: Session, owner_id: str, id: str) -> WebhookEndpoint | None:
    return session.scalars(
        select(WebhookEndpoint)
        .where(WebhookEndpoint.id == id, WebhookEndpoint.owner_id == owner_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one_or_none()


def page(
    session: Session, owner_id: str, *, limit: int, after: tuple[datetime, str] | None = None
) -> Sequence[WebhookEndpoint]:
    query = select(WebhookEndpoint).where(WebhookEndpoint.owner_id == owner_id)
    if after is not None:
        query = query.where(tuple_(WebhookEndpoint.created_at, WebhookEndpoint.id) < tuple_(*after))
    return session.scalars(
        query.order_by(WebhookEndpoint.created_at.desc(), WebhookEndpoint.id.desc()).limit(limit)
    ).all()


def change(
    session: Session, row: WebhookEndpoint, *, url: Any = _UNSET, events: Any = _UNSET, description: Any = _UNSET
) -> None:
    for name, value in (("url", url), ("events", events), ("description", description)):
        if value is not _UNSET:
            setattr(row, name, value)
    session.flush()
    session.refresh(row)


def disable(session: Session, row: WebhookEndpoint) -> None:
    row.disabled_at, row.disabled_reason = session.scalar(select(func.now())), DisabledReason.ASKED.value
    session.flush()
    session.refresh(row)


def enable(session: Session, row: WebhookEndpoint) -> None:
    row.disabled_at = row.disabled_reason = row.failing_since = None
    session.flush()
    session.refresh(row)


def delete(session: Session, row: WebhookEndpoint) -> None:
    session.delete(row)
    session.flush()


def rotate(session: Session, row: WebhookEndpoint, *, overlap: timedelta, secret: str | None = None) -> str:
    text = secret or _new_secret()
    now = session.scalar(select(func.now()))
    assert now is not None
    row.previous_secret_encrypted = row.secret_encrypted if overlap else None
    row.previous_secret_until = now + overlap if overlap else None
    row.secret_encrypted = vault.lock(text)
    session.flush()
    session.refresh(row)
    return text


def secrets_of(row: WebhookEndpoint, now: datetime) -> list[str]:
    found = [vault.unlock(row.secret_encrypted)]
    if row.previous_secret_encrypted and row.previous_secret_until and row.previous_secret_until > now:
        found.append(vault.unlock(row.previous_secret_encrypted))
    return found


def _new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
