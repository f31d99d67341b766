"""What the dispatcher does for batches: bounds, pauses, cancellations, ends, and what was never received whole."""

import time
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, insert, select, text, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

from tests.renders.conftest import a_batch, the
from worker.accounts.models import Account, RemoteSession
from worker.batches import keeping
from worker.batches import store as store_of_batches
from worker.batches.keeping import Keeper
from worker.batches.models import Batch
from worker.database import ago, engine, new_id, transact
from worker.dispatch import Dispatcher
from worker.remote.intents import Intent
from worker.renders import lanes, runs, store
from worker.renders.models import Event, Lane, Render, Run

REDISPATCH = timedelta(seconds=30)


def keep(keeper: Keeper | None = None) -> int:
    """Until nothing is left to do; how many pieces there were."""
    keeper = keeper or Keeper()
    for pieces in range(100):
        if not transact(keeper.keep):
            return pieces
    raise AssertionError("it never ends")


def batch_row(batch: str) -> Batch:
    return transact(lambda s: s.get_one(Batch, batch))


def rows(batch: str) -> list[Render]:
    mine = select(Render).where(Render.batch_id == batch).order_by(Render.batch_position)
    return transact(lambda s: list(s.scalars(mine)))


def put(renders: Iterable[Render], **columns: Any) -> None:
    ids = [row.id for row in renders]
    transact(lambda s: s.execute(update(Render).where(Render.id.in_(ids)).values(**columns)))


def ended(renders: Iterable[Render], status: str = "succeeded", **columns: Any) -> None:
    error = {"error_code": "x", "error_message": "x"} if status in ("failed", "expired") else {}
    put(renders, **{"status": status, "started_at": func.now(), "finished_at": func.now()} | error | columns)


def charged(renders: Iterable[Render], credits: float | None = 100.0, status: str = "succeeded") -> None:
    ended(renders, status, charge_state="incurred" if credits is not None else "unknown", charge_credits=credits)


def begun(renders: Iterable[Render], stage: str = "upload", status: str = "running", **columns: Any) -> None:
    put(renders, **{"stage": stage, "status": status, "started_at": func.now()} | columns)


def sent(limit: int = 100) -> list[str]:
    return [due.id for due in transact(lambda s: lanes.due_new(s, redispatch=REDISPATCH, limit=limit))]


def a_message(render: Render) -> None:
    """An intent that nobody knows the outcome of, on file as its commit leaves it."""

    def work(session: Session) -> None:
        own = {"owner_id": render.owner_id}
        account, remote = new_id("acc"), new_id("ses")
        session.execute(insert(Account).values(id=account, kind="registered", name=account))
        place = own | {"account_id": account}
        session.execute(insert(RemoteSession).values(id=remote, task_id="t", session_id=remote, **place))
        said = {"message": "m", "before": "b", "reserved_credits": 100.0, "send_by": func.now(), "run": render.run}
        place |= {"render_id": render.id, "remote_session_id": remote}
        session.execute(insert(Intent).values(id=new_id("int"), **said, **place))

    transact(work)


# Ends


def test_a_batch_without_an_open_render_is_finished():
    """The last end ends it; one render that is under way, waits or is queued keeps it open."""
    batch = a_batch(3)
    first, second, third = rows(batch)
    ended([first])
    ended([second], "canceled")
    for state in ({"status": "queued"}, {"status": "waiting", "reason": "credits", "started_at": func.now()}):
        put([third], **state)
        keep()
        assert batch_row(batch).state == "open"
    ended([third], "failed", reason=None)
    keep()
    assert (batch_row(batch).state, batch_row(batch).finished_at is not None) == ("finished", True)
    assert keep() == 0, "nothing is done twice"


def test_a_batch_of_which_no_row_became_a_render_is_finished():
    """Accepted with nothing but rejected rows; one that is still being received is not."""
    empty, coming = a_batch(0), a_batch(0, state="receiving", accepted_at=None)
    keep()
    assert (batch_row(empty).state, batch_row(coming).state) == ("finished", "receiving")


def test_a_retry_opens_a_finished_batch_again():
    """And its end finishes it once more."""
    batch = a_batch(2)
    ended(rows(batch), "failed")
    keep()
    transact(lambda s: _retried(s, rows(batch)[0].id))
    assert (batch_row(batch).state, batch_row(batch).finished_at) == ("open", None)
    keep()
    assert batch_row(batch).state == "open"
    ended(rows(batch)[:1])
    keep()
    assert batch_row(batch).state == "finished"


def test_a_retry_in_the_very_moment_of_the_end_is_not_lost():
    """It holds the batch's row until it commits: who would call the batch finished passes it over."""
    batch = a_batch(1)
    ended(rows(batch), "failed")
    with Session(engine()) as slow, slow.begin():
        _retried(slow, rows(batch)[0].id)
        keep()
        assert batch_row(batch).state == "open"
    keep()
    assert batch_row(batch).state == "open"


def _retried(session: Session, render: str) -> None:
    row = session.scalars(select(Render).where(Render.id == render).with_for_update()).one()
    runs.retry(session, row, force=False, api_key_id=None)


# Cancellation, and what was never received


def test_a_cancellation_goes_in_pieces_and_leaves_what_somebody_has(monkeypatch: pytest.MonkeyPatch):
    """What nobody began is canceled, of what is under way it is asked; a locked row waits for the next time."""
    monkeypatch.setattr(keeping, "AT_ONCE", 2)
    batch = a_batch(6, cancel_requested_at=func.now())
    begun(rows(batch)[:1])
    last = rows(batch)[-1]
    with Session(engine()) as other, other.begin():
        other.scalar(select(Render.id).where(Render.id == last.id).with_for_update())
        assert keep() == 3
        assert [row.status for row in rows(batch)] == ["canceling", *["canceled"] * 4, "queued"]
    assert keep() == 1
    assert [row.status for row in rows(batch)] == ["canceling", *["canceled"] * 5]
    assert batch_row(batch).state == "open"
    put(rows(batch)[:1], status="canceled", finished_at=func.now())
    keep()
    assert batch_row(batch).state == "finished"
    told = transact(lambda s: s.scalars(select(Event.type).where(Event.render_id == last.id)).all())
    assert told == ["render.canceled"]


def test_a_batch_whose_intake_died_is_thrown_away(monkeypatch: pytest.MonkeyPatch):
    """In pieces, with its lanes and rows; one whose intake is at work, and one that was accepted, stay."""
    monkeypatch.setattr(keeping, "AT_ONCE", 2)
    coming = {"state": "receiving", "accepted_at": None}
    dead = a_batch(5, **coming, held=True, received_at=ago(timedelta(minutes=11)))
    alive = a_batch(1, **coming, held=True, received_at=ago(timedelta(minutes=9)))
    taken = a_batch(1, received_at=ago(timedelta(hours=1)))
    assert keep() == 3
    left = transact(lambda s: set(s.scalars(select(Batch.id))))
    assert left == {alive, taken}
    assert transact(lambda s: s.scalar(select(func.count()).where(Render.batch_id == dead))) == 0
    assert transact(lambda s: s.scalar(select(func.count()).where(Lane.batch_id == dead))) == 0


def test_a_long_cancellation_does_not_keep_the_others_from_their_bounds(monkeypatch: pytest.MonkeyPatch):
    """Between two of its pieces what is due to be counted is."""
    monkeypatch.setattr(keeping, "AT_ONCE", 1)
    long = a_batch(20, cancel_requested_at=func.now())
    failing = a_batch(8, max_failure_rate=0.2)
    keeper = Keeper()
    transact(keeper.keep)
    ended(rows(failing)[:5], "failed")
    keeper._count_at.clear()
    for _ in range(3):
        assert transact(keeper.keep)
    assert batch_row(failing).pause_reason == "max_failure_rate"
    assert {row.status for row in rows(long)} == {"canceled", "queued"}
    keep(keeper)
    assert {row.status for row in rows(long)} == {"canceled"}


def test_a_fault_in_one_batch_leaves_the_others_their_care(monkeypatch: pytest.MonkeyPatch):
    """It is passed over for a minute; what is behind it is called off meanwhile, and it is tried again after that."""
    broken, other = (a_batch(2, cancel_requested_at=func.now()) for _ in range(2))
    cancel_some = store_of_batches.cancel_some

    def failing(session: Session, batch: Batch, limit: int) -> int:
        if batch.id == broken:
            session.execute(text("SELECT 1 / 0"))
        return cancel_some(session, batch, limit)

    dispatcher = Dispatcher()
    monkeypatch.setattr(store_of_batches, "cancel_some", failing)
    for _ in range(6):
        dispatcher._keep_batches()
    assert [batch_row(one).state for one in (broken, other)] == ["open", "finished"]
    monkeypatch.setattr(store_of_batches, "cancel_some", cancel_some)
    monkeypatch.setattr(keeping.time, "monotonic", lambda real=time.monotonic: real() + 61)
    for _ in range(4):
        dispatcher._keep_batches()
    assert batch_row(broken).state == "finished"


def test_a_fault_at_the_ends_leaves_the_batches_their_bounds(monkeypatch: pytest.MonkeyPatch):
    """Nothing is ended for a minute; what is due to be counted is, meanwhile."""
    over, failing = a_batch(0), a_batch(8, max_failure_rate=0.2)
    ended(rows(failing)[:5], "failed")
    dispatcher, end = Dispatcher(), keeping._end
    monkeypatch.setattr(keeping, "_end", lambda session, ids: session.execute(text("SELECT 1 / 0")))
    for _ in range(2):
        dispatcher._keep_batches()
    assert [batch_row(failing).pause_reason, batch_row(over).state] == ["max_failure_rate", "open"]
    monkeypatch.setattr(keeping, "_end", end)
    dispatcher._keep_batches()
    assert batch_row(over).state == "open"
    monkeypatch.setattr(keeping.time, "monotonic", lambda real=time.monotonic: real() + 61)
    dispatcher._keep_batches()
    assert batch_row(over).state == "finished"


# max_credits


def test_no_more_begin_than_the_credits_cover():
    """Three clips at a hundred: three are sent, and once their messages are settled the batch is paused, and says
    why."""
    batch = a_batch(6, max_credits=350)
    assert sent() == [], "not before it was counted"
    keep()
    assert batch_row(batch).allowance == 3
    assert sent(2) == [row.id for row in rows(batch)[:2]]
    assert batch_row(batch).allowance == 1
    assert len(sent()) == 1
    assert (sent(), batch_row(batch).allowance) == ([], 0)
    keep()
    assert batch_row(batch).pause_reason is None, "what is under way may cost nothing"
    charged(rows(batch)[:3])
    keep()
    row = batch_row(batch)
    assert (row.allowance, row.pause_reason) == (0, "max_credits")
    assert row.pause_detail == (
        "300 of at most 350 credits are spent, and a render costs about 100: those that are left were not begun."
    )
    assert transact(lambda s: s.scalar(select(Lane.paused_at).where(Lane.batch_id == batch))) is not None


def test_what_cost_less_lets_others_begin():
    """One failed for nothing, one was cheap: the batch goes on without anybody's doing."""
    batch = a_batch(6, max_credits=300)
    keep()
    assert len(sent()) == 3
    ended(rows(batch)[:1], "failed")
    charged(rows(batch)[1:2], 40)
    keep()
    assert batch_row(batch).allowance == 1
    assert len(sent()) == 1


def test_a_lost_message_is_sent_again_without_an_allowance():
    """Its render was counted when it was first sent."""
    batch = a_batch(3, max_credits=100)
    keep()
    (render,) = sent()
    put([the(render)], sent_at=ago(timedelta(seconds=31)))
    assert (sent(), batch_row(batch).allowance) == ([render], 0)


@pytest.mark.parametrize(
    ("state", "credits"),
    [
        ({"sent_at": func.now()}, 100),
        ({"started_at": func.now(), "status": "waiting", "reason": "credits", "stage": "generate"}, 100),
        ({"started_at": func.now(), "status": "running", "stage": "session"}, 100),
        ({"started_at": func.now(), "status": "running", "stage": "lookup", "charge_state": "unknown"}, 100),
        # Not applied as far as anybody knows, and one more to come.
        ({"started_at": func.now(), "status": "running", "stage": "session", "charge_state": "unknown"}, 200),
        (
            {
                "started_at": func.now(),
                "status": "running",
                "stage": "verify",
                "charge_state": "incurred",
                "charge_credits": 80,
            },
            80,
        ),
        ({"started_at": func.now(), "status": "running", "stage": "export"}, 0),
        ({"started_at": func.now(), "status": "canceling", "cancel_requested_at": func.now(), "stage": "upload"}, 0),
    ],
)
def test_what_is_under_way_is_reserved(state: dict[str, Any], credits: float):
    """By what is known of its charge, and by the message that is still to come."""
    batch = a_batch(2, max_credits=1000)
    put(rows(batch)[:1], **state)
    count = transact(lambda s: keeping.counted(s, s.get_one(Batch, batch)))
    assert count.spent + 100 * count.to_come == credits


def test_a_message_that_is_being_followed_is_reserved_once():
    """Its charge is unknown from its commit on, and no other one is to come."""
    batch = a_batch(1, max_credits=1000)
    begun(rows(batch), "generate", charge_state="unknown")
    a_message(rows(batch)[0])
    count = transact(lambda s: keeping.counted(s, s.get_one(Batch, batch)))
    assert (count.spent, count.to_come, count.under_way) == (100, 0, 1)


def test_earlier_runs_and_unknown_charges_count_as_spent():
    """A retry pays on top; what nobody knows may have been charged."""
    batch = a_batch(4, max_credits=500)
    charged(rows(batch)[:1], 120, "failed")
    charged(rows(batch)[1:2], None, "failed")

    def again(session: Session) -> None:
        row = session.scalars(select(Render).where(Render.id == rows(batch)[0].id).with_for_update()).one()
        runs.retry(session, row, force=True, api_key_id=None)

    transact(again)
    assert transact(lambda s: s.scalar(select(Run.charge_credits))) == 120
    keep()
    assert batch_row(batch).allowance == 2, "500 - 120 - 100"
    assert len(sent()) == 2


def test_two_dispatchers_and_retries_do_not_overspend():
    """In any order: looks of two at once, counts, ends with and without a charge, retries. What was ever sent and may
    be charged stays within the bound."""
    batch = a_batch(40, max_credits=900)
    keepers = (Keeper(), Keeper())
    for step in range(30):
        transact(keepers[step % 2].keep)
        with Session(engine(), expire_on_commit=False) as one, Session(engine(), expire_on_commit=False) as other:
            # Neither has committed when the other looks.
            for session in (one, other):
                lanes.due_new(session, redispatch=REDISPATCH, limit=2 + step % 3)
            keepers[0]._count_at.clear()
            transact(keepers[0].keep)
            one.commit()
            other.commit()
        waiting = [row for row in rows(batch) if row.sent_at is not None and row.finished_at is None]
        for row in waiting[:1]:
            charged([row], 100 if step % 3 else None, "failed" if step % 2 else "succeeded")
        for row in waiting[1:2]:
            ended([row], "failed")
            transact(lambda s, one=row.id: _retried(s, one))
        assert transact(_may_be_charged) <= 900
    assert transact(_may_be_charged) == 900, "and all of it is used"


def _may_be_charged(session: Session) -> float:
    """By statements of the test's own: every sent or charged run, at a hundred where nobody knows."""
    statement = """
        SELECT sum(CASE WHEN charge_state <> 'none' THEN coalesce(charge_credits, 100)
            WHEN finished_at IS NULL AND (sent_at IS NOT NULL OR started_at IS NOT NULL) THEN 100 ELSE 0 END)
        FROM renders"""
    earlier = "SELECT coalesce(sum(coalesce(charge_credits, 100)), 0) FROM render_runs WHERE charge_state <> 'none'"
    return sum(float(session.execute(text(one)).scalar_one()) for one in (statement, earlier))


def test_a_batch_that_holds_back_the_rest_is_not_paused_for_it():
    """Only renders that wait for an approval are left: that is not for want of credits."""
    batch = a_batch(1, max_credits=100, first=1)
    charged(rows(batch))
    a_held = {"owner_id": batch_row(batch).owner_id, "batch_id": batch, "priority": "normal", "part": 1, "held": True}
    transact(lambda s: s.execute(insert(Lane).values(**a_held)))
    keep()
    assert batch_row(batch).pause_reason is None


# max_failure_rate


def test_a_batch_with_too_many_failures_is_paused():
    """Two of five: more than a fifth. One of five is not, nor are two of four, which say too little yet."""
    batch = a_batch(8, max_failure_rate=0.2)
    mine = rows(batch)
    ended(mine[:2], "failed")
    ended(mine[2:4])
    keep()
    assert batch_row(batch).paused_at is None
    begun(mine[5:6])
    ended(mine[4:5])
    keep()
    row = batch_row(batch)
    assert (row.pause_reason, row.pause_detail) == (
        "max_failure_rate",
        "2 of 5 finished renders failed (40%), more than 20% of them.",
    )
    assert rows(batch)[5].status == "running", "what is under way goes on"
    assert sent() == []


def test_as_many_failures_as_are_allowed_pause_nothing():
    """A fifth of five is one; canceled ones count neither way."""
    batch = a_batch(9, max_failure_rate=0.2)
    ended(rows(batch)[:1], "expired")
    ended(rows(batch)[1:5])
    ended(rows(batch)[5:8], "canceled")
    keep()
    assert batch_row(batch).paused_at is None


def test_failures_before_a_resumption_are_known():
    """Counted from then on, and again from the fifth that is finished."""
    batch = a_batch(12, max_failure_rate=0.2, counting_from=func.now())
    mine = rows(batch)
    ended(mine[:5], "failed", finished_at=ago(timedelta(seconds=1)))
    keep()
    assert batch_row(batch).paused_at is None
    ended(mine[5:10], "failed", finished_at=func.now() + timedelta(seconds=1))
    keep()
    assert "5 of 5" in (batch_row(batch).pause_detail or "")


# Cost


def test_a_large_batch_is_counted_sparsely(monkeypatch: pytest.MonkeyPatch):
    """Not again before twenty times the time that it took; one that was resumed at once, or nothing would begin."""
    batch, keeper = a_batch(3, max_credits=1000), Keeper()
    keep(keeper)
    monkeypatch.setitem(keeper._count_at, batch, float("inf"))
    transact(lambda s: s.execute(update(Batch).values(allowance=1)))
    keep(keeper)
    assert batch_row(batch).allowance == 1
    transact(lambda s: s.execute(update(Batch).values(allowance=None)))
    keep(keeper)
    assert batch_row(batch).allowance == 10


def test_another_dispatchers_batch_is_passed_over():
    """It has the row: neither counted nor ended, and nobody waits."""
    counted, over = a_batch(2, max_credits=100), a_batch(0)
    with Session(engine()) as other, other.begin():
        other.scalars(select(Batch.id).with_for_update(key_share=True)).all()
        assert keep() == 0
    assert (batch_row(counted).allowance, batch_row(over).state) == (None, "open")


def test_a_fault_of_ours_in_a_batch_keeps_no_render_from_its_look(monkeypatch: pytest.MonkeyPatch):
    """A statement that the database refuses is logged, and the dispatcher goes on; one that it could not answer is for
    whoever waits until it is back."""
    dispatcher = Dispatcher()
    monkeypatch.setattr(dispatcher._keeper, "keep", lambda session: session.execute(text("SELECT 1 / 0")))
    with capture_logs() as said:
        assert dispatcher._keep_batches() is False
    assert [line["event"] for line in said] == ["batch.fault"]
    ended_by_the_server = text("SELECT pg_terminate_backend(pg_backend_pid())")
    monkeypatch.setattr(dispatcher._keeper, "keep", lambda session: session.execute(ended_by_the_server))
    with pytest.raises(OperationalError):
        dispatcher._keep_batches()


def test_store_cancel_is_what_a_piece_does_to_each():
    """One by one or by the batch: the same row."""
    batch = a_batch(2, cancel_requested_at=func.now())
    one, other = rows(batch)
    transact(lambda s: store.cancel(s, one.owner_id, one.id))
    keep()
    names = ("status", "cancel_effect", "reason", "sent_at", "event_number")
    assert [getattr(the(one.id), name) for name in names] == [getattr(the(other.id), name) for name in names]
