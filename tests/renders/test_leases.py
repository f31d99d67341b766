"""Claims, fenced writes and what a worker that lost its lease can no longer do."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import select

from tests.renders.conftest import a_render, a_worker, claimed, the
from worker.database import ago, from_now, transact
from worker.renders import events, leases, store, takeover
from worker.renders.events import EventType, NewEvent
from worker.renders.leases import LeaseLost
from worker.renders.models import Attempt, Event
from worker.renders.states import Stage, Status


def test_a_claim_raises_the_lease_and_names_the_worker():
    """A message that names the row's lease number takes it; the same message again finds it taken."""
    render = a_render()
    held = claimed(render)
    assert held is not None
    assert (held.lease, held.worker, the(render).worker_id, the(render).status) == (1, "io-1", "io-1", "running")
    assert claimed(render) is None
    assert claimed(render, lease=1) is None


@pytest.mark.parametrize(
    "columns",
    [
        {"ready_at": from_now(timedelta(seconds=60))},
        {"stage": "upload"},
        {"lease": 3},
        {"worker_id": "another"},
        {"cancel_requested_at": ago(timedelta(0)), "status": "canceling"},
        {"status": "succeeded", "finished_at": ago(timedelta(0))},
    ],
)
def test_what_is_not_due_is_not_claimed(columns: dict[str, object]):
    """Not ready yet, at another stage, under another lease, owned, being cancelled or final: the message is dropped."""
    assert claimed(a_render(**columns)) is None


def test_of_fifty_claims_at_once_one_wins():
    """The same message delivered fifty times at the same moment is worked on once."""
    render, won, gate = a_render(), [], threading.Barrier(50)

    def deliver(number: int) -> None:
        gate.wait()
        if claimed(render, worker=f"io-{number}"):
            won.append(number)

    threads = [threading.Thread(target=deliver, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert the(render).worker_id == f"io-{won[0]}"


def test_a_write_after_a_takeover_touches_nothing():
    """A worker that was thought dead and wakes cannot write, not even if the same process claimed the row again."""
    render = a_render()
    zombie = claimed(render, worker=a_worker("io-1", silent_for=timedelta(seconds=60)))
    assert zombie is not None
    (taken,) = transact(lambda session: takeover.take_over(session, lease=timedelta(seconds=0.01)))
    assert (taken.id, taken.worker) == (render, "io-1")
    (attempt,) = transact(lambda session: session.scalars(select(Attempt)).all())
    assert (attempt.outcome, attempt.ended_at is not None) == ("taken_over", True)
    for again in (None, claimed(render, worker="io-1", lease=1)):
        with pytest.raises(LeaseLost):
            transact(lambda session: leases.write(session, zombie, {"answer": "from the dead"}))
        assert the(render).answer is None
        if again:
            transact(lambda session, held=again: leases.write(session, held, {"answer": "alive"}))
    assert the(render).answer == "alive"


def test_a_failed_write_leaves_no_event():
    """The event of a write that touched no row is not kept either."""
    render = a_render()
    held = claimed(render)
    assert held is not None
    transact(lambda session: leases.write(session, held, leases.release(to=Stage.SESSION)))
    with pytest.raises(LeaseLost):
        transact(lambda session: leases.write(session, held, {}, [NewEvent(EventType.HINT)]))
    types = transact(lambda session: [event.type for event in events.of_render(session, render)])
    assert types == ["render.queued", "render.started"]


def test_a_final_render_is_nobodys():
    """After its end a render has no owner, an end time, and its attempt says how it went."""
    render = a_render()
    held = claimed(render)
    assert held is not None

    done = leases.finish(Status.SUCCEEDED)
    transact(lambda s: leases.conclude(s, held, done, [NewEvent(EventType.SUCCEEDED)], outcome="done"))
    row = the(render)
    assert (row.worker_id, row.finished_at is not None) == (None, True)
    (attempt,) = transact(lambda session: session.scalars(select(Attempt)).all())
    assert (attempt.outcome, attempt.lease, attempt.worker_id) == ("done", 1, "io-1")


def test_polls_are_claimed_once_and_never_sooner_than_the_interval():
    """A claimed poll's next time is already written; an answer puts it an interval from the answer."""
    render = a_render(stage="poll", started_at=ago(timedelta(0)), status="running")
    interval = timedelta(seconds=30)
    (held,) = transact(lambda session: leases.claim_polls(session, worker="io-1", limit=10, interval=interval))
    assert transact(lambda session: leases.claim_polls(session, worker="io-2", limit=10, interval=interval)) == []
    assert the(render).ready_at >= held.at + interval
    released = transact(lambda session: leases.release_polls(session, [(held, 0.45)], interval=interval))
    row = the(render)
    assert released == {render}
    assert (row.worker_id, row.fraction, row.status) == (None, 0.45, "running")
    assert row.ready_at > held.at + interval
    last = transact(lambda session: session.scalars(select(Event).order_by(Event.number.desc())).first())
    assert (last.type, last.data["fraction"]) == ("render.progress", 0.45)


def test_an_answer_to_a_poll_after_a_takeover_touches_nothing():
    """A worker that was thought dead cannot write what it was told, not even if the same process asks again by then."""
    render = a_render(stage="poll", started_at=ago(timedelta(0)), status="running")
    a_worker("io-1", silent_for=timedelta(seconds=60))
    at_once = timedelta(0)
    (zombie,) = transact(lambda s: leases.claim_polls(s, worker="io-1", limit=1, interval=at_once))
    transact(lambda s: takeover.take_over(s, lease=timedelta(seconds=0.01)))
    for owner in (None, "io-1"):
        if owner:
            assert len(transact(lambda s: leases.claim_polls(s, worker="io-1", limit=1, interval=at_once))) == 1
        assert transact(lambda s: leases.still_ours(s, [zombie])) == set()
        assert transact(lambda s: leases.release_polls(s, [(zombie, 0.9)], interval=at_once)) == set()
        assert (the(render).worker_id, the(render).fraction) == (owner, 0)


def test_a_poll_taken_over_keeps_its_time():
    """An export is not asked sooner for having changed hands."""
    a_worker("io-9", silent_for=timedelta(minutes=5))
    later = from_now(timedelta(seconds=25))
    render = a_render(stage="poll", started_at=ago(timedelta(0)), status="running", worker_id="io-9", ready_at=later)
    before = the(render).ready_at
    transact(lambda session: takeover.take_over(session, lease=timedelta(seconds=0.01)))
    assert (the(render).worker_id, the(render).ready_at) == (None, before)


def test_a_cancel_before_the_intent_is_seen_by_the_transaction_that_commits_it():
    """Asked between the claim and the intent: the same transaction knows, so nothing paid is sent."""
    held = claimed(a_render())
    assert held is not None
    assert not transact(lambda session: leases.is_cancelled(session, held))
    transact(lambda session: store.cancel(session, held.render.owner_id, held.render.id))
    assert transact(lambda session: leases.is_cancelled(session, held))
    transact(lambda session: leases.write(session, held, leases.release()))
    with pytest.raises(LeaseLost):
        transact(lambda session: leases.is_cancelled(session, held))
