"""Claims: one statement makes a delivery this worker's for one try. Its lease number fences what is written later."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from worker.webhooks import order
from worker.webhooks.due import AT_ONCE
from worker.webhooks.models import WebhookEndpoint
from worker.webhooks.order import next_ones


class Claimed:
    """A delivery in hand, as it was claimed."""

    def __init__(self, row: Any) -> None:
        self.id: str = row.id
        self.endpoint_id: str = row.endpoint_id
        self.lease: int = row.lease
        self.body: str = row.body
        self.ready_at: datetime = row.ready_at
        self.at: datetime = row.at
        """The moment of the claim by the database's clock: the try's `webhook-timestamp`."""
        self.endpoint = WebhookEndpoint(
            id=row.endpoint_id,
            url=row.url,
            secret_encrypted=row.secret_encrypted,
            previous_secret_encrypted=row.previous_secret_encrypted,
            previous_secret_until=row.previous_secret_until,
        )
        """Of no session: address and secrets as they were."""


def claim(session: Session, delivery_id: str, lease: int, *, for_: timedelta) -> Claimed | None:
    """Take a delivery whose lease number is `lease`; None where it is another's, over, or its endpoint disabled or
    to be left alone: then its place is free again."""
    claimed = _claimed(session, _THIS, {"id": delivery_id, "lease": lease, "for": for_})
    if claimed is None:
        session.execute(_GIVE_BACK, {"id": delivery_id, "lease": lease})
    return claimed


def claim_next(session: Session, endpoint_id: str, *, for_: timedelta) -> Claimed | None:
    """Take the next one of an endpoint that is due and that nobody was told of."""
    given = {"endpoint": endpoint_id, "for": for_, "each": AT_ONCE, "looked_at": order.LOOKED_AT}
    return _claimed(session, _NEXT, given)


def _claimed(session: Session, statement: Any, given: Mapping[str, Any]) -> Claimed | None:
    row = session.execute(statement, given).one_or_none()
    return Claimed(row) if row is not None else None


_CLAIM = """
    UPDATE webhook_deliveries AS mine SET lease = mine.lease + 1, lease_until = now() + CAST(:for AS interval),
        sent_at = now(), tries = mine.tries + (mine.lease_until IS NOT NULL)::int
    FROM webhook_endpoints AS endpoint
    WHERE mine.state = 'pending' AND (mine.lease_until IS NULL OR mine.lease_until < now())
        AND endpoint.id = mine.endpoint_id AND endpoint.disabled_at IS NULL
        AND coalesce(endpoint.quiet_until <= now(), true) AND {chosen}
    RETURNING mine.id, mine.endpoint_id, mine.lease, mine.body,
        greatest(mine.ready_at, endpoint.quiet_until) AS ready_at, now() AS at, coalesce(mine.url, endpoint.url) AS url,
        endpoint.secret_encrypted, endpoint.previous_secret_encrypted, endpoint.previous_secret_until"""

_THIS = text(_CLAIM.format(chosen="mine.id = :id AND mine.lease = :lease"))
_GIVE_BACK = text(
    """
    UPDATE webhook_deliveries AS mine SET sent_at = NULL
    FROM webhook_endpoints AS endpoint
    WHERE mine.id = :id AND mine.lease = :lease AND mine.state = 'pending' AND mine.lease_until IS NULL
        AND endpoint.id = mine.endpoint_id AND (endpoint.disabled_at IS NOT NULL OR endpoint.quiet_until > now())"""
)
"""Or it would count as on its way until it is taken for lost, and an endpoint that rested a second stand still so
long."""
_NEXT = text(
    _CLAIM.format(
        chosen=f"""mine.id = (SELECT d.id FROM webhook_deliveries AS d
        WHERE d.id = ANY (ARRAY(SELECT id FROM ({next_ones(":endpoint", ":each")}) AS found))
            AND CASE WHEN d.state = 'pending' THEN d.sent_at IS NULL AND d.ready_at <= now() END
        ORDER BY d.ready_at, d.id LIMIT 1 FOR UPDATE SKIP LOCKED)"""  # noqa: S608 - own names
    )
)
"""Of as many as others may be claiming at this moment."""
