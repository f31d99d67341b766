"""What the dispatcher finds due, and counts before it sends more."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import Select, func, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from tests.renders.conftest import a_render, a_worker, claimed, the
from tests.stack import here, until
from worker import database
from worker.database import ago, engine, from_now, transact
from worker.renders import lanes, leases, queue, store, waiting
from worker.renders.models import Render
from worker.renders.states import Reason, Stage

REDISPATCH = timedelta(seconds=30)


def new(limit: int = 100) -> list[str]:
    return [due.id for due in transact(lambda s: lanes.due_new(s, redispatch=REDISPATCH, limit=limit))]


def under_way(limit: int = 100) -> list[str]:
    stages = list(Stage)
    found = transact(lambda s: queue.due_under_way(s, stages=stages, redispatch=REDISPATCH, limit=limit))
    return [due.id for due in found]


def begun(**columns: object) -> str:
    return a_render(**{"started_at": ago(timedelta(0)), "status": "running", "stage": "upload"} | columns)


def canceled() -> list[str]:
    return [due.id for due in transact(lambda s: queue.due_cancels(s, redispatch=REDISPATCH, limit=10))]


def canceling(**columns: object) -> str:
    return begun(**{"cancel_requested_at": func.now(), "status": "canceling"} | columns)


def test_what_was_sent_is_not_sent_again_until_it_is_overdue():
    """Sent: left alone. Sent and not claimed for 30 s: the message is lost, it is sent again with the same lease."""
    render = a_render()
    assert new() == [render]
    assert new() == []
    lost = a_render(sent_at=ago(timedelta(seconds=31)))
    fresh = a_render(sent_at=ago(timedelta(seconds=29)))
    assert new() == [lost]
    assert the(lost).lease == 0
    assert the(fresh).lease == 0


@pytest.mark.parametrize(("sends", "patience"), [(0, 30), (1, 30), (2, 60), (3, 120), (4, 240), (5, 240), (2000, 240)])
@pytest.mark.parametrize("look", [new, under_way, canceled])
def test_each_further_message_is_waited_for_twice_as_long(look: Callable[[], list[str]], sends: int, patience: int):
    """Workers that are behind are not drowned in copies; eight intervals are the longest that a lost one costs."""
    make = {new: a_render, under_way: begun, canceled: canceling}[look]
    make(sends=sends, sent_at=ago(timedelta(seconds=patience - 20)))
    overdue = make(sends=sends, sent_at=ago(timedelta(seconds=patience + 1)))
    assert look() == [overdue]
    assert look() == []
    assert the(overdue).sends == sends + 1


def test_a_first_message_counts_as_the_first_whatever_was_before():
    """Claimed, waiting, and due again: nobody failed to take that."""
    render = begun(sends=5)
    assert under_way() == [render]
    assert the(render).sends == 1
    held = claimed(render, stage=Stage.UPLOAD)
    assert held is not None
    transact(lambda s: s.execute(update(Render).where(Render.id == render).values(sends=5)))
    transact(lambda s: leases.write(s, held, leases.release(to=Stage.GENERATE)))
    assert (the(render).sends, the(render).sent_at is not None) == (1, True)


def test_overdue_messages_take_up_room_until_they_are_sent_again():
    """Of what was sent for the third time 100 s ago nobody knows more than of what was sent just now."""
    begun(sends=3, sent_at=ago(timedelta(seconds=100)))
    begun(sends=1, sent_at=ago(timedelta(seconds=100)))
    assert transact(lambda s: queue.on_their_way(s, redispatch=REDISPATCH)) == {Stage.UPLOAD: 1}
    assert transact(lambda s: queue.before_their_stream_ends(s, redispatch=REDISPATCH)).all == 2
    a_render(sends=3, sent_at=ago(timedelta(seconds=100)))
    a_render(sends=1, sent_at=ago(timedelta(seconds=100)))
    assert transact(lambda s: queue.before_their_stream_ends(s, redispatch=REDISPATCH)).all == 3


def test_where_nothing_is_known_each_message_counts_as_the_first():
    """After a refusal, or in a new dispatcher's first look: what is lost is waited for as if it had been sent once. A
    locked row holds nobody up, and is left as it was."""
    minute = {"sends": 5, "sent_at": ago(timedelta(minutes=1))}
    known, held, taken, new_one = (
        begun(**minute),
        begun(**minute),
        begun(**minute, worker_id="io-1"),
        a_render(**minute),
    )
    with Session(engine()) as other, other.begin():
        other.scalar(select(Render.id).where(Render.id == held).with_for_update())
        transact(queue.forget_sends)
    assert {render: the(render).sends for render in (known, held, taken, new_one)} == {
        known: 1,
        held: 5,
        taken: 5,
        new_one: 1,
    }
    assert (under_way(), new()) == ([known], [new_one])


def test_only_what_is_ready_and_free_is_due():
    """Later, owned and final renders stay; one that is ready goes."""
    ready = begun()
    begun(ready_at=from_now(timedelta(seconds=1)))
    begun(worker_id="io-1")
    begun(status="succeeded", finished_at=ago(timedelta(0)))
    begun(cancel_requested_at=ago(timedelta(0)), status="canceling")
    assert under_way() == [ready]


def test_no_more_than_the_limit_and_the_oldest_first():
    """What has been ready longest goes first."""
    renders = [begun(ready_at=ago(timedelta(seconds=10 - age))) for age in range(5)]
    assert sorted(under_way(limit=3)) == renders[:3]
    assert under_way(limit=0) == []


def test_no_more_are_woken_than_are_wanted_whatever_the_plan():
    """As many as the credits are enough for."""
    far = from_now(timedelta(hours=1))
    renders = [begun(status="waiting", reason="credits", ready_at=far) for _ in range(12)]

    def planned(session: Session) -> int:
        for way in ("hashjoin", "mergejoin", "hashagg", "sort", "material", "memoize"):
            session.execute(text(f"SET LOCAL enable_{way} = off"))
        return waiting.wake(session, Reason.CREDITS, limit=2)

    assert transact(planned) == 2
    ready = select(Render.id).where(Render.ready_at < from_now(timedelta(minutes=1))).order_by(Render.id)
    assert transact(lambda session: session.scalars(ready).all()) == renders[:2]


def test_a_cancelled_render_goes_to_the_canceller_whenever_it_was_due():
    """One that would be due in an hour is cancelled now."""
    render = begun(cancel_requested_at=ago(timedelta(0)), status="canceling", ready_at=from_now(timedelta(hours=1)))
    (due,) = transact(lambda s: queue.due_cancels(s, redispatch=REDISPATCH, limit=10))
    assert (due.id, due.canceling) == (render, True)


def test_a_cancel_during_a_stage_is_due_when_the_stage_ends():
    """Asked for while a worker holds the render: the canceller's message does not wait for a lost one to be overdue."""
    render = a_render()
    held = claimed(render)
    assert held is not None
    row = transact(lambda s: store.cancel(s, held.render.owner_id, render))
    assert row is not None
    assert row.status == "canceling"
    transact(lambda s: leases.write(s, held, leases.release(to=Stage.SESSION)))
    (due,) = transact(lambda s: queue.due_cancels(s, redispatch=REDISPATCH, limit=10))
    assert (due.id, due.stage) == (render, Stage.SESSION)


def test_the_server_ends_a_transaction_in_which_nothing_happens(monkeypatch: pytest.MonkeyPatch):
    """Whoever has it open is frozen: its locks are given back, and what it would write is rolled back."""
    monkeypatch.setattr(database, "IDLE_SECONDS", 0.2)
    render = a_render()
    with here({"VIVIDEO_LEASE_SECONDS": "0.2"}):
        database._engine.cache_clear()
        try:
            with Session(engine()) as frozen:
                frozen.execute(update(Render).where(Render.id == render).values(fraction=0.5))
                until(lambda: transact(lambda s: s.scalar(_free_row(render))) == render, what="the lock's end")
                with pytest.raises(DBAPIError) as ended:
                    frozen.commit()
                assert database.retryable(ended.value)
        finally:
            database._engine.cache_clear()
    assert the(render).fraction == 0


def test_the_addresss_own_options_are_kept():
    """Ours come first: who names the same one in the address decides."""
    given = database._options("postgresql://db.example/renders?options=-c%20statement_timeout%3D5s")
    assert given.endswith(" -c statement_timeout=5s")
    assert given.startswith("-c idle_in_transaction_session_timeout=")


def _free_row(render: str) -> Select[str]:
    return select(Render.id).where(Render.id == render).with_for_update(skip_locked=True)


def test_capacity_counts_only_the_living():
    """Places of workers that are seen and not stopped."""
    a_worker("io-a", capacity=10)
    a_worker("io-b", capacity=5)
    a_worker("stream-a", kind="stream", capacity=100, silent_for=timedelta(seconds=100))
    assert transact(lambda s: queue.capacity(s, lease=timedelta(seconds=45))) == {"io": 15}
