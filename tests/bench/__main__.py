"""`make bench`: many renders in flight at once, and what they cost; every figure is printed with its aim, if any.

    python -m tests.bench [--renders 1000] [--stream-seconds 20]

The backend is the sandbox with drawing switched off and each stream held open. Everything runs on this machine: real
PostgreSQL (durable), real Valkey, one worker of each kind, one API, one dispatcher.
"""

import argparse
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import httpx

from deploy.local.postgres import Postgres
from deploy.local.servers import Running
from deploy.local.valkey import Valkey
from tests.bench.meter import Meter
from tests.bench.report import Report, idle_latency, makespan, openings
from tests.stack import Stack, here, until
from worker.database import transact
from worker.owners.store import owner
from worker.renders import store
from worker.renders.store import NewRender

WAITS = {
    "VIVIDEO_EXPORT_POLL_SECONDS": "5",
    "VIVIDEO_SETTLE_SECONDS": "2",
    "VIVIDEO_LEASE_SECONDS": "45",
    "VIVIDEO_REDISPATCH_SECONDS": "30",
    "VIVIDEO_DISPATCH_TICK_SECONDS": "1",
    "VIVIDEO_STREAM_MAX_SECONDS": "900",
    "VIVIDEO_STREAM_IDLE_SECONDS": "120",
    "VIVIDEO_STREAM_SILENCE_SECONDS": "600",
    "VIVIDEO_LOOKUP_FIRST_SECONDS": "30",
    "VIVIDEO_LOOKUP_NEXT_SECONDS": "60",
    "VIVIDEO_STILL_WORKING_SECONDS": "120",
}
"""The contract's values but for the export's and the draft's, so that a run takes a minute."""


def main() -> None:
    """Measure and print."""
    wanted = _options()
    with tempfile.TemporaryDirectory(prefix="vivideo-bench-") as folder, ExitStack() as stack:
        home = Path(folder)
        postgres, valkey = Postgres(home / "postgres"), Valkey(home / "valkey")
        database = stack.enter_context(Running(postgres, home / "postgres.log"))
        broker = stack.enter_context(Running(valkey, home / "valkey.log"))
        running = stack.enter_context(Stack(home, postgres.url("postgres"), valkey.broker_url(0), **WAITS))
        stack.enter_context(here(running.environment))
        api = _start(running, wanted.stream_seconds)
        report = Report(running, api)
        report.machine()
        idle = idle_latency(running, api)
        single = _one_alone(running)
        meter = Meter(running, {"postgres": _pid(database), "valkey": _pid(broker)})
        report.say(f"one alone took {single:.1f} s; {wanted.renders} at once, streams of {wanted.stream_seconds:g} s …")
        ids = _accept(wanted.renders)
        with meter:
            _wait(ids)
        report.show(wanted.renders, idle, single, makespan(ids), openings(ids), meter)
    sys.exit(report.missed)


def _pid(server: Running) -> int:
    assert server.process is not None, "it runs"
    return server.process.pid


def _options() -> argparse.Namespace:
    options = argparse.ArgumentParser(prog="python -m tests.bench", description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--renders", type=int, default=1000)
    options.add_argument("--stream-seconds", type=float, default=20)
    return options.parse_args()


def _start(running: Stack, stream_seconds: float) -> str:
    running.start_sandbox("--stream-seconds", str(stream_seconds), "--export-seconds", "3", "--min-poll-seconds", "5")
    running.migrate()
    running.start("dispatcher", "-m", "worker.dispatch")
    running.start_worker("stream", 1500)
    running.start_worker("io", 200)
    running.start_worker("media", 2)
    api = running.start_api()
    until(lambda: _ready(api), 60, what="the stack")
    return api


def _ready(api: str) -> bool:
    try:
        return httpx.get(f"{api}/readyz").status_code == 200
    except httpx.HTTPError:
        return False


def _accept(count: int) -> list[str]:
    """Accept that many in transactions of 100."""

    def some(session) -> list[str]:
        mine = owner(session, "default").id
        requests = (NewRender(prompt=f"A 2 second clip of lamp {n}", language="en") for n in range(min(100, count)))
        return [store.accept(session, mine, request).id for request in requests]

    return [one for _ in range(max(1, count // 100)) for one in transact(some)]


def _one_alone(running: Stack) -> float:
    """Median seconds of three renders, one after the other, with nothing else under way."""
    took: list[float] = []
    for _ in range(3):
        ids = _accept(1)
        _wait(ids)
        took.append(makespan(ids))
    return statistics.median(took)


def _wait(ids: list[str], patience: float = 600) -> None:
    from sqlalchemy import func, select

    from worker.renders.models import Render

    unfinished = select(func.count()).select_from(Render).where(Render.finished_at.is_(None))
    end = time.monotonic() + patience
    while transact(lambda session: session.execute(unfinished).scalar_one()):
        if time.monotonic() > end:
            raise SystemExit(f"not all of {len(ids)} renders ended within {patience:.0f} s")
        time.sleep(0.5)


if __name__ == "__main__":
    main()
