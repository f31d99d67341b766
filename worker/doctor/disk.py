"""Room on this machine's disks."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from worker.doctor.findings import Case, Finding, fail, ok, warn

NAME = "disk"
ENOUGH = 5_000_000_000
"""Bytes: a few hundred videos, the logs, and a database that grows."""
LEAST = 500_000_000
"""Bytes: below it, one upload of 200 MB and its copy do not fit."""


def look(case: Case) -> Iterator[Finding]:
    servers = case.settings.servers
    places = {_existing(servers.state_dir.absolute())}
    if (parts := urlsplit(servers.storage)).scheme == "file":
        places.add(_existing(Path(url2pathname(parts.path))))
    for place in sorted(_by_disk(places)):
        yield _room(place)


def _existing(path: Path) -> Path:
    """The path, or the nearest directory above it that is there."""
    return next(one for one in (path, *path.parents) if one.is_dir())


def _by_disk(places: set[Path]) -> set[Path]:
    """One place a disk."""
    return set({place.stat().st_dev: place for place in sorted(places)}.values())


def _room(place: Path) -> Finding:
    free = shutil.disk_usage(place).free
    seen = f"{free / 1e9:,.1f} GB free at {place}"
    if free < LEAST:
        return fail(NAME, seen, "make room: results and uploads can no longer be stored")
    return warn(NAME, seen, "make room before it runs out") if free < ENOUGH else ok(NAME, seen)
