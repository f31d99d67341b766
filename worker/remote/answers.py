"""Successful answers, out of `{"code": 0, "data": …}`, `{"success": true, "data": …}` or as bare objects."""

from dataclasses import replace
from typing import Any, TypeVar, cast

from pydantic import ValidationError

from worker.remote import noticing
from worker.remote.errors import AssetUnreachable, Unintelligible
from worker.remote.expected import STATE_KEYS
from worker.remote.faults import bind_id, decoded
from worker.remote.models import ExportState, ExportStatus, UploadedFile, Wire
from worker.remote.slices import members
from worker.remote.state import State, loads, state_of
from worker.remote.text import redact

Object = dict[str, Any]
Model = TypeVar("Model", bound=Wire)

_STATUSES: dict[str, ExportState] = {
    **dict.fromkeys(("pending", "queued", "submitted", "created", "waiting", "accepted"), "pending"),
    **dict.fromkeys(("processing", "running", "rendering", "in_progress", "started"), "processing"),
    **dict.fromkeys(("completed", "complete", "done", "success", "succeeded", "finished"), "completed"),
    **dict.fromkeys(("failed", "fail", "error", "cancelled", "canceled", "timeout"), "failed"),
}


def model(call: str, body: bytes, kind: type[Model]) -> Model:
    """The answer's data as a model; `Unintelligible` where what is required is missing."""
    try:
        return kind.model_validate(_data(call, body), context=call)
    except ValidationError as error:
        names = ", ".join(".".join(map(str, problem["loc"])) for problem in error.errors()[:5])
        raise _strange(call, f"unexpected answer: {names}") from None


def bind_of(body: bytes) -> str | None:
    return bind_id(decoded(body))


def files(call: str, body: bytes) -> list[UploadedFile]:
    """The uploaded files. One that the answer itself calls failed raises, as does an answer without any."""
    data = _data(call, body, key="files")
    entries = data.get("files")
    if isinstance(entries, dict):
        entries = [entries]
    if not isinstance(entries, list):
        raise _strange(call, "no list of files")
    entries = [cast(Object, entry) for entry in cast("list[object]", entries) if isinstance(entry, dict)]
    failed = next((entry for entry in entries if entry.get("error") or entry.get("success") is False), None)
    if call == "upload_urls" and (failed is not None or not entries):
        raise AssetUnreachable(call, str((failed or data).get("error") or "nothing was fetched"))
    if failed is not None or not entries:
        raise Unintelligible(call, str((failed or data).get("error") or "no file was kept"))
    try:
        return [UploadedFile.model_validate(entry, context=call) for entry in entries]
    except ValidationError:
        raise _strange(call, "unexpected answer: files") from None


def export(call: str, body: bytes) -> ExportStatus:
    """Both shapes: top level with `output.url`, or `data.status` with `data.outputUrl`."""
    outer = _object(call, body)
    inner = outer.get("data")
    inner = cast(Object, inner) if isinstance(inner, dict) else {}
    word = next((w for w in (inner.get("status"), outer.get("status")) if isinstance(w, str) and w), "")
    url = next(filter(None, map(_link, (inner, outer))), None)
    known = _STATUSES.get(word.strip().lower().replace("-", "_"))
    if known is None:
        if not word and url is None and not (inner.get("id") or outer.get("id")):
            raise _strange(call, "no export status")
        noticing.code(call, "status" if word else "no status", word)
        # A word of its own for something in between is no reason to give a running export up: the polls are counted.
        known = "completed" if url else "processing" if word else "pending"
    progress = next((p for p in map(_fraction, (inner.get("progress"), outer.get("progress"))) if p is not None), None)
    if progress is None and (inner.get("progress") or outer.get("progress")):
        noticing.shape(call, "progress unread")
    identity = inner.get("id") or outer.get("id")
    return ExportStatus(
        status=known,
        progress=1.0 if known == "completed" else progress,
        url=url,
        detail=redact(next(filter(None, map(_reason, (inner, outer))), "")),
        export_id=None if identity is None else str(identity),
    )


def state(body: bytes) -> State:
    """The state under `data.state`, `state`, `data`, or bare; a session nothing was done in has an empty one."""
    try:
        inside, around = members(body), dict[str, bytes]()
        for key in ("data", "state"):
            if key in inside and not STATE_KEYS & inside.keys():
                value = inside.pop(key)
                around |= {**inside, key: b"null"}
                inside = {} if value in (b"null", b'""') else members(value)
        if not around and not STATE_KEYS & inside.keys():
            raise _strange("state", "no state in it")
        found = state_of(inside)
        return found if found.bind_id else replace(found, bind_id=bind_id({k: loads(v) for k, v in around.items()}))
    except (ValueError, RecursionError):
        raise _strange("state", "not the JSON of a state") from None


def _strange(call: str, what: str) -> Unintelligible:
    """The error for an answer that cannot be used, noticed; `what` is our own words and field names alone."""
    noticing.shape(call, what)
    return Unintelligible(call, what)


def _object(call: str, body: bytes) -> Object:
    value = decoded(body)
    if not isinstance(value, dict):
        raise _strange(call, "not a JSON object")
    return cast(Object, value)


def _data(call: str, body: bytes, key: str | None = None) -> Object:
    """The envelope's data, or the bare object; with `key`, a bare list is wrapped under it."""
    outer = _object(call, body)
    data = outer.get("data")
    if isinstance(data, dict):
        return cast(Object, data)
    return {key: data} if key and isinstance(data, list) else outer


def _link(holder: Object) -> str | None:
    output = holder.get("output")
    candidates = [cast(Object, output).get("url")] if isinstance(output, dict) else []
    candidates += [holder.get(key) for key in ("outputUrl", "output_url", "url")]
    return next((link for link in candidates if isinstance(link, str) and "://" in link), None)


def _reason(holder: Object) -> str:
    for key in ("error", "errorMessage", "error_message", "message", "reason"):
        value = holder.get(key)
        if isinstance(value, dict):
            value = cast(Object, value).get("message")
        if isinstance(value, str) and value and value.lower() not in ("ok", "success"):
            return value
    return ""


def _fraction(value: object) -> float | None:
    """0 to 1, from a fraction, a percentage or "45%". 1 is read as done, as most servers mean it."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    percent = isinstance(value, str) and value.strip().endswith("%")
    try:
        number = float(value.strip().rstrip("%")) if isinstance(value, str) else float(value)
    except ValueError:
        return None
    if number != number:
        return None
    return min(max(number / 100 if percent or number > 1 else number, 0.0), 1.0)
