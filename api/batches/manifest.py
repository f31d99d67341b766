"""A batch's manifest, streamed page by page: what became of each row, for the program that sent them.

Each page is a short statement of its own, so a manifest of a million lines holds neither memory nor a transaction. It
can be taken while the batch runs: each line is as it was when its page was read.
"""

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any, Literal

from api.database import look
from worker.batches import store
from worker.batches.store import Line
from worker.renders.states import Status

Format = Literal["jsonl", "csv"]
PAGE = 1_000
COLUMNS = ("ref", "id", "position", "status", "address", "sha256", "duration", "credits", "error")
MEDIA_TYPES: dict[Format, str] = {"jsonl": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}


def lines(batch_id: str, format: Format, base: str) -> Iterator[str]:
    """Pieces of the manifest; `base` is the service's address, for those of the videos."""
    write: Callable[[Sequence[dict[str, Any]]], str] = _jsonl if format == "jsonl" else _csv
    if format == "csv":
        yield ",".join(COLUMNS) + "\r\n"
    after = 0
    while page := look(lambda session, after=after: store.manifest(session, batch_id, after=after, limit=PAGE)):
        yield write([_shown(one, base) for one in page])
        after = page[-1].position


def _shown(line: Line, base: str) -> dict[str, Any]:
    there = line.status == Status.SUCCEEDED.value and line.sha256 is not None
    found = asdict(line) | {"address": f"{base}/v1/renders/{line.id}/video" if there else None}
    return {name: found[name] for name in COLUMNS}


def _jsonl(page: Sequence[dict[str, Any]]) -> str:
    return "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in page)


def _csv(page: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(one.values() for one in page)
    return text.getvalue()
