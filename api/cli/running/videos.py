"""Finished videos into a directory, a few at a time; what is there already is not fetched again."""

import hashlib
import threading
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from api.cli.running.names import ENDING, Names
from api.cli.running.state import Kept, State
from api.client import Client, ClientError, ManifestLine, NotFound

AT_ONCE = 4
"""More of them seldom fill a line faster, and take the service's connections."""
TRIES = 5
"""Of one video, each with the client's own patience; what fails then is told, and the next run tries again."""


class _Stopped(Exception):
    """The command ends: what is being fetched is dropped."""


@dataclass(frozen=True)
class _Fetched:
    """What came of one video: it is `kept`, and perhaps it was so `before`."""

    kept: Kept
    before: bool


class Videos:
    """The videos of one run. Use as a context: leaving it stops what is being fetched and keeps what is remembered."""

    def __init__(self, client: Client, directory: Path, state: State) -> None:
        self._client, self._directory, self._state = client, directory, state
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="fetch")
        self._stop = threading.Event()
        self._under_way: dict[str, Future[_Fetched]] = {}
        self._settled: dict[str, str] = {}
        self._tries: dict[str, int] = {}
        self.fetched = 0
        self.there = 0
        """Those that were there before."""
        self.missing: dict[str, str] = {}
        """By render, why its video could not be fetched so far."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._pool.shutdown(cancel_futures=True)
        self.settle()
        self._state.write()

    @property
    def waiting(self) -> int:
        """Those not settled yet."""
        return len(self._under_way)

    @property
    def again(self) -> bool:
        """Whether some failed that are worth another try."""
        return any(self._tries.get(one, 0) < TRIES for one in self.missing)

    def want(self, lines: Iterable[ManifestLine]) -> None:
        """Fetch what of a manifest, which must be whole, is finished and not here."""
        names, ours = Names(), self._state.names()
        for line in lines:
            name = names.of(line.ref, line.position)
            if line.status != "succeeded" or line.id in self._under_way or self._tries.get(line.id, 0) >= TRIES:
                continue
            if line.sha256 is None:
                self._failed(line.id, "the service has no video of it", tries=TRIES)
                continue
            if self._settled.get(line.id) == line.sha256:
                continue
            kept = self._state.files.get(line.id)
            name = kept.name if kept else name
            self._under_way[line.id] = self._pool.submit(self._one, line.id, line.sha256, name, kept, ours=name in ours)

    def settle(self) -> None:
        """Take over what the threads have done. Raises OSError: what one file cannot be written for, others cannot."""
        for render_id in [one for one, future in self._under_way.items() if future.done()]:
            future = self._under_way.pop(render_id)
            if future.cancelled():
                continue
            try:
                done = future.result()
            except _Stopped:
                continue
            except ClientError as why:
                self._failed(render_id, str(why), tries=TRIES if isinstance(why, NotFound) else 1)
                continue
            self.missing.pop(render_id, None)
            self.fetched += not done.before
            self.there += done.before
            self._settled[render_id] = done.kept.sha256
            self._state.keep(render_id, done.kept)

    def _failed(self, render_id: str, why: str, *, tries: int) -> None:
        self._tries[render_id] = self._tries.get(render_id, 0) + tries
        self.missing[render_id] = why

    def _one(self, render_id: str, sha256: str, name: str, kept: Kept | None, *, ours: bool) -> _Fetched:
        self._told()
        if kept is not None and kept.stands(self._directory, sha256):
            return _Fetched(kept, before=True)
        path = self._directory / name
        if path.is_file() and self._digest(path) == sha256:
            return _Fetched(_kept(path, sha256), before=True)
        if path.exists() and not ours:  # somebody else's file of that name stays as it is
            path = path.with_name(f"{path.stem}-{render_id}{ENDING}")
        self._client.download_video(render_id, path, self._told)
        return _Fetched(_kept(path, sha256), before=False)

    def _told(self, *_: int) -> None:
        if self._stop.is_set():
            raise _Stopped

    def _digest(self, path: Path) -> str:
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while chunk := file.read(1024 * 1024):
                self._told()
                digest.update(chunk)
        return digest.hexdigest()


def _kept(path: Path, sha256: str) -> Kept:
    found = path.stat()
    return Kept(name=path.name, sha256=sha256, size=found.st_size, mtime_ns=found.st_mtime_ns)
