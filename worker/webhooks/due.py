"""Which deliveries a worker is told of now: a few of each endpoint, so that a slow one delays no other.

An endpoint has at most `AT_ONCE` in hand, one that fails or is slow has one, and all of those together a quarter of
io's places. Deliveries and publications together have half: the renders' own calls have the rest.
"""

from dataclasses import dataclass

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from config.settings import settings
from worker.renders import queue

AT_ONCE = 16
SLOW_SECONDS = 5.0
"""A last try that took longer makes its endpoint a slow one."""
MOST = 500
"""Told of in one look."""


@dataclass(frozen=True)
class Due:
    """A delivery to send a message about."""

    id: str
    lease: int


HELD_BACK = """EXISTS (SELECT 1 FROM webhook_deliveries AS earlier
            WHERE earlier.endpoint_id = d.endpoint_id AND earlier.subject = d.subject
                AND earlier.sequence < d.sequence AND earlier.state = 'pending'
                AND earlier.tries = 0 AND (earlier.lease_until IS NULL OR earlier.lease_until >= now()))"""
"""First tries of one subject go out in order: one whose first try is still to come, or under way, holds back those
behind it; one that failed, or whose worker never came back, holds back nobody."""


def hand_out(session: Session) -> list[Due]:
    """Deliveries to send messages about, marked as sent in this transaction; none where another dispatcher does this at
    the moment."""
    if not session.execute(select(func.pg_try_advisory_xact_lock(_LOCK))).scalar_one():
        return []
    queue.by_index(session)
    _forget_lost(session)
    places = queue.capacity(session, lease=settings().waits.lease_seconds).get("io", 0)
    if not places:
        return []
    given = {"half": max(1, places // 2), "quarter": max(1, places // 4), "most": MOST}
    return [
        Due(row.id, row.lease) for row in session.execute(HAND_OUT, given | {"each": AT_ONCE, "slow": SLOW_SECONDS})
    ]


_LOCK = 0x77656268
"""`webh`."""


def _forget_lost(session: Session) -> None:
    """Those that nobody claimed in time, or whose worker never came back, are told of again."""
    session.execute(_FORGET_LOST, {"redispatch": settings().waits.redispatch_seconds})


_FORGET_LOST = text(
    """
    UPDATE webhook_deliveries SET sent_at = NULL, state = CASE WHEN overtaken THEN 'superseded' ELSE state END,
        ended_at = CASE WHEN overtaken THEN now() END
    WHERE state = 'pending' AND sent_at < now() - CAST(:redispatch AS interval)
        AND (lease_until IS NULL OR lease_until < now())"""
)


HAND_OUT = text(
    f"""
    WITH RECURSIVE waiting AS (
        (SELECT endpoint_id FROM webhook_deliveries WHERE state = 'pending' AND sent_at IS NULL
            ORDER BY endpoint_id LIMIT 1)
        UNION ALL
        SELECT (SELECT next.endpoint_id FROM webhook_deliveries AS next WHERE state = 'pending' AND sent_at IS NULL
            AND next.endpoint_id > waiting.endpoint_id ORDER BY next.endpoint_id LIMIT 1)
        FROM waiting WHERE waiting.endpoint_id IS NOT NULL),
    in_hand AS MATERIALIZED (SELECT endpoint_id, count(*) AS number FROM webhook_deliveries
        WHERE state = 'pending' AND sent_at IS NOT NULL GROUP BY endpoint_id),
    standing AS (SELECT id, failing_since IS NOT NULL OR coalesce(last_seconds, 0) > :slow AS troubled,
            coalesce(number, 0) AS number
        FROM webhook_endpoints LEFT JOIN in_hand ON in_hand.endpoint_id = webhook_endpoints.id
        WHERE disabled_at IS NULL AND coalesce(quiet_until <= now(), true)
            AND id IN (SELECT endpoint_id FROM waiting UNION SELECT endpoint_id FROM in_hand)),
    free AS (SELECT
            :half - coalesce((SELECT sum(number) FROM in_hand), 0)
                - (SELECT count(*) FROM publications WHERE state = 'pending' AND sent_at IS NOT NULL) AS places,
            :quarter - coalesce((SELECT sum(number) FROM standing WHERE troubled), 0) AS of_troubled),
    candidates AS (SELECT d.id, d.ready_at, standing.troubled,
            standing.number + row_number() OVER (PARTITION BY standing.id ORDER BY d.ready_at, d.id) AS place
        FROM standing CROSS JOIN LATERAL (SELECT d.id, d.ready_at FROM webhook_deliveries AS d
            WHERE d.endpoint_id = standing.id AND d.state = 'pending' AND d.sent_at IS NULL AND d.ready_at <= now()
                AND NOT {HELD_BACK}
            ORDER BY d.ready_at, d.id
            LIMIT greatest(CASE WHEN standing.troubled THEN 1 ELSE :each END - standing.number, 0)) AS d),
    chosen AS (SELECT id, place, ready_at, troubled,
            row_number() OVER (PARTITION BY troubled ORDER BY place, ready_at, id) AS among FROM candidates)
    UPDATE webhook_deliveries SET sent_at = now()
    WHERE id IN (SELECT id FROM chosen WHERE NOT troubled OR among <= (SELECT of_troubled FROM free)
            ORDER BY place, ready_at, id LIMIT greatest(least((SELECT places FROM free), :most), 0))
        AND state = 'pending' AND sent_at IS NULL
    RETURNING id, lease"""  # noqa: S608 - own names
)
"""Who has least in hand is next. Endpoints are found by walking `ix_webhook_deliveries_due`, one step each, so that a
backlog of one costs the others nothing; what is in hand by `ix_webhook_deliveries_sent`, which is short."""
