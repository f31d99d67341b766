"""A thousand callers that wait for the end of their render (`Prefer: wait=60`) on one intake process."""

import time
from dataclasses import dataclass
from typing import Any

import httpx
import psutil
from sqlalchemy import text

from tests.bench import renders
from tests.bench.figures import percentile
from tests.bench.ground import Ground
from tests.bench.load import PATIENCE_SECONDS, Asking, Wanted
from tests.bench.meter import cpu_seconds, look
from tests.bench.report import Cell, Report
from tests.stack import until
from worker.database import transact
from worker.owners.store import FIRST_OWNER, owner
from worker.renders import store

REST_SECONDS = 0.5
AT_REST = 0.1
"""Of a core: the one reader of events looks five times a second."""
PROMPT = 1.0
"""Seconds from a render's end to the answer."""


@dataclass(frozen=True)
class Size:
    """How many wait, and how many renders end in a second."""

    waiters: int
    a_second: float


FULL = Size(1000, 50.0)
QUICK = Size(20, 50.0)


def measure(report: Report, ground: Ground, pid: int) -> None:
    """Once with renders that end one after another, once with all ending in one moment; print the figures."""
    size = QUICK if report.quick else FULL
    report.say(f"{size.waiters} waiters on one intake process; seconds from the commit of the end to the answer")
    before = look(pid)
    turns = _Crowd(ground, pid, size.waiters)
    waiting, busy, other = look(pid), _busy_connections(), _other_call(ground)
    late = turns.late(report, _end_in_turn(turns.ids, size.a_second))
    once = _Crowd(ground, pid, size.waiters)
    late_at_once = once.late(report, _end_at_once(once.ids))
    ends = {f"{size.a_second:.0f} a second": late, "all at once": late_at_once}
    report.table(("renders end", "p50", "p99", "longest"), [_row(how, times) for how, times in ends.items()])
    report.say(f"before: {before.resident:.0f} MB resident, {before.threads} threads")
    report.say(
        f"waiting: {waiting.resident:.0f} MB, {waiting.threads} threads; connections to the database busy: {busy}"
    )
    report.timed("somebody else's read while they wait, s", round(other, 3), other <= PROMPT, "1")
    report.timed("answer after the end, longest s, one after another", round(max(late), 2), max(late) <= PROMPT, "1")


def _row(how: str, times: list[float]) -> list[Cell]:
    return [how, percentile(times, 0.5), percentile(times, 0.99), max(times)]


class _Crowd:
    """So many callers, each waiting for a render of its own, and the intake at rest."""

    def __init__(self, ground: Ground, pid: int, count: int) -> None:
        self.ids = renders.accept(count)
        self._asking = Asking(Wanted("wait", ground.port, ground.key, count, PATIENCE_SECONDS, self.ids))
        until(lambda: _all_wait(pid, ground.port, count), 60, what="rest, with everybody waiting")

    def late(self, report: Report, ended: dict[str, float]) -> list[float]:
        """How long after the end of their render they were told of it; all of them have to be."""
        seen = self._asking.seen()
        told = sum(state == "canceled" for state in seen.states)
        whole = told == len(set(seen.ids)) == len(self.ids) and seen.statuses == {"200": len(self.ids)}
        report.aim("waiters told the end of their own render", told, whole, str(len(self.ids)))
        return [at - ended[id] for id, at in zip(seen.ids, seen.ended_at, strict=True)]


def _other_call(ground: Ground) -> float:
    """Seconds that an ordinary call takes now."""
    began = time.monotonic()
    httpx.get(f"{ground.api}/v1/renders?limit=1", headers=ground.headers, timeout=60).raise_for_status()
    return time.monotonic() - began


def _all_wait(pid: int, port: int, count: int) -> bool:
    """Whether that many are connected and the intake has come to rest: nobody is still on the way to waiting."""
    if sum(one.laddr.port == port and one.status == psutil.CONN_ESTABLISHED for one in _sockets(pid)) < count:
        return False
    before = cpu_seconds(pid)
    time.sleep(REST_SECONDS)
    return cpu_seconds(pid) - before < REST_SECONDS * AT_REST


def _sockets(pid: int) -> list[Any]:
    root = psutil.Process(pid)
    return [one for process in (root, *root.children(recursive=True)) for one in process.net_connections("tcp")]


def _busy_connections() -> int:
    """Connections to the database that are doing something, but for this question's own."""
    busy = text("SELECT count(*) FROM pg_stat_activity WHERE state <> 'idle' AND pid <> pg_backend_pid()")
    return transact(lambda session: session.execute(busy).scalar_one())


def _end_in_turn(ids: list[str], a_second: float) -> dict[str, float]:
    """End the renders at an even pace; when each one's end was committed."""
    began, ended = time.monotonic(), dict[str, float]()
    for place, id in enumerate(ids):
        time.sleep(max(began + place / a_second - time.monotonic(), 0))
        transact(lambda session, id=id: store.cancel(session, owner(session, FIRST_OWNER).id, id))
        ended[id] = time.monotonic()
    return ended


def _end_at_once(ids: list[str]) -> dict[str, float]:
    """End all renders with one commit."""

    def work(session) -> None:
        mine = owner(session, FIRST_OWNER).id
        for id in ids:
            store.cancel(session, mine, id)

    transact(work)
    return dict.fromkeys(ids, time.monotonic())
