"""The feed of all events misses nothing, though transactions commit in any order."""

from concurrent.futures import ThreadPoolExecutor

from sqlalchemy.orm import Session

from tests.renders.conftest import a_render, claimed
from worker.database import engine, transact
from worker.renders import events, leases
from worker.renders.events import Cursor, EventType, NewEvent


def read(after: Cursor) -> list[tuple[Cursor, str]]:
    rows = transact(lambda session: events.feed(session, after=after))
    return [(Cursor(row.transaction, row.id), row.render_id) for row in rows]


def test_an_event_that_commits_late_is_not_skipped():
    """A transaction that took the smaller id and commits after its neighbour is read, and in its place."""
    first, second = a_render(), a_render()
    one, two = claimed(first), claimed(second, worker="io-2")
    assert one is not None
    assert two is not None
    start = read(Cursor())[-1][0]
    with Session(engine()) as slow, slow.begin():
        leases.write(slow, one, {}, [NewEvent(EventType.HINT)])
        transact(lambda session: leases.write(session, two, {}, [NewEvent(EventType.HINT)]))
        # The later one is committed, but must not be shown: a reader past it would miss the slow one for ever.
        assert read(start) == []
    assert [render for _, render in read(start)] == [first, second]


def test_a_reader_beside_many_writers_sees_each_event_once():
    """A cursor that reads while forty renders are accepted concurrently sees every event, each once, in order."""
    cursor, seen = Cursor(), []
    with ThreadPoolExecutor(8) as pool:
        accepted = [pool.submit(a_render) for _ in range(40)]
        while not all(one.done() for one in accepted) or read(cursor):
            batch = read(cursor)
            seen += [render for _, render in batch]
            cursor = batch[-1][0] if batch else cursor
    assert sorted(seen) == sorted(one.result() for one in accepted)
