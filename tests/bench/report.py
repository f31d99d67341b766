"""The figures, each with its aim."""

import os
import platform
import statistics
import sys
import time
from collections.abc import Sequence

import httpx
from sqlalchemy import text

from tests.bench.meter import Meter
from tests.stack import Stack, until
from worker.database import transact


def makespan(ids: Sequence[str]) -> float:
    """Seconds from the first acceptance to the last end."""
    return _number(
        "SELECT extract(epoch FROM max(finished_at) - min(created_at)) FROM renders WHERE id = ANY(:ids)", ids
    )


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


def _number(statement: str, ids: Sequence[str]) -> float:
    return float(transact(lambda session: session.execute(text(statement), {"ids": list(ids)}).scalar_one()))


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


class Report:
    """Prints, and counts the aims missed."""

    def __init__(self, running: Stack, api: str) -> None:
        self._running = running
        self.missed = 0

    def machine(self) -> None:
        """What it ran on."""
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
        self.say(f"{os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}")

    def show(
        self, renders: int, idle: list[float], single: float, took: float, waited: list[float], meter: Meter
    ) -> None:
        """All figures of one run."""
        summary = self._running.ledger()["summary"]
        statuses = transact(
            lambda session: session.execute(text("SELECT status, count(*) FROM renders GROUP BY 1")).all()
        )
        self.say(f"renders by status: {dict(statuses)}; violations: {summary['violations'] or 'none'}")
        succeeded = dict(statuses).get("succeeded", 0)
        self._aim("succeeded", succeeded, succeeded >= renders + 3, f"{renders} and 3 alone")
        self._aim("streams open at once", summary["most_streams"], summary["most_streams"] >= renders, f"{renders}")
        self._aim("a stream's wait to open, max s", round(waited[-1], 2), waited[-1] <= 5, "5")
        self.say(f"                                p50 {waited[len(waited) // 2]:.2f} s")
        self._aim("makespan / one alone", round(took / single, 3), took <= 1.1 * single, "1.1")
        self.say(f"                                {took:.1f} s / {single:.1f} s")
        stream = meter.peak_rss["stream"]
        self._aim("worker-stream, peak resident MB", round(stream), stream <= 256, "256")
        self.say(f"idle, intake's answer to first call: p50 {statistics.median(idle):.1f} ms, max {idle[-1]:.1f} ms")
        self.say("by process: CPU ms a render, peak MB (proportional)")
        for name, seconds in meter.cpu.items():
            self.say(f"  {name:<12} {seconds * 1000 / renders:7.1f} {meter.peak.get(name, 0):8.0f}")
        ours = sum(seconds for name, seconds in meter.cpu.items() if name not in {"sandbox", "api"})
        self.say(f"CPU a render (workers, dispatcher, database, broker): {ours * 1000 / renders:.1f} ms")

    def _aim(self, what: str, value: object, met: bool, aim: str) -> None:
        self.missed += not met
        self.say(f"{what}: {value} (aim {aim}: {'met' if met else 'MISSED'})")

    def say(self, line: str) -> None:
        """A line, at once."""
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
