"""Ten of the largest files at once, and one that is cut: memory, megabytes a second, nothing mixed up, nothing left.

The files begin as MP4 does and go on as noise, so no two pieces are alike; they are made while they are sent.
"""

import hashlib
import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
from sqlalchemy import select

from config.settings import settings
from tests.bench.figures import percentile
from tests.bench.ground import Ground
from tests.bench.meter import Watch, look
from tests.bench.report import Report
from tests.stack import until
from worker.database import transact
from worker.media.storage import open_storage
from worker.renders.models import Upload

PIECE = 1_000_000


@dataclass(frozen=True)
class Size:
    """How much is sent."""

    files: int
    bytes: int
    repeats: int


FULL = Size(10, 200_000_000, repeats=3)
QUICK = Size(3, 3_000_000, repeats=1)


class File:
    """A file of that size, told from the others by its number; its pieces come from memory."""

    noise = os.urandom(PIECE)

    def __init__(self, number: int, size: int) -> None:
        self.size = size
        head = b"\0\0\0\x18ftypisom\0\0\x02\0isommp42" + struct.pack(">I4sQ", size - 24, b"mdat", number)
        self._first = head + self.noise[len(head) :]
        digest = hashlib.sha256()
        for piece in self.pieces():
            digest.update(piece)
        self.sha256 = digest.hexdigest()

    def pieces(self) -> Iterator[bytes]:
        """All of it, in order."""
        yield self._first
        for _ in range(self.size // PIECE - 1):
            yield self.noise


def measure(report: Report, ground: Ground, pid: int) -> None:
    """Send them, cut one, and print the figures."""
    size = QUICK if report.quick else FULL
    files = [File(number, size.bytes) for number in range(size.files)]
    before = look(pid)
    report.say(f"{size.files} files of {size.bytes / 1e6:.0f} MB at once, {size.repeats} times")
    rounds = [_round(report, ground, pid, files) for _ in range(size.repeats)]
    report.table(("MB/s", "bare", "share", "peak MB", "threads", "other calls p50 ms", "max"), rounds)
    report.say("(bare: the same bytes hashed and written by as many threads)")
    report.say(f"resident MB before {before.resident:.0f}, after {look(pid).resident:.0f}")
    _check(report, ground, files, size.repeats)
    _cut(report, ground, files[0])


def _round(report: Report, ground: Ground, pid: int, files: list[File]) -> list[float]:
    """One time all of them: what the table shows of it."""
    total = sum(file.size for file in files) / 1e6
    with ThreadPoolExecutor(len(files)) as pool, Watch(pid) as watch, Others(ground) as others:
        began = time.monotonic()
        answers = list(pool.map(lambda file: _send(ground, file), files))
        rate = total / (time.monotonic() - began)
    named = {answer["id"] for answer in answers}
    whole = sum(answer["sha256"] == file.sha256 for answer, file in zip(answers, files, strict=True))
    report.aim("uploads with ids of their own, all complete", whole, whole == len(named) == len(files), str(len(files)))
    bare = total / _written(ground.home / "bare", files)
    times = [one * 1000 for one in others.took]
    return [rate, bare, rate / bare, watch.peak.resident, watch.peak.threads, percentile(times, 0.5), max(times)]


def _send(ground: Ground, file: File) -> dict[str, str]:
    headers = ground.headers | {"Content-Length": str(file.size)}
    answer = httpx.post(f"{ground.api}/v1/uploads", content=file.pieces(), headers=headers, timeout=300)
    answer.raise_for_status()
    return answer.json()


def _written(directory: Path, files: list[File]) -> float:
    """Seconds that a bare program takes to hash the same bytes and write them to the same disk."""
    directory.mkdir(exist_ok=True)

    def write(place: int) -> None:
        digest = hashlib.sha256()
        with (directory / str(place)).open("wb") as out:
            for piece in files[place].pieces():
                digest.update(piece)
                out.write(piece)

    began = time.monotonic()
    with ThreadPoolExecutor(len(files)) as pool:
        list(pool.map(write, range(len(files))))
    took = time.monotonic() - began
    for path in directory.iterdir():
        path.unlink()
    return took


class Others:
    """Somebody else, who asks for a page of renders ten times a second meanwhile."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self.took: list[float] = []
        """Seconds each."""

    def __enter__(self) -> "Others":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _ask(self) -> None:
        with httpx.Client(base_url=self._ground.api, headers=self._ground.headers, timeout=60) as client:
            while not self.took or not self._stop.wait(0.1):
                began = time.monotonic()
                client.get("/v1/renders?limit=1").raise_for_status()
                self.took.append(time.monotonic() - began)


def _check(report: Report, ground: Ground, files: list[File], repeats: int) -> None:
    """What lies in the storage is what was sent, byte for byte, and nothing lies beside it."""
    storage = open_storage(settings().servers.storage)
    rows = transact(lambda session: session.scalars(select(Upload)).all())
    stored: list[str] = []
    for row in rows:
        digest = hashlib.sha256()
        for piece in storage.read(row.storage_key):
            digest.update(piece)
        stored.append(digest.hexdigest())
    same = sorted(stored) == sorted(file.sha256 for file in files for _ in range(repeats))
    report.aim("stored files equal to those sent", len(stored), same, str(len(files) * repeats))
    report.aim("part-files left", _parts(ground), _parts(ground) == 0, "0")


def _cut(report: Report, ground: Ground, file: File) -> None:
    """Half a file, and then the client is gone."""
    before = _on_disk(ground)
    with socket.create_connection(("127.0.0.1", ground.port)) as connection:
        head = f"POST /v1/uploads HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {ground.key}\r\n"
        connection.sendall(f"{head}Content-Length: {file.size}\r\n\r\n".encode())
        for piece, _ in zip(file.pieces(), range(max(file.size // PIECE // 2, 1)), strict=False):
            connection.sendall(piece)
        until(lambda: _parts(ground), what="the part-file")
    until(lambda: _parts(ground) == 0, what="the end of the part-file")
    after = _on_disk(ground)
    report.aim("files on disk after an upload that was cut", len(after), after == before, str(len(before)))


def _parts(ground: Ground) -> int:
    return len(list((ground.home / "receiving").iterdir()))


def _on_disk(ground: Ground) -> dict[Path, int]:
    """Every file that the intake received or stored, with its size."""
    roots = (ground.home / "receiving", ground.home / "results")
    return {path: path.stat().st_size for root in roots for path in root.rglob("*") if path.is_file()}
