"""What a webhook says: `{"type", "timestamp", "data"}`, the event as `GET /v1/events` shows it, thin, with links.

Pure: the same event gives the same bytes, whoever asks.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from worker.renders.events import FINAL, Cursor, EventType
from worker.renders.models import Event


class Of(NamedTuple):
    """What a render's event does not say itself."""

    external_ref: str | None = None
    batch_id: str | None = None


NOTHING_MORE = Of()

_PLACES = {"render_id": "renders", "batch_id": "batches", "endpoint_id": "webhook-endpoints"}


def body(event: Event, of: Of = NOTHING_MORE) -> str:
    """The text that is sent and signed."""
    about = subject(event)
    data: dict[str, Any] = {about[0]: about[1], "number": event.number, "type": event.type, "at": _told(event)}
    data |= {"final": event.type in FINAL, "data": event.data}
    data["cursor"] = Cursor(event.transaction, event.id).text
    if event.render_id is not None:
        data |= {"run": event.run, "external_ref": of.external_ref, "batch_id": of.batch_id}
    data["links"] = {"self": f"/v1/{_PLACES[about[0]]}/{about[1]}"}
    return _text(event.type, _told(event), data)


def subject(event: Event) -> tuple[str, str]:
    """What an event is about: the name of its id, and the id."""
    ids = {"render_id": event.render_id, "batch_id": event.batch_id, "endpoint_id": event.endpoint_id}
    return next((name, id) for name, id in ids.items() if id is not None)


def example(type: EventType, at: datetime, endpoint_id: str) -> str:
    """As an event of that type would be sent at `at`; `"test": true` in its data says that it is none."""
    name = {"batch": "batch_id", "webhook": "endpoint_id"}.get(type.value.partition(".")[0], "render_id")
    id = endpoint_id if name == "endpoint_id" else f"{'bat' if name == 'batch_id' else 'rnd'}_{_NOBODY}"
    data: dict[str, Any] = {"test": True, name: id, "number": 7, "type": type.value, "at": _utc(at)}
    data |= {"final": type in FINAL, "data": dict(_EXAMPLES.get(type, {})), "cursor": Cursor().text}
    if name == "render_id":
        data |= {"run": 1, "external_ref": "sku-1", "batch_id": None}
    data["links"] = {"self": f"/v1/{_PLACES[name]}/{id}"}
    return _text(type.value, _utc(at), data)


_NOBODY = "01jz0000000000000000000000"
_EXAMPLES: Mapping[EventType, Mapping[str, Any]] = {
    EventType.STAGE: {"stage": "export", "from": "verify"},
    EventType.WAITING: {"reason": "credits"},
    EventType.FAILED: {"code": "generation.no_draft", "charge": "incurred"},
    EventType.CANCELED: {"effect": "prevented"},
    EventType.EXPIRED: {"effect": "prevented"},
    EventType.BATCH_ACCEPTED: {"total": 500, "rejected": 2},
    EventType.BATCH_PAUSED: {"reason": "max_credits", "detail": "500 of at most 500 credits are spent."},
    EventType.BATCH_UPDATED: {"fields": ["max_credits", "name"]},
    EventType.BATCH_FINISHED: {"counts": {"succeeded": 498, "failed": 2}},
    EventType.WEBHOOK_DISABLED: {"reason": "failing"},
}


def _told(event: Event) -> str:
    return _utc(event.created_at)


def _utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"


def _text(type: str, timestamp: str, data: Mapping[str, Any]) -> str:
    whole = {"type": type, "timestamp": timestamp, "data": data}
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":"))
