"""Tests of an endpoint, pages, what is forgotten; endpoints changed and deleted; and nobody sees another's."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event, text

from tests.renders.conftest import a_render, a_worker
from tests.webhooks.conftest import (
    Receiver,
    an_endpoint,
    by_owner,
    handed_out,
    happens,
    names,
    put,
    relayed,
    the_endpoint,
    tried,
)
from tests.webhooks.conftest import deliveries as rows
from worker.database import transact
from worker.owners.store import owner
from worker.renders.events import EventType
from worker.webhooks import (
    chores,
    deliveries,
    endpoints,
    filters,
    messages,
    redeliveries,
    retention,
)
from worker.webhooks.models import WebhookDelivery, WebhookEndpoint

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _worker(_empty: None) -> None:
    a_worker(capacity=100)


@pytest.mark.parametrize("type", EventType)
def test_a_test_is_sent_and_says_that_it_is_one(type: EventType):
    """An example of every type there is, of the shape of a real one."""
    example = json.loads(messages.example(type, datetime.now(UTC), "whe_1"))
    assert (example["type"], example["data"]["test"]) == (type.value, True)
    assert example["data"]["links"]["self"].startswith("/v1/")


def test_a_test_goes_out_like_any_other(receiver: Receiver):
    """Without an event; nothing waits for it and it waits for nothing."""
    endpoint = an_endpoint(receiver.url)
    a_render()
    relayed()
    sent = transact(lambda s: deliveries.send_test(s, s.get_one(WebhookEndpoint, endpoint), EventType.FAILED))
    assert sent.event_id is None
    assert tried() == 2
    assert sent.id in receiver.ids


def test_nobody_sees_another_owners():
    """Neither endpoints nor deliveries, by id or in a list."""
    endpoint = an_endpoint()
    a_render()
    relayed()
    (row,) = rows()
    for name, there in (("default", True), ("demo", False)):
        assert bool(by_owner(lambda s, o: endpoints.get(s, o, endpoint), name)) is there
        assert bool(by_owner(lambda s, o: endpoints.locked(s, o, endpoint), name)) is there
        assert bool(by_owner(lambda s, o: endpoints.page(s, o, limit=5), name)) is there
        assert bool(by_owner(lambda s, o: deliveries.get(s, o, row.id), name)) is there
        assert bool(by_owner(lambda s, o: deliveries.page(s, o, limit=5), name)) is there


def test_pages_of_deliveries_by_endpoint_subject_and_state():
    """Newest first; each filter by itself and from a place on."""
    first, second = an_endpoint(), an_endpoint()
    renders = [a_render() for _ in range(3)]
    relayed()

    def page(**given):
        return by_owner(lambda s, o: deliveries.page(s, o, limit=10, **given))

    assert len(page()) == 6
    assert {row.endpoint_id for row in page(endpoint_id=second)} == {second}
    assert {row.endpoint_id for row in page(subject=renders[0])} == {first, second}
    assert page(state="failed") == []
    found = page()
    assert [row.id for row in page(after=(found[1].created_at, found[1].id))] == [row.id for row in found[2:]]


@pytest.mark.parametrize("state", ["failed", "superseded"])
@pytest.mark.parametrize("by", ["owner", "endpoint"])
def test_the_few_that_ended_badly_are_found_by_index(state: str, by: str):
    """Not by reading all that were delivered beside them."""
    endpoint, other = an_endpoint(), an_endpoint()

    def plan(session):
        mine = owner(session, "default").id
        session.execute(_DELIVERED, {"owner": mine, "endpoint": endpoint, "other": other})
        session.execute(text("ANALYZE webhook_deliveries"))
        seen: list[str] = []

        @event.listens_for(session.connection(), "before_execute")
        def _explain(connection, statement, *_):
            if "webhook_deliveries" in str(statement) and not seen:
                compiled = statement.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True})
                seen.append(str(compiled))

        deliveries.page(session, mine, endpoint_id=endpoint if by == "endpoint" else None, state=state, limit=50)
        return "\n".join(session.execute(text("EXPLAIN " + seen[0].replace(":", "\\:"))).scalars())

    assert f"ix_webhook_deliveries_ended_badly_{by}" in transact(plan)


_DELIVERED = text(
    """
    INSERT INTO webhook_deliveries (id, owner_id, endpoint_id, subject, sequence, type, body, state, ended_at)
    SELECT 'msg_' || number, :owner, CASE WHEN number % 50 = 1 THEN :endpoint ELSE :other END, 'rnd_x', number,
        'render.progress', '{}', CASE WHEN number % 5 > 0 THEN 'delivered' ELSE 'failed' END, now()
    FROM generate_series(1, 5000) AS number"""
)


def test_what_ended_a_month_ago_is_forgotten():
    """With its tries; what a disabled endpoint never got too, and nothing else that is pending."""
    enabled, disabled = an_endpoint(), an_endpoint()
    for _ in range(3):
        a_render()
    relayed()
    old = datetime.now(UTC) - timedelta(days=31)
    mine = rows(enabled)
    put(WebhookDelivery, mine[0].id, state="delivered", ended_at=old)
    put(WebhookDelivery, mine[1].id, created_at=old)
    for row in rows(disabled)[:2]:
        put(WebhookDelivery, row.id, created_at=old)
    put(WebhookEndpoint, disabled, disabled_at=old, disabled_reason="gone")
    assert transact(retention.forget) == 3
    assert {row.id for row in rows(enabled)} == {mine[1].id, mine[2].id}
    assert len(rows(disabled)) == 1


def test_an_endpoint_changes_where_it_is_told():
    """What is not given stays; a rotation without an overlap leaves one secret; deletion takes everything along."""
    endpoint = an_endpoint("https://example.com/a", events=("*",))

    def change(work):
        return transact(lambda s: work(s, s.get_one(WebhookEndpoint, endpoint)))

    change(lambda s, row: endpoints.change(s, row, url="https://example.com/b"))
    change(lambda s, row: endpoints.change(s, row, events=["batch.*"], description="x"))
    row = the_endpoint(endpoint)
    assert (row.url, row.events, row.description) == ("https://example.com/b", ["batch.*"], "x")
    secret = change(lambda s, row: endpoints.rotate(s, row, overlap=timedelta(0)))
    assert endpoints.secrets_of(the_endpoint(endpoint), datetime.now(UTC)) == [secret]
    assert b"whsec_" not in the_endpoint(endpoint).secret_encrypted
    change(endpoints.delete)
    assert by_owner(lambda s, o: endpoints.get(s, o, endpoint)) is None


def test_a_deleted_endpoint_is_gone_at_once_and_is_removed_in_pieces(monkeypatch: pytest.MonkeyPatch):
    """Shown to nobody, sent nothing, nothing made for it or sent again; no transaction removes more than a piece, and
    its renders stay. Renders that name the address anew have a new one."""
    from worker.renders.models import Render

    monkeypatch.setattr(retention, "PIECE", 2)
    monkeypatch.setattr(redeliveries, "AT_ONCE", 1)
    named = [a_render() for _ in range(3)]
    (gone,) = {names(render, "https://example.com/gone") for render in named}
    relayed()
    delivery = rows(gone)[0].id
    transact(lambda s: s.execute(text("UPDATE webhook_deliveries SET state = 'failed', ended_at = now()")))
    transact(lambda s: redeliveries.begin(s, s.get_one(WebhookEndpoint, gone), LONG_AGO, only="failed"))
    transact(lambda s: endpoints.delete(s, s.get_one(WebhookEndpoint, gone)))
    assert by_owner(lambda s, o: (endpoints.get(s, o, gone), endpoints.locked(s, o, gone))) == (None, None)
    assert by_owner(lambda s, o: endpoints.page(s, o, limit=5)) == []
    assert by_owner(lambda s, o: (deliveries.get(s, o, delivery), deliveries.page(s, o, limit=5))) == (None, [])
    happens(named[0], EventType.STARTED)
    relayed()
    chores.send_again()
    assert (handed_out(), len(rows(gone))) == ([], 3)
    assert by_owner(lambda s, mine: endpoints.of_render(s, mine, "https://example.com/gone").id) != gone

    def left() -> int:
        counted = "SELECT (SELECT count(*) FROM webhook_deliveries WHERE endpoint_id = :id)"
        counted += " + (SELECT count(*) FROM renders WHERE webhook_endpoint_id = :id)"
        counted += " + (SELECT count(*) FROM webhook_endpoints WHERE id = :id)"
        return transact(lambda s: s.execute(text(counted), {"id": gone}).scalar_one())

    counts = [left()]
    while transact(retention.remove):
        counts.append(left())
    assert counts == [7, 5, 4, 2, 1, 0]
    assert transact(lambda s: len([s.get_one(Render, id) for id in named])) == 3


def test_one_endpoint_for_each_host_of_renders_however_many_ask_at_once():
    """And a standing one of the same address is another."""
    from concurrent.futures import ThreadPoolExecutor

    standing = an_endpoint("https://example.com/same")

    def ask(order):
        return by_owner(lambda s, o: endpoints.of_render(s, o, f"https://example.com/same/{order}").id)

    with ThreadPoolExecutor(6) as pool:
        found = set(pool.map(ask, range(24)))
    assert len(found) == 1
    assert standing not in found
    theirs = by_owner(lambda s, o: endpoints.of_render(s, o, "https://example.com/same").id, "demo")
    assert theirs not in found


def test_filters():
    """Every type, every group, and nothing that is not there; the defaults exist."""
    assert all(filters.known_pattern(type.value) for type in EventType)
    assert all(map(filters.known_pattern, (*filters.EVENT_GROUPS, *filters.DEFAULT_EVENTS)))
    assert not any(map(filters.known_pattern, ("", "render", "render.", "render.nothing", "**", "batch.*.x")))
