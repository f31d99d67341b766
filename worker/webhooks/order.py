"""The order in which an endpoint is told: first tries of one subject one after the other, whatever else waits there.

Who is next is found by what may go out, not by asking of each that waits whether it is held back: a render of many
events, or an endpoint that was disabled for a month, has tens of thousands behind a few.
"""

LOOKED_AT = 200
"""Deliveries that one look at an endpoint asks of whether they are held back, first in line by the time. Where there
are more, as many renders are asked for their first one, and as many retries."""

_FIRST = "state = 'pending' AND tries = 0 AND (lease_until IS NULL OR lease_until >= now())"
_DUE = "state = 'pending' AND sent_at IS NULL AND ready_at <= now()"

_HELD_BACK = f"""EXISTS (SELECT 1 FROM webhook_deliveries AS earlier
            WHERE earlier.endpoint_id = d.endpoint_id AND earlier.subject = d.subject
                AND earlier.sequence < d.sequence AND {_FIRST} OFFSET 0)"""  # noqa: S608 - own names
"""First tries of one subject go out in order: one whose first try is still to come, or under way, holds back those
behind it; one that failed, or whose worker never came back, holds back nobody. `OFFSET 0`: asked of each
candidate, never joined with all that wait."""


def next_ones(endpoint: str, most: str) -> str:
    """SQL for `id` and `ready_at` of up to `most` deliveries of an endpoint that may go out now, first in line first;
    both are expressions, and `:looked_at` is given.

    Behind `edge`, the last one that is asked by the time, only those are looked for that can be told apart by an index:
    of each subject the one that holds back all others (`ix_webhook_deliveries_first`, one step each: it may be due
    later than they are, as it was sent again), and what holds nobody back (`ix_webhook_deliveries_again`).

    Where each of as many subjects as are looked at waits for a first try that found no place for its look-up, nothing
    is found until the first of those pauses is over, five minutes at most: to walk on would cost as much as there is.
    """
    return f"""
        WITH RECURSIVE edge AS MATERIALIZED (SELECT ready_at, id FROM webhook_deliveries
                WHERE endpoint_id = {endpoint} AND {_DUE}
                ORDER BY ready_at, id OFFSET CAST(:looked_at AS bigint) - 1 LIMIT 1),
            firsts AS (
                (SELECT one.*, edge.ready_at AS edge_at, edge.id AS edge_id, 1 AS place
                    FROM edge CROSS JOIN LATERAL (SELECT subject, id, ready_at, sent_at FROM webhook_deliveries
                        WHERE endpoint_id = {endpoint} AND {_FIRST} ORDER BY subject, sequence LIMIT 1) AS one)
                UNION ALL
                SELECT one.*, edge_at, edge_id, place + 1
                FROM firsts CROSS JOIN LATERAL (SELECT subject, id, ready_at, sent_at FROM webhook_deliveries
                        WHERE endpoint_id = {endpoint} AND {_FIRST} AND subject > firsts.subject
                        ORDER BY subject, sequence LIMIT 1) AS one
                WHERE place < :looked_at),
            beyond AS (
                SELECT id, ready_at FROM firsts
                WHERE sent_at IS NULL AND ready_at <= now() AND (ready_at, id) > (edge_at, edge_id)
                UNION ALL
                SELECT d.id, d.ready_at FROM edge CROSS JOIN LATERAL (
                    SELECT endpoint_id, subject, sequence, id, ready_at FROM webhook_deliveries
                    WHERE endpoint_id = {endpoint} AND {_DUE} AND (tries > 0 OR lease_until IS NOT NULL)
                        AND (ready_at, id) > (edge.ready_at, edge.id)
                    ORDER BY ready_at, id LIMIT :looked_at) AS d
                WHERE NOT {_HELD_BACK})
        SELECT found.id, found.ready_at FROM (
            (SELECT d.id, d.ready_at FROM (
                SELECT endpoint_id, subject, sequence, id, ready_at FROM webhook_deliveries
                WHERE endpoint_id = {endpoint} AND {_DUE} ORDER BY ready_at, id LIMIT :looked_at) AS d
                WHERE NOT {_HELD_BACK})
            UNION ALL
            (SELECT id, ready_at FROM beyond ORDER BY ready_at, id)) AS found
        LIMIT {most}"""  # noqa: S608 - own names
