"""Where results, posters and uploads are kept: a local directory or an S3-compatible bucket, by one URL.

`file:///var/lib/vivideo/results` or `s3://bucket/prefix`; credentials, region and endpoint of the latter come from the
standard `AWS_*` environment. The library behind it runs threads of its own, which a fork does not copy: a process that
forks must not use a storage first (its children are told so, instead of hanging).
"""

import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from urllib.parse import urlsplit
from urllib.request import url2pathname

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, S3Store

from worker.media.keys import checked_key

if TYPE_CHECKING:
    from obstore.store import ClientConfig

CHUNK_BYTES = 256 * 1024
"""The longest piece that `read` gives: an answer of the API holds one in memory."""
_PART_BYTES = 8 * 1024 * 1024
"""Of a multipart upload: S3 wants at least 5 MiB, and at most 10,000 parts."""
PARTS = ".parts"
"""In a directory, where files grow before they get their names. No key begins with a dot."""
PART_KEPT = timedelta(hours=6)
"""A part this old belongs to a process that was killed."""
_PARTS_AT_ONCE = 4
"""32 MiB in memory per upload."""
LONGEST_SIGNATURE = timedelta(days=7)
"""S3's limit for a signed URL."""

P = ParamSpec("P")
R = TypeVar("R")


class StorageError(Exception):
    """The tree: NotStored, StorageUnavailable."""


class NotStored(StorageError):
    """There is no object under this key."""

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(f"nothing is stored under {key}")


class StorageUnavailable(StorageError):
    """The storage did not do what it was asked (unreachable, full, refused, no such bucket): worth trying again."""

    def __init__(self, key: str, cause: BaseException) -> None:
        self.key = key
        first_line = str(cause).partition("\n")[0]
        super().__init__(f"the storage failed on {key}: {first_line[:300]}")


@dataclass(frozen=True, slots=True)
class ObjectFacts:
    """One stored object. The etag changes when the bytes do; it is no checksum."""

    bytes: int
    etag: str
    modified: datetime


class Storage:
    """Objects under keys such as `renders/rnd_1/video.mp4`. Safe to share between threads.

    Every method raises ValueError for a key that is none (see `checked_key`) and StorageUnavailable; those that read
    raise NotStored. A reader sees a whole object or none: new bytes appear under their key at once.
    """

    def __init__(self, store: LocalStore | S3Store, root: Path | None) -> None:
        self._store = store
        self._root = root

    def put_file(self, key: str, path: Path, media_type: str | None = None) -> None:
        """Store a file's bytes, streamed. Raises OSError when the file itself cannot be read."""
        with path.open("rb"):  # so that a missing source is never taken for a missing bucket
            if self._root is None:
                self._put(key, path, media_type)
            else:
                self._place(self._root, key, path)

    def put_bytes(self, key: str, data: bytes, media_type: str | None = None) -> None:
        """Store these bytes."""
        self._put(key, data, media_type)

    def head(self, key: str) -> ObjectFacts:
        """Size in bytes, etag, time of the last change."""
        meta = _ask(key, obstore.head, self._store, checked_key(key))
        return ObjectFacts(meta["size"], meta["e_tag"] or "", meta["last_modified"])

    def exists(self, key: str) -> bool:
        try:
            self.head(key)
        except NotStored:
            return False
        return True

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The bytes from `start` up to, not including, `end` (None = to the last), in pieces of at most `CHUNK_BYTES`.

        An `end` behind the last byte is the last byte. Raises NotStored and ValueError (a range that begins behind the
        object's end, or ends before it begins) at the call, StorageUnavailable also while iterating.
        """
        size = self.head(key).bytes
        if not 0 <= start <= size or (end is not None and end < start):
            raise ValueError(f"no such range in an object of {size} bytes")
        end = size if end is None else min(end, size)
        if start == end:
            return iter(())
        found = _ask(key, obstore.get, self._store, key, options={"range": (start, end)})
        return _pieces(key, iter(found.stream(min_chunk_size=CHUNK_BYTES // 2)))

    def open_to_file(self, key: str, path: Path) -> int:
        """Copy an object to a local file, which appears when it is whole; returns its size in bytes."""
        path.parent.mkdir(parents=True, exist_ok=True)
        pieces = self.read(key)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                size = sum(file.write(piece) for piece in pieces)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        return size

    def delete(self, key: str) -> None:
        """Remove an object; removing one that is not there does nothing."""
        with suppress(NotStored):
            _ask(key, obstore.delete, self._store, checked_key(key))

    def sweep(self) -> None:
        """Remove what killed processes left half written in a directory; a bucket has nothing half written."""
        if self._root is not None:
            with suppress(OSError):
                for part in (self._root / PARTS).iterdir():
                    if part.stat().st_mtime < time.time() - PART_KEPT.total_seconds():
                        part.unlink(missing_ok=True)

    def signed_url(self, key: str, expires: timedelta) -> str | None:
        """An address that anyone can GET the object from until it expires; None where the storage is a directory.

        It carries a signature: never log it. Raises ValueError for more than `LONGEST_SIGNATURE`.
        """
        checked_key(key)
        if not isinstance(self._store, S3Store):
            return None
        if not timedelta(0) < expires <= LONGEST_SIGNATURE:
            raise ValueError("a signed address lasts up to seven days")
        return _ask(key, obstore.sign, self._store, "GET", key, expires)

    def _place(self, root: Path, key: str, path: Path) -> None:
        try:
            _ask(key, _copy, path, root / PARTS, root / checked_key(key))
            _make_durable(root, key)
        except (NotStored, OSError) as problem:
            raise StorageUnavailable(key, problem) from None

    def _put(self, key: str, data: Path | bytes, media_type: str | None) -> None:
        # A directory keeps no attributes; there the database knows the media type.
        attributes: Any = {"Content-Type": media_type} if media_type and self._root is None else None
        try:
            _ask(
                key,
                obstore.put,
                self._store,
                checked_key(key),
                data,
                attributes=attributes,
                chunk_size=_PART_BYTES,
                max_concurrency=_PARTS_AT_ONCE,
            )
            if self._root is not None:
                _make_durable(self._root, key)
        except (NotStored, OSError) as problem:  # "not found" at a put: the bucket or the directory
            raise StorageUnavailable(key, problem) from None


def open_storage(url: str) -> Storage:
    """The storage at `file:///…` (made when missing) or `s3://bucket/prefix`. Raises ValueError for another URL.

    Nothing is asked of an S3 server yet. One storage per process, opened after a fork.
    """
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and len(parts.path) > 1:
        root = Path(url2pathname(parts.path))
        try:
            return Storage(LocalStore(root, mkdir=True, automatic_cleanup=True), root)
        except (BaseError, OSError) as problem:
            raise StorageUnavailable(url, problem) from None
    if parts.scheme == "s3" and parts.hostname and "@" not in parts.netloc and not parts.query:
        return Storage(_bucket(parts.netloc, parts.path.strip("/")), None)
    raise ValueError("a storage is file:///directory or s3://bucket/prefix; credentials belong into AWS_* variables")


def _bucket(name: str, prefix: str) -> S3Store:
    endpoints = (os.environ.get(name, "") for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"))
    # Without TLS only where the operator's own endpoint says so; otherwise `AWS_ALLOW_HTTP` and the default decide.
    http = next((endpoint for endpoint in endpoints if endpoint), "").startswith("http://")
    plain: ClientConfig = {"allow_http": True} if http else {}
    return S3Store(
        name,
        prefix=prefix or None,
        # The limit that matters is the one per read; the overall one counts a slow reader's time as well.
        client_options={**plain, "connect_timeout": "5s", "read_timeout": "30s", "timeout": "1h"},
        # Passing faults only: what lasts longer is tried again by the stage, which records it.
        retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=30)},
    )


def _pieces(key: str, stream: Iterator[Any]) -> Iterator[bytes]:
    while (chunk := _ask(key, next, stream, None)) is not None:
        whole = memoryview(chunk)
        for at in range(0, len(whole), CHUNK_BYTES):
            yield bytes(whole[at : at + CHUNK_BYTES])


_first_pid: int | None = None


def _ask(key: str, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run one call of the library and translate its errors.

    The call blocks its thread. In a process patched by gevent that would be every greenlet, so it goes to a thread.
    """
    global _first_pid
    _first_pid = _first_pid or os.getpid()
    if _first_pid != os.getpid():
        raise RuntimeError("a storage was used before this process was forked, which would hang here; use it after")
    try:
        if (monkey := sys.modules.get("gevent.monkey")) and monkey.is_module_patched("threading"):
            from gevent import get_hub

            return get_hub().threadpool.apply(call, args, kwargs)
        return call(*args, **kwargs)
    except FileNotFoundError as problem:
        if "NoSuchBucket" in str(problem):
            raise StorageUnavailable(key, problem) from None
        raise NotStored(key) from None
    except (BaseError, OSError) as problem:
        raise StorageUnavailable(key, problem) from None


def _copy(path: Path, parts: Path, place: Path) -> None:
    """By the kernel, and whole or not at all: ten large files at once would be 500 MB of parts in the library's memory,
    much of which a process keeps."""
    for folder in (parts, place.parent):
        folder.mkdir(parents=True, exist_ok=True)
    part = parts / secrets.token_hex(8)
    try:
        shutil.copyfile(path, part)
        part.replace(place)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _make_durable(root: Path, key: str) -> None:
    """Have the bytes and the names that lead to them on disk: what is recorded as stored survives a power cut."""
    path = root / key
    for place in (path, *list(path.parents)[: key.count("/") + 1]):
        handle = os.open(place, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
