"""Deadlines: what is late ends as expired, what is on hold does not grow late."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, insert, update

from tests.emptying import empty_tables
from tests.renders.conftest import a_render, a_worker, claimed, the
from worker.accounts.models import Account
from worker.database import ago, from_now, transact
from worker.renders import deadlines, events, leases, runs
from worker.renders.models import Lane, Render
from worker.renders.states import Reason, Stage

LATE = {"deadline_seconds": 60, "deadline_at": ago(timedelta(seconds=1))}
IN_TIME = {"deadline_seconds": 60, "deadline_at": from_now(timedelta(seconds=60))}
BEGUN = {"started_at": ago(timedelta(0)), "status": "running", "stage": "upload"}


def expire() -> int:
    return transact(deadlines.expire)


def types(render: str) -> list[str]:
    return [event.type for event in transact(lambda session: events.of_render(session, render))]


def test_one_that_nobody_began_expires_at_once():
    """Late and queued: expired, with a code, a remedy, its effect and its last event; twice is harmless."""
    late, in_time, endless = a_render(**LATE), a_render(**IN_TIME), a_render()
    assert expire() == 1
    assert expire() == 0
    row = the(late)
    assert (row.status, row.error_code, row.cancel_effect) == ("expired", "deadline.passed", "prevented")
    assert row.finished_at is not None
    assert row.error_help
    assert types(late)[-1] == "render.expired"
    assert {the(one).status for one in (in_time, endless)} == {"queued"}


def test_one_under_way_is_called_off_like_a_cancelled_one():
    """Late and begun: its end is asked for, a worker says what that achieved."""
    late = a_render(**BEGUN, **LATE)
    assert expire() == 1
    row = the(late)
    assert (row.status, row.expiring, row.finished_at) == ("canceling", True, None)
    assert expire() == 0
    a_worker()
    assert transact(lambda s: leases.claim_for_cancel(s, late, worker="io-1")).render.expiring


@pytest.mark.parametrize("stands", [{"held": True}, {"paused_at": func.now()}])
def test_what_stands_still_does_not_expire(stands: dict[str, Any]):
    """Its clock is stopped a moment later, or minutes where there are a million: nothing is ended and told meanwhile,
    least of all what is still being received. One that is under way is called off all the same."""
    late, begun = a_render(**LATE), a_render(**BEGUN, **LATE)
    transact(lambda s: s.execute(update(Lane).values(**stands)))
    assert expire() == 1
    assert (the(late).status, the(begun).status, types(late)) == ("queued", "canceling", ["render.queued"])
    transact(lambda s: s.execute(update(Lane).values(held=False, paused_at=None)))
    assert expire() == 1
    assert the(late).status == "expired"


@pytest.mark.parametrize("reason", list(Reason))
def test_the_clock_stands_still_on_hold_alone(reason: Reason):
    """Waiting for credits, a subscription or a pause moves the deadline on by as long as it lasted; others do not."""
    a_worker()
    render = a_render(**IN_TIME)
    held = claimed(render)
    before = the(render).deadline_at
    transact(lambda s: leases.write(s, held, leases.release(wait=timedelta(0), reason=reason.value)))
    stopped = reason in (Reason.CREDITS, Reason.SUBSCRIPTION, Reason.PAUSED)
    assert (the(render).clock_stopped_at is not None) == stopped
    if stopped:
        hours_ago = {"clock_stopped_at": ago(timedelta(hours=1)), "deadline_at": ago(timedelta(minutes=59))}
        transact(lambda s: s.execute(update(Render).where(Render.id == render).values(**hours_ago)))
        assert expire() == 0
    assert claimed(render, lease=1)
    row = the(render)
    assert row.clock_stopped_at is None
    if stopped:
        assert timedelta(0) < row.deadline_at - transact(deadlines_now) < timedelta(minutes=2)
    else:
        assert row.deadline_at == before
    assert expire() == 0


def deadlines_now(session: Any) -> Any:
    from worker.renders.queue import now

    return now(session)


def an_account(**columns: Any) -> None:
    values = {"id": "acc", "kind": "registered", "name": "acc"}
    transact(lambda s: s.execute(insert(Account).values(**values | columns)))


@pytest.fixture(autouse=True)
def _no_accounts():

    transact(lambda s: empty_tables(s, "accounts"))


@pytest.mark.parametrize(
    ("columns", "held"),
    [
        ({"paused_until": from_now(timedelta(hours=1)), "pause_reason": "credits"}, True),
        ({"held_at": ago(timedelta(0))}, True),
        ({"paused_until": from_now(timedelta(hours=1)), "pause_reason": "rate_limit"}, False),
        ({"paused_until": ago(timedelta(hours=1)), "pause_reason": "credits"}, False),
        ({}, False),
    ],
)
def test_a_queue_on_hold_does_not_grow_late(columns: dict[str, Any], held: bool):
    """While all accounts wait for credits or for whoever paused them, the queued render's clock stands still, and goes
    on from there afterwards."""
    an_account(**columns)
    render = a_render(**LATE)
    transact(deadlines.keep_clocks)
    assert (the(render).clock_stopped_at is not None) == held
    assert expire() == (0 if held else 1)
    if held:
        free = {"held_at": None, "paused_until": None, "pause_reason": None}
        transact(lambda s: s.execute(update(Account).values(**free)))
        transact(lambda s: s.execute(update(Render).values(clock_stopped_at=ago(timedelta(hours=1)))))
        transact(deadlines.keep_clocks)
        row = the(render)
        assert row.clock_stopped_at is None
        assert row.deadline_at - transact(deadlines_now) > timedelta(minutes=59)
        assert expire() == 0


def test_a_retry_gets_the_same_time_again():
    """Run 2 of an expired render is not born late."""
    render = a_render(**LATE)
    expire()
    row = the(render)

    def again(session: Any) -> None:
        runs.retry(session, session.get_one(Render, render), force=False, api_key_id=None)

    transact(again)
    row = the(render)
    assert (row.run, row.status, row.expiring, row.stage) == (2, "queued", False, Stage.TOKEN.value)
    assert row.deadline_at - transact(deadlines_now) > timedelta(seconds=50)
    assert expire() == 0
