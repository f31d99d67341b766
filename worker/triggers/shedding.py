"""Bodies of messages, the newest of each owner's: so many bytes of them are kept, however much comes in."""

from sqlalchemy import CursorResult, text
from sqlalchemy.orm import Session

from config.logging import get
from config.settings import settings

log = get(__name__)

AT_ONCE = 1_000
"""Bodies that one transaction empties: none of its rows is locked for long."""
CODE = "trigger.not_kept"
"""Of what was held and is refused, for it cannot be decided without its body."""


def shed(session: Session) -> bool:
    """Empty the oldest bodies of owners who have more than `kept_message_bytes`, up to `AT_ONCE`; whether there may be
    more. What is held goes last; what a deleted trigger left goes anyway, and counts for nothing here. The rows stay:
    they tell duplicates, and where a render's video belongs."""
    most = settings().rates.kept_message_bytes
    if not most or not session.execute(_MAY_BE, {"most": most}).scalar_one():
        return False
    # The sizes are read without the bodies: `octet_length` of what lies aside is in its pointer.
    found = session.execute(_SHED, {"most": most, "at_once": AT_ONCE, "code": CODE})
    emptied = found.rowcount if isinstance(found, CursorResult) else 0
    if emptied:
        log.warning("trigger.shed", messages=emptied, most=most)
    return emptied == AT_ONCE


_MAY_BE = text("SELECT pg_total_relation_size('trigger_deliveries') > :most")
"""Nobody has more than there is: most installations never look further."""
_SHED = text(
    """
    WITH many AS (
        SELECT d.owner_id FROM trigger_deliveries d
        JOIN triggers t ON t.id = d.trigger_id AND t.deleted_at IS NULL
        GROUP BY d.owner_id HAVING sum(octet_length(d.body)) > :most
    ), kept AS (
        SELECT d.id, sum(octet_length(d.body)) OVER (
            PARTITION BY d.owner_id ORDER BY d.retry_at IS NULL, d.received_at DESC, d.id DESC) AS bytes
        FROM trigger_deliveries d JOIN many USING (owner_id)
        JOIN triggers t ON t.id = d.trigger_id AND t.deleted_at IS NULL
        WHERE octet_length(d.body) > 0
    )
    UPDATE trigger_deliveries SET
        body = '',
        verdict = CASE WHEN retry_at IS NULL THEN verdict ELSE 'refused' END,
        code = CASE WHEN retry_at IS NULL THEN code ELSE :code END,
        detail = CASE WHEN retry_at IS NULL THEN detail ELSE 'More waited than is kept: have it sent again.' END,
        retry_at = NULL
    WHERE id = ANY (ARRAY(
        SELECT id FROM trigger_deliveries WHERE id IN (SELECT id FROM kept WHERE bytes > :most)
        ORDER BY retry_at IS NOT NULL, received_at, id LIMIT :at_once FOR UPDATE SKIP LOCKED))"""
)
