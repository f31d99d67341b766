"""What the contract's answers hold, level by level, so that what else they hold is noticed (docs/backend.md).

A field is known if the contract names it or the client reads it. What a user made (drafts, media, the canvas) has open
keys and is not looked into.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from pydantic import AliasChoices, BaseModel

from worker.remote import noticing
from worker.remote.faults import BIND_KEYS, EXPORT_CALLS, unknown_code
from worker.remote.models import AnonymousToken, Balance, Claim, SessionIds, UploadedFile

Object = dict[str, Any]

_ENTRIES = 50
"""Of a list: an upload is one file or a few."""


@dataclass(frozen=True)
class Level:
    """The names known on one level, and the levels below some of them (of a list: below each entry)."""

    known: frozenset[str]
    inside: Mapping[str, "Level"] = field(default_factory=dict[str, "Level"])


def _names(model: type[BaseModel], *more: str) -> frozenset[str]:
    """A model's fields under all their spellings."""
    names = set(more)
    for name, about in model.model_fields.items():
        alias = about.validation_alias
        names |= {name, *(str(choice) for choice in alias.choices)} if isinstance(alias, AliasChoices) else {name}
    return frozenset(names)


STATE_KEYS = frozenset({"draft", "video_infos", "generated_media", "canvas_config"})
ENVELOPE = frozenset({"code", "success", "message", "msg", "data", "error"})
_REFUSAL = ENVELOPE | {"detail", "error_code", "errorCode", "errorMessage", "status", "retry_after", "retryAfter"}
_FILE = Level(_names(UploadedFile, "error", "success"))
_EXPORT = Level(
    frozenset(
        {"id", "status", "progress", "output", "outputUrl", "output_url", "url"}
        | {"error", "errorMessage", "error_message", "message", "reason"}
    ),
    {"output": Level(frozenset({"url"}))},
)
_UPLOAD = Level(frozenset({"files", "error"}), {"files": _FILE})

LEVELS: Mapping[str, Level] = {
    "anonymous_token": Level(_names(AnonymousToken)),
    "credits": Level(_names(Balance)),
    "create_session": Level(_names(SessionIds, *BIND_KEYS)),
    "claim_link": Level(_names(Claim)),
    "state": Level(frozenset({"state", *BIND_KEYS}) | STATE_KEYS, {"state": Level(STATE_KEYS | {*BIND_KEYS})}),
    "upload_file": _UPLOAD,
    "upload_urls": _UPLOAD,
    "submit_export": _EXPORT,
    "poll_export": _EXPORT,
    "open_fallback_download": _EXPORT,
}
"""By the method of `Remote`; whose answer says nothing (a cancelled export's) has none."""

# The events of a stream, on their top level

ERROR_FIELDS = frozenset(
    {"error", "code", "message", "success", "errorCode", "error_code", "errorMessage", "status", "detail", "data"}
)
TYPED_FIELDS = frozenset({"type", "content", "text", "name", "args", "result", "id"}) | ERROR_FIELDS
FRAMEWORK_FIELDS = ERROR_FIELDS | frozenset({
    "content", "partial", "author", "id", "invocationId", "timestamp", "branch", "actions", "longRunningToolIds",
    "finishReason", "turnComplete", "interrupted", "usageMetadata", "modelVersion", "groundingMetadata",
    "citationMetadata", "customMetadata", "cacheMetadata", "avgLogprobs", "logprobsResult", "inputTranscription",
    "outputTranscription", "liveSessionResumptionUpdate", "liveSessionId", "goAway", "voiceActivity",
    "turnCompleteReason", "interactionId", "interactionStatus", "environmentId", "isolationScope", "nodeInfo",
    "output",
})  # fmt: skip
"""What the framework's releases are known to send; a test holds them against the installed one's."""
CONTENT_FIELDS = frozenset({"role", "parts"})
PART_FIELDS = frozenset({
    "text", "thought", "thoughtSignature", "functionCall", "function_call", "functionResponse",
    "function_response", "videoMetadata", "mediaResolution", "partMetadata",
})  # fmt: skip
"""Parts that are read, and what may stand beside them. A part of another kind (a file, code) would go unread."""


def answered(call: str, value: object) -> None:
    """Notice what a successful answer holds beyond the contract; `value` is its decoded JSON."""
    level = LEVELS.get(call)
    if level is None or not isinstance(value, dict):
        return  # whoever reads the answer notices that it is no object
    outer = cast(Object, value)
    data = outer.get("data")
    if not isinstance(data, dict | list):
        _walk(Level(level.known | ENVELOPE, level.inside), call, outer, "")
        return
    # Of an export both shapes may come at once: what is not under `data` may stand beside it.
    noticing.fields(call, outer, ENVELOPE | level.known if call in EXPORT_CALLS else ENVELOPE)
    _walk(level.inside.get("files", level) if isinstance(data, list) else level, call, cast(object, data), "data")


def refused(call: str, status: int, value: object) -> None:
    """Notice what a refusal holds that no table has: its code, or where it has none its status, and its fields."""
    answer = cast(Object, value) if isinstance(value, dict) else {}
    noticing.fields(call, answer, _REFUSAL)
    unknown = unknown_code(status, answer)
    if unknown is not None:
        noticing.code(call, *unknown)


def _walk(level: Level, call: str, value: object, path: str) -> None:
    if isinstance(value, list):
        for entry in cast("list[object]", value)[:_ENTRIES]:
            _walk(level, call, entry, f"{path}[]")
    elif isinstance(value, dict):
        holder = cast(Object, value)
        noticing.fields(call, holder, level.known, path)
        for name, inner in level.inside.items():
            if holder.get(name) is not None:
                _walk(inner, call, holder[name], f"{path}.{name}" if path else name)
    elif value not in (None, ""):
        noticing.shape(call, f"{path} is no object", noticing.kind_of(value))
