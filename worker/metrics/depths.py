"""Gauges that the database knows: what is open, what is due, what waits in which lane, who works.

Read when somebody scrapes, at most once in `EVERY_SECONDS`, on a connection of its own with short time-outs: a scrape
never waits for the processes' pool, and never burdens a database that is in trouble. Rows are counted up to
`MOST_…`, so that a look costs the same with thirty thousand renders queued and with ten million.
"""

import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, LiteralString

import psycopg
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from psycopg.rows import dict_row

from config.logging import get
from config.settings import settings
from worker.liveness import connection_url
from worker.metrics import declared
from worker.metrics.declared import Read
from worker.renders.queue import MOST_SENDS
from worker.renders.states import QUEUE_OF, Stage, Status

log = get(__name__)

EVERY_SECONDS = 10.0
TIMEOUT_MS = 2000
LOOK_SECONDS = 5.0
"""All statements together, whatever the network does: with two seconds to connect and a scrape that waits for another's
look, within the ten that Prometheus waits."""
MOST_QUEUED = 10_000
MOST_UNDER_WAY = 50_000
"""Rows counted at most, of each priority and of all under way: what is shown as this may be more."""

UNDER_WAY: LiteralString = """
    SELECT stage, status, coalesce(reason, '') AS reason, count(*) AS number, min(due_at) AS due_at, now() AS now,
        CASE WHEN worker_id IS NOT NULL THEN 'in_hand' WHEN ready_at > now() THEN 'later'
            WHEN sent_at >= now() - %(redispatch)s * power(2.0, least(greatest(sends, 1), %(sends)s) - 1)
            THEN 'on_its_way' ELSE 'due' END AS state
    FROM (SELECT *, CASE WHEN worker_id IS NULL AND ready_at <= now() THEN ready_at END AS due_at FROM renders
        WHERE finished_at IS NULL AND (started_at IS NOT NULL OR sent_at IS NOT NULL) LIMIT %(under_way)s) AS under_way
    GROUP BY stage, status, 3, state"""
"""Those begun, and the few new ones that were sent (`ix_renders_under_way`)."""

LANES: LiteralString = """
    WITH RECURSIVE busy AS (
        (SELECT lane_id FROM renders WHERE started_at IS NULL AND finished_at IS NULL ORDER BY lane_id LIMIT 1)
        UNION ALL
        SELECT (SELECT renders.lane_id FROM renders WHERE started_at IS NULL AND finished_at IS NULL
            AND renders.lane_id > busy.lane_id ORDER BY renders.lane_id LIMIT 1)
        FROM busy WHERE busy.lane_id IS NOT NULL)
    SELECT priority, count(*) AS lanes, coalesce(extract(epoch FROM now() - min(head.ready_at)
            FILTER (WHERE paused_at IS NULL AND NOT held AND isfinite(head.ready_at)))::float8, 0) AS oldest,
        (SELECT count(*) FROM (SELECT 1 FROM busy JOIN lanes AS own ON own.id = busy.lane_id, LATERAL (
                SELECT 1 FROM renders WHERE renders.lane_id = busy.lane_id AND started_at IS NULL
                AND finished_at IS NULL OFFSET 0) AS one
            WHERE own.priority = lanes.priority LIMIT %(queued)s) AS counted) AS renders
    FROM busy JOIN lanes ON lanes.id = busy.lane_id,
        LATERAL (SELECT ready_at FROM renders WHERE renders.lane_id = busy.lane_id AND started_at IS NULL
            AND finished_at IS NULL ORDER BY ready_at LIMIT 1) AS head
    GROUP BY priority"""
"""From lane to lane along `ix_renders_new`, as lanes that are empty stay for ever. `OFFSET 0` keeps each count within
its lane: as one join it would read all renders before it stopped. A lane that is paused or held, or whose renders wait
for their turn, waits for somebody: it says nothing of how late the dispatcher is."""

WORKERS: LiteralString = """
    SELECT kind, count(*) AS number FROM workers WHERE stopped_at IS NULL AND seen_at >= now() - %(lease)s
    GROUP BY kind"""

STANDING: LiteralString = """
    SELECT (SELECT count(*) FROM circuits WHERE opened_at IS NOT NULL) AS circuit,
        (SELECT count(*) FROM (
            SELECT 1 FROM intents WHERE watch_at IS NOT NULL LIMIT %(queued)s) AS counted) AS watched,
        (SELECT count(*) FROM (
            SELECT 1 FROM webhook_deliveries WHERE state = 'pending' LIMIT %(queued)s) AS counted) AS webhooks,
        (SELECT count(*) FROM webhook_endpoints WHERE disabled_reason = 'asked' AND deleted_at IS NULL) AS asked,
        (SELECT count(*) FROM webhook_endpoints WHERE disabled_reason = 'gone' AND deleted_at IS NULL) AS gone,
        (SELECT count(*) FROM webhook_endpoints WHERE disabled_reason = 'failing' AND deleted_at IS NULL) AS failing"""


@dataclass
class Samples:
    """Values by labels, of each gauge."""

    found: dict[Read, Counter[tuple[str, ...]] | dict[tuple[str, ...], float]] = field(
        default_factory=dict[Read, "Counter[tuple[str, ...]] | dict[tuple[str, ...], float]"]
    )

    def families(self) -> Iterable[Metric]:
        """As they are scraped."""
        for gauge, values in self.found.items():
            told = GaugeMetricFamily(gauge.name, gauge.told, labels=gauge.labels)
            for labels, value in sorted(values.items()):
                told.add_metric(labels, value)
            yield told


class FromDatabase(Collector):
    """The gauges; where the database cannot be read they are missing, and `vivideo_database_readable` is 0."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until = 0.0
        self._samples = Samples()

    def collect(self) -> Iterable[Metric]:
        """What was read less than `EVERY_SECONDS` ago, or just now."""
        with self._lock:
            if time.monotonic() >= self._until:
                self._samples = _looked()
                self._until = time.monotonic() + EVERY_SECONDS
            return list(self._samples.families())


def _looked() -> Samples:
    try:
        under_way, lanes, workers, (standing,) = _read()
    except (psycopg.Error, OSError) as error:
        log.warning("metrics.unread", error=type(error).__name__)
        return Samples({declared.DATABASE_READABLE: {(): 0}})
    return Samples(
        {
            declared.DATABASE_READABLE: {(): 1},
            **_stages(under_way),
            declared.RENDERS_OPEN: _statuses(under_way, lanes),
            declared.LANES: {(row["priority"],): row["lanes"] for row in lanes},
            declared.LANE_RENDERS: {(row["priority"],): row["renders"] for row in lanes},
            declared.LANE_OLDEST_SECONDS: {(row["priority"],): max(row["oldest"], 0.0) for row in lanes},
            declared.WORKERS: _kinds(workers),
            declared.CIRCUIT_OPEN: {(): standing["circuit"]},
            declared.MESSAGES_WATCHED: {(): standing["watched"]},
            declared.WEBHOOKS_PENDING: {(): standing["webhooks"]},
            declared.WEBHOOK_ENDPOINTS_DISABLED: {(why,): standing[why] for why in ("asked", "gone", "failing")},
        }
    )


Rows = list[dict[str, Any]]


def _read() -> tuple[Rows, Rows, Rows, Rows]:
    waits = settings().waits
    given = {
        "queued": MOST_QUEUED,
        "under_way": MOST_UNDER_WAY,
        "redispatch": waits.redispatch_seconds,
        "sends": MOST_SENDS,
        "lease": waits.lease_seconds,
    }
    with (
        psycopg.Connection[dict[str, Any]].connect(
            connection_url(settings().servers.database_url),
            autocommit=True,
            connect_timeout=2,
            application_name="vivideo-metrics",
            # Every look is by an index; a planner whose statistics are of an emptier table would read all of it.
            options=f"-c statement_timeout={TIMEOUT_MS} -c enable_seqscan=off -c default_transaction_read_only=on",
            row_factory=dict_row,
        ) as connection,
        _bounded(connection),
    ):
        under_way, lanes, workers, standing = (
            connection.execute(statement, given).fetchall() for statement in (UNDER_WAY, LANES, WORKERS, STANDING)
        )
    return under_way, lanes, workers, standing


@contextmanager
def _bounded(connection: psycopg.Connection[Any]) -> Generator[None]:
    """Cut the connection after `LOOK_SECONDS`: the server's time-out says nothing where the server is frozen or its
    answer is lost, and libpq waits for an answer without end."""
    # A descriptor of its own, so that a late cut cannot meet another connection under the same number.
    with socket.socket(fileno=os.dup(connection.fileno())) as line:
        cut = threading.Timer(LOOK_SECONDS, _cut, [line])
        cut.daemon = True
        cut.start()
        try:
            yield
        finally:
            cut.cancel()


def _cut(line: socket.socket) -> None:
    with suppress(OSError):  # the look ended just now
        line.shutdown(socket.SHUT_RDWR)


def _statuses(under_way: Rows, lanes: Rows) -> Counter[tuple[str, ...]]:
    """By status and reason; a queued one may be in both looks, and is counted in its lane."""
    found = Counter[tuple[str, ...]]({(Status.QUEUED.value, ""): sum(row["renders"] for row in lanes)})
    for row in under_way:
        if row["status"] != Status.QUEUED.value:
            found[row["status"], row["reason"]] += row["number"]
    return found


def _kinds(workers: Rows) -> dict[tuple[str, ...], float]:
    """A kind that has none is 0: an alert sees nothing in a series that is gone."""
    return dict[tuple[str, ...], float](dict.fromkeys(_QUEUES, 0.0)) | {
        (row["kind"],): row["number"] for row in workers
    }


def _stages(under_way: Rows) -> Mapping[Read, Any]:
    standing, overdue = Counter[tuple[str, ...]](), dict[tuple[str, ...], float](dict.fromkeys(_QUEUES, 0.0))
    for row in under_way:
        queue = QUEUE_OF[Stage(row["stage"])]
        standing[queue, row["stage"], row["state"]] += row["number"]
        if row["due_at"] is not None:
            late = (row["now"] - row["due_at"]).total_seconds()
            overdue[queue,] = max(overdue[queue,], late)
    return {declared.QUEUE_RENDERS: standing, declared.QUEUE_OVERDUE_SECONDS: overdue}


_QUEUES = tuple((queue,) for queue in dict.fromkeys(QUEUE_OF.values()))
"""Which are the kinds of workers too."""
