"""What the dispatcher finds due, hands out and takes over."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Select, func, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from tests.renders.conftest import a_render, a_worker, claimed, the
from tests.stack import here, until
from worker import database
from worker.database import ago, engine, from_now, transact
from worker.liveness import Process
from worker.renders import leases, queue, store
from worker.renders.models import Recovery, Render
from worker.renders.states import Stage
from worker.renders.store import NewRender

REDISPATCH = timedelta(seconds=30)


def new(limit: int = 100) -> list[str]:
    return [due.id for due in transact(lambda s: queue.due_new(s, redispatch=REDISPATCH, limit=limit))]


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
    assert transact(lambda s: queue.before_their_stream_ends(s, redispatch=REDISPATCH)) == 2
    a_render(sends=3, sent_at=ago(timedelta(seconds=100)))
    a_render(sends=1, sent_at=ago(timedelta(seconds=100)))
    assert transact(lambda s: queue.before_their_stream_ends(s, redispatch=REDISPATCH)) == 3


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
    assert under_way(limit=3) == renders[:3]
    assert under_way(limit=0) == []


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


def test_a_frozen_workers_open_transaction_holds_up_no_other_takeover():
    """It was stopped between a write and its commit: its row stays locked, the others of the silent are freed."""
    a_worker("io-1", silent_for=timedelta(hours=1))
    stuck, other = begun(worker_id="io-1"), begun(worker_id="io-1")

    def relieve(session: Session) -> list[str]:
        session.execute(text("SET LOCAL lock_timeout = '2s'"))
        return [one.id for one in queue.take_over(session, lease=timedelta(seconds=0.01))]

    with Session(engine()) as frozen, frozen.begin():
        frozen.execute(update(Render).where(Render.id == stuck).values(fraction=0.5))
        assert transact(relieve) == [other]
    assert transact(relieve) == [stuck]


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


def test_an_open_intake_transaction_does_not_hold_its_lane():
    """A large intake in one transaction, not yet committed, leaves what its lane already has dispatchable."""
    render = a_render()
    with Session(engine()) as slow, slow.begin():
        mine = slow.get_one(Render, render).owner_id
        store.accept(slow, mine, NewRender(prompt="another", language="en"))
        assert new() == [render]


def test_what_a_living_worker_lost_track_of_is_let_go():
    """Named as its owner, not working on it, seen so twice: the row is freed at its stage, with a record."""
    me = Process(id=a_worker("io-1"), kind="io", capacity=1, pid=1)
    render = a_render()
    held = claimed(render)
    assert held is not None
    owned = {(render, held.lease)}
    with me.holding([(render, held.lease)]), here({"VIVIDEO_LEASE_SECONDS": "0.01"}):
        assert me.strays(owned) == set()
    assert me.strays(owned) == set()
    assert me.strays(owned) == set(), "two looks in one moment are no proof"
    with here({"VIVIDEO_LEASE_SECONDS": "0.0003"}):
        assert until(lambda: me.strays(owned) == owned)
    transact(lambda s: queue.let_go(s, worker="io-1", claims=sorted(owned)))
    (recovery,) = transact(lambda s: s.scalars(select(Recovery)).all())
    assert (the(render).worker_id, recovery.why) == (None, "worker lost track of it")
    assert claimed(render, worker="io-2", lease=1) is not None


def test_what_was_claimed_anew_is_not_let_go():
    """A worker that frees what it lost track of, late: its next claim of the same row stays, and another's too."""
    render = a_render()
    held = claimed(render, worker=a_worker("io-1"))
    assert held is not None
    stale = [(render, held.lease)]
    transact(lambda s: queue.let_go(s, worker="io-1", claims=stale))
    for worker in ("io-1", "io-2"):
        assert claimed(render, worker=worker, lease=the(render).lease) is not None
        transact(lambda s: queue.let_go(s, worker="io-1", claims=stale))
        assert the(render).worker_id == worker
        transact(lambda s, mine=worker: queue.let_go(s, worker=mine, claims=[(render, the(render).lease)]))
    again = claimed(render, worker="io-2", lease=the(render).lease)
    assert again is not None
    transact(lambda s: queue.let_go(s, worker="io-1", claims=[(render, again.lease)]))
    assert the(render).worker_id == "io-2", "a number alone is no proof"


def test_one_owners_hundred_do_not_hold_up_anothers_one():
    """Lanes share: the owner with a single render is served in the first handful."""
    for _ in range(100):
        a_render("big")
    single = a_render("small")
    assert single in new(limit=4)


def test_high_comes_before_low_and_low_is_not_starved():
    """Of eighteen places, high gets sixteen and low two."""
    low = {a_render(priority="low") for _ in range(20)}
    high = {a_render(priority="high") for _ in range(20)}
    first = set(new(limit=18))
    assert (len(first & high), len(first & low)) == (16, 2)


@given(
    lanes=st.dictionaries(
        st.integers(1, 50),
        st.tuples(st.floats(0, 1000), st.sampled_from(["high", "normal", "low"])),
        min_size=1,
        max_size=10,
    ),
    places=st.integers(0, 200),
)
def test_every_place_is_given_away_and_the_furthest_behind_is_served_first(
    lanes: dict[int, tuple[float, str]], places: int
):
    """Nothing is kept back, and no lane gets a place while one with less virtual time gets none."""
    given_away = queue.share_out(lanes, places)
    assert sum(given_away.values()) == places
    least = min(lanes, key=lambda lane: (lanes[lane][0], lane))
    assert places == 0 or given_away[least] > 0


def test_silent_workers_lose_their_renders_and_live_ones_keep_them():
    """A worker that still reports is left alone; one silent for a lease, and one that said goodbye, are relieved."""
    a_worker("alive")
    a_worker("silent", silent_for=timedelta(hours=11))
    kept, lost = begun(worker_id="alive"), begun(worker_id="silent")
    unknown = begun(worker_id="never registered")
    taken = transact(lambda s: queue.take_over(s, lease=timedelta(hours=10)))
    # The server of this run is younger than such a lease: it was away, so silence proves nothing yet.
    assert taken == []
    taken = transact(lambda s: queue.take_over(s, lease=timedelta(seconds=0.5)))
    assert {one.id for one in taken} == {lost, unknown}
    assert the(kept).worker_id == "alive"


def test_a_takeover_is_on_record_until_its_outcome():
    """Who, from whom, why; then to whom."""
    a_worker("silent", silent_for=timedelta(seconds=60))
    render = begun(worker_id="silent", lease=4)
    transact(lambda s: queue.take_over(s, lease=timedelta(seconds=0.5)))
    held = claimed(render, worker="rescuer", stage=Stage.UPLOAD, lease=4)
    assert held is not None
    (recovery,) = transact(lambda s: s.scalars(select(Recovery)).all())
    assert (recovery.from_worker, recovery.to_worker, recovery.stage) == ("silent", "rescuer", "upload")
    assert recovery.ended_at is None


def test_capacity_counts_only_the_living():
    """Places of workers that are seen and not stopped."""
    a_worker("io-a", capacity=10)
    a_worker("io-b", capacity=5)
    a_worker("stream-a", kind="stream", capacity=100, silent_for=timedelta(seconds=100))
    assert transact(lambda s: queue.capacity(s, lease=timedelta(seconds=45))) == {"io": 15}
