"""What a look of the dispatcher, and a tick, cost with so many renders queued; it must not grow with them.

Each look finds ten streams free and hands out ten renders, which are done before the next: what the index keeps of rows
that are gone is part of what is measured. A tick is the look with all that is done once a second beside it. Nothing is
sent: the broker's share is the same whatever is queued.
"""

import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select, text

from config.logging import setup
from deploy.local.postgres import Postgres
from deploy.local.servers import Running
from tests.bench.figures import percentile
from tests.bench.meter import cpu_seconds
from tests.bench.report import Cell, Report
from tests.stack import here
from worker import migrations
from worker.database import engine, transact
from worker.dispatch import Dispatcher
from worker.renders.sharing import kept_free

OWNERS = 100
PLACES = 10
GROWTH = 3.0
"""A look with the most rows may take so many times the one with a thousand: what it grows by is an index's height, and
a machine's own restlessness."""


@dataclass(frozen=True)
class Size:
    """How much is queued, and how often it is looked at."""

    rows: tuple[int, ...]
    lanes: tuple[int, ...]
    looks: int


FULL = Size((0, 1_000, 100_000, 1_000_000), lanes=(1, 1_000), looks=30)
QUICK = Size((0, 1_000), lanes=(1, 50), looks=5)


def measure(report: Report, home: Path) -> None:
    """Fill, look, and print the figures."""
    size = QUICK if report.quick else FULL
    home.mkdir(mode=0o700)
    setup("bench", level="WARNING")  # each batch that ends has its line
    with ExitStack() as stack:
        postgres = Postgres(home / "postgres")
        stack.enter_context(Running(postgres, home / "postgres.log"))
        url = postgres.url("postgres")
        migrations.upgrade(url)
        given = {"VIVIDEO_DATABASE_URL": url, "VIVIDEO_SECRET_KEY": "k" * 40, "VIVIDEO_LEASE_SECONDS": "3600"}
        stack.enter_context(here(given))
        stack.callback(engine().dispose)
        rows = [row for lanes in size.lanes for row in _in_lanes(report, size, lanes)]
    report.say(f"ms; medians, 99th percentiles and mean CPU of {size.looks}, {PLACES} renders handed out by each")
    report.table(("lanes", "queued", "look", "p99", "CPU", "tick", "p99", "CPU"), rows)
    for lanes in size.lanes:
        looks = [float(row[4]) for row in rows if row[0] == lanes and row[1]]
        growth = looks[-1] / max(looks[0], 1.0)
        report.timed(f"CPU of a look, most rows / fewest, {lanes} lanes", round(growth, 2), growth <= GROWTH, "3")


def _in_lanes(report: Report, size: Size, lanes: int) -> list[list[Cell]]:
    transact(lambda s: _empty(s, lanes))
    there, found = 0, list[list[Cell]]()
    for rows in size.rows:
        began = time.monotonic()
        transact(lambda s, first=there, last=rows: s.execute(_FILL, {"first": first, "last": last, "lanes": lanes}))
        transact(lambda s: s.execute(_OPEN_AGAIN))
        there = rows
        report.say(f"{rows:,} renders in {lanes} lanes ({time.monotonic() - began:.0f} s to write them)")
        course = _Course(0 if not rows else PLACES if lanes == 1 else PLACES - kept_free(PLACES))
        found.append([lanes, rows, *_figures(course.look, size.looks), *_figures(course.tick, size.looks)])
    return found


def _empty(session, lanes: int) -> None:
    for statement in _EMPTY:
        session.execute(text(statement), {"lanes": lanes, "owners": OWNERS, "places": PLACES})


_EMPTY = (
    "TRUNCATE owners, lanes, batches, renders, workers CASCADE",
    "INSERT INTO workers (id, kind, hostname, pid, version, capacity)"
    " VALUES ('s', 'stream', 'here', 1, '1', :places), ('i', 'io', 'here', 1, '1', 100)",
    "INSERT INTO accounts (id, kind, name) VALUES ('acc', 'registered', 'of all')",
    "INSERT INTO owners (id, name) SELECT 'own_' || n, 'owner ' || n FROM generate_series(0, :owners - 1) n",
    "INSERT INTO lanes (owner_id, priority) SELECT id, 'normal' FROM owners WHERE :lanes = 1 AND id = 'own_0'",
    "INSERT INTO batches (id, owner_id, source, state, accepted_at) SELECT 'bat_' || n, 'own_' || n % :owners, 'jsonl',"
    " 'open', now() FROM generate_series(0, :lanes - 1) n WHERE :lanes > 1",
    "INSERT INTO lanes (owner_id, batch_id, priority) SELECT owner_id, id, 'normal' FROM batches",
)

_FILL = text(
    """
    INSERT INTO renders (id, owner_id, lane_id, batch_id, batch_position, prompt, language)
    SELECT 'rnd_' || lpad(n::text, 26, '0'), lane.owner_id, lane.id, lane.batch_id,
        CASE WHEN lane.batch_id IS NOT NULL THEN n + 1 END, 'a red kite over the sea', 'en'
    FROM generate_series(CAST(:first AS int), CAST(:last AS int) - 1) AS n
    JOIN (SELECT *, row_number() OVER (ORDER BY id) - 1 AS place FROM lanes) AS lane ON lane.place = n % :lanes"""
)

_OPEN_AGAIN = text("UPDATE batches SET state = 'open', finished_at = NULL WHERE state = 'finished'")

_DONE = text(
    "UPDATE renders SET started_at = now(), finished_at = now(), status = 'succeeded', stage = 'store'"
    " WHERE sent_at IS NOT NULL AND finished_at IS NULL"
)


def _figures(work: Callable[[], None], count: int) -> tuple[float, float, float]:
    """Milliseconds: the median, the 99th percentile, and the mean of the CPU that this process and PostgreSQL's took.
    What each handed out is done before the next."""
    took: list[float] = []
    cpu = 0.0
    for _ in range(count + 1):
        began, used = time.monotonic(), _cpu_seconds()
        work()
        took.append((time.monotonic() - began) * 1000)
        cpu += (_cpu_seconds() - used) * 1000 if len(took) > 1 else 0.0
        transact(lambda s: s.execute(_DONE))
    del took[0]  # it plans
    return statistics.median(took), percentile(took, 0.99), cpu / count


def _cpu_seconds() -> float:
    """Of this process and of the one of PostgreSQL that serves it: always the same, the pool has one connection."""
    backend = transact(lambda s: s.execute(select(func.pg_backend_pid())).scalar_one())
    return time.process_time() + cpu_seconds(backend)


class _Course:
    """Looks of one dispatcher, each of which hands out so many."""

    def __init__(self, places: int) -> None:
        self._dispatcher = Dispatcher()
        self._places = places

    def look(self) -> None:
        """What it does whenever something may be due, but for the sending."""
        due = transact(lambda s: self._dispatcher._due(s, turns=True))
        assert len(due) == self._places, f"{len(due)} of {self._places}"

    def tick(self) -> None:
        """What it does once a second."""
        self._dispatcher._take_over()
        self._dispatcher._watch()
        self._dispatcher._expire()
        self._dispatcher._keep_batches()
        self.look()
