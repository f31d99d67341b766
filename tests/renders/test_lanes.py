"""What the dispatcher hands out of what nobody began, and how the lanes share it."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from tests.renders.conftest import a_batch, a_render, a_worker, the
from worker import dispatch
from worker.accounts.models import Account
from worker.batches.models import Batch
from worker.database import ago, engine, from_now, new_id, transact
from worker.owners.store import owner
from worker.renders import lanes, store
from worker.renders.lanes import Opening
from worker.renders.models import Lane, Render
from worker.renders.sharing import Shares
from worker.renders.store import NewRender

REDISPATCH = timedelta(seconds=30)
OVERDUE = ago(timedelta(seconds=31))


def new(limit: int = 100, **more: Any) -> list[str]:
    return [due.id for due in transact(lambda s: lanes.due_new(s, redispatch=REDISPATCH, limit=limit, **more))]


def whose(render: str) -> str:
    return the(render).batch_id or "none"


def amended(render: str, priority: str) -> Lane:
    def work(session: Session) -> Lane:
        row = session.scalars(select(Render).where(Render.id == render).with_for_update()).one()
        store.amend(session, row, priority=priority)
        return session.get_one(Lane, row.lane_id)

    return transact(work)


def test_an_open_intake_transaction_does_not_hold_its_lane():
    """A large intake in one transaction, not yet committed, leaves what its lane already has dispatchable."""
    render = a_render()
    with Session(engine()) as slow, slow.begin():
        mine = slow.get_one(Render, render).owner_id
        store.accept(slow, mine, NewRender(prompt="another", language="en"))
        assert new() == [render]


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


def test_places_that_one_lane_does_not_fill_are_anothers():
    """Two have two renders between them, the third takes the rest, in one look."""
    singles = {a_render("small"), a_render("tiny")}
    many = {a_render("big") for _ in range(9)}
    assert set(new(limit=11)) == singles | many


@pytest.mark.parametrize("stands", [{"paused_at": func.now()}, {"held": True}])
def test_lanes_that_stand_still_are_left_out(stands: dict[str, Any]):
    """Paused, or held: nothing of it begins, nor is a lost message of it repeated."""
    a_render("slow")
    a_render("slow", sent_at=OVERDUE)
    transact(lambda s: s.execute(update(Lane).values(**stands)))
    going = a_render("quick")
    assert new() == [going]


def test_what_is_not_ready_yet_is_left_out():
    """In an hour, or when its turn has come: whatever else its lane has."""
    a_render(ready_at=from_now(timedelta(hours=1)))
    a_render(ready_at=text("'infinity'"))
    ready = a_render()
    assert new() == [ready]


def test_only_one_hands_out_at_a_time():
    """Two that count the same free places would both fill them: the second leaves what is new to the first."""
    a_worker("stream-1", "stream", capacity=5)
    a_worker("io-1")
    transact(lambda s: s.add(Account(id=new_id("acc"), kind="registered", name="of all")))
    render = a_render()
    with Session(engine()) as first, first.begin():
        assert lanes.hands_out(first)
        assert transact(dispatch._due) == []
    assert [due.id for due in transact(dispatch._due)] == [render]


def test_a_look_is_by_index_whatever_the_planner_believes():
    """Statistics of an empty table, and three thousand rows: no look reads them all."""
    transact(lambda s: s.execute(text("ANALYZE renders")))
    a_batch(3000)
    read = text("SELECT coalesce(sum(seq_tup_read), 0) FROM pg_stat_xact_user_tables WHERE relname = 'renders'")

    def look(session: Session) -> int:
        before = session.execute(read).scalar_one()  # by this connection, as far as it was not reported yet
        lanes.due_new(session, redispatch=REDISPATCH, limit=5)
        return session.execute(read).scalar_one() - before

    assert transact(look) == 0


def test_batches_leave_room_to_what_is_in_none():
    """Of eight streams, a batch takes seven; the eighth is there for a single render, at once."""
    a_worker("stream-1", "stream", capacity=8)
    a_worker("io-1", capacity=20)
    transact(lambda s: s.add(Account(id=new_id("acc"), kind="registered", name="of all")))
    batch = a_batch(20)
    assert [whose(due.id) for due in transact(dispatch._due)] == [batch] * 7
    assert transact(dispatch._due) == []
    single = a_render("other")
    assert [due.id for due in transact(dispatch._due)] == [single]


def test_a_batch_begins_a_part_at_a_time():
    """Of 240 streams thirty may be without a session; more begin as those have theirs, until it has all that it may."""
    a_worker("stream-1", "stream", capacity=240)
    a_worker("io-1", capacity=200)
    transact(lambda s: s.add(Account(id=new_id("acc"), kind="registered", name="of all", slots=1000)))
    a_batch(300)
    assert len(transact(dispatch._due)) == 30
    assert transact(dispatch._due) == []
    have_one = update(Render).where(Render.sent_at.is_not(None)).values(stage="generate", started_at=func.now())
    transact(lambda s: s.execute(have_one))
    assert len(transact(dispatch._due)) == 30
    for _ in range(10):
        transact(lambda s: s.execute(have_one))
        transact(dispatch._due)
    begun = select(func.count()).where(Render.started_at.is_not(None))
    assert transact(lambda s: s.scalar(begun)) == 240 - 15


@pytest.mark.parametrize(("slots", "taken"), [(1, 1), (3, 3), (4, 3), (32, 30)])
def test_batches_leave_some_of_an_accounts_slots(slots: int, taken: int):
    """One in sixteen, where there are four; whoever else has a render finds a slot free."""
    account = new_id("acc")
    transact(lambda s: s.add(Account(id=account, kind="registered", name="of all", slots=slots)))
    batch = a_batch(40)
    begun = {"stage": "upload", "started_at": func.now(), "status": "running", "account_id": account}
    for due in transact(lambda s: dispatch._new(s, 100)):
        transact(lambda s, one=due.id: s.execute(update(Render).where(Render.id == one).values(**begun)))
    assert transact(lambda s: s.scalar(select(func.count()).where(Render.account_id == account))) == taken
    assert transact(lambda s: dispatch._new(s, 100)) == []
    single = a_render("other")
    assert [due.id for due in transact(lambda s: dispatch._new(s, 100))] == ([single] if slots > taken else [])
    assert batch


def test_an_openings_places_go_to_those_that_it_is_for():
    """Two places for everybody but Anna, one for Anna: whatever else they have."""
    for name in ("anna", "ben"):
        for _ in range(5):
            a_render(name)
    anna = transact(lambda s: owner(s, "anna").id)
    openings = [Opening(2, without={anna}), Opening(1, only=anna)]
    found = [the(one).owner_id for one in new(openings=openings)]
    assert sorted(owner == anna for owner in found) == [False, False, True]


def test_a_sent_render_keeps_its_place_before_all_others():
    """The broker lost its message: it does not queue up again behind what came later."""
    shares = Shares()
    for _ in range(3):
        a_render("first")
    lost = a_render("first", sent_at=OVERDUE)
    assert new(limit=1, shares=shares) == [lost]


def test_a_changed_priority_keeps_batch_and_part_and_what_stands_still():
    """The lane is made on first use: paused as the batch's others are, held as those of its part are."""
    batch = a_batch(2, part=1, held=True)
    transact(lambda s: s.execute(update(Lane).values(paused_at=func.now())))
    first, second = transact(lambda s: s.scalars(select(Render.id).order_by(Render.batch_position)).all())
    lane = amended(first, "high")
    assert (lane.batch_id, lane.part, lane.priority, lane.held, lane.paused_at is None) == (
        (batch, 1, "high", True, False)
    )
    assert amended(second, "high").id == lane.id
    single = a_render()
    assert amended(single, "low").batch_id is None
    assert new() == [single]


def test_a_resumption_finds_the_lane_that_a_change_is_just_making():
    """The change holds its batch's row: who resumes the batch comes after it, and lets the new lane go too."""
    batch = a_batch(1)
    render = transact(lambda s: s.scalars(select(Render.id)).one())
    with Session(engine()) as slow, slow.begin():
        store.amend(slow, slow.get_one(Render, render), priority="high")
        with Session(engine()) as other, other.begin():
            free = select(Batch.id).where(Batch.id == batch).with_for_update(key_share=True, skip_locked=True)
            assert other.scalar(free) is None
