"""Durable readers of the feed: each event is taken once, in order, whoever dies or comes at the same time."""

import pytest
from sqlalchemy import select, update

from tests import feed
from tests.renders.conftest import a_render
from worker.database import transact
from worker.renders import events, relays
from worker.renders.relays import Relay

NAME = "webhooks"


@pytest.fixture(autouse=True)
def _at_the_end(_empty: None) -> None:
    """The place is behind everything that other tests left."""
    end = transact(events.feed_end)
    transact(lambda db: db.execute(update(Relay).values(transaction=end.transaction, event_id=end.id)) and None)


def taken(**given: int) -> list[str | None]:
    """What one look of a relay brings, by the renders."""
    feed.readable()
    return transact(lambda db: [event.render_id for event in relays.take(db, NAME, **given)])


def test_each_event_comes_once_and_in_order():
    """A look brings what is new since the last one, up to its limit; then nothing."""
    made = [a_render() for _ in range(5)]
    assert taken(limit=2) == made[:2]
    assert taken(limit=2) == made[2:4]
    assert taken() == made[4:]
    assert taken() == []


def test_what_is_not_committed_is_taken_again():
    """The place moves with what was made of the events, or not at all."""

    class Died(Exception):
        pass

    def dies(db):
        assert [event.render_id for event in relays.take(db, NAME)] == [made]
        raise Died

    made = a_render()
    feed.readable()
    with pytest.raises(Died):
        transact(dies)
    assert taken() == [made]


def test_a_second_reader_takes_nothing_meanwhile():
    """Two dispatchers look at once: the one who comes second neither waits nor takes the same."""
    made = a_render()
    feed.readable()

    def first(db):
        mine = [event.render_id for event in relays.take(db, NAME)]
        return mine, list(transact(lambda other: relays.take(other, NAME)))

    assert transact(first) == ([made], [])
    assert taken() == []


def test_every_reader_has_its_own_place():
    """What one relay took is still there for the other."""
    made = a_render()
    assert taken() == [made]
    assert made in transact(lambda db: [event.render_id for event in relays.take(db, "publications")])


def test_an_event_that_commits_late_is_not_passed_over():
    """A transaction that was open while the relay looked commits below its place: it is taken all the same, and what
    came after it waits for that."""

    def slow(db):
        first = _accepted(db)
        late = a_render()
        found = transact(lambda other: relays.take(other, NAME))
        assert list(found) == [], "the older transaction is still running"
        return first, late

    a_render()  # its lane is there now: the two below need not wait for each other
    assert len(taken()) == 1
    first, late = transact(slow)
    assert taken() == [first, late]


def _accepted(db):
    from worker.owners.store import owner
    from worker.renders import store
    from worker.renders.store import NewRender

    row = store.accept(db, owner(db, "default").id, NewRender(prompt="a lamp", language="en"))
    db.flush()
    return row.id


def test_nobody_is_told_of_what_was_before(database: str):
    """The migration puts both places at the end of what happened until then."""
    assert transact(lambda db: set(db.scalars(select(Relay.name)))) == {"webhooks", "publications"}
