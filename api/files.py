"""Stored files as answers: whole, in part, by name only, or as a fresh signed address."""

import re
from collections.abc import Iterator
from datetime import timedelta
from functools import lru_cache

from fastapi import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from api.problems import Problem
from config.logging import get
from config.settings import settings
from worker.media.storage import Storage, StorageError, open_storage
from worker.renders import purge

log = get(__name__)

SIGNED_FOR = timedelta(minutes=15)
"""Long enough to begin a download; a signature is checked at its start only."""

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


@lru_cache(maxsize=1)
def storage() -> Storage:
    """This process's storage, opened at first use."""
    return open_storage(settings().servers.storage)


def clear_doomed() -> None:
    """Delete what the last purge left, now; what cannot be deleted now, housekeeping deletes."""
    try:
        purge.clear(storage())
    except StorageError as error:
        log.info("files.left", error=type(error).__name__)


def serve(request: Request, key: str, *, size: int, etag: str, media_type: str, name: str) -> Response:
    """The object under `key` (`size` bytes) as this request wants it: 200, 206, 302, 304 or 416.

    Raises Problem `range.unsatisfiable`, NotStored, StorageUnavailable.
    """
    # A signature is for GET alone: HEAD is answered from what is known.
    signed = storage().signed_url(key, SIGNED_FOR) if request.method == "GET" else None
    if signed is not None:
        return RedirectResponse(signed, status_code=302, headers={"Cache-Control": "no-store"})
    headers = {
        "ETag": f'"{etag}"',
        "Accept-Ranges": "bytes",
        # The address stays while a later run may put another file behind it: asked again, answered 304.
        "Cache-Control": "private, no-cache",
        "Content-Disposition": f'inline; filename="{name}"',
    }
    if _matches(request.headers.get("if-none-match", ""), etag):
        return Response(status_code=304, headers=headers)
    start, end = _wanted(request, etag, size)
    status = 200
    if (start, end) != (0, size) or _asked(request, etag):
        status = 206
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    headers["Content-Length"] = str(end - start)
    if request.method == "HEAD":
        storage().head(key)
        return Response(status_code=status, headers=headers, media_type=media_type)
    pieces: Iterator[bytes] = storage().read(key, start, end)
    return StreamingResponse(pieces, status_code=status, headers=headers, media_type=media_type)


def _matches(header: str, etag: str) -> bool:
    tags = [tag.strip().removeprefix("W/").strip('"') for tag in header.split(",")]
    return etag in tags or "*" in tags


def _asked(request: Request, etag: str) -> re.Match[str] | None:
    """The one range asked for. Several, other units and a stale If-Range get the whole file (RFC 9110, 14.2)."""
    if request.headers.get("if-range", f'"{etag}"').strip('"') != etag:
        return None
    found = _RANGE.fullmatch(request.headers.get("range", "").replace(" ", ""))
    if found is None or found[1] == found[2] == "" or (found[1] and found[2] and int(found[2]) < int(found[1])):
        return None
    return found


def _wanted(request: Request, etag: str, size: int) -> tuple[int, int]:
    found = _asked(request, etag)
    if found is None:
        return 0, size
    first, last = found[1], found[2]
    start = int(first) if first else max(size - int(last), 0)
    end = min(int(last) + 1, size) if first and last else size
    if start >= size or (not first and int(last) == 0):
        raise Problem(
            "range.unsatisfiable", f"The file has {size} bytes.", headers={"Content-Range": f"bytes */{size}"}
        )
    return start, end


def picture_type(key: str) -> str:
    """The media type of a poster by its key's ending."""
    return {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp"}.get(key.rpartition(".")[2], "image/jpeg")
