"""Each change of a batch is an event of its own, numbered without gaps, written with the change."""

import pytest
from sqlalchemy import select

from tests import feed
from tests.batches.test_keeping import ended, keep, rows
from tests.renders.conftest import a_batch, a_render
from worker.batches import receiving, steering
from worker.batches.models import Batch, PauseReason
from worker.batches.receiving import Entry, NewBatch, NewProblem, Received
from worker.database import new_id, transact
from worker.owners.store import owner
from worker.renders import events, runs
from worker.renders.events import Cursor
from worker.renders.models import Event, Render
from worker.renders.store import NewRender


def told(batch: str) -> list[tuple[int, str, dict]]:
    mine = select(Event).where(Event.batch_id == batch).order_by(Event.number)
    return [(one.number, one.type, one.data) for one in transact(lambda s: list(s.scalars(mine)))]


def steer(batch: str, *steps) -> None:
    for step in steps:
        transact(lambda s, step=step: step(s, s.get_one(Batch, batch)))


def test_an_accepted_batch_says_what_came_in():
    """Its first event, with the rows that became renders and those that did not."""
    batch = new_id("bat")

    def receive(session):
        mine = owner(session, "default").id
        receiving.begin(session, mine, NewBatch("inline"), batch_id=batch)
        entries = [Entry(NewRender(prompt="a lamp", language="en"))]
        receiving.add(session, batch, entries, [NewProblem(2, "x", "y")], before=Received())
        receiving.accept(session, batch)

    transact(receive)
    assert told(batch) == [(1, "batch.accepted", {"total": 1, "rejected": 1})]


def test_steering_is_told_once_for_each_change():
    """What changes nothing is no event: a second pause, an approval of what is approved."""
    batch = a_batch(1)
    steer(batch, steering.pause, steering.pause, steering.resume, steering.resume, steering.approve, steering.approve)
    steer(batch, lambda s, row: steering.pause(s, row, PauseReason.MAX_CREDITS, "spent"), steering.cancel)
    steer(batch, steering.cancel)
    assert told(batch) == [
        (1, "batch.paused", {"reason": "asked", "detail": None}),
        (2, "batch.resumed", {}),
        (3, "batch.approved", {}),
        (4, "batch.paused", {"reason": "max_credits", "detail": "spent"}),
        (5, "batch.canceling", {}),
    ]


def test_a_change_says_which_fields_it_changed():
    """By their names, without what they hold; one to what it was already is no event."""
    batch = a_batch(1)
    steer(batch, lambda s, row: steering.change(s, row, name="kites", meta={"a": 1}, max_credits=5))
    steer(batch, lambda s, row: steering.change(s, row, name="kites", priority=row.priority))
    steer(batch, lambda s, row: steering.change(s, row, name="kites", meta={}))
    assert told(batch) == [
        (1, "batch.updated", {"fields": ["max_credits", "metadata", "name"]}),
        (2, "batch.updated", {"fields": ["metadata"]}),
    ]
    row = transact(lambda s: s.get_one(Batch, batch))
    assert (row.name, row.meta, row.max_credits) == ("kites", {}, 5)


def test_the_end_says_how_the_renders_ended_and_a_retry_opens_it_again():
    """Counts by status of each batch, also where several end in one piece; a retry of one says that it goes on."""
    first, second = a_batch(3), a_batch(1)
    mine = rows(first)
    ended(mine[:2])
    ended(mine[2:], "failed")
    ended(rows(second))
    keep()
    assert told(second) == [(1, "batch.finished", {"counts": {"succeeded": 1}})]

    def again(session):
        runs.retry(session, session.get_one(Render, mine[2].id, with_for_update=True), force=True, api_key_id=None)

    transact(again)
    assert told(first) == [
        (1, "batch.finished", {"counts": {"succeeded": 2, "failed": 1}}),
        (2, "batch.reopened", {}),
    ]


def test_a_change_that_is_rolled_back_tells_nothing():
    """The event and the number go with it."""
    batch = a_batch(1)

    def broken(session):
        steering.pause(session, session.get_one(Batch, batch))
        raise LookupError

    with pytest.raises(LookupError):
        transact(broken)
    steer(batch, steering.approve)
    assert told(batch) == [(1, "batch.approved", {})]


def test_the_feed_has_batches_among_the_renders_in_order():
    """One owner's feed holds both, and from any cursor the rest of it."""
    batch = a_batch(1)
    steer(batch, steering.pause)
    a_render()
    mine = transact(lambda s: owner(s, "default").id)
    feed.readable()
    found = transact(lambda s: list(events.feed(s, after=Cursor(), owner_id=mine)))
    assert [one.type for one in found] == ["batch.paused", "render.queued"]
    place = Cursor(found[0].transaction, found[0].id)
    rest = transact(lambda s: list(events.feed(s, after=place, owner_id=mine)))
    assert [(one.batch_id, one.type) for one in [*found[:1], *rest]] == [
        (batch, "batch.paused"),
        (None, "render.queued"),
    ]
