"""What the metrics cost: `python -m tests.metrics.cost [hooks] [queue] [--rows 1000000]`.

`hooks`: the time of all that is counted for one render, in memory and in a prefork pool's files. `queue`: the time of
a look at the database with so many renders queued. The figures in docs/metrics.md are from here.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg

from deploy.local.postgres import Postgres
from deploy.local.servers import Running
from tests.stack import here
from worker import migrations

TIMES = 5_000
LANES = 30


def main() -> None:
    """Measure what is asked for, or all of it."""
    asked = argparse.ArgumentParser()
    asked.add_argument("what", nargs="*", default=["hooks", "queue"])
    asked.add_argument("--rows", type=int, default=1_000_000)
    given = asked.parse_args()
    if "hooks" in given.what:
        _say(f"hooks of a render, in memory: {_hooks():.0f} µs")
        files = {"VIVIDEO_WORKER_KIND": "media", "VIVIDEO_METRICS_PORT": "9"}
        code = "from tests.metrics.cost import _hooks; print(_hooks())"
        made = subprocess.run([sys.executable, "-c", code], env=os.environ | files, capture_output=True, check=True)
        _say(f"hooks of a render, in files: {float(made.stdout):.0f} µs")
    if "queue" in given.what:
        _queue(given.rows)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _hooks() -> float:
    """Microseconds: nine stages, fifteen calls, four messages of the broker, one paid message with 40 events."""
    from datetime import timedelta

    from worker.failures import INTERNAL
    from worker.metrics import stages
    from worker.metrics.declared import BROKER_MESSAGES, INTENTS
    from worker.outcomes import Fault
    from worker.remote import counted
    from worker.remote.stream import StreamEvent, Turn

    class Client:
        @counted.called
        def call(self, call: str) -> None: ...

    held: Any = SimpleNamespace(render=SimpleNamespace(stage="store"), late=timedelta(0))
    work, outcome, client = (
        SimpleNamespace(held=held, began=time.monotonic()),
        Fault(failure=INTERNAL, detail=""),
        Client(),
    )
    event, turn = StreamEvent("text"), Turn("received")

    def send(heard: Any) -> Turn:
        for _ in range(40):
            heard(event)
        return turn

    def render() -> None:
        for _ in range(9):
            stages.ended(work, outcome)
        for _ in range(15):
            client.call("state")
        for _ in range(4):
            BROKER_MESSAGES.labels("io", "sent").inc()
        for _ in range(2):
            stages.asked(work)
            INTENTS.labels("received").inc()
        counted.followed(send, lambda _: None)

    render()
    began = time.process_time()
    for _ in range(TIMES // 10):
        render()
    return (time.process_time() - began) / (TIMES // 10) * 1e6


def _queue(rows: int) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        Running(Postgres(Path(folder) / "pg", durable=False), Path(folder) / "log"),
    ):
        url = Postgres(Path(folder) / "pg", durable=False).url("postgres")
        migrations.upgrade(url)
        with psycopg.connect(url, autocommit=True) as connection, here({"VIVIDEO_DATABASE_URL": url}):
            began = time.monotonic()
            _fill(connection, rows)
            _say(f"{rows:,} renders queued in {LANES} lanes ({time.monotonic() - began:.0f} s)")
            _say(f"a look, just filled: {_look()}")
            connection.execute("VACUUM ANALYZE renders")
            _say(f"a look, after VACUUM: {_look()}")


def _fill(connection: psycopg.Connection, rows: int) -> None:
    connection.execute(
        "INSERT INTO owners (id, name) SELECT 'own_' || n, 'owner ' || n FROM generate_series(1, %s) n", [LANES // 3]
    )
    connection.execute(
        "INSERT INTO lanes (owner_id, priority) SELECT owners.id, p FROM owners,"
        " unnest(ARRAY['high', 'normal', 'low']) p"
        " WHERE owners.id LIKE 'own_%'"
    )
    connection.execute(
        "INSERT INTO renders (id, owner_id, lane_id, priority, prompt, language)"
        " SELECT 'rnd_' || lpad(n::text, 26, '0'), owner_id, lane.id, priority, 'a red kite over the sea', 'en'"
        " FROM (SELECT *, row_number() OVER (ORDER BY id) - 1 AS place, count(*) OVER () AS lanes FROM lanes)"
        " lane,"
        " generate_series(0, %s / lanes - 1) AS k, LATERAL (SELECT k * lanes + place AS n) AS numbered ORDER BY n",
        [rows],
    )


def _look() -> str:
    from worker.metrics import depths

    times: list[float] = []
    for _ in range(15):
        began = time.monotonic()
        under_way, lanes, _workers = depths._read()
        times.append((time.monotonic() - began) * 1000)
    shown = {row["priority"]: row["renders"] for row in lanes}
    return (
        f"median {statistics.median(times):.0f} ms, first {times[0]:.0f} ms; {shown}, {len(under_way)} groups under way"
    )


if __name__ == "__main__":
    main()
