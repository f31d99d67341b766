"""Deliveries are kept for a month after their end; what a disabled endpoint never got, after it was made.

Endpoints that were deleted are removed in pieces: what hangs on one may be millions of rows, and renders at work."""

from datetime import timedelta

from sqlalchemy import delete, or_, select, text
from sqlalchemy.orm import Session

from worker.database import ago
from worker.webhooks.models import DeliveryState, WebhookDelivery, WebhookEndpoint, WebhookRedelivery

KEPT = timedelta(days=30)
AT_ONCE = 5_000
PIECE = 2_000
"""Rows of one transaction that removes an endpoint."""


def forget(session: Session) -> int:
    """Delete up to `AT_ONCE` of them, with their tries, and redeliveries that are as old; how many deliveries."""
    session.execute(delete(WebhookRedelivery).where(WebhookRedelivery.finished_at < ago(KEPT)))
    long_disabled = select(WebhookEndpoint.id).where(WebhookEndpoint.disabled_at < ago(KEPT))
    abandoned = (
        WebhookDelivery.endpoint_id.in_(long_disabled)
        & (WebhookDelivery.state == DeliveryState.PENDING.value)
        & (WebhookDelivery.created_at < ago(KEPT))
    )
    old = select(WebhookDelivery.id).where(or_(WebhookDelivery.ended_at < ago(KEPT), abandoned)).limit(AT_ONCE)
    ids = session.scalars(old.with_for_update(skip_locked=True)).all()
    gone = delete(WebhookDelivery).where(WebhookDelivery.id.in_(ids))
    return len(session.execute(gone.returning(WebhookDelivery.id).execution_options(synchronize_session=False)).all())


def remove(session: Session) -> bool:
    """Remove a piece of what hangs on a deleted endpoint, or the endpoint where nothing does any more; whether there
    was one that nobody else has in hand. What is locked at this moment goes with the endpoint."""
    oldest = select(WebhookEndpoint.id).where(WebhookEndpoint.deleted_at.is_not(None)).limit(1)
    oldest = oldest.order_by(WebhookEndpoint.deleted_at).with_for_update(key_share=True, skip_locked=True)
    gone = session.scalars(oldest).one_or_none()
    if gone is None:
        return False
    if not any(session.execute(piece, {"id": gone, "most": PIECE}).all() for piece in _PIECES):
        session.execute(delete(WebhookEndpoint).where(WebhookEndpoint.id == gone))
    return True


_PIECES = (
    text(
        """
        DELETE FROM webhook_deliveries WHERE id = ANY (ARRAY(
            SELECT id FROM webhook_deliveries WHERE endpoint_id = :id LIMIT :most FOR UPDATE SKIP LOCKED))
        RETURNING 1"""
    ),
    text(
        """
        UPDATE renders SET webhook_endpoint_id = NULL WHERE id = ANY (ARRAY(
            SELECT id FROM renders WHERE webhook_endpoint_id = :id LIMIT :most FOR NO KEY UPDATE SKIP LOCKED))
        RETURNING 1"""
    ),
    text(
        """
        DELETE FROM events WHERE id = ANY (ARRAY(
            SELECT id FROM events WHERE endpoint_id = :id LIMIT :most FOR UPDATE SKIP LOCKED))
        RETURNING 1"""
    ),
)
