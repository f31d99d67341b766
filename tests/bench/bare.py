"""What PostgreSQL itself takes: the rows of an accepted render, written by prepared statements and nothing else.

    python -m tests.bench.bare ADDRESS CONNECTIONS SECONDS MARK [--notify]

One process per connection, forked before anything connects. Each transaction writes what the intake's writes: the
idempotency key, the render, its first event; with `--notify` it wakes the dispatcher too.
"""

import argparse
import json
import multiprocessing
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from multiprocessing.synchronize import Barrier

import psycopg
from psycopg.types.json import Jsonb

from tests.bench.figures import ROOT

WARM_UP = 20
"""Transactions before the clock starts: psycopg prepares a statement when told to, PostgreSQL plans it five times."""

OWNER = "SELECT id FROM owners WHERE name = 'default'"
LANE = """INSERT INTO lanes (owner_id, priority) VALUES (%s, 'normal')
    ON CONFLICT (owner_id, batch_id, priority, part) DO UPDATE SET priority = 'normal' RETURNING id"""
KEY = """INSERT INTO idempotency_keys (owner_id, route, key, body_hash, resource_id)
    VALUES (%(owner)s, 'POST /v1/renders', %(key)s, %(hash)s, %(id)s)"""
RENDER = """INSERT INTO renders (id, owner_id, lane_id, prompt, language, assets, output, priority, on_unconfirmed,
        external_ref, tags, metadata, hints, event_number)
    VALUES (%(id)s, %(owner)s, %(lane)s, %(prompt)s, 'en', '[]', '{"format": "mp4", "quality": "high"}', 'normal',
        'fail', %(key)s, '{bench,shoes}', %(metadata)s, '[]', 1)"""
EVENT = """INSERT INTO events (owner_id, render_id, run, number, type, data)
    VALUES (%(owner)s, %(id)s, 1, 1, 'render.queued', '{}')"""
NOTIFY = "NOTIFY vivideo_due"


@dataclass(frozen=True)
class Bare:
    """What came of it, in seconds."""

    seconds: float
    latencies: list[float]

    @property
    def rate(self) -> float:
        """Transactions a second."""
        return len(self.latencies) / self.seconds


def insert(address: str, connections: int, seconds: float, mark: str, *, notify: bool = False) -> Bare:
    """Measure, in processes of their own. Raises CalledProcessError."""
    options = ["--notify"] if notify else []
    words = [sys.executable, "-m", "tests.bench.bare", address, str(connections), str(seconds), mark, *options]
    done = subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    return Bare(**json.loads(done.stdout))


def _measure(address: str, connections: int, seconds: float, mark: str, notify: bool) -> Bare:
    forking = multiprocessing.get_context("fork")
    start = forking.Barrier(connections)
    with forking.Pool(connections, _remember, (start,)) as pool:
        orders = [(address, f"{mark}-{place}", seconds, notify) for place in range(connections)]
        parts = pool.starmap(_loop, orders, chunksize=1)
    latencies = [one for part, _ in parts for one in part]
    return Bare(max(took for _, took in parts), latencies)


_start: Barrier


def _remember(start: Barrier) -> None:
    global _start  # a barrier reaches a pool's processes in no other way than by inheritance
    _start = start


def _loop(address: str, mark: str, seconds: float, notify: bool) -> tuple[list[float], float]:
    """Transactions for so many seconds, from the moment that all processes are ready."""
    with psycopg.connect(address, autocommit=True) as connection:
        owner = _one(connection, OWNER)
        lane = _one(connection, LANE, [owner])
        for number in range(WARM_UP):
            _accept(connection, owner, lane, f"{mark}-warm-{number}", notify)
        _start.wait(60)
        began, latencies = time.monotonic(), list[float]()
        while (asked := time.monotonic()) < began + seconds:
            _accept(connection, owner, lane, f"{mark}-{len(latencies)}", notify)
            latencies.append(time.monotonic() - asked)
        return latencies, time.monotonic() - began


def _one(connection: psycopg.Connection, statement: str, parameters: list[object] | None = None) -> object:
    row = connection.execute(statement.encode(), parameters).fetchone()
    assert row is not None, "the database is migrated and its owners are installed"
    return row[0]


def _accept(connection: psycopg.Connection, owner: object, lane: object, key: str, notify: bool) -> None:
    prompt = f"create a 30-second promotional video about running shoe {key}, with upbeat music"
    row = {
        "owner": owner,
        "lane": lane,
        "key": key,
        "id": f"bare_{key}",
        "hash": "0" * 64,
        "prompt": prompt,
        "metadata": Jsonb({"shop": "example", "sku": key}),
    }
    with connection.transaction():
        for statement in (KEY, RENDER, EVENT):
            connection.execute(statement.encode(), row, prepare=True)
        if notify:
            connection.execute(NOTIFY)


def main() -> None:
    """One order from the command line."""
    options = argparse.ArgumentParser(prog="python -m tests.bench.bare")
    options.add_argument("address")
    options.add_argument("connections", type=int)
    options.add_argument("seconds", type=float)
    options.add_argument("mark")
    options.add_argument("--notify", action="store_true")
    wanted = options.parse_args()
    seen = _measure(wanted.address, wanted.connections, wanted.seconds, wanted.mark, wanted.notify)
    json.dump(asdict(seen), sys.stdout)


if __name__ == "__main__":
    main()
