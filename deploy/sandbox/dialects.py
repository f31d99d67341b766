"""The two dialects of event bodies: typed events, and the agent framework's. Each method answers JSON texts."""

import itertools
import secrets
import time
from collections.abc import Iterator
from typing import Any, Protocol

from .wire import dump

AGENT = "nemo_agent"


class Dialect(Protocol):
    """What a turn can say."""

    def text(self, words: str, *, partials: bool = True, last: bool = False) -> list[str]:
        """Something said; `last` marks the end of the turn."""
        ...

    def thought(self, words: str, *, partials: bool = True) -> list[str]:
        """Something thought, not meant for the user."""
        ...

    def call(self, name: str, args: dict[str, Any]) -> list[str]:
        """A tool is called."""
        ...

    def result(self, name: str, result: dict[str, Any]) -> list[str]:
        """The tool has answered."""
        ...

    def silence(self) -> list[str]:
        """The end of a turn that says nothing."""
        ...

    def error(self, message: str, code: int = 0) -> list[str]:
        """A failure: an event, then a frame."""
        ...

    def heartbeat(self) -> str | None:
        """A sign of life; None for a comment line, "" for an empty data: line."""
        ...


class Typed:
    """`{"type": …}` events; texts come in pieces that are not repeated."""

    def __init__(self) -> None:
        self._beats = itertools.cycle((dump({"type": "heartbeat"}), "", None))

    def text(self, words: str, *, partials: bool = True, last: bool = False) -> list[str]:
        """One event, or two halves."""
        del last
        return [dump({"type": "text", "content": part}) for part in (_pieces(words, 2) if partials else [words])]

    def thought(self, words: str, *, partials: bool = True) -> list[str]:
        """This dialect keeps its thoughts to itself."""
        del words, partials
        return []

    def call(self, name: str, args: dict[str, Any]) -> list[str]:
        """One event."""
        return [dump({"type": "tool_call", "name": name, "args": args})]

    def result(self, name: str, result: dict[str, Any]) -> list[str]:
        """One event."""
        return [dump({"type": "tool_result", "name": name, "result": result})]

    def silence(self) -> list[str]:
        """Nothing: a silent edit ends on its tool's result."""
        return []

    def error(self, message: str, code: int = 0) -> list[str]:
        """An error event, then a frame."""
        told = {"code": code} if code else {}
        return [dump({"type": "error", "message": message, **told}), dump({"error": message, **told})]

    def heartbeat(self) -> str | None:
        """An event, an empty data: line and a comment in turn."""
        return next(self._beats)


class Framework:
    """The agent framework's events; partial texts are deltas, and the whole text follows."""

    def __init__(self) -> None:
        self._invocation = f"e-{secrets.token_hex(8)}"
        self._call = ""
        self._beats: Iterator[str | None] = itertools.cycle((None, ""))

    def text(self, words: str, *, partials: bool = True, last: bool = False) -> list[str]:
        """Deltas, then the whole; the turn's last one has a finish reason."""
        chunks = [self._event([{"text": part}], partial=True) for part in (_pieces(words, 3) if partials else [])]
        return [*chunks, self._event([{"text": words}], **({"finishReason": "STOP"} if last else {}))]

    def thought(self, words: str, *, partials: bool = True) -> list[str]:
        """A part marked as thought, once partial and once whole."""
        part = {"text": words, "thought": True}
        return [*([self._event([part], partial=True)] if partials else []), self._event([part])]

    def call(self, name: str, args: dict[str, Any]) -> list[str]:
        """A function call of the model."""
        self._call = f"adk-{secrets.token_hex(8)}"
        return [self._event([{"functionCall": {"id": self._call, "name": name, "args": args}}], longRunningToolIds=[])]

    def result(self, name: str, result: dict[str, Any]) -> list[str]:
        """A function response: in the user's role, with the agent as its author."""
        return [self._event([{"functionResponse": {"id": self._call, "name": name, "response": result}}], role="user")]

    def silence(self) -> list[str]:
        """An event without parts whose error code is not an error."""
        message = "Model returned no content"
        code = "MODEL_RETURNED_NO_CONTENT"
        return [self._event([], finishReason="STOP", errorCode=code, errorMessage=message)]

    def error(self, message: str, code: int = 0) -> list[str]:
        """An event with an error code, then a frame: one failure, told twice."""
        head = {"errorCode": code or "INTERNAL", "errorMessage": message}
        return [dump({**head, **self._frame()}), dump({"error": message, **({"code": code} if code else {})})]

    def heartbeat(self) -> str | None:
        """A comment and an empty data: line in turn: the framework itself knows no heartbeat."""
        return next(self._beats)

    def _event(self, parts: list[dict[str, Any]], *, role: str = "model", **more: Any) -> str:
        return dump({"content": {"role": role, "parts": parts}, **more, **self._frame()})

    def _frame(self) -> dict[str, Any]:
        return {
            "invocationId": self._invocation,
            "author": AGENT,
            "actions": {"stateDelta": {}, "artifactDelta": {}, "requestedAuthConfigs": {}},
            "id": secrets.token_hex(8),
            "timestamp": time.time(),
        }


def _pieces(words: str, number: int) -> list[str]:
    size = max(1, -(-len(words) // number))
    return [words[start : start + size] for start in range(0, len(words), size)]
