"""The feed of all events misses nothing, though transactions commit in any order.

Other databases of the same server count too: what is committed here is shown once they have no older transaction open.
So what is there is waited for; what must not be there is asserted.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import event, select, update
from sqlalchemy.orm import Session

from tests.renders.conftest import a_render, claimed
from tests.stack import until
from worker.database import engine, transact
from worker.renders import events, leases
from worker.renders.events import Cursor, EventType, NewEvent
from worker.renders.models import Event, Render


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


def begun_at(moment: datetime) -> list[str]:
    """The renders of the events behind the place of a moment."""

    def place(session: Session) -> Cursor:
        return events.feed_at(session, session.query(Render).limit(1).one().owner_id, moment)

    return [render for _, render in read(transact(place))]


def of_minutes_ago(render: str, minutes: int) -> str:
    """The render, with its events so old."""
    old = datetime.now(UTC) - timedelta(minutes=minutes)
    transact(lambda session: session.execute(update(Event).where(Event.render_id == render).values(created_at=old)))
    return render


def test_a_moments_place_is_before_all_that_happened_since():
    """However long a transaction took before its first word: it lies behind younger ones, and its moment is older."""
    old, young, slow, last = a_render(), a_render(), a_render(), a_render()
    for render, minutes in ((old, 30), (young, 10), (slow, 29), (last, 5)):
        of_minutes_ago(render, minutes)
    until(lambda: len(read(Cursor())) == 4, what="all are to be read")
    assert begun_at(datetime.now(UTC) - timedelta(minutes=20)) == [young, slow, last]
    assert begun_at(datetime.now(UTC) - timedelta(minutes=10, seconds=-30)) == [last]
    assert begun_at(datetime.now(UTC)) == []


def test_a_moments_place_is_before_what_is_not_committed_yet():
    """A transaction that began after the moment and still runs is behind the place, whatever ended beside it."""
    render, other = of_minutes_ago(a_render(), 30), of_minutes_ago(a_render(), 30)
    held = claimed(render)
    assert held is not None
    of_minutes_ago(render, 30)
    since = datetime.now(UTC) - timedelta(minutes=1)
    with Session(engine()) as slow, slow.begin():
        leases.write(slow, held, {}, [NewEvent(EventType.HINT)])
        beside = a_render()
        owner = transact(lambda session: session.get_one(Render, other).owner_id)
        place = transact(lambda session: events.feed_at(session, owner, since))
    until(lambda: [one for _, one in read(place)] == [render, beside], what="both, in order")


def test_an_id_before_all_that_happened_since_a_moment():
    """However long ago that is and however little happened since; none where nothing did."""
    old, middle, young = a_render(), a_render(), a_render()
    for render, minutes in ((old, 60 * 24 * 40), (middle, 60 * 24 * 3), (young, 90)):
        of_minutes_ago(render, minutes)

    def since(**ago: int) -> list[str]:
        moment = datetime.now(UTC) - timedelta(**ago)
        id = transact(lambda session: events.id_before(session, moment, most=timedelta(days=30)))
        query = select(Event.render_id).where(Event.id > id).order_by(Event.id)
        return [str(found) for found in transact(lambda session: session.scalars(query).all())]

    assert since(days=400_000) == since(days=35) == since(days=4) == [middle, young]
    assert since(days=2) == since(minutes=91) == [young]
    assert since(minutes=80) == []


def test_an_id_before_is_below_what_was_written_late():
    """A transaction that was open for long writes an older moment behind younger ones."""
    slow, quick = a_render(), a_render()
    numbers = transact(lambda session: session.scalars(select(Event.id).order_by(Event.id)).all())
    assert len(numbers) == 2
    of_minutes_ago(slow, 60), of_minutes_ago(quick, 90)
    moment = datetime.now(UTC) - timedelta(minutes=95)
    assert transact(lambda session: events.id_before(session, moment, most=timedelta(days=30))) < numbers[0]


def test_a_moment_is_found_without_reading_all_that_came_after_it():
    """Only what happened around it, or up to the first that did."""
    of_minutes_ago(a_render(), 60 * 24 * 20)
    render = of_minutes_ago(a_render(), 60 * 24 * 10)
    for minutes in (60 * 24, 5):
        of_minutes_ago(a_render(), minutes)
    now = datetime.now(UTC)
    first = transact(lambda session: session.scalars(select(Event).where(Event.render_id == render)).one())
    oldest = transact(lambda session: session.scalars(select(Event).order_by(Event.created_at).limit(1)).one())

    def looked(session: Session, look: Callable[[str], Any], furthest: timedelta) -> Any:
        """What it found, once it is shown that it looked no further than needed."""
        spans: list[timedelta] = []

        @event.listens_for(session.connection(), "before_cursor_execute")
        def _noted(_connection: Any, _cursor: Any, _statement: str, given: Any, *_: Any) -> None:
            spans.extend(one for name, one in dict(given or {}).items() if name == "span")

        found = look(session.get_one(Render, render).owner_id)
        assert spans
        assert spans[-1] < furthest, "what is read and sorted in the end"
        assert max(spans) < max(furthest, timedelta(days=11))
        return found

    hours, always = timedelta(hours=4), timedelta(days=10_000)
    for its, moment, to in (
        (first, now - timedelta(days=15), timedelta(days=5) + hours),
        (oldest, now - timedelta(days=9000), hours),
    ):
        place = transact(lambda s, at=moment, to=to: looked(s, lambda mine: events.feed_at(s, mine, at), to))
        assert place == Cursor(its.transaction, its.id - 1)
        id = transact(lambda s, at=moment, to=to: looked(s, lambda _: events.id_before(s, at, most=always), to))
        assert id == its.id - 1
