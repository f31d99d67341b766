"""A thousand callers that wait for the end of their render (`Prefer: wait=60`) on one intake process."""

import time
from dataclasses import dataclass
from typing import Any

import psutil
from sqlalchemy import text

from tests.bench import renders
from tests.bench.figures import percentile
from tests.bench.ground import Ground
from tests.bench.load import PATIENCE_SECONDS, Asking, Wanted
from tests.bench.meter import Watch, cpu_seconds, look
from tests.bench.report import Cell, Report
from tests.stack import until
from worker.database import transact
from worker.owners.store import FIRST_OWNER, owner
from worker.renders import store

REST_SECONDS = 0.5
AT_REST = 0.1
"""Of a core: the one reader of events looks five times a second."""
PROMPT_SECONDS = 1.0
"""From a render's end to the answer."""


@dataclass(frozen=True)
class Size:
    """How many wait, and how many renders end in a second."""

    waiters: int
    a_second: float


FULL = Size(1000, 50.0)
QUICK = Size(20, 50.0)


def measure(report: Report, ground: Ground) -> None:
    """Once with renders that end one after another, once with all ending in one moment; print the figures."""
    size = QUICK if report.quick else FULL
    report.say(f"{size.waiters} waiters on one intake process; seconds from the commit of the end to the answer")
    turns, once = (_Round(report, ground, size, at_once=at_once) for at_once in (False, True))
    heads = (
        "renders end",
        "p50",
        "p99",
        "longest",
        "MB before",
        "waiting",
        "most",
        "threads before",
        "waiting",
        "most",
    )
    report.table((*heads, "connections waiting"), [turns.cells, once.cells])
    longest = max(turns.late)
    report.timed("answer after the end, longest s, ends in turn", round(longest, 2), longest <= PROMPT_SECONDS, "1")


class _Round:
    """One crowd of waiters, from their asking to the last answer."""

    def __init__(self, report: Report, ground: Ground, size: Size, *, at_once: bool) -> None:
        ids = renders.accept(size.waiters)
        with ground.intake() as pid, Watch(pid) as watch:
            asking = Asking(Wanted("wait", ground.port, ground.key, len(ids), PATIENCE_SECONDS, ids))
            until(lambda: _all_wait(pid, ground.port, len(ids)), 60, what="rest, with everybody waiting")
            waiting, connections = look(pid), _busy_connections()
            ended = _end_at_once(ids) if at_once else _end_in_turn(ids, size.a_second)
            seen = asking.seen()
        answered = sum(state == "canceled" for state in seen.states)
        whole = answered == len(set(seen.ids)) == len(ids) and seen.statuses == {"200": len(ids)}
        report.aim("waiters told the end of their own render", answered, whole, str(len(ids)))
        self.late = [at - ended[id] for id, at in zip(seen.ids, seen.ended_at, strict=True)]
        before, most = watch.before, watch.peak
        self.cells: list[Cell] = ["all at once" if at_once else f"{size.a_second:.0f} a second"]
        self.cells += [percentile(self.late, 0.5), percentile(self.late, 0.99), max(self.late)]
        self.cells += [before.resident, waiting.resident, most.resident]
        self.cells += [before.threads, waiting.threads, most.threads, connections]


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
