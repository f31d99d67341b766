"""Examples for the OpenAPI document: an endpoint, and an event that took two tries."""

import json
from typing import Any

Example = dict[str, Any]

ENDPOINT = "whe_01m83n2k2v8q1w0x7y3z9a8b6c"
AT = f"/v1/webhook-endpoints/{ENDPOINT}"
DELIVERY = "msg_01m83n9kdvterwp11paawbt0r5"
DELIVERY_AT = f"/v1/webhook-deliveries/{DELIVERY}"
RENDER = "rnd_01m83n9j8evterwp11paawbt0r"
ADDRESS = "https://shop.example/hooks"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="  # noqa: S105 - of nobody
FINAL = ["render.succeeded", "render.failed"]
ENDED = "2026-03-02T09:00:41.251000Z"

ASKED: Example = {"url": ADDRESS, "events": FINAL, "description": "the shop"}
KEPT: Example = {
    "id": ENDPOINT,
    "kind": "standing",
    "url": ADDRESS,
    "description": "the shop",
    "events": FINAL,
    "enabled": True,
    "disabled": None,
    "health": {
        "failing_since": None,
        "quiet_until": None,
        "last_success_at": "2026-03-02T09:00:46.613000Z",
        "last_failure_at": "2026-03-02T09:00:41.402000Z",
        "last_seconds": 0.112,
    },
    "last_day": {"pending": 2, "delivered": 318, "failed": 0, "superseded": 0, "complete": True},
    "redelivery": None,
    "previous_secret_until": None,
    "created_at": "2026-03-01T09:00:00.412893Z",
    "updated_at": "2026-03-01T09:00:00.412893Z",
    "links": {"self": AT, "secret": f"{AT}/secret", "deliveries": f"{AT}/deliveries"},
}
GONE: Example = KEPT | {
    "enabled": False,
    "disabled": {
        "at": "2026-03-02T10:00:00.412893Z",
        "reason": "gone",
        "remedy": "It answered 410: the receiver wants nothing any more. Where that was a mistake, mend it there, then"
        ' PATCH it with `{"enabled": true}` and POST /redeliver what it missed.',
    },
}
DELIVERED: Example = {
    "id": DELIVERY,
    "endpoint_id": ENDPOINT,
    "type": "render.succeeded",
    "subject": RENDER,
    "sequence": 12,
    "final": True,
    "test": False,
    "state": "delivered",
    "tries": 2,
    "next_try_at": None,
    "last_status": 204,
    "last_error": None,
    "created_at": "2026-03-02T09:00:41.301000Z",
    "ended_at": "2026-03-02T09:00:46.613000Z",
    "links": {"self": DELIVERY_AT, "endpoint": AT, "redeliver": f"{DELIVERY_AT}/redeliver"},
}
PENDING: Example = DELIVERED | {
    "state": "pending",
    "tries": 0,
    "next_try_at": "2026-03-02T09:00:41.301000Z",
    "last_status": None,
    "ended_at": None,
}
TESTING: Example = PENDING | {"subject": ENDPOINT, "sequence": 0, "final": False, "test": True}
HEADERS: Example = {"webhook-id": DELIVERY, "webhook-timestamp": "1772442041", "webhook-signature": "v1,…"}
BODY: Example = {
    "type": "render.succeeded",
    "timestamp": ENDED,
    "data": {"render_id": RENDER, "run": 1, "number": 12, "final": True, "links": {"self": f"/v1/renders/{RENDER}"}},
}
FAILED_TRY: Example = {
    "number": 1,
    "started_at": "2026-03-02T09:00:41.311000Z",
    "seconds": 0.091,
    "status": 503,
    "error": "webhook.status",
    "request_headers": HEADERS,
    "answer_headers": {"content-type": "text/plain"},
    "answer": "restarting",
}
TAKEN_TRY: Example = FAILED_TRY | {
    "number": 2,
    "started_at": "2026-03-02T09:00:46.501000Z",
    "seconds": 0.112,
    "status": 204,
    "error": None,
    "request_headers": HEADERS | {"webhook-timestamp": "1772442046"},
    "answer_headers": {},
    "answer": "",
}

EXAMPLES: dict[str, dict[str, Example]] = {
    "EndpointRequest": {"final events": ASKED, "all of them": {"url": ADDRESS, "events": ["*"]}},
    "EndpointChange": {"switched off": {"enabled": False}, "other events": {"events": ["render.*"]}},
    "RotateRequest": {"a day for both": {"overlap_seconds": 86400}, "after a leak": {"overlap_seconds": 0}},
    "TestRequest": {"a success": {"type": "render.succeeded"}},
    "RedeliverRequest": {"what failed": {"since": "2026-03-02T00:00:00Z", "only": "failed"}},
    "EndpointBody": {"healthy": KEPT, "gone": GONE},
    "EndpointSecretBody": {"made": KEPT | {"secret": SECRET}},
    "SecretBody": {"one": {"secret": SECRET, "previous_secret": None, "previous_secret_until": None}},
    "EndpointPage": {"one": {"data": [KEPT], "next_cursor": None}},
    "DeliveryBody": {"a test": TESTING, "again": PENDING},
    "DeliveryPage": {"one": {"data": [DELIVERED], "next_cursor": None}},
    "DeliveryDetailBody": {
        "at the second try": DELIVERED
        | {"body": json.dumps(BODY, separators=(",", ":")), "attempts": [FAILED_TRY, TAKEN_TRY]}
    },
    "RedeliveredBody": {
        "some": {"redelivered": 17, "state": "done"},
        "many": {"redelivered": 2000, "state": "under_way"},
    },
}
"""By the shape's name."""
POSSIBLE: dict[tuple[str, str], tuple[str, ...]] = {
    ("webhooks_test", "202"): ("a test",),
    ("webhooks_redeliver", "202"): ("again",),
}
"""Of what an operation never answers with, no example is shown there."""
