"""Requests and answers as bytes and addresses."""

import json
import os
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

from .errors import Unusable

CHUNK_BYTES = 256 * 1024

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all."""


def at(*names: str) -> str:
    """The address of the resource that the names lead to, one below the other."""
    return "/v1/" + "/".join(quote(name, safe="", errors="replace") for name in names)


def parameters(values: Mapping[str, Any]) -> dict[str, str | list[str]]:
    """Those of a query that are not None."""
    return {name: _parameter(value) for name, value in values.items() if value is not None}


def _parameter(value: Any) -> str | list[str]:
    if isinstance(value, datetime):
        # Without a zone it is this machine's time.
        return value.astimezone(UTC).isoformat()
    return [str(one) for one in value] if isinstance(value, Iterable) and not isinstance(value, str) else str(value)


def as_json(body: Mapping[str, Any]) -> bytes:
    """In ASCII: what is no character the service refuses by its name. Raises Unusable."""
    try:
        return json.dumps(body, default=_plain).encode()
    except (TypeError, ValueError, RecursionError) as problem:
        raise Unusable(f"the request cannot be written as JSON: {problem}") from None


def _plain(value: Any) -> Any:
    """Mappings and sequences of the caller's own."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return list(value)
    raise TypeError(f"{type(value).__name__} has no JSON")


def file_body(
    source: Path, media_type: str = "application/octet-stream", on_progress: Progress | None = None
) -> dict[str, Any]:
    """A file as the body of a call, streamed. Raises OSError."""
    size = source.stat().st_size
    return {
        "headers": {"Content-Length": str(size), "Content-Type": media_type},
        "content": lambda: _chunks(source, size, on_progress),
    }


def _chunks(source: Path, size: int, on_progress: Progress | None) -> Iterator[bytes]:
    """The file's first `size` bytes: one that grows meanwhile is sent as it was announced. Raises OSError."""
    done = 0
    with source.open("rb") as file:
        while done < size and (chunk := file.read(min(CHUNK_BYTES, size - done))):
            yield chunk
            done += len(chunk)
            if on_progress:
                on_progress(done, size)
    if done < size:
        raise OSError(f"{source} became shorter while it was sent")


def file_name(source: Path) -> str:
    """As text that can be sent, whatever bytes it is of."""
    return os.fsencode(source.name).decode("utf-8", "replace")


@contextmanager
def appearing(target: Path) -> Generator[BinaryIO]:
    """A file to write, which stands at `target` once it is whole, and nowhere before. Raises OSError."""
    temporary = target.with_name(f".{uuid.uuid4().hex}.part")
    try:
        with temporary.open("wb") as file:
            yield file
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Lines, which end with LF or CRLF alone: httpx would also break them inside JSON, at U+2028 or U+0085."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line.removesuffix(b"\r").decode("utf-8", "replace") for line in whole)
