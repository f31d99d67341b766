"""Examples for the OpenAPI document: the life of one render, as the service really tells it."""

from typing import Any

from api.batches import examples as batches
from api.catalogs import examples as catalogs
from api.publishing import examples as publishing
from api.triggers import examples as triggers
from api.webhooks import examples as webhooks
from worker.failures import EXPORT_FAILED
from worker.renders.takeover import SILENT

Example = dict[str, Any]

RENDER = "rnd_01m83n9j8evterwp11paawbt0r"
AT = f"/v1/renders/{RENDER}"
UPLOAD = "upl_01m83n8zr3f3w3t6m3x0b1v5ne"
ACCOUNT = "acc_01m83n7c4gq2d9d7w8k1r5e0sz"
SHA256 = "434c8104127dd6ee6c0a2ef8a7a5d0a7c6b2f3f1e0d9c8b7a6958473625140ff"
NO_CHARGE: Example = {"state": "none", "credits": None}
CHARGED: Example = {"state": "incurred", "credits": 100.0}


def _check(
    name: str, verdict: str, detail: str, *, measured: float | str | None = None, asked: float | None = None
) -> Example:
    compared = {"measured": measured, "asked": asked}
    return {"check": name, "verdict": verdict, "detail": detail, "stretches": []} | compared


ASSET: Example = {
    "upload": UPLOAD,
    "name": "shoe.jpg",
    "media_type": "image/jpeg",
    "bytes": 182044,
}
ASKED: Example = {
    "prompt": "create a 6-second video about our new running shoe",
    "assets": [{"upload": UPLOAD}, {"url": "https://shop.example/shoe-2.jpg"}],
    "external_ref": "sku-1",
    "revision": 3,
    "tags": ["shoes"],
    "metadata": {"season": "spring"},
    "webhook": {"url": webhooks.ADDRESS, "events": ["render.succeeded", "render.failed"]},
}
NORMALISED: Example = {
    **ASKED,
    "webhook": {"endpoint_id": webhooks.ENDPOINT, "enabled": True} | ASKED["webhook"],
    "template": None,
    "variables": {},
    "assets": [ASSET, {"url": "https://shop.example/shoe-2.jpg"}],
    "language": "en",
    "output": {"format": "mp4", "quality": "high"},
    "priority": "normal",
    "on_unconfirmed": "fail",
    "quality_gate": "report",
    "expect": {"duration_seconds": 6.0, "aspect": None, "silent": False},
    "deadline_seconds": None,
}
TEMPLATE = "tpl_01m83n5t2kqv0w1x7y3z9a8b6c"
VARIABLES: Example = {
    "title": {"type": "text", "max_length": 120},
    "seconds": {"type": "number", "default": 6},
    "features": {"type": "list", "required": False, "description": "One line each."},
}
WRITTEN: Example = {
    "prompt": "create a {{ seconds }}-second video about {{ title }}"
    "{% if features %}: {{ features|join(', ') }}{% endif %}",
    "variables": VARIABLES,
    "language": "en",
    "tags": ["shoes"],
}
CONTENT: Example = {
    **WRITTEN,
    "variables": {
        "title": {"type": "text", "required": True, "default": None, "description": "", "max_length": 120},
        "seconds": {"type": "number", "required": False, "default": 6, "description": "", "max_length": None},
        "features": {
            "type": "list",
            "required": False,
            "default": None,
            "description": "One line each.",
            "max_length": None,
        },
    },
}
VERSION: Example = {**CONTENT, "template": "promo@3", "number": 3, "created_at": "2026-03-02T08:41:07.300912Z"}
KEPT_TEMPLATE: Example = {
    "id": TEMPLATE,
    "name": "promo",
    "version": VERSION,
    "created_at": "2026-02-11T14:02:55.118230Z",
    "archived_at": None,
    "links": {
        "self": f"/v1/templates/{TEMPLATE}",
        "versions": f"/v1/templates/{TEMPLATE}/versions",
        "preview": f"/v1/templates/{TEMPLATE}/preview",
    },
}
FILLED: Example = {"title": "our new running shoe", "features": ["light", "waterproof"]}
PREVIEW: Example = {
    "template": "promo@3",
    "prompt": "create a 6-second video about our new running shoe: light, waterproof",
    "language": "en",
    "hints": [],
}
QUEUED: Example = {
    "id": RENDER,
    "run": 1,
    "status": "queued",
    "reason": None,
    "stage": "token",
    "progress": 0.0,
    "eta": "2026-03-02T09:00:41.251000Z",
    **NORMALISED,
    "batch": None,
    "position": None,
    "reused_from": None,
    "answer": None,
    "timeline": None,
    "result": None,
    "charge": NO_CHARGE,
    "hints": [],
    "cancel_effect": None,
    "error": None,
    "attempts": [],
    "runs": [],
    "remote": {"task_id": None, "session_id": None, "export_id": None, "link": None},
    "session": None,
    "created_at": "2026-03-02T09:00:00.412893Z",
    "queued_at": "2026-03-02T09:00:00.412893Z",
    "started_at": None,
    "deadline_at": None,
    "updated_at": "2026-03-02T09:00:00.412893Z",
    "finished_at": None,
    "links": {"self": AT, "events": f"{AT}/events", "cancel": f"{AT}/cancel"},
}
_ATTEMPT: Example = {
    "run": 1,
    "stage": "generate",
    "worker": "stream-1@render-1",
    "started_at": "2026-03-02T09:00:00.731220Z",
    "ended_at": "2026-03-02T09:00:03.020114Z",
    "outcome": "advance",
    "error_code": None,
    "error_message": None,
}
EXAMINED: Example = {
    "verdict": "passed",
    "detail": None,
    "checks": [
        _check("length", "passed", "6.0 s, asked for 6 s", measured=6.0, asked=6.0),
        _check("aspect", "not_asked", "1080x1920", measured="1080x1920"),
        _check("black", "passed", "never black for long"),
        _check("frozen", "passed", "never without movement for long"),
        _check("silence", "passed", "never silent for long"),
        _check("ends_early", "passed", "picture and sound play to their end"),
    ],
}
SUCCEEDED: Example = {
    **QUEUED,
    "status": "succeeded",
    "stage": "store",
    "progress": 1.0,
    "eta": None,
    "answer": 'Your video is ready: "New Running Shoe", 6 seconds, with Upbeat pop music.',
    "timeline": "Timeline (3 tracks): 1. Video: scene 1 +1 (0-6s) 2. BGM: Upbeat pop (0-6s, 35%) 3. Title: New Running "
    "Shoe (0-3s)",
    "result": {
        "url": f"{AT}/video",
        "sha256": SHA256,
        "bytes": 858070,
        "duration": 6.0,
        "width": 1080,
        "height": 1920,
        "codec": "h264",
        "poster": f"{AT}/poster",
        "quality": EXAMINED,
    },
    "charge": CHARGED,
    "attempts": [_ATTEMPT],
    "remote": {
        "task_id": "5f0c6f0e-4f5e-4a83-9d0b-6f2f8f6b1c55",
        "session_id": "9b6c1b54-6a0e-4d43-8a8b-0f8f3c1f2d77",
        "export_id": "exp_5a1d0c9f4e7b4b0aa4cf",
        "link": None,
    },
    "started_at": "2026-03-02T09:00:00.614020Z",
    "updated_at": "2026-03-02T09:00:39.117608Z",
    "finished_at": "2026-03-02T09:00:39.117608Z",
    "links": {
        "self": AT,
        "events": f"{AT}/events",
        "video": f"{AT}/video",
        "poster": f"{AT}/poster",
        "edits": f"{AT}/edits",
        "timeline": f"{AT}/timeline",
    },
}
FAILED: Example = {
    **QUEUED,
    "status": "failed",
    "stage": "export",
    "progress": 0.77,
    "eta": None,
    "charge": CHARGED,
    "error": {
        "code": EXPORT_FAILED.code,
        "message": EXPORT_FAILED.message,
        "retryable": EXPORT_FAILED.retryable,
        "help": EXPORT_FAILED.help,
    },
    "attempts": [_ATTEMPT | {"stage": "export", "outcome": "failed", "error_code": EXPORT_FAILED.code}],
    "started_at": "2026-03-02T09:00:00.614020Z",
    "updated_at": "2026-03-02T09:00:39.117608Z",
    "finished_at": "2026-03-02T09:00:39.117608Z",
    "links": {"self": AT, "events": f"{AT}/events", "retry": f"{AT}/retry"},
}
CANCELED: Example = {
    **QUEUED,
    "status": "canceled",
    "eta": None,
    "cancel_effect": "prevented",
    "updated_at": "2026-03-02T09:00:01.020114Z",
    "finished_at": "2026-03-02T09:00:01.020114Z",
    "links": {"self": AT, "events": f"{AT}/events", "retry": f"{AT}/retry"},
}
CANCELING: Example = {**QUEUED, "status": "canceling", "stage": "generate", "progress": 0.31}
AGAIN: Example = {
    **QUEUED,
    "run": 2,
    "stage": "export",
    "charge": CHARGED,
    "runs": [
        {
            "run": 1,
            "status": "failed",
            "stage": "export",
            "answer": None,
            "charge": CHARGED,
            "cancel_effect": None,
            "error": {"code": EXPORT_FAILED.code, "message": EXPORT_FAILED.message},
            "queued_at": "2026-03-02T09:00:00.412893Z",
            "started_at": "2026-03-02T09:00:00.614020Z",
            "finished_at": "2026-03-02T09:00:39.117608Z",
        }
    ],
    "queued_at": "2026-03-02T09:05:12.000417Z",
}
DRY_RUN: Example = {
    "valid": True,
    "render": NORMALISED,
    "hints": [],
    "estimate": {"credits": 100.0, "seconds": 40.8},
}
EVENT: Example = {
    "render_id": RENDER,
    "run": 1,
    "number": 2,
    "type": "render.stage",
    "data": {"stage": "session", "from": "token"},
    "final": False,
    "at": "2026-03-02T09:00:00.731220Z",
}
TOLD: Example = EVENT | {
    "external_ref": "sku-1",
    "cursor": "WzEwMjQsNzc5XQ",
    "links": {"self": AT},
}
EVENTS = [EVENT | {"number": 1, "type": "render.queued", "data": {}}, EVENT]
STORED: Example = {
    "id": UPLOAD,
    "name": "shoe.jpg",
    "media_type": "image/jpeg",
    "bytes": 182044,
    "sha256": "0b1e5c2d3f4a5968778695a4b3c2d1e0f0e1d2c3b4a5968778695a4b3c2d1e0f",
    "created_at": "2026-03-02T08:59:31.881102Z",
    "expires_at": "2026-03-03T08:59:31.881102Z",
}
BALANCE: Example = {
    "id": ACCOUNT,
    "name": "NEMO_TOKEN",
    "kind": "registered",
    "available": 2400.0,
    "frozen": 100.0,
    "total": 2500.0,
    "reserved": 100.0,
    "read_at": "2026-03-02T09:00:02Z",
    "slots": None,
    "slots_in_use": 3,
    "paused_until": None,
    "pause_reason": None,
    "held": False,
    "disabled": False,
}
USED: Example = {
    "since": "2026-02-01T00:00:00Z",
    "until": "2026-03-01T00:00:00Z",
    "succeeded": 412,
    "failed": 3,
    "canceled": 1,
    "expired": 0,
    "credits": 41300.0,
    "unknown": 1,
    "video_seconds": 4944.0,
    "video_bytes": 353524840,
}
KEY: Example = {
    "id": "key_01m83n6y0z2m1x0h6q5c8w7v4t",
    "name": "shop",
    "prefix": "vv_3fK9",
    "owner": "default",
    "scopes": ["renders:read", "renders:write"],
    "limits": {"renders_in_flight": 100},
    "created_at": "2026-01-15T10:00:00Z",
    "expires_at": None,
    "last_used_at": "2026-03-02T09:00:00Z",
}
TAKEOVER: Example = {
    "id": 17,
    "render_id": RENDER,
    "run": 1,
    "stage": "poll",
    "why": SILENT,
    "from_worker": "io-1@render-1",
    "to_worker": "io-1@render-2",
    "taken_at": "2026-03-02T09:01:15.300912Z",
    "ended_at": "2026-03-02T09:01:46.020114Z",
    "outcome": "advance",
}
TIMELINE: Example = {
    "duration": 6.0,
    "tracks": [
        {
            "kind": "video",
            "label": "Video",
            "segments": [{"name": "scene 1", "start": 0.0, "end": 6.0, "volume": None}],
        }
    ],
    "summary": "Timeline (1 track): 1. Video: scene 1 (0-6s)",
}

SESSION = "ssn_01m83n9q2c4wq7k0v5x8d3t6ya"
SESSION_AT = f"/v1/sessions/{SESSION}"
_PLACE: Example = {"task_id": "5f0c6f0e-4f5e-4a83-9d0b-6f2f8f6b1c55", "session_id": "1900000000000000042", "link": None}
BEGUN: Example = {
    "id": SESSION,
    "name": "spring campaign",
    "language": "en",
    "status": "open",
    "renders": 1,
    "pending": [ASSET],
    "remote": _PLACE,
    "created_at": "2026-03-02T09:00:00.412893Z",
    "links": {
        "self": SESSION_AT,
        "state": f"{SESSION_AT}/state",
        "messages": f"{SESSION_AT}/messages",
        "close": f"{SESSION_AT}/close",
    },
}
_CHANGE: Example = {"what": "added", "name": "Summer", "timing": "0-3s", "text": 'Added Title: "Summer" (0-3s)'}
_EDIT: Example = {
    **QUEUED,
    "status": "waiting",
    "reason": "session",
    "prompt": 'add the title "Summer"',
    "assets": [],
    "session": SESSION,
    "links": QUEUED["links"] | {"session": SESSION_AT, "edits": f"{AT}/edits"},
}
_SAID: Example = {
    "action": "edit",
    "session": SESSION,
    "render": None,
    "timeline": TIMELINE,
    "changes": [],
    "answer": None,
    "credits": None,
    "pending": [],
}

CHECKS = {"database": True, "migrations": True, "worker-stream": True, "worker-io": True, "worker-media": True}

EXAMPLES: dict[str, dict[str, Example]] = {
    "RenderRequest": {
        "a shoe": ASKED,
        "the least": {"prompt": "a quiet morning by the sea, 20 seconds"},
        "of a template": {"template": "promo@3", "variables": FILLED, "external_ref": "sku-1"},
    },
    "TemplateRequest": {"a promotion": {"name": "promo", **WRITTEN}},
    "TemplateContent": {"the next version": WRITTEN},
    "PreviewRequest": {"the newest": {"variables": FILLED}, "an older one": {"variables": FILLED, "version": 2}},
    "TemplateBody": {"a promotion": KEPT_TEMPLATE},
    "TemplateVersionBody": {"the third": VERSION},
    "TemplatePage": {"one": {"data": [KEPT_TEMPLATE], "next_cursor": None}},
    "TemplateVersionPage": {"one": {"data": [VERSION], "next_cursor": None}},
    "TemplateDryRunBody": {"rehearsed": {"valid": True, "name": "promo", "content": CONTENT, "hints": []}},
    "PreviewBody": {"filled": PREVIEW},
    "RenderChange": {"sooner": {"priority": "high"}, "other words": {"metadata": {"season": "summer"}}},
    "RetryRequest": {"as it is": {"force": False}, "pay again": {"force": True}},
    "RenderBody": {
        "queued": QUEUED,
        "again": AGAIN,
        "canceling": CANCELING,
        "succeeded": SUCCEEDED,
        "failed": FAILED,
        "canceled": CANCELED,
    },
    "EditRequest": {"shorter": {"prompt": "make it 6 seconds and change the music"}},
    "SessionRequest": {
        "two shoes": {
            "name": "spring campaign",
            "messages": [
                {"text": "create a 6-second video of this shoe", "assets": [{"upload": UPLOAD}]},
                {"text": "now the same with this one", "assets": [{"url": "https://shop.example/shoe-2.jpg"}]},
            ],
        },
        "to be told": {},
    },
    "MessageRequest": {
        "an edit": {"text": 'add the title "Summer"'},
        "a request": {"text": "导出"},
        "a file": {"assets": [{"upload": UPLOAD}]},
    },
    "SessionDetailBody": {"begun": BEGUN | {"turns": [SUCCEEDED | {"session": SESSION}]}},
    "SessionPage": {"one": {"data": [BEGUN], "next_cursor": None}},
    "StateBody": {
        "drafted": {
            "session": SESSION,
            "timeline": TIMELINE,
            "drafted_by": RENDER,
            "changes": [_CHANGE],
            "turn": {"render": RENDER, "status": "waiting", "reason": "session", "stage": "token"},
            "pending": [],
            "remote": _PLACE,
        },
        "nothing yet": {
            "session": SESSION,
            "timeline": None,
            "drafted_by": None,
            "changes": [],
            "turn": None,
            "pending": [ASSET],
            "remote": {"task_id": None, "session_id": None, "link": None},
        },
    },
    "MessageBody": {
        "waits for its turn": _SAID | {"render": _EDIT},
        "balance": _SAID
        | {
            "action": "credits",
            "answer": "2400 credits are left.",
            "credits": {"available": 2400.0, "accounts": [BALANCE]},
        },
    },
    "DryRunBody": {"rehearsed": DRY_RUN},
    "RenderPage": {
        "the newest": {"data": [SUCCEEDED], "next_cursor": "WyIyMDI2LTAzLTAyVDA5OjAwOjAwLjQxMjg5MyswMDowMCIsInJuZCJd"},
        "none": {"data": [], "next_cursor": None},
    },
    "EventPage": {"two": {"data": EVENTS}},
    "FeedPage": {"one": {"data": [TOLD], "next_cursor": "WzEwMjQsNzc5XQ"}},
    "UploadBody": {"a picture": STORED},
    "AccountBody": {"registered": BALANCE},
    "AccountPage": {"one": {"data": [BALANCE]}},
    "CreditsBody": {"one account": {"available": 2400.0, "accounts": [BALANCE]}},
    "UsagePage": {"a month": {"data": [USED]}},
    "KeyBody": {"a shop's": KEY},
    "RecoveryPage": {"one": {"data": [TAKEOVER], "next_cursor": None}},
    "TimelineBody": {"one track": TIMELINE},
    "AliveBody": {"alive": {"alive": True}},
    "HealthBody": {
        "ready": {"ready": True, "checks": CHECKS, "missing": []},
        "no worker": {
            "ready": False,
            "checks": CHECKS | {"worker-media": False},
            "missing": ["worker-media: none reported within a lease"],
        },
    },
    **batches.EXAMPLES,
    **catalogs.EXAMPLES,
    **triggers.EXAMPLES,
    **webhooks.EXAMPLES,
    **publishing.EXAMPLES,
}
"""By the name of the shape they show, and their own."""

_POSSIBLE = {
    ("renders_create", "200"): ("succeeded", "failed", "rehearsed"),
    ("renders_create", "202"): ("queued",),
    ("templates_create", "200"): ("rehearsed",),
    ("renders_change", "200"): ("queued",),
    ("renders_cancel", "200"): ("canceled", "succeeded"),
    ("renders_cancel", "202"): ("canceling",),
    ("renders_retry", "200"): ("succeeded", "failed"),
    ("renders_retry", "202"): ("again",),
    ("sessions_edit", "200"): ("succeeded", "failed"),
    ("sessions_edit", "202"): ("queued",),
    ("sessions_say", "202"): ("waits for its turn",),
    ("health_readyz", "200"): ("ready",),
    ("health_readyz", "503"): ("no worker",),
    **batches.POSSIBLE,
    **catalogs.POSSIBLE,
    **webhooks.POSSIBLE,
    **publishing.POSSIBLE,
}
"""Where not every example of a shape can come."""


def of(model: str, operation: str, part: str) -> dict[str, Example]:
    """The examples of a shape in one part (`request`, or a status) of an operation."""
    found = EXAMPLES.get(model, {})
    possible = _POSSIBLE.get((operation, part), tuple(found))
    return {name: value for name, value in found.items() if name in possible}
