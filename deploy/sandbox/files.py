"""Finished files on their way out, whole or spoilt."""

from pathlib import Path

from starlette.responses import FileResponse, Response
from starlette.types import Receive, Scope, Send

from .errors import Refusal
from .rules import Taken
from .told import http_status
from .wire import connection_of

VIDEO = "video/mp4"


class TruncatedFile(Response):
    """Promises the whole length, sends half, and closes the connection."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self._content = content

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send half of it."""
        head = [(b"content-type", VIDEO.encode()), (b"content-length", str(len(self._content)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        half = self._content[: len(self._content) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})
        await connection_of(scope).cut()


def file_answer(path: str | Path, told: Taken, point: str) -> Response:
    """The file, or what the rules of this point ("download" or "fallback") make of it."""
    if f"{point}_404" in told:
        raise Refusal(None, "Not Found", status=404, html=True)
    if f"{point}_403" in told:
        raise Refusal(None, "Request has expired", status=403, html=True)
    if rule := told.get(f"{point}_5xx"):
        raise http_status(rule, 503)
    if f"{point}_not_video" in told:
        raise Refusal(None, "Please sign in", status=200, html=True)
    if f"{point}_truncated" in told:
        return TruncatedFile(Path(path).read_bytes())
    if f"{point}_short" in told:
        content = Path(path).read_bytes()
        return Response(content[: len(content) // 2], media_type=VIDEO)
    return FileResponse(path, media_type=VIDEO)
