"""What the events of a turn mean: both dialects, read into progress for the caller and facts for the verdict.

Typed events (`{"type": "text", …}`) and the agent framework's (`{"content": {"parts": […]}, "partial": …}`) may come
on the same stream. Of the framework's, partials are deltas and the next whole event repeats their text: they are
progress, and only whole events count. An answer is the text that no tool call or result follows.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, cast

from worker.remote import noticing
from worker.remote.expected import CONTENT_FIELDS, ERROR_FIELDS, FRAMEWORK_FIELDS, PART_FIELDS, TYPED_FIELDS
from worker.remote.faults import unknown_code
from worker.remote.text import clean

Kind = Literal["text", "call", "result", "heartbeat", "error"]

SILENT_EDIT = frozenset({"MODEL_RETURNED_NO_CONTENT", "STOP"})
"""Error codes of a turn that ended without words although the edit was applied."""

_LIVING = frozenset({"heartbeat", "ping", "keepalive", "keep-alive", "keep_alive"})
_NOISE = re.compile(
    r"\s*(I(['’]ve| have)? encountered a temporary (issue|problem|error)"
    r"|(我)?遇到了?(一个|一些)?(临时|暂时)性?的?问题)[\s\S]{0,200}\Z",
    re.IGNORECASE,
)
_REPEATED = 8
"""Characters from which a typed text equal to all before it is a repetition of the whole, not one more piece."""


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """Something that happened on the stream: words for `text` and `error`, the tool's name for `call` and `result`."""

    kind: Kind
    text: str = ""
    name: str = ""


class Reader:
    """Reads one turn's events in order and keeps what they add up to."""

    def __init__(self) -> None:
        self.calls = 0
        self.results = 0
        self.unknown = 0
        """Events of no known type: counted and noticed, never fatal."""
        self.error: dict[str, Any] | None = None
        """The first failure's event, as it came."""
        self.error_frame: str | None = None
        self._said = ""
        self._saying = ""
        self._deltas = ""
        self._finished = False
        self._since_tool = False

    @property
    def text(self) -> str:
        """The answer: the last words that were no noise; partials where no whole event came."""
        return _without_noise(self._deltas) or _without_noise(self._saying) or self._said

    @property
    def terminal(self) -> bool:
        """Whether the model's own words came after the last tool result, as they do when a turn is really over."""
        spoken = self._saying if self._since_tool else ""
        return bool(_without_noise(spoken) or (self._finished and _without_noise(self._deltas)))

    def read(self, data: str) -> list[StreamEvent]:
        """What one event's data says; never raises, whatever it holds."""
        if not data.strip():
            return [StreamEvent("heartbeat")]
        try:
            event: object = json.loads(data)
        except (ValueError, RecursionError):
            event = _unescaped_error(data)
        if not isinstance(event, dict):
            self._strange("no JSON" if event is None else noticing.kind_of(event).partition(" ")[0], len(data))
            return []
        return list(self._event(cast("dict[str, Any]", event)))

    def _event(self, event: dict[str, Any]) -> Iterator[StreamEvent]:
        kind = event.get("type")
        if isinstance(kind, str) and not isinstance(event.get("content"), dict):
            yield from self._typed(kind, event)
        elif (
            isinstance(event.get("content"), dict)
            or "author" in event
            or "invocationId" in event
            or "errorCode" in event
        ):
            yield from self._framework(event)
        elif _is_error(event):
            noticing.fields("send_message", event, ERROR_FIELDS, "event")
            yield from self._failed(event)
        else:
            self._strange("object with " + ", ".join(sorted(map(noticing.tidy, event))[:5]))

    def _strange(self, name: str, length: int | None = None) -> None:
        self.unknown += 1
        noticing.event(name, None if length is None else f"text of {length}")

    def _typed(self, kind: str, event: dict[str, Any]) -> Iterator[StreamEvent]:
        noticing.fields("send_message", event, TYPED_FIELDS, "event")
        name = _string(event.get("name"))
        if kind == "text":
            text = _string(event.get("content")) or _string(event.get("text"))
            if text:
                self._piece(text)
                yield StreamEvent("text", text)
        elif kind == "tool_call":
            yield self._call(name)
        elif kind == "tool_result":
            yield self._result(name)
        elif kind in _LIVING:
            yield StreamEvent("heartbeat")
        elif kind == "error" or _is_error(event):
            yield from self._failed(event)
        else:
            self._strange(f"type {noticing.tidy(kind)}")

    def _framework(self, event: dict[str, Any]) -> Iterator[StreamEvent]:
        content = event.get("content")
        content = cast("dict[str, Any]", content) if isinstance(content, dict) else {}
        noticing.fields("send_message", event, FRAMEWORK_FIELDS, "event")
        noticing.fields("send_message", content, CONTENT_FIELDS, "event.content")
        parts = content.get("parts")
        parts = (
            [cast("dict[str, Any]", part) for part in parts if isinstance(part, dict)]
            if isinstance(parts, list)
            else []
        )
        for part in parts:
            noticing.fields("send_message", part, PART_FIELDS, "event.part")
        by_user = event.get("author") == "user"
        calls = [part for part in parts if _part(part, "functionCall", "function_call") is not None]
        results = [part for part in parts if _part(part, "functionResponse", "function_response") is not None]
        words = "" if by_user or (content.get("role") == "user") else "".join(map(_words, parts))
        if event.get("partial") is True:
            if words:
                self._deltas += words
                yield StreamEvent("text", words)
            self._finished = self._finished or bool(event.get("finishReason"))
        elif not by_user:
            if words:
                yield StreamEvent("text", words)
            self._whole(words, bool(calls or results))
            for part in calls:
                yield self._call(_string((_part(part, "functionCall", "function_call") or {}).get("name")))
            for part in results:
                yield self._result(_string((_part(part, "functionResponse", "function_response") or {}).get("name")))
        if _is_error(event):
            yield from self._failed(event)

    def _whole(self, words: str, beside_tool: bool) -> None:
        """A whole event repeats its partials. Beside a tool call its words are not yet the answer."""
        if words:
            self._deltas, self._finished = "", False
        if not _without_noise(words):
            return
        self._keep()
        if beside_tool:
            self._said = _without_noise(words)
        else:
            self._saying, self._since_tool = words, True

    def _piece(self, text: str) -> None:
        """Typed text: pieces of one answer until a tool speaks, or the whole of it once more."""
        if not self._since_tool:
            self._keep()
        run = self._saying
        if len(run) >= _REPEATED and text.strip() == run.strip():
            return
        apart = run[-1:] in set(".!?") and text[:1].isupper()
        self._saying = f"{run} {text}" if apart else run + text
        self._since_tool = True

    def _call(self, name: str) -> StreamEvent:
        self.calls += 1
        self._tool()
        return StreamEvent("call", name=name)

    def _result(self, name: str) -> StreamEvent:
        self.results += 1
        self._tool()
        return StreamEvent("result", name=name)

    def _tool(self) -> None:
        self._keep()
        self._since_tool = False
        self._deltas, self._finished = "", False

    def _keep(self) -> None:
        """What was said until now is the answer only if nothing better comes."""
        self._said = _without_noise(self._saying) or self._said
        self._saying = ""

    def _failed(self, event: dict[str, Any]) -> Iterator[StreamEvent]:
        """One failure, however many frames tell it (an event with an error code is followed by a bare error frame)."""
        if self.error is not None:
            return
        self.error = event
        self.error_frame = _failure(event)
        code = event.get("errorCode") or event.get("error_code") or event.get("code")
        if code and unknown_code(200, {"code": code}):
            noticing.code("send_message", "event", str(code))
        yield StreamEvent("error", self.error_frame)


def _unescaped_error(data: str) -> dict[str, Any] | None:
    """The framework's 1.x pastes an exception's text into `{"error": "…"}` as it is, quotes, line breaks and all."""
    found = re.match(r'\s*\{\s*"error"\s*:\s*"?(.*?)"?\s*\}?\s*\Z', data, re.DOTALL)
    return {"error": found[1] or "failed"} if found else None


def _is_error(event: dict[str, Any]) -> bool:
    code = event.get("errorCode") or event.get("error_code")
    if code or event.get("errorMessage"):
        return str(code) not in SILENT_EDIT
    return bool(event.get("error")) or event.get("code") not in (None, 0, "0", "") or event.get("success") is False


def _failure(event: dict[str, Any]) -> str:
    """One line: the code, if there is one, and the message."""
    error = event.get("error")
    inner = cast("dict[str, Any]", error) if isinstance(error, dict) else {}
    code = event.get("errorCode") or event.get("error_code") or event.get("code") or inner.get("code")
    message = event.get("errorMessage") or event.get("message") or inner.get("message") or event.get("content")
    if not isinstance(message, str):
        message = error if isinstance(error, str) else "failed"
    return clean(f"{code}: {message}" if code else message)


def _part(part: dict[str, Any], *names: str) -> dict[str, Any] | None:
    for name in names:
        value = part.get(name)
        if isinstance(value, dict):
            return cast("dict[str, Any]", value)
    return None


def _words(part: dict[str, Any]) -> str:
    return "" if part.get("thought") else _string(part.get("text"))


def _string(value: object) -> str:
    return clean(value) if isinstance(value, str) else ""


def _without_noise(text: str) -> str:
    """The backend appends an apology for a temporary issue to answers that are complete."""
    return _NOISE.sub("", text).strip()
