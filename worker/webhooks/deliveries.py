"""Deliveries: listed, looked at, sent again."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from sqlalchemy import func, select, tuple_, update
from sqlalchemy.orm import Session

from worker.database import new_id
from worker.webhooks import messages
from worker.webhooks.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint


def page(
    session: Session,
    owner_id: str,
    *,
    endpoint_id: str | None = None,
    subject: str | None = None,
    state: str | None = None,
    limit: int,
    after: tuple[datetime, str] | None = None,
) -> Sequence[WebhookDelivery]:
    query = select(WebhookDelivery).where(WebhookDelivery.owner_id == owner_id)
    wanted = ((WebhookDelivery.endpoint_id, endpoint_id), (WebhookDelivery.subject, subject))
    for column, value in (*wanted, (WebhookDelivery.state, state)):
        if value is not None:
            query = query.where(column == value)
    if after is not None:
        query = query.where(tuple_(WebhookDelivery.created_at, WebhookDelivery.id) < tuple_(*after))
    return session.scalars(
        query.order_by(WebhookDelivery.created_at.desc(), WebhookDelivery.id.desc()).limit(limit)
    ).all()


def get(session: Session, owner_id: str, id: str) -> WebhookDelivery | None:
    return session.scalars(
        select(WebhookDelivery).where(WebhookDelivery.id == id, WebhookDelivery.owner_id == owner_id)
    ).one_or_none()


def attempts(session: Session, delivery_id: str) -> Sequence[WebhookAttempt]:
    return session.scalars(
        select(WebhookAttempt).where(WebhookAttempt.delivery_id == delivery_id).order_by(WebhookAttempt.number)
    ).all()


def redeliver(session: Session, row: WebhookDelivery) -> None:
    row.state, row.ended_at, row.tries = "pending", None, 0
    session.flush()
    session.refresh(row)


def redeliver_since(
    session: Session, endpoint_row: WebhookEndpoint, since: datetime, *, only: Literal["failed", "all"]
) -> int:
    states = ["failed"] if only == "failed" else ["failed", "delivered", "superseded"]
    where = (
        WebhookDelivery.endpoint_id == endpoint_row.id,
        WebhookDelivery.created_at >= since,
        WebhookDelivery.state.in_(states),
    )
    found = session.execute(
        update(WebhookDelivery)
        .where(*where)
        .values(state="pending", ended_at=None, tries=0)
        .returning(WebhookDelivery.id)
        .execution_options(synchronize_session=False)
    )
    return len(found.all())


def send_test(session: Session, endpoint_row: WebhookEndpoint, type: str) -> WebhookDelivery:
    now = session.scalar(select(func.now()))
    assert now is not None
    row = WebhookDelivery(
        id=new_id("msg"),
        owner_id=endpoint_row.owner_id,
        endpoint_id=endpoint_row.id,
        subject=endpoint_row.id,
        sequence=0,
        type=type,
        body=messages.text(type, now, {"test": True}),
    )
    session.add(row)
    session.flush()
    session.refresh(row)
    return row
