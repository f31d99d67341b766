"""Which first tries are next: in order within a subject, found without asking of all that is held back."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, func, select, text, update
from sqlalchemy.orm import Session

from tests.renders.conftest import a_render, a_worker
from tests.webhooks.conftest import an_endpoint, deliveries, handed_out, happens, put, relayed, the_delivery
from worker.database import transact
from worker.renders.events import EventType
from worker.webhooks import claims, due, order
from worker.webhooks.models import WebhookDelivery

LATER = datetime(2999, 1, 1, tzinfo=UTC)


def behind(subjects: int, number: int) -> str:
    """So many renders at an endpoint of its own, each with so many deliveries behind the first."""
    endpoint = an_endpoint()
    for _ in range(subjects):
        a_render()
    relayed()
    made = text(
        """
        INSERT INTO webhook_deliveries (id, owner_id, endpoint_id, subject, sequence, type, body, ready_at)
        SELECT d.subject || n, owner_id, endpoint_id, subject, sequence + n, type, body,
            ready_at + make_interval(secs => n / 1000.0) - interval '1 hour'
        FROM webhook_deliveries AS d, generate_series(1, :number) AS n"""
    )
    transact(lambda s: s.execute(made, {"number": number}))
    transact(lambda s: s.execute(text("ANALYZE webhook_deliveries")))
    return endpoint


def read(work: Callable[[Session], object]) -> int:
    """Rows of deliveries that the statements of some work come by, those included that they pass over."""
    statements: list[tuple[str, Any]] = []

    def looks(session: Session) -> int:
        connection = session.connection()

        @event.listens_for(connection, "before_cursor_execute")
        def _noted(_connection: Any, _cursor: Any, statement: str, given: Any, *_: Any) -> None:
            statements.append((statement, given))

        work(session)
        event.remove(connection, "before_cursor_execute", _noted)
        explain = "EXPLAIN (ANALYZE, FORMAT JSON) "
        plans = [connection.exec_driver_sql(explain + one, given).scalar_one() for one, given in statements]
        return sum(_rows(plan[0]["Plan"]) for plan in plans)

    return transact(looks)


def _rows(plan: dict[str, Any]) -> int:
    mine = (
        plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0) if "deliveries" in plan.get("Index Name", "") else 0
    )
    return mine * plan["Actual Loops"] + sum(_rows(one) for one in plan.get("Plans", []))


def test_what_is_held_back_is_not_asked_one_by_one():
    """With thousands behind the first of each, the look and the claim come by a bounded number of rows."""
    a_worker(capacity=100)
    endpoint = behind(4, 5_000)
    assert [the_delivery(one.id).sequence for one in handed_out()] == [1] * 4
    assert 0 < read(due.hand_out) < 10 * order.LOOKED_AT

    def claims_next(session: Session) -> None:
        assert claims.claim_next(session, endpoint, for_=timedelta(seconds=30)) is None

    assert 0 < read(claims_next) < 10 * order.LOOKED_AT


def test_what_is_first_goes_out_also_where_what_it_holds_back_was_due_earlier(monkeypatch: pytest.MonkeyPatch):
    """One that is sent again stands behind all of its render's by the time, and is told of all the same."""
    monkeypatch.setattr(order, "LOOKED_AT", 3)
    a_worker(capacity=100)
    endpoint = behind(2, 20)
    firsts = {one.id for one in deliveries(endpoint) if one.sequence == 1}
    assert {one.id for one in handed_out()} == firsts
    one = sorted(firsts)[0]
    put(WebhookDelivery, one, sent_at=None)
    claimed = transact(lambda s: claims.claim_next(s, endpoint, for_=timedelta(seconds=30)))
    assert claimed is not None
    assert claimed.id == one


def test_many_that_are_held_back_leave_other_renders_and_retries_their_turn(monkeypatch: pytest.MonkeyPatch):
    """Those due later than all of them: another render's first, a retry, one from which no worker came back; and what
    is behind that one."""
    monkeypatch.setattr(order, "LOOKED_AT", 5)
    a_worker(capacity=100)
    endpoint = behind(1, 20)
    assert len(handed_out()) == 1, "it is in hand from here on"
    other, failed, lost, resting = (a_render() for _ in range(4))
    happens(failed, EventType.PROGRESS)
    happens(lost, EventType.PROGRESS)
    happens(resting, EventType.PROGRESS)
    relayed()
    newest = update(WebhookDelivery).where(WebhookDelivery.subject.in_([other, failed, lost, resting]))
    transact(lambda s: s.execute(newest.values(ready_at=func.now())))
    of = {(one.subject, one.sequence): one.id for one in deliveries(endpoint)}
    put(WebhookDelivery, of[failed, 1], tries=1)
    put(WebhookDelivery, of[lost, 1], lease_until=datetime.now(UTC) - timedelta(seconds=5))
    put(WebhookDelivery, of[resting, 1], ready_at=LATER)
    told = {(one.subject, one.sequence) for one in map(the_delivery, [one.id for one in handed_out()])}
    assert told == {(other, 1), (failed, 1), (failed, 2), (lost, 1), (lost, 2)}


def test_a_retry_waits_for_an_earlier_one_that_is_sent_again(monkeypatch: pytest.MonkeyPatch):
    """Behind what is held back, too: it is no first, but the earlier one is."""
    monkeypatch.setattr(order, "LOOKED_AT", 1)
    a_worker(capacity=100)
    endpoint = behind(1, 5)
    newest = select(WebhookDelivery.id).where(WebhookDelivery.sequence > 1).order_by(WebhookDelivery.sequence.desc())
    put(WebhookDelivery, transact(lambda s: s.scalars(newest.limit(1)).one()), tries=2)
    assert [the_delivery(one.id).sequence for one in handed_out()] == [1]
    assert len(deliveries(endpoint)) == 6
