"""Examples of batches for the OpenAPI document."""

from typing import Any

Example = dict[str, Any]

BATCH = "bat_01m83n9h2k7c5v9q4x8z1t6w3y"
AT = f"/v1/batches/{BATCH}"
RENDER = "rnd_01m83n9j8evterwp11paawbt0r"
ITEMS: list[Example] = [
    {"prompt": "a 10-second video about our trail shoe", "external_ref": "sku-1"},
    {"prompt": "a 10-second video about our boot", "external_ref": "sku-2", "priority": "high"},
]
RUNNING: Example = {
    "id": BATCH,
    "name": "spring shoes",
    "status": "running",
    "source": "csv",
    "priority": "normal",
    "tags": ["spring"],
    "metadata": {"campaign": 7},
    "total": 1000,
    "rejected": 2,
    "counts": {
        "queued": 600,
        "running": 120,
        "waiting": 0,
        "canceling": 0,
        "succeeded": 277,
        "failed": 3,
        "canceled": 0,
        "expired": 0,
    },
    "progress": 0.28,
    "credits": {"known": 27700.0, "unknown_count": 1},
    "first": None,
    "approved_at": None,
    "max_credits": 120000.0,
    "max_failure_rate": 0.2,
    "pause": None,
    "estimate": {"p50": "2026-03-02T11:10:00Z", "p90": "2026-03-02T11:24:30Z"},
    "created_at": "2026-03-02T09:00:00.412893Z",
    "accepted_at": "2026-03-02T09:00:01.020114Z",
    "cancel_requested_at": None,
    "finished_at": None,
    "links": {
        "self": AT,
        "problems": f"{AT}/problems",
        "items": f"{AT}/items",
        "manifest": f"{AT}/manifest",
        "renders": f"/v1/renders?batch={BATCH}",
        "cancel": f"{AT}/cancel",
        "pause": f"{AT}/pause",
        "retry-failed": f"{AT}/retry-failed",
    },
}
PAUSED: Example = {
    **RUNNING,
    "status": "paused",
    "pause": {
        "reason": "max_failure_rate",
        "detail": "21 of 100 renders failed; the batch allows 0.2.",
        "since": "2026-03-02T09:40:12.300912Z",
    },
    "estimate": None,
    "links": {name: at for name, at in RUNNING["links"].items() if name != "pause"} | {"resume": f"{AT}/resume"},
}
CANCELING: Example = {
    **RUNNING,
    "status": "canceling",
    "estimate": None,
    "cancel_requested_at": "2026-03-02T09:45:00.120033Z",
    "links": {name: at for name, at in RUNNING["links"].items() if name not in ("pause", "cancel")},
}
FINISHED: Example = {
    **CANCELING,
    "status": "finished",
    "counts": {**RUNNING["counts"], "queued": 0, "running": 0, "canceled": 720},
    "progress": 1.0,
    "finished_at": "2026-03-02T09:46:10.020114Z",
}
ITEM: Example = {
    "position": 1,
    "id": RENDER,
    "ref": "sku-1",
    "status": "failed",
    "reason": None,
    "stage": "export",
    "run": 1,
    "priority": "normal",
    "charge": {"state": "incurred", "credits": 100.0},
    "error": {"code": "export.failed", "message": "The export failed twice."},
    "started_at": "2026-03-02T09:00:01.614020Z",
    "finished_at": "2026-03-02T09:08:39.117608Z",
}
PROBLEM: Example = {
    "line": 3,
    "ref": "sku-2",
    "code": "row.invalid",
    "detail": "/prompt: Field required",
    "raw": "sku-2,,https://shop.example/boot.jpg",
}
REHEARSED: Example = {
    "total": 1000,
    "rejected": 1,
    "problems": [PROBLEM],
    "prompts": [{"line": 2, "ref": "sku-1", "prompt": "a 10-second video about our trail shoe", "language": "en"}],
    "estimate": {"credits": 100000.0, "seconds": 7800.0},
}

EXAMPLES: dict[str, dict[str, Example]] = {
    "BatchRequest": {
        "two": {"name": "spring shoes", "items": ITEMS, "defaults": {"language": "en"}},
        "with limits": {"items": ITEMS, "first": 1, "max_credits": 500.0, "max_failure_rate": 0.2},
    },
    "BatchChange": {"sooner": {"priority": "high"}, "without a limit": {"max_credits": None}},
    "BatchBody": {"running": RUNNING, "paused": PAUSED, "canceling": CANCELING, "finished": FINISHED},
    "BatchPage": {"the newest": {"data": [RUNNING], "next_cursor": None}},
    "ItemPage": {"one": {"data": [ITEM], "next_cursor": "WzFd"}},
    "RowProblemPage": {"one": {"data": [PROBLEM], "next_cursor": None}},
    "BatchDryRunBody": {"rehearsed batch": REHEARSED},
    "RetriedBody": {"some": {"retried": 2, "needs_force": 1, "left": 0, "batch": RUNNING}},
}
POSSIBLE = {
    ("batches_create", "202"): ("running",),
    ("batches_cancel", "200"): ("finished",),
    ("batches_cancel", "202"): ("canceling",),
    ("batches_pause", "200"): ("paused",),
    ("batches_resume", "200"): ("running",),
    ("batches_approve", "200"): ("running",),
}
