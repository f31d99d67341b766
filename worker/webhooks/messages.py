"""What a webhook's body says."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any


def text(type: str, at: datetime, data: Mapping[str, Any]) -> str:
    """The body, compact."""
    moment = at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    body = {"type": type, "timestamp": moment, "data": data}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))
