"""Examples for the OpenAPI document: a shop that tells of its products."""

from typing import Any

Example = dict[str, Any]

TRIGGER = "trg_01m83n4k2v8q1w0x7y3z9a8b6c"
AT = f"/v1/triggers/{TRIGGER}"
DELIVERY = "tdl_01m83n4k2w9r2x1y8z4a0b9c7d"
DELIVERY_AT = f"/v1/trigger-deliveries/{DELIVERY}"
RENDER = "rnd_01m83n9j8evterwp11paawbt0r"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - an example
MAPPING: Example = {
    "variables": {"title": "/name", "badge": {"const": "New"}},
    "pictures": ["/images/*/src"],
    "external_ref": "/id",
    "revision": "/updated_at",
}
CONDITIONS: list[Example] = [{"pointer": "/status", "equals": "active"}, {"pointer": "/title", "changed": True}]

SHOP: Example = {
    "style": "shopify",
    "template": "promo",
    "name": "spring shop",
    "secret": "shpss_3f1c9a7e5b2d8064",
    "conditions": CONDITIONS,
}
OTHER: Example = {"style": "standard", "template": "promo@3", "mapping": MAPPING, "topics": ["product.*"]}
OPTIONS: Example = {
    "include": [],
    "ref_prefix": "",
    "language": None,
    "output": {"format": "mp4", "quality": "high"},
    "priority": "normal",
    "on_unconfirmed": "fail",
    "tags": [],
    "metadata": {},
}
KEPT: Example = {
    "id": TRIGGER,
    "name": "spring shop",
    "style": "shopify",
    "template": "promo",
    "options": OPTIONS,
    "topics": None,
    "mapping": {},
    "conditions": CONDITIONS,
    "publisher_id": None,
    "api_key_id": "key_01m83n4k2t7p0v9w6x2y8z5a7b",
    "paused": False,
    "paused_at": None,
    "previous_secret_until": None,
    "created_at": "2026-03-02T09:00:00.412893Z",
    "updated_at": "2026-03-02T09:00:00.412893Z",
    "links": {"self": AT, "deliveries": f"{AT}/deliveries", "test": f"{AT}/test", "rotate": f"{AT}/rotate-secret"},
}
CAME: Example = {
    "id": DELIVERY,
    "trigger_id": TRIGGER,
    "topic": "products/update",
    "verdict": "rendered",
    "code": None,
    "detail": None,
    "render_id": RENDER,
    "external_ref": "632910392",
    "revision": 1772442000000000,
    "product": {"id": "632910392", "handle": "trail-shoe"},
    "replay_of": None,
    "duplicates": 1,
    "received_at": "2026-03-02T09:00:01.412893Z",
    "sent_at": "2026-03-02T09:00:00Z",
    "tries": 1,
    "retry_at": None,
    "links": {
        "self": DELIVERY_AT,
        "replay": f"{DELIVERY_AT}/replay",
        "trigger": AT,
        "render": f"/v1/renders/{RENDER}",
    },
}
WHOLE: Example = CAME | {
    "headers": {"content-type": "application/json", "x-shopify-topic": "products/update"},
    "body": '{"id": 632910392, "title": "Trail shoe", "handle": "trail-shoe"}',
    "body_encoding": "utf-8",
}
TRIED: Example = {
    "verdict": "rendered",
    "code": None,
    "detail": None,
    "topic": "products/update",
    "external_ref": "632910392",
    "revision": 1772442000000000,
    "product": {"id": "632910392", "handle": "trail-shoe"},
    "template": "promo@3",
    "prompt": "a 6-second video about Trail shoe",
    "language": "en",
    "variables": {"title": "Trail shoe"},
    "pictures": ["https://shop.example/shoe.jpg"],
    "render_id": None,
}

EXAMPLES: dict[str, dict[str, Example]] = {
    "TriggerRequest": {"a shop": SHOP, "anything": OTHER},
    "TriggerChange": {"stand still": {"paused": True}, "another template": {"template": "promo@4"}},
    "RotationRequest": {"within an hour": {"overlap_seconds": 3600}},
    "ReplayRequest": {"try": {"dry_run": True}, "once more": {"force": True}},
    "TriggerBody": {"a shop": KEPT},
    "TriggerSecretBody": {"a shop": KEPT | {"secret": SECRET}},
    "TriggerPage": {"one": {"data": [KEPT], "next_cursor": None}},
    "TakenBody": {
        "rendered": {"delivery_id": DELIVERY, "verdict": "rendered", "render_id": RENDER, "duplicate": False},
        "again": {"delivery_id": DELIVERY, "verdict": "rendered", "render_id": RENDER, "duplicate": True},
    },
    "TriggerDeliveryDetailBody": {"rendered": WHOLE},
    "TriggerDeliveryPage": {"one": {"data": [CAME], "next_cursor": None}},
    "TrialBody": {"rendered": TRIED},
}
"""By the shape's name."""
