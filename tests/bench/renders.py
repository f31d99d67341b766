"""Many renders in flight at once, and what they cost.

The backend is the sandbox with drawing switched off and each stream held open. Everything runs on this machine: real
PostgreSQL (durable), real Valkey, one worker of each kind, one API, one dispatcher.
"""

import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import httpx
from sqlalchemy import func, select, text

from deploy.local.postgres import Postgres
from deploy.local.servers import Running
from deploy.local.valkey import Valkey
from tests.bench.meter import Meter
from tests.bench.report import Report
from tests.stack import Stack, here, until
from worker.database import transact
from worker.owners.store import owner
from worker.renders import store
from worker.renders.models import Render
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


def measure(report: Report, home: Path, renders: int, stream_seconds: float) -> None:
    """Run them and print the figures."""
    with ExitStack() as stack:
        postgres, valkey = Postgres(home / "postgres"), Valkey(home / "valkey")
        database = stack.enter_context(Running(postgres, home / "postgres.log"))
        broker = stack.enter_context(Running(valkey, home / "valkey.log"))
        running = stack.enter_context(Stack(home, postgres.url("postgres"), valkey.broker_url(0), **WAITS))
        stack.enter_context(here(running.environment))
        api = _start(running, stream_seconds)
        idle = idle_latency(running, api)
        single = _one_alone(running)
        meter = Meter(running, {"postgres": _pid(database), "valkey": _pid(broker)})
        report.say(f"one alone took {single:.1f} s; {renders} at once, streams of {stream_seconds:g} s …")
        ids = accept(renders)
        with meter:
            _wait(ids)
        Figures(report, running).show(renders, idle, single, ids, meter)


def _pid(server: Running) -> int:
    assert server.process is not None, "it runs"
    return server.process.pid


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


def accept(count: int) -> list[str]:
    """Accept that many in transactions of 100 at most."""

    def some(size: int) -> list[str]:
        def work(session) -> list[str]:
            mine = owner(session, "default").id
            requests = (NewRender(prompt=f"A 2 second clip of lamp {n}", language="en") for n in range(size))
            return [store.accept(session, mine, request).id for request in requests]

        return transact(work)

    return [one for begin in range(0, count, 100) for one in some(min(100, count - begin))]


def _one_alone(running: Stack) -> float:
    """Median seconds of three renders, one after the other, with nothing else under way."""
    took: list[float] = []
    for _ in range(3):
        ids = accept(1)
        _wait(ids)
        took.append(makespan(ids))
    return statistics.median(took)


def _wait(ids: list[str], patience: float = 600) -> None:
    unfinished = select(func.count()).select_from(Render).where(Render.finished_at.is_(None))
    end = time.monotonic() + patience
    while transact(lambda session: session.execute(unfinished).scalar_one()):
        if time.monotonic() > end:
            raise SystemExit(f"not all of {len(ids)} renders ended within {patience:.0f} s")
        time.sleep(0.5)


def makespan(ids: Sequence[str]) -> float:
    """Seconds from the first acceptance to the last end."""
    statement = text("SELECT extract(epoch FROM max(finished_at) - min(created_at)) FROM renders WHERE id = ANY(:ids)")
    return float(transact(lambda session: session.execute(statement, {"ids": list(ids)}).scalar_one()))


def openings(ids: Sequence[str]) -> list[float]:
    """Seconds that each render's message waited after it could be sent."""
    statement = text(
        "SELECT extract(epoch FROM sent.created_at - ready.created_at) FROM events ready JOIN events sent"
        " USING (render_id) WHERE ready.type = 'render.stage' AND ready.data->>'stage' = 'generate'"
        " AND sent.type = 'render.message_sent' AND render_id = ANY(:ids)"
    )
    return sorted(
        float(row[0]) for row in transact(lambda session: session.execute(statement, {"ids": list(ids)}).all())
    )


def idle_latency(running: Stack, api: str, count: int = 15) -> list[float]:
    """Milliseconds from the intake's answer to the backend's first call for that render, with nothing else to do."""
    key = running.environment["VIVIDEO_API_KEY"]
    took: list[float] = []
    with httpx.Client(base_url=api, headers={"Authorization": f"Bearer {key}"}) as client:
        for number in range(count):
            known = len(running.ledger()["sessions"])
            render = client.post("/v1/renders", json={"prompt": f"A 1 second clip, alone, {number}"})
            answered = time.time()
            render.raise_for_status()
            sessions = until(
                lambda known=known: len(found := running.ledger()["sessions"]) > known and found, what="a session"
            )
            took.append((sessions[-1]["at"] - answered) * 1000)
            path = f"/v1/renders/{render.json()['id']}/cancel"
            client.post(path, json={}).raise_for_status()
            until(lambda path=path: client.get(path.removesuffix("/cancel")).json()["status"] == "canceled")
    return sorted(took[1:])  # the first one also fetches the token


class Figures:
    """All figures of one run."""

    def __init__(self, report: Report, running: Stack) -> None:
        self._report = report
        self._running = running

    def show(self, renders: int, idle: list[float], single: float, ids: Sequence[str], meter: Meter) -> None:
        """Print them."""
        report, took, waited = self._report, makespan(ids), openings(ids)
        self._outcome(renders)
        report.timed("a stream's wait to open, max s", round(waited[-1], 2), waited[-1] <= 5, "5")
        report.say(f"                                p50 {waited[len(waited) // 2]:.2f} s")
        report.timed("makespan / one alone", round(took / single, 3), took <= 1.1 * single, "1.1")
        report.say(f"                                {took:.1f} s / {single:.1f} s")
        stream = meter.peak_rss["stream"]
        report.aim("worker-stream, peak resident MB", round(stream), stream <= 256, "256")
        report.say(f"idle, intake's answer to first call: p50 {statistics.median(idle):.1f} ms, max {idle[-1]:.1f} ms")
        report.say("by process: CPU ms a render, peak MB (proportional)")
        for name, seconds in meter.cpu.items():
            report.say(f"  {name:<12} {seconds * 1000 / renders:7.1f} {meter.peak.get(name, 0):8.0f}")
        ours = sum(seconds for name, seconds in meter.cpu.items() if name not in {"sandbox", "api"})
        report.say(f"CPU a render (workers, dispatcher, database, broker): {ours * 1000 / renders:.1f} ms")

    def _outcome(self, renders: int) -> None:
        """What became of them, by our tables and by the backend's ledger."""
        summary = self._running.ledger()["summary"]
        rows = transact(
            lambda session: session.execute(text("SELECT status, count(*) FROM renders GROUP BY 1")).tuples().all()
        )
        statuses = dict(rows)
        self._report.say(f"renders by status: {statuses}; violations: {summary['violations'] or 'none'}")
        succeeded = statuses.get("succeeded", 0)
        self._report.aim("succeeded", succeeded, succeeded >= renders + 3, f"{renders} and 3 alone")
        most = summary["most_streams"]
        self._report.timed("streams open at once", most, most >= renders, f"{renders}")
