"""Triggers that were deleted are removed in pieces: what hangs on one may be hundreds of thousands of messages, and of
each some megabytes."""

from sqlalchemy import delete, select, text
from sqlalchemy.orm import Session

from worker.triggers.models import Trigger, TriggerDelivery

PIECE = 500
"""Rows of one transaction: with bodies of 4 MiB it is a matter of seconds, with usual ones of milliseconds."""


def remove(session: Session) -> bool:
    """Remove a piece of what hangs on a deleted trigger, or the trigger where nothing does any more; whether there was
    one that nobody else has in hand. What is locked at this moment goes with the trigger."""
    oldest = select(Trigger.id).where(Trigger.deleted_at.is_not(None)).order_by(Trigger.deleted_at).limit(1)
    gone = session.scalars(oldest.with_for_update(key_share=True, skip_locked=True)).one_or_none()
    if gone is None:
        return False
    if not any(session.execute(piece, {"id": gone, "most": PIECE}).all() for piece in _PIECES):
        session.execute(delete(Trigger).where(Trigger.id == gone))
    return True


def remove_held(session: Session, delivery_id: str) -> None:
    """Remove a held message of a deleted trigger: it would be due again and again until `remove` comes to it. One that
    somebody has in hand, which is `remove`, is left alone."""
    deleted = select(Trigger.id).where(Trigger.deleted_at.is_not(None))
    its = TriggerDelivery.id == delivery_id, TriggerDelivery.trigger_id.in_(deleted)
    free = select(TriggerDelivery.id).where(*its).with_for_update(skip_locked=True)
    gone = delete(TriggerDelivery).where(TriggerDelivery.id.in_(free))
    session.execute(gone.execution_options(synchronize_session=False))


_PIECES = (
    text(
        """
        DELETE FROM trigger_deliveries WHERE id = ANY (ARRAY(
            SELECT id FROM trigger_deliveries WHERE trigger_id = :id LIMIT :most FOR UPDATE SKIP LOCKED))
        RETURNING 1"""
    ),
    text(
        """
        DELETE FROM trigger_things WHERE trigger_id = :id AND ref = ANY (ARRAY(
            SELECT ref FROM trigger_things WHERE trigger_id = :id LIMIT :most FOR UPDATE SKIP LOCKED))
        RETURNING 1"""
    ),
)
