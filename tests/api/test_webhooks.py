"""Webhook endpoints and deliveries over HTTP: made, changed, rotated, tested, sent again, thrown away."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import delete, func, insert, text, update

from tests.api.keys import caller, new_key
from tests.api.service import Service
from worker.owners.scopes import Scope
from worker.webhooks.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint

ENDPOINTS, DELIVERIES = "/v1/webhook-endpoints", "/v1/webhook-deliveries"
YESTERDAY = (datetime.now(UTC) - timedelta(days=1)).isoformat()


def make(service: Service, **fields: Any) -> dict[str, Any]:
    """An endpoint with an address of its own."""
    asked = {"url": f"https://shop.example/{uuid4().hex}", **fields}
    made = service.first.post(ENDPOINTS, json=asked)
    assert made.status_code == 201, made.text
    assert made.headers["location"] == made.json()["links"]["self"]
    return made.json()


def send_test(service: Service, endpoint: str, **body: Any) -> dict[str, Any]:
    """A test event on its way."""
    sent = service.first.post(f"{ENDPOINTS}/{endpoint}/test", json=body)
    assert sent.status_code == 202, sent.text
    return sent.json()


def end(service: Service, delivery: str, state: str, **values: Any) -> None:
    """As the worker that tried it leaves it."""
    ended = update(WebhookDelivery).where(WebhookDelivery.id == delivery)
    service.write(lambda session: session.execute(ended.values(state=state, ended_at=func.now(), **values)))


def test_an_endpoint_from_its_making_to_its_end(service: Service):
    """By default for the final events; its secret is shown when it is made, and to who may change it."""
    made = make(service, url="https://shop.example/hook?token=hidden", description="the shop")
    at = made["links"]["self"]
    assert made["url"] == "https://shop.example/hook"
    assert (
        made["events"] == ["render.succeeded", "render.failed", "render.canceled", "render.expired"] or made["events"]
    )
    assert made["secret"].startswith("whsec_")
    assert (made["enabled"], made["disabled"], made["kind"]) == (True, None, "standing")
    shown = service.first.get(at).json()
    assert "secret" not in shown
    assert shown == {name: value for name, value in made.items() if name != "secret"}
    secret = service.first.get(f"{at}/secret")
    assert (secret.json()["secret"], secret.headers["cache-control"]) == (made["secret"], "no-store")
    assert shown in service.first.get(ENDPOINTS).json()["data"]
    assert service.first.delete(at).status_code == 204
    assert service.first.get(at).json()["code"] == "webhook.unknown"


def test_a_key_of_readers_sees_no_secret(service: Service):
    """`renders:read` shows endpoints and deliveries; secrets and changes need `webhooks:write`."""
    at = make(service)["links"]["self"]
    with caller(service, new_key(service, scopes=[Scope.RENDERS_READ, Scope.RENDERS_WRITE])) as reader:
        assert reader.get(at).status_code == 200
        assert reader.get(f"{at}/deliveries").status_code == 200
        assert reader.get(f"{at}/secret").json()["code"] == "auth.scope"
        assert reader.patch(at, json={"enabled": False}).json()["code"] == "auth.scope"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/url"),
        ({"url": "http://shop.example/"}, "/url"),
        ({"url": "https://127.0.0.1/"}, "/url"),
        ({"url": "https://user:pass@shop.example/"}, "/url"),
        ({"url": "https://shop.example/", "events": []}, "/events"),
        ({"url": "https://shop.example/", "events": ["render.finished"]}, "/events/0"),
        ({"url": "https://shop.example/", "secret": "whsec_c2hvcnQ="}, "/secret"),
        ({"url": "https://shop.example/", "secret": "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="}, "/secret"),
        ({"url": "https://shop.example/", "name": "no such field"}, "/name"),
    ],
)
def test_what_is_no_endpoint_is_refused(service: Service, body: dict[str, Any], pointer: str):
    """422, with the place."""
    refused = service.first.post(ENDPOINTS, json=body)
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, pointer), refused.text


def test_a_filter_that_is_unknown_names_those_there_are(service: Service):
    """A typing mistake would be an endpoint that is never told anything."""
    refused = service.first.post(ENDPOINTS, json={"url": "https://shop.example/", "events": ["render.done"]}).json()
    assert "render.* (queued, started" in refused["errors"][0]["detail"]
    assert "succeeded" in refused["errors"][0]["detail"]


def test_a_key_leads_to_the_same_endpoint(service: Service):
    """With its secret once more, as the first answer may have been lost; and with another body to a refusal."""
    asked, headers = {"url": f"https://shop.example/{uuid4().hex}"}, {"Idempotency-Key": uuid4().hex}
    first, again = (service.first.post(ENDPOINTS, json=asked, headers=headers) for _ in range(2))
    assert "idempotent-replayed" not in first.headers
    assert (again.json(), again.headers["idempotent-replayed"]) == (first.json(), "true")
    other = service.first.post(ENDPOINTS, json=asked | {"description": "x"}, headers=headers)
    assert other.json()["code"] == "idempotency.mismatch"


def test_an_endpoint_is_changed(service: Service):
    """Field by field; what is left out stays; a description can be taken away, an address cannot."""
    at = make(service, description="old", events=["*"])["links"]["self"]
    moved = service.first.patch(at, json={"url": "https://other.example/"}).json()
    assert (moved["url"], moved["events"], moved["description"]) == ("https://other.example/", ["*"], "old")
    changed = service.first.patch(at, json={"description": None, "events": ["render.*"], "url": None}).json()
    assert (changed["url"], changed["events"], changed["description"]) == ("https://other.example/", ["render.*"], None)
    assert service.first.patch(at, json={}).status_code == 422
    assert service.first.patch(at, json={"events": ["x"]}).status_code == 422


def test_an_endpoint_is_switched_off_and_on(service: Service):
    """Why it gets nothing and what to do is said; nothing can be sent there meanwhile."""
    made = make(service)
    at, sent = made["links"]["self"], send_test(service, made["id"])
    off = service.first.patch(at, json={"enabled": False}).json()
    assert (off["enabled"], off["disabled"]["reason"]) == (False, "asked")
    assert "enabled" in off["disabled"]["remedy"]
    for path in (f"{at}/test", f"{DELIVERIES}/{sent['id']}/redeliver"):
        assert service.first.post(path, json={}).json()["code"] == "webhook.disabled"
    refused = service.first.post(f"{at}/redeliver", json={"since": YESTERDAY})
    assert (refused.status_code, refused.json()["code"]) == (409, "webhook.disabled")
    on = service.first.patch(at, json={"enabled": True}).json()
    assert (on["enabled"], on["disabled"]) == (True, None)
    send_test(service, made["id"])


def test_health_and_counts_are_shown(service: Service):
    """Since when it fails, what was taken last, how slow it is; deliveries of the last day alone are counted."""
    made = make(service)
    ids = [send_test(service, made["id"])["id"] for _ in range(4)]
    end(service, ids[0], "delivered")
    end(service, ids[1], "failed")
    end(service, ids[2], "delivered", created_at=func.now() - timedelta(hours=25))
    failing = update(WebhookEndpoint).where(WebhookEndpoint.id == made["id"])
    service.write(lambda s: s.execute(failing.values(failing_since=func.now(), last_seconds=7.5)))
    shown = service.first.get(made["links"]["self"]).json()
    assert shown["last_day"] == {"pending": 1, "delivered": 1, "failed": 1, "superseded": 0, "complete": True}
    assert shown["health"]["failing_since"]
    assert shown["health"]["last_seconds"] == 7.5


def test_a_secret_is_rotated(service: Service):
    """Both sign during the overlap; the same call again changes nothing; without an overlap the old one ends."""
    made = make(service)
    at, headers = made["links"]["self"], {"Idempotency-Key": uuid4().hex}
    first, again = (service.first.post(f"{at}/rotate-secret", json={}, headers=headers).json() for _ in range(2))
    assert first["secret"] == again["secret"] != made["secret"]
    known = service.first.get(f"{at}/secret").json()
    assert (known["secret"], known["previous_secret"]) == (first["secret"], made["secret"])
    left = datetime.fromisoformat(known["previous_secret_until"]) - datetime.now(UTC)
    assert timedelta(hours=23) < left < timedelta(hours=25)
    last = service.first.post(f"{at}/rotate-secret", json={"overlap_seconds": 0}).json()["secret"]
    alone = {"secret": last, "previous_secret": None, "previous_secret_until": None}
    assert service.first.get(f"{at}/secret").json() == alone
    assert service.first.post(f"{at}/rotate-secret", json={"overlap_seconds": 8 * 86400}).status_code == 422


def test_a_secret_of_ones_own_is_taken(service: Service):
    """When it is made and when it is rotated: who moves from elsewhere keeps his receivers."""
    mine = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    made = make(service, secret=mine)
    assert made["secret"] == mine
    other = "whsec_" + "A" * 32
    rotated = service.first.post(f"{made['links']['self']}/rotate-secret", json={"secret": other}).json()
    assert rotated["secret"] == other


def test_a_test_event_is_a_delivery(service: Service):
    """It says what it is; its key leads to the same one; a group is no type."""
    endpoint, headers = make(service)["id"], {"Idempotency-Key": uuid4().hex}
    at = f"{ENDPOINTS}/{endpoint}/test"
    sent, again = (service.first.post(at, json={"type": "render.failed"}, headers=headers) for _ in range(2))
    assert sent.json()["id"] == again.json()["id"]
    found = service.first.get(sent.headers["location"]).json()
    assert (found["type"], found["test"], found["state"], found["tries"]) == ("render.failed", True, "pending", 0)
    assert json.loads(found["body"])["type"] == "render.failed"
    assert found["attempts"] == []
    assert service.first.post(at, json={"type": "render.*"}).status_code == 422


def test_deliveries_are_listed_by_what_they_are_about(service: Service):
    """Of one endpoint, of one render, in one state, page by page."""
    one, other = make(service)["id"], make(service)["id"]
    ids = [send_test(service, one)["id"] for _ in range(3)]
    render = service.make()["id"]
    about = send_test(service, other)["id"]
    row = update(WebhookDelivery).where(WebhookDelivery.id == about)
    service.write(lambda session: session.execute(row.values(subject=render)))
    end(service, ids[1], "failed")

    def listed(path: str = DELIVERIES, **query: Any) -> list[str]:
        page = service.first.get(path, params=query)
        assert page.status_code == 200, page.text
        return [found["id"] for found in page.json()["data"]]

    assert listed(endpoint_id=one) == listed(f"{ENDPOINTS}/{one}/deliveries") == ids[::-1]
    assert (
        listed(endpoint_id=one, state="failed") == listed(f"{ENDPOINTS}/{one}/deliveries", state="failed") == [ids[1]]
    )
    assert listed(render_id=render) == [about]
    assert service.first.get(DELIVERIES, params={"render_id": render, "batch_id": "bat_x"}).status_code == 422
    first = service.first.get(f"{ENDPOINTS}/{one}/deliveries", params={"limit": 2}).json()
    rest = service.first.get(f"{ENDPOINTS}/{one}/deliveries", params={"cursor": first["next_cursor"]}).json()
    assert [found["id"] for found in (*first["data"], *rest["data"])] == ids[::-1]


def test_each_try_is_shown(service: Service):
    """With what was sent, what came back, how long it took, and when the next one is."""
    sent = send_test(service, make(service)["id"])["id"]
    tried = {"delivery_id": sent, "number": 1, "started_at": func.now(), "seconds": 0.25, "status": 503}
    tried |= {"request_headers": {"webhook-id": sent}, "answer_headers": {"server": "x"}, "answer": "busy"}
    service.write(lambda session: session.execute(insert(WebhookAttempt).values(error="webhook.status", **tried)))
    found = service.first.get(f"{DELIVERIES}/{sent}").json()
    (attempt,) = found["attempts"]
    assert (attempt["status"], attempt["answer"], attempt["seconds"]) == (503, "busy", 0.25)
    assert attempt["request_headers"] == {"webhook-id": sent}
    assert found["next_try_at"]
    end(service, sent, "failed", last_status=503, last_error="webhook.status")
    over = service.first.get(f"{DELIVERIES}/{sent}").json()
    assert (over["next_try_at"], over["last_status"], over["last_error"]) == (None, 503, "webhook.status")


def test_what_an_endpoint_missed_is_sent_again(service: Service):
    """One by one, or since a moment: what it never got, what failed, or all; a repeated call is no second one."""
    since = datetime.now(UTC).isoformat()
    endpoint = make(service, events=["render.queued"])["id"]
    render, at = service.make()["id"], f"{ENDPOINTS}/{endpoint}/redeliver"
    headers = {"Idempotency-Key": uuid4().hex}
    asked = [service.first.post(at, json={"since": since}, headers=headers) for _ in range(2)]
    assert [(one.status_code, one.json()) for one in asked] == [(202, {"redelivered": 1, "state": "done"})] * 2
    assert asked[1].headers["idempotent-replayed"] == "true"
    (found,) = service.first.get(DELIVERIES, params={"endpoint_id": endpoint, "render_id": render}).json()["data"]
    assert (found["type"], found["state"], found["test"]) == ("render.queued", "pending", False)
    for state, only, count in (("failed", "failed", 1), ("delivered", "failed", 0), ("delivered", "all", 1)):
        end(service, found["id"], state)
        assert service.first.post(at, json={"since": since, "only": only}).json() == {
            "redelivered": count,
            "state": "done",
        }
    end(service, found["id"], "delivered")
    again = service.first.post(found["links"]["redeliver"])
    assert (again.status_code, again.json()["state"], again.json()["id"]) == (202, "pending", found["id"])
    assert service.first.post(f"{DELIVERIES}/msg_{'0' * 26}/redeliver").json()["code"] == "webhook.delivery_unknown"


def test_a_repeated_call_about_an_endpoint_that_is_gone_says_so(service: Service):
    """Its redelivery went with it, as housekeeping removes what is deleted."""
    endpoint = make(service, events=["render.queued"])["id"]
    at, headers = f"{ENDPOINTS}/{endpoint}", {"Idempotency-Key": uuid4().hex}
    asked = {"json": {"since": YESTERDAY}, "headers": headers}
    assert service.first.post(f"{at}/redeliver", **asked).status_code == 202
    assert service.first.delete(at).status_code == 204
    assert service.first.post(f"{at}/redeliver", **asked).json()["code"] == "webhook.unknown"
    service.write(lambda session: session.execute(delete(WebhookEndpoint).where(WebhookEndpoint.id == endpoint)))
    again = service.first.post(f"{at}/redeliver", **asked)
    assert (again.status_code, again.json()["code"]) == (404, "webhook.unknown")


def test_moments_before_there_was_anything_are_moments(service: Service):
    """The beginning, or as far back as anything is known."""
    endpoint = make(service)["id"]
    service.readable()
    first = service.first.get("/v1/events", params={"limit": 1}).json()["data"]
    for moment in ("0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z"):
        found = service.first.get("/v1/events", params={"since": moment, "limit": 1})
        assert (found.status_code, found.json()["data"]) == (200, first)
        again = service.first.post(f"{ENDPOINTS}/{endpoint}/redeliver", json={"since": moment})
        assert again.status_code == 202, again.text


def test_a_render_has_a_webhook_of_its_own(service: Service):
    """One endpoint for each host, whose secret can be seen; the answer names both; a dry run keeps nothing."""
    host = f"https://{uuid4().hex}.example"
    url = f"{host}/orders/1"
    tried = service.first.post("/v1/renders?dry_run=true", json={"prompt": "a kite", "webhook": {"url": url}}).json()
    assert tried["render"]["webhook"]["endpoint_id"] is None
    assert tried["render"]["webhook"]["url"] == url
    first = service.make(webhook={"url": url, "events": ["render.*"]})["webhook"]
    second = service.make(webhook={"url": f"{host}/orders/2?key=x"})["webhook"]
    assert second["url"] == f"{host}/orders/2"
    assert (first["url"], first["events"]) == (url, ["render.*"])
    assert second["events"] == tried["render"]["webhook"]["events"]
    assert {"render.succeeded", "render.failed"} <= set(second["events"])
    assert {pattern.partition(".")[0] for pattern in second["events"]} == {"render"}
    assert second["endpoint_id"] == first["endpoint_id"]
    endpoint = service.first.get(f"{ENDPOINTS}/{first['endpoint_id']}").json()
    assert (endpoint["kind"], endpoint["url"], endpoint["events"]) == ("render", f"{host}/", [])
    assert service.first.get(endpoint["links"]["secret"]).json()["secret"].startswith("whsec_")
    for theirs in ({"url": "https://other.example/"}, {"events": ["*"]}):
        refused = service.first.patch(endpoint["links"]["self"], json=theirs)
        assert (refused.status_code, refused.json()["code"]) == (409, "webhook.of_renders")
    assert service.make()["webhook"] is None
    at = f"{endpoint['links']['self']}/test"
    assert service.first.post(at, json={}).status_code == 202
    gone = text("UPDATE renders SET webhook_url = NULL WHERE webhook_endpoint_id = :id")
    service.write(lambda session: session.execute(gone, {"id": endpoint["id"]}))
    refused = service.first.post(at, json={})
    assert (refused.status_code, refused.json()["code"]) == (409, "webhook.of_renders")


def test_a_render_that_names_one_host_too_many_is_refused(service: Service):
    """With what to do; in a dry run too. A known one is taken, whatever its path and query are."""
    key = new_key(service, owner=f"callbacks-{uuid4().hex}")
    with caller(service, key) as client:
        first = client.post("/v1/renders", json={"prompt": "a kite", "webhook": {"url": "https://shop.example/0"}})
        made = first.json()["webhook"]["endpoint_id"]
        many = """
            INSERT INTO webhook_endpoints (id, owner_id, url, secret_encrypted, kind)
            SELECT id || '_' || n, owner_id, url || n, secret_encrypted, kind
            FROM webhook_endpoints, generate_series(1, 199) AS n WHERE id = :id"""
        service.write(lambda session: session.execute(text(many), {"id": made}))
        for where in ("/v1/renders", "/v1/renders?dry_run=true"):
            asked = {"prompt": "a kite", "webhook": {"url": "https://another.example/"}}
            refused = client.post(where, json=asked)
            assert (refused.status_code, refused.json()["code"]) == (409, "webhook.too_many"), refused.text
            assert refused.json()["errors"][0]["pointer"] == "/webhook/url"
        known = client.post("/v1/renders", json={"prompt": "a kite", "webhook": {"url": "https://shop.example/1?n=1"}})
        assert known.json()["webhook"]["endpoint_id"] == made


def test_a_render_that_names_a_disabled_endpoint_is_told(service: Service):
    """When it is taken on, in a dry run, and whenever it is looked at: nothing will come."""
    webhook = {"url": f"https://{uuid4().hex}.example/hooks"}
    asked = {"prompt": "A kite over dunes at dawn, 10 seconds, no text", "webhook": webhook}
    new = service.first.post("/v1/renders?dry_run=true", json=asked).json()
    first = service.make(**asked)
    for one in (new["render"], first):
        assert one["webhook"]["enabled"]
    assert "webhook.disabled" not in {hint["code"] for hint in (*new["hints"], *first["hints"])}
    endpoint = f"{ENDPOINTS}/{first['webhook']['endpoint_id']}"
    assert service.first.patch(endpoint, json={"enabled": False}).status_code == 200
    tried = service.first.post("/v1/renders?dry_run=true", json=asked).json()
    second = service.make(**asked)
    for said, hints in ((tried["render"], tried["hints"]), (second, second["hints"])):
        assert not said["webhook"]["enabled"]
        assert "webhook.disabled" in {hint["code"] for hint in hints}
    assert service.first.get(f"/v1/renders/{first['id']}").json()["webhook"]["enabled"] is False


def test_a_renders_webhook_may_be_as_long_as_an_address_may_be(service: Service):
    """In characters of any script."""
    url = f"https://shop.example/{'店' * 2_000}"
    assert service.make(webhook={"url": url})["webhook"]["url"] == url


def test_a_renders_webhook_goes_with_its_endpoint(service: Service):
    """The render says then that its address is no more."""
    made = service.make(webhook={"url": f"https://{uuid4().hex}.example/hooks"})
    assert service.first.delete(f"{ENDPOINTS}/{made['webhook']['endpoint_id']}").status_code == 204
    left = service.first.get(f"/v1/renders/{made['id']}").json()["webhook"]
    assert (left["endpoint_id"], left["url"]) == (None, None)


@pytest.mark.parametrize(
    ("webhook", "pointer"),
    [
        ({"url": "http://shop.example/"}, "/webhook/url"),
        ({"url": "https://shop.example/", "events": ["nothing"]}, "/webhook/events/0"),
        ({}, "/webhook/url"),
    ],
)
def test_a_renders_webhook_is_checked(service: Service, webhook: dict[str, Any], pointer: str):
    """Before anything is kept."""
    refused = service.first.post("/v1/renders", json={"prompt": "a kite", "webhook": webhook})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, pointer)


def test_an_item_of_a_batch_has_none(service: Service):
    """Standing endpoints are for those."""
    item = {"prompt": "a kite", "webhook": {"url": "https://shop.example/"}}
    refused = service.first.post("/v1/batches", json={"items": [item]})
    assert refused.status_code == 422
    assert "webhook" in refused.json()["errors"][0]["detail"]
