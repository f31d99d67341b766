"""What the dispatcher sends now: publications that are due, as many as leave the renders' own calls their places.
Owners take turns.

One that is sent is in hand (`sent_at`) until its worker lets go of it. A look costs what it hands out and what is in
hand, however many wait: whatever nobody needs any more is ended elsewhere (`worker.publishing.ending`).
"""

from dataclasses import dataclass

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from config.settings import settings
from worker.publishing.errors import OF_THE_PLACE
from worker.renders import queue

AT_ONCE = 100
PER_PUBLISHER = 4
"""In flight: shops count calls by app and shop, and a video is the slowest of them."""


@dataclass(frozen=True)
class Due:
    """A publication to send a message about."""

    id: str
    lease: int


def due(session: Session) -> list[Due]:
    """Those to be sent, marked as sent; none where another dispatcher does this at the moment."""
    if not session.execute(select(func.pg_try_advisory_xact_lock(_LOCK))).scalar_one():
        return []
    queue.by_index(session)
    _forget_lost(session)
    places = queue.capacity(session, lease=settings().waits.lease_seconds).get("io", 0)
    quarter = places // 4
    given = {"half": places // 2, "quarter": quarter, "share": max(1, quarter - quarter // 4)}
    given |= {"most": AT_ONCE, "each": PER_PUBLISHER, "of_the_place": list(OF_THE_PLACE)}
    return [Due(row.id, row.lease) for row in session.execute(HAND_OUT, given)]


_LOCK = 0x7075626C
"""`publ`."""


def _forget_lost(session: Session) -> None:
    """Those that nobody claimed in time, or whose worker never came back, are sent again; not at once where it was not
    the first that did not: it may be the publication that ends workers."""
    waits = settings().waits
    pauses = {"first": waits.retry_first_seconds, "longest": waits.publish_longest_seconds}
    session.execute(_FORGET_LOST, {"redispatch": waits.redispatch_seconds, **pauses})


_FORGET_LOST = text(
    """
    UPDATE publications SET sent_at = NULL,
        ready_at = CASE WHEN lease_until IS NULL OR tries = 0 THEN ready_at
            ELSE now() + least(CAST(:first AS interval) * 2 ^ least(tries, 20), CAST(:longest AS interval)) END
    WHERE id IN (SELECT id FROM publications
        WHERE state = 'pending' AND sent_at < now() - CAST(:redispatch AS interval)
            AND (lease_until IS NULL OR lease_until < now())
        FOR UPDATE SKIP LOCKED)"""
)
"""What somebody has locked at this moment waits for the next look: the dispatcher waits for nobody."""


HAND_OUT = text(
    """
    WITH RECURSIVE waiting AS (
        (SELECT publisher_id FROM publications WHERE state = 'pending' AND sent_at IS NULL
            ORDER BY publisher_id LIMIT 1)
        UNION ALL
        SELECT (SELECT next.publisher_id FROM publications AS next WHERE state = 'pending' AND sent_at IS NULL
            AND next.publisher_id > waiting.publisher_id ORDER BY next.publisher_id LIMIT 1)
        FROM waiting WHERE waiting.publisher_id IS NOT NULL),
    in_hand AS MATERIALIZED (SELECT publisher_id, ref FROM publications
        WHERE state = 'pending' AND sent_at IS NOT NULL),
    held AS (SELECT publisher_id, count(*) AS number FROM in_hand GROUP BY publisher_id),
    standing AS (SELECT id, owner_id, disabled_at IS NULL AND coalesce(quiet_until <= now(), true) AS open,
            failing_since IS NOT NULL AND error_code = ANY (:of_the_place) AS troubled,
            coalesce(number, 0) AS number, coalesce(sum(number) OVER (PARTITION BY owner_id), 0) AS of_owner
        FROM publishers LEFT JOIN held ON held.publisher_id = publishers.id
        WHERE id IN (SELECT publisher_id FROM waiting UNION SELECT publisher_id FROM held)),
    counted AS (SELECT (SELECT count(*) FROM in_hand) AS mine,
        (SELECT count(*) FROM webhook_deliveries WHERE state = 'pending' AND sent_at IS NOT NULL) AS others),
    room AS MATERIALIZED (
        SELECT least(greatest(1 - mine, least(:quarter - mine, :half - mine - others)), :most) AS places,
            greatest(:quarter / 2, 1) - coalesce((SELECT sum(number) FROM standing WHERE troubled), 0) AS of_troubled
        FROM counted),
    candidates AS (SELECT d.id, d.ready_at, d.number, standing.troubled, standing.owner_id, standing.of_owner,
            standing.number + row_number() OVER (PARTITION BY standing.id ORDER BY d.ready_at, d.number) AS place
        FROM standing CROSS JOIN room CROSS JOIN LATERAL (SELECT d.id, d.ready_at, d.number FROM publications AS d
            WHERE d.publisher_id = standing.id AND d.state = 'pending' AND d.sent_at IS NULL AND d.ready_at <= now()
                AND NOT EXISTS (SELECT 1 FROM in_hand WHERE in_hand.publisher_id = d.publisher_id
                    AND in_hand.ref = d.ref OFFSET 0)
                AND NOT EXISTS (SELECT 1 FROM publications AS earlier WHERE earlier.publisher_id = d.publisher_id
                    AND earlier.ref = d.ref AND earlier.number < d.number AND earlier.state = 'pending'
                    AND earlier.ready_at <= now() OFFSET 0)
            ORDER BY d.ready_at, d.number
            LIMIT greatest(least(room.places,
                CASE WHEN standing.troubled THEN 1 ELSE :each END - standing.number), 0)) AS d
        WHERE standing.open),
    turns AS (SELECT *, of_owner + row_number() OVER (PARTITION BY owner_id, troubled ORDER BY place, ready_at, number)
            AS turn FROM candidates),
    ranked AS (SELECT *, row_number() OVER (PARTITION BY troubled ORDER BY turn, place, ready_at, number) AS among
        FROM turns),
    allowed AS (SELECT *, of_owner + row_number() OVER (PARTITION BY owner_id ORDER BY turn, place, ready_at, number)
            AS whole FROM ranked WHERE NOT troubled OR among <= (SELECT of_troubled FROM room)),
    chosen AS (SELECT id FROM publications
        WHERE id = ANY (ARRAY(SELECT id FROM allowed WHERE whole <= :share ORDER BY turn, place, ready_at, number
                LIMIT greatest((SELECT places FROM room), 0)))
            AND CASE WHEN state = 'pending' THEN sent_at IS NULL END
        FOR UPDATE SKIP LOCKED)
    UPDATE publications SET sent_at = now() WHERE id = ANY (ARRAY(SELECT id FROM chosen)) RETURNING id, lease"""
)
"""The owner who has least in hand is next, and of his publishers the one that has: many shops of one owner are no
reason for others to wait. A file may be under way for an hour, so a quarter of the places stays for other owners. Of
one product one at a time, of one publisher a few; of one that does not answer one, and of all of those together half
the places.

Publishers are found by walking `ix_publications_due`, one step each, so that a backlog of one costs the others nothing;
what is in hand by `ix_publications_sent`, which is short; what is earlier of a product by `ix_publications_order`.
`OFFSET 0` keeps these questions to each candidate: joined, they would be put to all that wait. The chosen are found by
their ids: `CASE` keeps a planner with old statistics from reading all of `ix_publications_due` for them.

Deliveries and publications together have at most half of io's places, publications at most a quarter; one at least, so
that no flood of deliveries stops them."""
