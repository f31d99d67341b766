"""JSON bodies read strictly (RFC 8259): what two parsers could read in two ways is refused."""

import json
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import HTTPException, Request
from fastapi.routing import APIRoute
from starlette.responses import Response

Pairs = list[tuple[str, Any]]


class _Request(Request):
    async def json(self) -> Any:
        """The body. Raises HTTPException, which becomes the problem `request.malformed`."""
        return read(await self.body())


class JsonRoute(APIRoute):
    """A route whose JSON body is read by `read`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The framework's handler, given our request."""
        handle = super().get_route_handler()

        async def handler(request: Request) -> Response:
            return await handle(_Request(request.scope, request.receive))

        return handler


class NotJson(ValueError):
    """Its text says why."""


def read(body: bytes) -> Any:
    """Parse UTF-8 JSON without a byte order mark and without a name given twice. Raises HTTPException."""
    try:
        return parse(body)
    except NotJson as why:
        raise HTTPException(400, f"The body cannot be read as JSON: {why}.") from None


def parse(body: bytes | str) -> Any:
    """As `read`. Raises NotJson."""
    try:
        text = body if isinstance(body, str) else body.decode()
    except UnicodeDecodeError:
        raise NotJson("the body is no UTF-8") from None
    if text.startswith("\ufeff"):
        raise NotJson("the body begins with a byte order mark")
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise NotJson(f"{error.msg}, at character {error.pos}") from None
    except RecursionError:
        raise NotJson("the body is nested too deeply") from None
    except NotJson:
        raise
    except ValueError:
        raise NotJson("a number has too many digits") from None


def _once(pairs: Pairs) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        name, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise NotJson(f"the name {name[:80]!r} is given twice")
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_once)
