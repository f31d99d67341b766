"""Which deliveries a worker is told of now: owners take turns, and of each endpoint only a few are told of, so that a
slow one delays no other.

An endpoint has at most `AT_ONCE` in hand, one that fails or is slow has one, and all of those together a quarter of
io's places. Deliveries and publications together have half: the renders' own calls have the rest.
"""

from dataclasses import dataclass

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from config.settings import settings
from worker.portions import WHOLE, Portion
from worker.renders import queue
from worker.webhooks import order
from worker.webhooks.order import next_ones

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


LOST = "webhook.lost"
"""No worker came back from any of its tries: it is given up like any other, or it would end workers for ever. What the
receiver last answered stays said where it ever did."""


def hand_out(session: Session, portion: Portion = WHOLE) -> list[Due]:
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
    given |= {"each": AT_ONCE, "slow": SLOW_SECONDS, "looked_at": portion.of(order.LOOKED_AT)}
    return [Due(row.id, row.lease) for row in session.execute(HAND_OUT, given)]


_LOCK = 0x77656268
"""`webh`."""


def _forget_lost(session: Session) -> None:
    """Those that nobody claimed in time, or whose worker never came back, are told of again."""
    waits = settings().waits
    given = {"redispatch": waits.redispatch_seconds, "schedule": len(waits.webhook_retry_seconds), "error": LOST}
    session.execute(_FORGET_LOST, given)


_FORGET_LOST = text(
    """
    UPDATE webhook_deliveries SET sent_at = NULL, state = found.next,
        ended_at = CASE WHEN found.next <> 'pending' THEN now() END,
        lease_until = CASE WHEN found.next = 'pending' THEN lease_until END,
        last_error = CASE WHEN found.next = 'failed' THEN coalesce(last_error, :error) ELSE last_error END
    FROM (SELECT id AS found_id, CASE WHEN overtaken THEN 'superseded'
                WHEN lease_until IS NOT NULL AND tries >= :schedule THEN 'failed' ELSE 'pending' END AS next
            FROM webhook_deliveries
            WHERE state = 'pending' AND sent_at < now() - CAST(:redispatch AS interval)
                AND (lease_until IS NULL OR lease_until < now())
            FOR UPDATE SKIP LOCKED) AS found
    WHERE id = found_id"""
)
"""What somebody has locked at this moment waits for the next look: the dispatcher waits for nobody."""


_SHARE = """greatest(CASE WHEN standing.troubled THEN 1 - standing.number
                ELSE least(:each - standing.number,
                    greatest(free.places, 0)::bigint / (greatest(free.owners, 1) * greatest(well.number, 1)) + 1) END,
                0)"""

HAND_OUT = text(
    f"""
    WITH RECURSIVE waiting AS (
        (SELECT endpoint_id, ready_at FROM webhook_deliveries WHERE state = 'pending' AND sent_at IS NULL
            ORDER BY endpoint_id, ready_at LIMIT 1)
        UNION ALL
        SELECT next.endpoint_id, next.ready_at FROM waiting CROSS JOIN LATERAL (
            SELECT d.endpoint_id, d.ready_at FROM webhook_deliveries AS d WHERE d.state = 'pending'
                AND d.sent_at IS NULL AND d.endpoint_id > waiting.endpoint_id
            ORDER BY d.endpoint_id, d.ready_at LIMIT 1) AS next),
    in_hand AS MATERIALIZED (SELECT endpoint_id, count(*) AS number FROM webhook_deliveries
        WHERE state = 'pending' AND sent_at IS NOT NULL GROUP BY endpoint_id),
    standing AS (SELECT id, owner_id, failing_since IS NOT NULL OR coalesce(last_seconds, 0) > :slow AS troubled,
            disabled_at IS NULL AND coalesce(quiet_until <= now(), true) AS open,
            coalesce(number, 0) AS number, coalesce(sum(number) OVER (PARTITION BY owner_id), 0) AS of_owner
        FROM webhook_endpoints LEFT JOIN in_hand ON in_hand.endpoint_id = webhook_endpoints.id
        WHERE id IN (SELECT endpoint_id FROM waiting WHERE ready_at <= now() UNION SELECT endpoint_id FROM in_hand)),
    mine AS (SELECT coalesce(sum(number), 0) AS number FROM in_hand),
    publishers_waiting AS (
        (SELECT publisher_id FROM publications WHERE state = 'pending' AND sent_at IS NULL
            ORDER BY publisher_id LIMIT 1)
        UNION ALL
        SELECT (SELECT next.publisher_id FROM publications AS next WHERE state = 'pending' AND sent_at IS NULL
            AND next.publisher_id > before.publisher_id ORDER BY next.publisher_id LIMIT 1)
        FROM publishers_waiting AS before WHERE before.publisher_id IS NOT NULL),
    others AS (SELECT CASE WHEN number > 0 THEN number
            ELSE EXISTS (SELECT 1 FROM publishers_waiting AS its JOIN publishers ON publishers.id = its.publisher_id
                    AND publishers.disabled_at IS NULL AND coalesce(publishers.quiet_until <= now(), true)
                CROSS JOIN LATERAL (SELECT 1 FROM publications AS one WHERE one.publisher_id = its.publisher_id
                    AND one.state = 'pending' AND one.sent_at IS NULL AND one.ready_at <= now()
                    ORDER BY one.ready_at, one.number LIMIT 1) AS due
                )::int END AS number
        FROM (SELECT count(*) AS number FROM publications WHERE state = 'pending' AND sent_at IS NOT NULL) AS sent),
    free AS (SELECT greatest(:half - mine.number - others.number, 1 - mine.number) AS places,
            :quarter - coalesce((SELECT sum(number) FROM standing WHERE troubled), 0) AS of_troubled,
            (SELECT count(DISTINCT owner_id) FROM standing WHERE open AND NOT troubled) AS owners
        FROM mine, others),
    well AS (SELECT owner_id, count(*) AS number FROM standing WHERE open AND NOT troubled GROUP BY owner_id),
    candidates AS (SELECT d.id, d.ready_at, standing.troubled, standing.owner_id, standing.of_owner,
            standing.number + row_number() OVER (PARTITION BY standing.id ORDER BY d.ready_at, d.id) AS place
        FROM standing LEFT JOIN well USING (owner_id) CROSS JOIN free CROSS JOIN LATERAL (
            {next_ones("standing.id", _SHARE)}) AS d
        WHERE standing.open),
    of_each AS (SELECT *, of_owner + row_number() OVER (PARTITION BY owner_id, troubled ORDER BY place, ready_at, id)
            AS turn FROM candidates),
    within AS (SELECT *, row_number() OVER (PARTITION BY troubled ORDER BY turn, place, ready_at, id) AS among
        FROM of_each),
    chosen AS (SELECT id, place, ready_at,
            of_owner + row_number() OVER (PARTITION BY owner_id ORDER BY place, ready_at, id) AS turn
        FROM within WHERE NOT troubled OR among <= (SELECT of_troubled FROM free)),
    locked AS (SELECT id FROM webhook_deliveries
        WHERE id = ANY (ARRAY(SELECT id FROM chosen
                ORDER BY turn, place, ready_at, id LIMIT greatest(least((SELECT places FROM free), :most), 0)))
            AND CASE WHEN state = 'pending' THEN sent_at IS NULL END
        FOR UPDATE SKIP LOCKED)
    UPDATE webhook_deliveries SET sent_at = now()
    WHERE id = ANY (ARRAY(SELECT id FROM locked))
    RETURNING id, lease"""  # noqa: S608 - own names
)
"""The owner who has least in hand is next, and of his endpoints the one that has: many addresses of one owner are no
reason for others to wait. What is being tried at an endpoint that is to be left alone by now is in his hand, too. The
troubled ones take turns for what is left of their quarter first, then those that got one beside all others.

Endpoints are found by walking `ix_webhook_deliveries_due`, one step each, so that a backlog of one costs the others
nothing; where the first is due later nothing is due there. What is in hand is found by `ix_webhook_deliveries_sent`,
which is short. Of each no more is looked at than its share of the free places, or than it takes to find so many that
nothing holds back (`order`).

Publications are counted as `worker.publishing.due` counts them; one that is due while none is in hand keeps a place.
Where half are too few to share, each of the two has one."""
