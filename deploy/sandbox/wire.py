"""Answers on the wire: the three envelopes, refusals, and closing a connection in the middle."""

import asyncio
import json
from typing import Any, cast

from starlette.responses import Response
from starlette.types import Scope, Send

from .errors import Refusal
from .settings import Settings

STATUS_OF_CODE = {1001: 401, 1002: 404, 2001: 402, 4001: 415, 4002: 413, 4005: 422}


def dump(value: Any) -> str:
    """Compact JSON with every character as it is."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def answer(settings: Settings, data: dict[str, Any]) -> Response:
    """A success in the envelope that is switched on."""
    return answer_text(settings, dump(data))


def answer_text(settings: Settings, data: str) -> Response:
    """Like `answer`, for data that is JSON text already, so that its bytes stay as they are."""
    match settings.envelope:
        case "code":
            body = f'{{"code":0,"message":"success","data":{data}}}'
        case "success":
            body = f'{{"success":true,"data":{data}}}'
        case _:
            body = data
    return Response(body, media_type="application/json")


def refusal_answer(settings: Settings, refusal: Refusal) -> Response:
    """The refusal as a page, as plain JSON without a code, or in the envelope that is switched on."""
    status = refusal.status
    if status is None:
        status = STATUS_OF_CODE.get(refusal.code or 0, 400) if settings.error_status == "http" else 200
    if refusal.html:
        page = f"<html><head><title>{status}</title></head><body><h1>{status} {refusal.message}</h1></body></html>"
        return Response(page, status, refusal.headers, "text/html")
    if refusal.code is None:
        return Response(dump({"detail": refusal.message}), status, refusal.headers, "application/json")
    body: dict[str, Any] = {"code": refusal.code, "message": refusal.message, "data": refusal.data}
    if settings.envelope == "success":
        body = {"success": False, "error": refusal.message, **body}
    return Response(dump(body), status, refusal.headers, "application/json")


class Connection:
    """The TCP connection below one request, for misbehaviour no response can express."""

    def __init__(self, cycle: Any) -> None:
        self._cycle = cycle

    @property
    def gone(self) -> bool:
        """Whether the client has gone away."""
        return bool(self._cycle.disconnected)

    async def cut(self) -> None:
        """Deliver what was sent so far, then close in the middle of the response."""
        self._cycle.transport.close()
        while not self._cycle.disconnected:  # noqa: ASYNC110 - uvicorn must see the loss first, or it would answer 500
            await asyncio.sleep(0.01)


def connection_of(scope: Scope) -> Connection:
    """The connection that `remember_connection` put into the scope."""
    return cast("Connection", scope["sandbox.connection"])


def remember_connection(scope: Scope, send: Send) -> None:
    """Keep the server's own request cycle, which `send` is a bound method of."""
    scope["sandbox.connection"] = Connection(cast("Any", send).__self__)
