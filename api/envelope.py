"""Around every request: an id, security headers, a bound on JSON bodies, and a net below unexpected faults."""

import asyncio
import re
import time
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from ulid import ULID

from api import counted, gate, incoming, problems
from api.limits import BATCH_JSON_BYTES, JSON_BYTES, MESSAGE_BYTES
from api.problems import Problem
from api.triggers import doorstep
from api.triggers.unverified import bodies
from config.logging import get
from config.settings import settings

log = get(__name__)

UPLOADS = "/v1/uploads"
BATCHES = "/v1/batches"
"""The addresses with large bodies; files they count for themselves."""
JSON = "application/json"
_CATALOGS = re.compile(r"/v1/catalogs(/[^/]+/read)?")
_TRIALS = re.compile(r"/v1/triggers/[^/]+/test")
"""Where an owner tries a shop's message out."""

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": PAGE_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

LINGER_BYTES = 256 * 1000 * 1000
"""A file refused for its format may still be on its way; so may one somewhat over the limit."""
LINGER_SECONDS = 10.0
TOO_SLOW = 408
BROKEN_OFF = 500
"""As which an answer counts that failed half-way, whatever its first line said."""

_REQUEST_ID = re.compile(r"(?!vv_|nmv_)[A-Za-z0-9._-]{1,64}")
"""A caller's own; not one that is a key or a token by mistake, for it is logged."""
_ID = re.compile(r"[a-z]{3}_[0-9a-z]{26}")


class Envelope:
    """The outermost layer of the application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope).get("x-request-id", ""))
        scope.setdefault("state", {})["request_id"] = request_id
        answered: dict[str, int] = {}
        body = _Body(receive, scope)
        receive = body.receive

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                answered["status"] = message["status"]
                _add_headers(MutableHeaders(scope=message), request_id, scope.get("answer_headers", {}))
            await send(message)

        started = time.monotonic()
        with structlog.contextvars.bound_contextvars(request=request_id), ExitStack() as in_hand:
            try:
                incoming.check(scope)
                await gate.admit(scope)
                if doorstep.concerns(scope):
                    receive = await doorstep.take_in(scope, receive, in_hand.enter_context(bodies.one()))
                elif (most := _most(scope)) is not None:
                    receive = await _in_time(scope, receive, most)
                await self._app(scope, receive, sending)
            except Problem as problem:
                await problems.response(problem, request_id)(scope, receive, sending)
            except ClientDisconnect:
                # Gone; or still there, with chunks that cannot be read: then it hears why.
                if not answered:
                    await problems.response(Problem("request.cut"), request_id)(scope, receive, sending)
                _note(scope, answered["status"], started)
                return
            except Exception:  # a bug of ours: the caller gets a problem with the id under which the log has it
                log.exception("request.fault", method=scope["method"], path=_shown(scope))
                if answered:
                    _note(scope, BROKEN_OFF, started)
                    raise  # half an answer is out: the connection has to break, or it would look whole
                await problems.response(Problem("internal"), request_id)(scope, receive, sending)
            in_hand.close()
            _note(scope, answered.get("status", 0), started)
            if answered.get("status") != TOO_SLOW:
                await body.linger()


class _Body:
    """The request's body, which is read to its end also where it was refused.

    A server that answers and closes while the client still sends resets the connection, and the client, deaf while it
    talks, may never see the answer.
    """

    def __init__(self, receive: Receive, scope: Scope) -> None:
        self._receive = receive
        self._over = scope["method"] in ("GET", "HEAD")

    async def receive(self) -> Message:
        """The next message of the request."""
        message = await self._receive()
        self._over = message["type"] != "http.request" or not message.get("more_body", False)
        return message

    async def linger(self) -> None:
        """Take what still comes, within bounds, and throw it away."""
        left = LINGER_BYTES
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                while not self._over and left > 0:
                    left -= len((await self.receive()).get("body", b""))
        except TimeoutError:
            return


def _request_id(given: str) -> str:
    return given if _REQUEST_ID.fullmatch(given) else f"req_{str(ULID()).lower()}"


def _add_headers(headers: MutableHeaders, request_id: str, more: Mapping[str, str]) -> None:
    headers["X-Request-Id"] = request_id
    headers.update(more)
    for name, value in SECURITY.items():
        headers.setdefault(name, value)
    headers.setdefault("Cache-Control", "no-store")


def _note(scope: Scope, status: int, started: float) -> None:
    """One line for each change and each fault; reads are too many to be worth one. All are counted."""
    counted.answered(scope, status, time.monotonic() - started)
    if scope["method"] not in ("GET", "HEAD") or status >= 500:
        milliseconds = round((time.monotonic() - started) * 1000)
        log.info("request.done", method=scope["method"], path=_shown(scope), status=status, ms=milliseconds)


def _shown(scope: Scope) -> str:
    """The path for the log: as its route has it, with an id that can be one. People paste keys into addresses."""
    route = scope.get("route")
    if route is None:
        return "…"
    given = str(scope.get("path_params", {}).get("id", ""))
    return route.path_format.replace("{id}", given if _ID.fullmatch(given) else "…")


def _most(scope: Scope) -> int | None:
    """How long the body may be; None where the address takes it as a stream."""
    if scope["path"] == UPLOADS:
        return None
    if scope["method"] == "POST" and _CATALOGS.fullmatch(scope["path"]) and _declared(scope) not in ("", JSON):
        return None
    if scope["path"] == BATCHES and scope["method"] == "POST":
        return BATCH_JSON_BYTES if _declared(scope) == JSON else None
    if scope["method"] == "POST" and _TRIALS.fullmatch(scope["path"]):
        return MESSAGE_BYTES
    return JSON_BYTES


def _declared(scope: Scope) -> str:
    return Headers(scope=scope).get("content-type", "").partition(";")[0].strip().lower()


async def _in_time(scope: Scope, receive: Receive, most: int) -> Receive:
    """As `_whole_body`; raises Problem `request.timeout` too, for a body that does not end."""
    # A longer one over the same slow line.
    seconds = settings().waits.request_body_seconds.total_seconds() * max(most // JSON_BYTES, 1)
    try:
        async with asyncio.timeout(seconds):
            return await _whole_body(scope, receive, most)
    except TimeoutError:
        raise Problem("request.timeout", f"The body was not complete after {seconds:g} s.") from None


async def _whole_body(scope: Scope, receive: Receive, most: int) -> Receive:
    """Read the body up to the bound, and give it to the application as one message.

    Raises Problem `request.too_large`, and ClientDisconnect when the rest never came.
    """
    declared = Headers(scope=scope).get("content-length", "")
    if declared.isdecimal() and int(declared) > most:
        raise Problem("request.too_large", f"{declared} bytes; {most} are taken.")
    body, more = bytearray(), scope["method"] not in ("GET", "HEAD")
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > most:
            raise Problem("request.too_large", f"More than {most} bytes.")
        more = message.get("more_body", False)
    whole: list[dict[str, Any]] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

    async def replay() -> Message:
        return whole.pop() if whole else await receive()

    return replay
