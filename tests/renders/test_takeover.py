"""The takeover of what a worker held that is gone, that said goodbye or that fell silent."""

from datetime import timedelta

from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from tests.renders.conftest import a_render, a_worker, claimed, the
from tests.stack import here, until
from worker.database import ago, engine, transact
from worker.liveness import Process
from worker.renders import takeover
from worker.renders.models import Recovery, Render
from worker.renders.states import Stage


def begun(**columns: object) -> str:
    return a_render(**{"started_at": ago(timedelta(0)), "status": "running", "stage": "upload"} | columns)


def test_a_frozen_workers_open_transaction_holds_up_no_other_takeover():
    """It was stopped between a write and its commit: its row stays locked, the others of the silent are freed."""
    a_worker("io-1", silent_for=timedelta(hours=1))
    stuck, other = begun(worker_id="io-1"), begun(worker_id="io-1")

    def relieve(session: Session) -> list[str]:
        session.execute(text("SET LOCAL lock_timeout = '2s'"))
        return [one.id for one in takeover.take_over(session, lease=timedelta(seconds=0.01))]

    with Session(engine()) as frozen, frozen.begin():
        frozen.execute(update(Render).where(Render.id == stuck).values(fraction=0.5))
        assert transact(relieve) == [other]
    assert transact(relieve) == [stuck]


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
    transact(lambda s: takeover.let_go(s, worker="io-1", claims=sorted(owned)))
    (recovery,) = transact(lambda s: s.scalars(select(Recovery)).all())
    assert (the(render).worker_id, recovery.why) == (None, "worker lost track of it")
    assert claimed(render, worker="io-2", lease=1) is not None


def test_what_was_claimed_anew_is_not_let_go():
    """A worker that frees what it lost track of, late: its next claim of the same row stays, and another's too."""
    render = a_render()
    held = claimed(render, worker=a_worker("io-1"))
    assert held is not None
    stale = [(render, held.lease)]
    transact(lambda s: takeover.let_go(s, worker="io-1", claims=stale))
    for worker in ("io-1", "io-2"):
        assert claimed(render, worker=worker, lease=the(render).lease) is not None
        transact(lambda s: takeover.let_go(s, worker="io-1", claims=stale))
        assert the(render).worker_id == worker
        transact(lambda s, mine=worker: takeover.let_go(s, worker=mine, claims=[(render, the(render).lease)]))
    again = claimed(render, worker="io-2", lease=the(render).lease)
    assert again is not None
    transact(lambda s: takeover.let_go(s, worker="io-1", claims=[(render, again.lease)]))
    assert the(render).worker_id == "io-2", "a number alone is no proof"


def test_silent_workers_lose_their_renders_and_live_ones_keep_them():
    """A worker that still reports is left alone; one silent for a lease, and one that said goodbye, are relieved."""
    a_worker("alive")
    a_worker("silent", silent_for=timedelta(hours=11))
    kept, lost = begun(worker_id="alive"), begun(worker_id="silent")
    unknown = begun(worker_id="never registered")
    taken = transact(lambda s: takeover.take_over(s, lease=timedelta(hours=10)))
    # The server of this run is younger than such a lease: it was away, so silence proves nothing yet.
    assert taken == []
    taken = transact(lambda s: takeover.take_over(s, lease=timedelta(seconds=0.5)))
    assert {one.id for one in taken} == {lost, unknown}
    assert the(kept).worker_id == "alive"


def test_a_takeover_is_on_record_until_its_outcome():
    """Who, from whom, why; then to whom."""
    a_worker("silent", silent_for=timedelta(seconds=60))
    render = begun(worker_id="silent", lease=4)
    transact(lambda s: takeover.take_over(s, lease=timedelta(seconds=0.5)))
    held = claimed(render, worker="rescuer", stage=Stage.UPLOAD, lease=4)
    assert held is not None
    (recovery,) = transact(lambda s: s.scalars(select(Recovery)).all())
    assert (recovery.from_worker, recovery.to_worker, recovery.stage) == ("silent", "rescuer", "upload")
    assert recovery.ended_at is None
