"""The feed of all events misses nothing, though transactions commit in any order.

Other databases of the same server count too: what is committed here is shown once they have no older transaction open.
So what is there is waited for; what must not be there is asserted.
"""

from concurrent.futures import ThreadPoolExecutor

from sqlalchemy.orm import Session

from tests.renders.conftest import a_render, claimed
from tests.stack import until
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
    start = until(lambda: len(found := read(Cursor())) == 4 and found, what="two queued, two begun")[-1][0]
    with Session(engine()) as slow, slow.begin():
        leases.write(slow, one, {}, [NewEvent(EventType.HINT)])
        transact(lambda session: leases.write(session, two, {}, [NewEvent(EventType.HINT)]))
        # The later one is committed, but must not be shown: a reader past it would miss the slow one for ever.
        assert read(start) == []
    until(lambda: [render for _, render in read(start)] == [first, second], what="both, in order")


def test_a_reader_beside_many_writers_sees_each_event_once():
    """A cursor that reads while forty renders are accepted concurrently sees every event, each once, in order."""
    cursor, seen = Cursor(), []
    with ThreadPoolExecutor(8) as pool:
        accepted = [pool.submit(a_render) for _ in range(40)]

        def all_there() -> bool:
            nonlocal cursor
            batch = read(cursor)
            seen.extend(render for _, render in batch)
            cursor = batch[-1][0] if batch else cursor
            return len(seen) >= len(accepted)

        until(all_there, what="an event of each")
    assert read(cursor) == []
    assert sorted(seen) == sorted(one.result() for one in accepted)
