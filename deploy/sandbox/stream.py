"""An event stream over HTTP: how events become bytes, and how a stream ends."""

import asyncio
import itertools
from collections.abc import Coroutine
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from .ledger import Ledger
from .rules import Rule, Taken
from .script import Cut, Script
from .settings import Settings
from .turn import Turn, Turns
from .wire import connection_of

HEAD = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]
START = {"type": "http.response.start", "status": 200, "headers": HEAD}
COMMENT = ": keep-alive"


class Frames:
    """Events to bytes, in one of the ways the event stream format allows."""

    def __init__(self, told: Taken) -> None:
        self._end = "\r\n" if "crlf" in told else "\r" if "cr" in told else "\n"
        self._start = "\ufeff" if "bom" in told else ""
        self._many = "multi_data" in told
        self._split = "split_bytes" in told

    def of(self, event: str | None) -> list[bytes]:
        """The chunks of one event; None is a comment."""
        lines = [COMMENT] if event is None else [f"data: {line}" for line in self._lines(event)]
        frame = (self._start + self._end.join([*lines, "", ""])).encode()
        self._start = ""
        return _split_in_letters(frame) if self._split else [frame]

    def _lines(self, event: str) -> list[str]:
        """JSON may be broken after its first and before its last brace."""
        return ["{", event[1:-1], "}"] if self._many and event.startswith("{") else [event]


def _split_in_letters(frame: bytes) -> list[bytes]:
    cuts = [index + 1 for index, byte in enumerate(frame) if byte >= 0xC2][:3] or [len(frame) // 2]
    edges = [0, *cuts, len(frame)]
    return [frame[start:end] for start, end in itertools.pairwise(edges)]


class TurnStream(Response):
    """The answer to an accepted message; it ends the turn, whatever becomes of the connection.

    One task does everything. When the client goes away the server lets it run on, which is what the live backend
    does too, unless the switches say that a lost client cancels its turn.
    """

    def __init__(
        self, settings: Settings, ledger: Ledger, turns: Turns, turn: Turn, script: Script, words: str
    ) -> None:
        super().__init__()
        self._settings = settings
        self._ledger = ledger
        self._turns = turns
        self._turn = turn
        self._script = script
        self._words = words

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream."""
        self._ledger.stream_opened()
        connection = connection_of(scope)
        try:
            if hang := self._turn.told.get("hang"):
                await self._hang(hang, receive, send)
                raise Cut
            if self._settings.on_disconnect == "cancel" or "cancel_on_disconnect" in self._turn.told:
                await _while_connected(self._send(send), receive)
            else:
                await self._send(send)
        except Cut as cut:
            await connection.cut()
            if cut.apply_in is not None:
                await asyncio.sleep(cut.apply_in)
                self._turns.apply(self._turn, self._words)
        finally:
            self._ledger.stream_closed()
            self._turns.end(self._turn)

    async def _send(self, send: Send) -> None:
        frames = Frames(self._turn.told)
        await send(START)
        async for event in self._script.events():
            for chunk in frames.of(event):
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _hang(self, hang: Rule, receive: Receive, send: Send) -> None:
        """Silence until the client goes away or the time is over."""
        if hang.flag("headers", True):
            await send(START)
        if hang.flag("apply", False):
            self._turns.apply(self._turn, self._words)
        await _while_connected(asyncio.sleep(hang.number("seconds", 900.0)), receive)


async def _while_connected(work: Coroutine[Any, Any, None], receive: Receive) -> None:
    """Do the work, and drop it when the client goes away."""

    async def gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    working, watching = asyncio.ensure_future(work), asyncio.ensure_future(gone())
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            await working  # raises what the work raised
    finally:
        working.cancel()
        watching.cancel()
        await asyncio.gather(working, watching, return_exceptions=True)
