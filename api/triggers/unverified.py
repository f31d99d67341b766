"""Bodies of messages that nobody has verified yet: so many bytes of them are in this process at once.

Whoever reaches the port may send some. Where they get too many, the longest of those that are still coming in is let
go: a shop's message of some kilobytes is never the longest of a flood, and those that are whole leave room for it. The
event loop's thread alone comes here.
"""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from api.limits import SMALL_MESSAGE_BYTES, UNVERIFIED_BYTES
from api.problems import Problem


class Body:
    """One that comes in, or is in hand until its message is verified, or answered."""

    def __init__(self, bodies: "Bodies") -> None:
        self._bodies = bodies
        self._content = bytearray()
        self._end: asyncio.Timeout | None = None
        self.bytes = 0
        """That count."""
        self.cut = False
        self.content = b""
        """The whole, once it is there."""

    async def read(self, receive: Receive, *, most: int, seconds: float) -> bytes:
        """The whole, which is `content` from there. Raises Problem `request.too_large`, `request.timeout`,
        `trigger.crowded`, and ClientDisconnect when the rest never came."""
        try:
            async with asyncio.timeout(seconds) as self._end:
                await self._read(receive, most)
        except TimeoutError:
            if self.cut:
                raise crowded() from None
            raise Problem("request.timeout", f"The body was not complete after {seconds:g} s.") from None
        finally:
            self._end = None
        self.content, self._content = bytes(self._content), bytearray()
        return self.content

    async def _read(self, receive: Receive, most: int) -> None:
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            chunk: bytes = message.get("body", b"")
            if self.bytes + len(chunk) > most:
                raise Problem("request.too_large", f"More than {most} bytes.")
            if self.cut or not self._bodies.has_room(self, len(chunk)):
                raise crowded()
            self._content += chunk
            self._bodies.count(self, len(chunk))
            more = message.get("more_body", False)

    def verified(self) -> None:
        """It makes room: it counts among its trigger's from here (`threads.in_turn`)."""
        self._bodies.count(self, -self.bytes)

    @property
    def coming(self) -> bool:
        """Whether it is being read still."""
        return self._end is not None and not self.cut

    def let_go(self) -> None:
        """Of what was read nothing is kept, and its reader is woken."""
        assert self._end is not None, "it is coming in"
        self.cut = True
        self._bodies.count(self, -self.bytes)
        self._content.clear()
        self._end.reschedule(asyncio.get_running_loop().time())


class Bodies:
    """All that are in hand."""

    def __init__(self, most: int = UNVERIFIED_BYTES) -> None:
        self.most = most
        self._all: set[Body] = set()
        self.bytes = 0
        """Of all together."""

    @contextmanager
    def one(self) -> Generator[Body]:
        """A place for a body, until its message is answered; bytes of it count until it is verified."""
        body = Body(self)
        self._all.add(body)
        try:
            yield body
        finally:
            self._all.discard(body)
            self.bytes -= body.bytes

    def count(self, body: Body, more: int) -> None:
        """A body has so many bytes more, or less."""
        body.bytes += more
        self.bytes += more

    def has_room(self, body: Body, more: int) -> bool:
        """Whether a body may grow by so many bytes; longer ones that are still coming in make way."""
        while self.bytes + more > room(self.most, body.bytes + more):
            longest = max((one for one in self._all if one.coming), key=lambda one: one.bytes, default=body)
            if longest.bytes <= body.bytes + more:
                return False
            longest.let_go()
        return True


def room(most: int, size: int) -> int:
    """Of `most` bytes those that a body of this size may be among: an eighth is small ones' alone."""
    return most if size <= SMALL_MESSAGE_BYTES else most - most // 8


def crowded() -> Problem:
    """The problem of a message for which there is no room."""
    return Problem("trigger.crowded", "More messages come in at once than there is room for.")


bodies = Bodies()
"""This process's."""
