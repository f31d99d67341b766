"""Examples for the OpenAPI document: a shop at Shopify, and a video on its way there."""

from typing import Any

Example = dict[str, Any]

PUBLISHER = "pub_01m83n4k2v8q1w0x7y3z9a8b6c"
PUBLICATION = "pbn_01m83n4k2w9r2x1y8z4a0b9c7d"
RENDER = "rnd_01m83n9j8evterwp11paawbt0r"
AT = f"/v1/publishers/{PUBLISHER}"
SETTINGS: Example = {"shop": "lamps.myshopify.com", "api_version": "2026-10", "alt": None, "replace": True}
REFUSED: Example = {
    "code": "publish.refused",
    "message": "HTTP 401 [API] Invalid API key or access token",
    "help": "The credentials were not accepted, or lack a right. Replace them, check, then retry.",
}
KEPT: Example = {
    "id": PUBLISHER,
    "kind": "shopify",
    "name": "lamps",
    "settings": SETTINGS,
    "enabled": True,
    "failing_since": None,
    "error": None,
    "quiet_until": None,
    "succeeded_at": "2026-03-02T09:12:40.100000Z",
    "secret": None,
    "created_at": "2026-03-01T08:00:00Z",
    "updated_at": "2026-03-01T08:00:00Z",
    "links": {"self": AT, "check": f"{AT}/check", "publications": f"/v1/publications?publisher_id={PUBLISHER}"},
}
DONE: Example = {
    "id": PUBLICATION,
    "publisher_id": PUBLISHER,
    "render_id": RENDER,
    "run": 1,
    "ref": "lamp-7",
    "product": {"handle": "red-lamp"},
    "state": "published",
    "step": "done",
    "media_id": "gid://shopify/Video/31415926",
    "tries": 0,
    "error": None,
    "remark": None,
    "next_try_at": None,
    "created_at": "2026-03-02T09:11:02.412893Z",
    "finished_at": "2026-03-02T09:12:40.100000Z",
    "links": {"self": f"/v1/publications/{PUBLICATION}", "render": f"/v1/renders/{RENDER}", "publisher": AT},
}
PENDING: Example = DONE | {
    "state": "pending",
    "step": "begin",
    "media_id": None,
    "next_try_at": "2026-03-02T09:11:02.412893Z",
    "finished_at": None,
}

EXAMPLES: dict[str, dict[str, Example]] = {
    "PublisherRequest": {
        "Shopify": {
            "kind": "shopify",
            "settings": {"shop": "lamps.myshopify.com"},
            "credentials": {"access_token": "shpat_…"},
        },
        "an address": {"kind": "http", "settings": {"url": "https://shop.example/videos"}},
    },
    "PublisherChange": {"off": {"enabled": False}},
    "PublicationRequest": {"by handle": {"render_id": RENDER, "ref": "lamp-7", "product": {"handle": "red-lamp"}}},
    "PublisherBody": {"a shop": KEPT},
    "PublisherPage": {"one": {"data": [KEPT], "next_cursor": None}},
    "PublisherCheckBody": {
        "well": {"ok": True, "told": "Lamps", "error": None},
        "refused": {"ok": False, "told": None, "error": REFUSED},
    },
    "PublicationBody": {"published": DONE, "pending": PENDING},
    "PublicationPage": {"one": {"data": [DONE], "next_cursor": None}},
}
"""By the shape's name."""
POSSIBLE: dict[tuple[str, str], tuple[str, ...]] = {("publishing_retry", "202"): ("pending",)}
"""Of what an operation never answers with, no example is shown there."""
