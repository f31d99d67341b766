"""What has to hold of every batch of a storm, read from its rows alone."""

from collections.abc import Collection

import psycopg

from tests.chaos.invariants import Violation

_WRONG = """
    SELECT batches.id, batches.state, batches.total, counted.renders, counted.places, counted.refs
    FROM batches CROSS JOIN LATERAL (
        SELECT count(*) AS renders, count(DISTINCT batch_position) AS places, count(DISTINCT external_ref) AS refs
        FROM renders WHERE renders.batch_id = batches.id) AS counted
    WHERE batches.state <> 'receiving' AND (batches.state <> 'finished'
        OR (counted.renders, counted.places, counted.refs) <> (batches.total, batches.total, batches.total))"""
_TWICE = """
    SELECT external_ref, count(*) FROM renders JOIN batches ON batches.id = renders.batch_id
    WHERE batches.state <> 'receiving' GROUP BY external_ref HAVING count(*) > 1"""
_MADE = "SELECT id FROM batches WHERE state <> 'receiving'"


def check(connection: psycopg.Connection, promised: Collection[str]) -> list[Violation]:
    """Each one is finished and has every render of its source once; none was made that nobody was told of, and none
    that somebody was told of is gone."""
    found = [
        Violation("batch", id, f"{state}, {renders} renders at {places} places with {refs} names, promised {total}")
        for id, state, total, renders, places, refs in connection.execute(_WRONG)
    ]
    found += [Violation("batch", "-", f"{ref} is there {times} times") for ref, times in connection.execute(_TWICE)]
    made = {id for (id,) in connection.execute(_MADE)}
    return found + [Violation("batch", id, "promised, or made, alone") for id in sorted(made ^ set(promised))]
