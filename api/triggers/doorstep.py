"""What is asked of a shop's message before its body is read, and how the body is: anybody may come here, without a key.

Some signature has to be there, of whatever style, and the trigger. WooCommerce's question whether anybody is there has
none: of what is unsigned as many bytes are read as that has.
"""

import re

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope

from api import handlers
from api.limits import MESSAGE_BYTES
from api.problems import Problem
from api.triggers import threads
from api.triggers.door import door
from api.triggers.unverified import Body
from config.settings import settings
from worker.triggers.signatures import PING_BYTES, carries

_MESSAGE = re.compile(r"/v1/triggers/([^/]+)/deliveries$")
"""As the router reads it, for which `$` is before a last line's end too: what it takes has come by here."""
_ID = re.compile(r"trg_[0-9a-z]{26}")


def concerns(scope: Scope) -> bool:
    """Whether the request is a message of a shop's."""
    return scope["method"] == "POST" and _MESSAGE.match(scope["path"]) is not None


async def take_in(scope: Scope, receive: Receive, body: Body) -> Receive:
    """What gives the application an empty body: the whole is `Body.content` in the scope's state, as `message`, so that
    no layer on the way copies it. Raises Problem `trigger.unverified`, `rate.limited`,
    `request.too_large`, `request.timeout`, `trigger.crowded`, `database.unavailable`, and ClientDisconnect."""
    headers = Headers(scope=scope)
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length) > MESSAGE_BYTES:
        raise Problem("request.too_large", f"{length} bytes; {MESSAGE_BYTES} are taken.")
    seconds = settings().waits.message_body_seconds.total_seconds()
    found, peer = _MESSAGE.match(scope["path"]), (scope.get("client") or ("",))[0]
    assert found is not None, "it concerns a message"
    if carries(headers):
        await _knock(found[1], peer)
        await body.read(receive, most=MESSAGE_BYTES, seconds=seconds)
    else:
        await _unsigned(found[1], peer, body, receive, seconds)
    scope["state"]["message"] = body
    empty: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def replay() -> Message:
        return empty.pop() if empty else await receive()

    return replay


async def _knock(trigger_id: str, peer: str) -> None:
    """Raises Problem `trigger.unverified`, `rate.limited`, `database.unavailable`."""
    if door.remembers(trigger_id):
        return
    if not _ID.fullmatch(trigger_id):
        raise door.turned_away("…", peer, "there is no such trigger")  # no id: there is nothing to look up
    try:
        await threads.run(lambda: door.knock(trigger_id, peer))
    except (DBAPIError, PoolTimeout) as error:
        raise handlers.unavailable(error) from error


async def _unsigned(trigger_id: str, peer: str, body: Body, receive: Receive, seconds: float) -> None:
    try:
        await body.read(receive, most=PING_BYTES, seconds=seconds)
    except Problem as problem:
        if problem.code != "request.too_large":
            raise
        shown = trigger_id if door.remembers(trigger_id) else "…"
        raise door.turned_away(shown, peer, "there is no signature") from None
