"""Examples for the OpenAPI document: a shop's catalog, read twice."""

from typing import Any

Example = dict[str, Any]

CATALOG = "cat_01m83n4k2v8q1w0x7y3z9a8b6c"
READ = "crd_01m83n4k2w9r2x1y8z4a0b9c7d"
AT = f"/v1/catalogs/{CATALOG}"
READ_AT = f"{AT}/reads/{READ}"
BATCH = "bat_01m83n4k3x0s3y2z9a5b1c0d8e"
RENDER = "rnd_01m83n9j8evterwp11paawbt0r"
ADDRESS = "https://shop.example/feed.xml"

ASKED: Example = {"url": ADDRESS, "template": "promo", "name": "spring shop", "schedule_seconds": 86400, "first": 5}
OPTIONS: Example = {
    "include": [],
    "ref_prefix": "",
    "language": None,
    "output": {"format": "mp4", "quality": "high"},
    "priority": "normal",
    "on_unconfirmed": "fail",
    "tags": [],
    "metadata": {},
    "first": 5,
    "max_credits": None,
    "max_failure_rate": None,
}
COUNTS: Example = {
    "products": 120,
    "left_out": 8,
    "rejected": 1,
    "problems": 3,
    "new": 2,
    "changed": 1,
    "again": 0,
    "unchanged": 108,
    "gone": 1,
    "rendered": 3,
    "reused": 0,
    "under_way": 0,
}
LINKS: Example = {"self": READ_AT, "problems": f"{READ_AT}/problems", "changes": f"{READ_AT}/changes"}
DONE: Example = {
    "id": READ,
    "catalog_id": CATALOG,
    "state": "done",
    "trigger": "schedule",
    "force": False,
    "format": "google_rss",
    "encoding": "utf-8",
    "not_modified": False,
    "counts": COUNTS,
    "batch_id": BATCH,
    "error": None,
    "created_at": "2026-03-02T09:00:00.412893Z",
    "started_at": "2026-03-02T09:00:00.512893Z",
    "finished_at": "2026-03-02T09:00:07.412893Z",
    "links": LINKS | {"batch": f"/v1/batches/{BATCH}"},
}
PENDING: Example = DONE | {
    "state": "pending",
    "trigger": "asked",
    "format": None,
    "encoding": None,
    "counts": {},
    "batch_id": None,
    "started_at": None,
    "finished_at": None,
    "links": LINKS,
}
KEPT: Example = {
    "id": CATALOG,
    "name": "spring shop",
    "url": ADDRESS,
    "template": "promo",
    "options": OPTIONS,
    "schedule_seconds": 86400,
    "publisher_id": None,
    "next_read_at": "2026-03-03T09:00:00.412893Z",
    "last_read": DONE,
    "created_at": "2026-03-01T09:00:00.412893Z",
    "updated_at": "2026-03-01T09:00:00.412893Z",
    "links": {"self": AT, "read": f"{AT}/read", "reads": f"{AT}/reads"},
}
PROBLEM: Example = {
    "place": 812,
    "ref": "sku-17",
    "code": "item.no_title",
    "detail": "The product has no title: fill it in.",
    "fatal": True,
}
CHANGE: Example = {
    "ref": "sku-1",
    "title": "Trail shoe",
    "kind": "changed",
    "outcome": "rendered",
    "render_id": RENDER,
}
TRIED: Example = {
    "complete": True,
    "format": "google_rss",
    "encoding": "utf-8",
    "delimiter": None,
    "columns": ["g:id", "title", "g:price", "g:image_link"],
    "counts": {"products": 120, "left_out": 8, "rendered": 111, "problems": 3, "rejected": 1},
    "products": [
        {
            "ref": "sku-1",
            "title": "Trail shoe",
            "description": "For wet ground.",
            "price": "119.00",
            "sale_price": None,
            "currency": "EUR",
            "brand": "Acme",
            "link": "https://shop.example/trail-shoe",
            "pictures": ["https://shop.example/shoe.jpg"],
            "status": "active",
            "available": True,
            "place": 1,
        }
    ],
    "prompt": "a 6-second video about Trail shoe",
    "problems": [PROBLEM],
    "estimate": {"renders": 111, "credits": 11100.0},
}

EXAMPLES: dict[str, dict[str, Example]] = {
    "CatalogRequest": {"by address": ASKED},
    "CatalogChange": {"weekly": {"schedule_seconds": 604800}, "another template": {"template": "promo@3"}},
    "ReadRequest": {"what changed": {"force": False}, "everything": {"force": True}},
    "CatalogBody": {"a shop": KEPT},
    "CatalogPage": {"one": {"data": [KEPT], "next_cursor": None}},
    "CatalogDryRunBody": {"tried": TRIED},
    "ReadBody": {"done": DONE, "pending": PENDING},
    "ReadPage": {"one": {"data": [DONE], "next_cursor": None}},
    "ProductProblemPage": {"one": {"data": [PROBLEM], "next_cursor": None}},
    "ChangePage": {"one": {"data": [CHANGE], "next_cursor": None}},
}
"""By the shape's name."""
POSSIBLE: dict[tuple[str, str], tuple[str, ...]] = {("catalogs_read", "202"): ("pending",)}
"""Of what an operation never answers with, no example is shown there."""
