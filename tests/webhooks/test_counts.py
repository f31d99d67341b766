"""What lately became of an endpoint's deliveries is counted no further than is said."""

import pytest

from api.webhooks.views import endpoint_bodies, endpoint_body
from tests.renders.conftest import a_render, a_worker
from tests.webhooks.conftest import an_endpoint, deliveries, put, relayed
from worker.database import transact
from worker.webhooks import counts
from worker.webhooks.models import WebhookDelivery, WebhookEndpoint


@pytest.mark.usefixtures("_empty")
def test_in_a_list_fewer_are_counted_of_each_than_of_one(monkeypatch: pytest.MonkeyPatch):
    """The newest; and it is said that there were more."""
    monkeypatch.setattr(counts, "MOST", 4)
    monkeypatch.setattr(counts, "MOST_IN_A_LIST", 2)
    a_worker(capacity=100)
    busy, quiet = an_endpoint(), an_endpoint(events=("batch.*",))
    for _ in range(4):
        a_render()
    relayed()
    for row in deliveries(busy):
        put(WebhookDelivery, row.id, state="delivered", ended_at=row.created_at)

    def shown(session):
        rows = [session.get_one(WebhookEndpoint, id) for id in (busy, quiet)]
        return [
            body.last_day for body in (*endpoint_bodies(session, rows), *[endpoint_body(session, row) for row in rows])
        ]

    seen = transact(shown)
    assert [(day.delivered, day.complete) for day in seen] == [(3, False), (0, True), (4, True), (0, True)]
