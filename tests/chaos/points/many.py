"""What a scenario expects of its batches, and what has to hold of each, whoever died."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tests.chaos.points.sql import rows, sql


@dataclass(frozen=True)
class Expected:
    """A batch that was promised."""

    id: str
    asked: str
    """Its name, or the reading that made it: a second batch with the same was made of the same request."""
    refs: Sequence[str]
    """Of its renders, in the order of the source."""
    ends: tuple[str, ...]
    """What each of them may end as."""


def render_ids(expected: Expected) -> list[str]:
    """Its renders."""
    return [one.id for one in rows("SELECT id FROM renders WHERE batch_id = :id", id=expected.id)]


def is_open(expected: Expected) -> bool:
    """Whether the dispatcher has still to end it."""
    return bool(rows("SELECT 1 FROM batches WHERE id = :id AND state <> 'finished'", id=expected.id))


def check(expected: Expected) -> None:
    """Every good row is one render of it, at its place, and it is finished; nothing was taken on twice."""
    ((state, total),) = rows("SELECT state, total FROM batches WHERE id = :id", id=expected.id)
    assert state == "finished", (expected.asked, state)
    found = rows(
        "SELECT batch_position AS position, external_ref AS ref FROM renders WHERE batch_id = :id ORDER BY 1",
        id=expected.id,
    )
    assert [one.position for one in found] == list(range(1, total + 1)), expected.asked
    assert [one.ref for one in found] == list(expected.refs), expected.asked
    made = rows(
        "SELECT id FROM batches WHERE coalesce(metadata->>'read_id', name) = :asked AND state <> 'receiving'",
        asked=expected.asked,
    )
    assert [one.id for one in made] == [expected.id], expected.asked


def forgotten() -> bool:
    """Whether nothing is left of what was never received whole. Whoever received it ten minutes ago is gone."""
    sql("UPDATE batches SET received_at = now() - interval '11 minutes' WHERE state = 'receiving'")
    return not rows("SELECT 1 FROM batches WHERE state = 'receiving'")


def check_readings(catalog_id: str) -> None:
    """Each reading ended and left no claim; each product is there once, and its render stands."""
    for one in rows("SELECT state, worker_id, batch_id FROM catalog_reads WHERE catalog_id = :id", id=catalog_id):
        assert one.state in ("done", "failed"), one
        assert one.worker_id is None, one
    seen = rows(
        "SELECT p.ref, r.id FROM catalog_products p LEFT JOIN renders r ON r.id = p.render_id WHERE catalog_id = :id",
        id=catalog_id,
    )
    assert all(one.id is not None for one in seen), seen


def refs_made(prefix: str) -> Counter[str]:
    """How many renders there are of each ref that took over nobody's video."""
    found = rows(
        "SELECT external_ref AS ref FROM renders WHERE starts_with(external_ref, :prefix) AND reused_from IS NULL",
        prefix=prefix,
    )
    return Counter(one.ref for one in found)
