"""From a request for a batch to its rows: a JSON body, or a file of one of the kinds that its declaration names."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from api import idempotency, json_body
from api.auth import Caller
from api.batches import csv_files, jsonl
from api.batches.intake import Asked
from api.batches.rows import Row, of_items
from api.batches.schemas import BatchOptions, BatchRequest
from api.problems import FieldError, Problem
from worker.batches.store import NewBatch

Kind = Literal["jsonl", "csv"]
_KINDS: Mapping[str, Kind] = {
    "application/x-ndjson": "jsonl",
    "application/ndjson": "jsonl",
    "application/jsonl": "jsonl",
    "application/x-jsonlines": "jsonl",
    "text/csv": "csv",
    "application/csv": "csv",
    "text/tab-separated-values": "csv",
}
_ENDINGS: Mapping[str, Kind] = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "csv", ".txt": "csv"}
MULTIPART = "multipart/form-data"


def declared(content_type: str) -> Kind | Literal["inline", "multipart"]:
    """How a body's items are written. Raises Problem `request.media_type`."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/json":
        return "inline"
    if kind == MULTIPART:
        return "multipart"
    if kind not in _KINDS:
        raise Problem(
            "request.media_type",
            f"The body is declared as {kind[:80] or 'nothing'}; a batch is application/json, application/x-ndjson or "
            "text/csv.",
        )
    return _KINDS[kind]


def by_name(name: str) -> Kind:
    """The kind of a file in a form, by its ending. Raises Problem `request.media_type`."""
    found = _ENDINGS.get(Path(name.lower()).suffix)
    if found is None:
        raise Problem("request.media_type", "Name the form's file .jsonl or .csv, after what it is.")
    return found


def inline(caller: Caller, body: bytes) -> Asked:
    """A JSON body. Raises HTTPException, RequestValidationError."""
    given = json_body.read(body)
    try:
        request = BatchRequest.model_validate(given)
    except ValidationError as wrong:
        raise RequestValidationError([{**one, "loc": ("body", *one["loc"])} for one in wrong.errors()]) from None
    return _asked(caller, request, "inline", of_items(request.items), None, request.model_dump(mode="json"))


def from_file(caller: Caller, options: BatchOptions, kind: Kind, path: Path, sha256: str) -> Asked:
    """A file on the disk. Raises Problem `batch.header`."""
    columns: list[str] | None = None
    if kind == "csv":
        columns, rows = csv_files.read(path, options.defaults)
    else:
        rows = jsonl.read(path)
    return _asked(caller, options, kind, rows, columns, options.model_dump(mode="json") | {"sha256": sha256})


def _asked(
    caller: Caller,
    options: BatchOptions,
    source: str,
    rows: Iterable[Row],
    columns: list[str] | None,
    stands_for: Mapping[str, Any],
) -> Asked:
    names = set(BatchOptions.model_fields) - {"defaults"}
    new = NewBatch(source=source, columns=columns, api_key_id=caller.key_id, **{n: getattr(options, n) for n in names})
    defaults = {"priority": options.priority} | options.defaults
    return Asked(new, rows, defaults, idempotency.body_hash(stands_for))


def defaults(text: str | None) -> dict[str, Any]:
    """The parameter of that name. Raises Problem `request.invalid`."""
    if text is None:
        return {}
    try:
        found = json_body.parse(text)
    except json_body.NotJson as why:
        found, said = None, str(why)
    else:
        said = "give a JSON object"
    if not isinstance(found, dict):
        raise Problem("request.invalid", "Not valid: ?defaults", errors=[FieldError("?defaults", said)])
    return found
