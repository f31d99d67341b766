"""Deliveries are kept for a month after their end; what a disabled endpoint never got, after it was made."""

from datetime import timedelta

from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session

from worker.database import ago
from worker.webhooks.models import DeliveryState, WebhookDelivery, WebhookEndpoint

KEPT = timedelta(days=30)
AT_ONCE = 5_000


def forget(session: Session) -> int:
    """Delete up to `AT_ONCE` of them, with their tries; how many."""
    long_disabled = select(WebhookEndpoint.id).where(WebhookEndpoint.disabled_at < ago(KEPT))
    abandoned = (
        WebhookDelivery.endpoint_id.in_(long_disabled)
        & (WebhookDelivery.state == DeliveryState.PENDING.value)
        & (WebhookDelivery.created_at < ago(KEPT))
    )
    old = select(WebhookDelivery.id).where(or_(WebhookDelivery.ended_at < ago(KEPT), abandoned)).limit(AT_ONCE)
    gone = delete(WebhookDelivery).where(WebhookDelivery.id.in_(old.with_for_update(skip_locked=True)))
    return len(session.execute(gone.returning(WebhookDelivery.id).execution_options(synchronize_session=False)).all())
