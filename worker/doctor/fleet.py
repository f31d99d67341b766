"""The workers and the dispatcher, as the database sees them."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from typing import Any

import psycopg

from worker.doctor.findings import Case, Finding, fail, ok, warn
from worker.liveness import connection_url

NAME = "workers"
KINDS = ("stream", "io", "media")
REMEMBERED = timedelta(days=1)
"""A worker that fell silent longer ago was most likely taken away."""


@dataclass(frozen=True)
class Seen:
    """A worker process that did not say goodbye."""

    id: str
    kind: str
    version: str
    capacity: int
    silent: timedelta


def look(case: Case) -> Iterator[Finding]:
    settings = case.settings
    url = connection_url(settings.servers.database_url)
    with psycopg.connect(url, connect_timeout=5, options="-c statement_timeout=5s") as connection:
        lease = settings.waits.lease_seconds
        workers = _workers(connection)
        alive = [one for one in workers if one.silent < lease]
        yield from _kinds(alive)
        yield from _silent([one for one in workers if one.silent >= lease])
        yield from _versions(alive)
        yield _dispatchers(connection)
        yield from _circuit(connection)


def _workers(connection: psycopg.Connection) -> list[Seen]:
    rows = connection.execute(
        "SELECT id, kind, version, capacity, now() - seen_at FROM workers"
        " WHERE stopped_at IS NULL AND seen_at > now() - %s::interval ORDER BY id",
        (REMEMBERED,),
    )
    return [Seen(*row) for row in rows.fetchall()]


def _kinds(alive: list[Seen]) -> Iterator[Finding]:
    by_kind: defaultdict[str, list[Seen]] = defaultdict(list)
    for one in alive:
        by_kind[one.kind].append(one)
    for kind in KINDS:
        found = by_kind[kind]
        if not found:
            remedy = f"start a worker of queue {kind} (`vivideo up` starts all three kinds)"
            yield fail(NAME, f"no worker-{kind} lives: its stages wait", remedy)
            continue
        places, last = sum(one.capacity for one in found), max(one.silent for one in found).total_seconds()
        processes = "process" if len(found) == 1 else "processes"
        yield ok(NAME, f"worker-{kind}: {len(found)} {processes}, {places} places, heard of {last:.0f} s ago at most")


def _silent(gone: list[Seen]) -> Iterator[Finding]:
    if gone:
        names = ", ".join(one.id for one in gone[:5])
        seen = f"{len(gone)} fell silent within a day without a goodbye: {names}"
        yield warn(NAME, seen, "what they had in hand was taken over; look at their logs for why")


def _versions(alive: list[Seen]) -> Iterator[Finding]:
    mine, theirs = version("vivideo"), {one.version for one in alive}
    if theirs - {mine}:
        seen = f"versions differ: workers {', '.join(sorted(theirs))}, here {mine}"
        yield warn(NAME, seen, "bring all processes to one version and restart them")


def _circuit(connection: psycopg.Connection) -> Iterator[Finding]:
    """Said only while it is open: then nothing else explains why nothing moves."""
    row = connection.execute(
        "SELECT now() - opened_at, open_until - now(), detail FROM circuits WHERE opened_at IS NOT NULL"
    ).fetchone()
    if row is not None:
        since, left, detail = row[0].total_seconds(), max(0.0, row[1].total_seconds()), row[2]
        seen = f"calls to the backend are held back for {since:.0f} s, the next probe comes in {left:.0f} s: {detail}"
        yield warn(NAME, seen, "look at NEMO_API_URL and the network; it closes by itself once the backend answers")


def _dispatchers(connection: psycopg.Connection) -> Finding:
    """Each holds a connection of its own name."""
    row: Any = connection.execute(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE application_name = 'vivideo-dispatch' AND datname = current_database()"
    ).fetchone()
    if not row[0]:
        return fail(NAME, "no dispatcher is connected: nothing is handed out", "start `python -m worker.dispatch`")
    return ok(NAME, f"dispatcher: {row[0]} connected")
