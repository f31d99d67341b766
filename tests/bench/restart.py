"""PostgreSQL restarted (fast) under load: renders finished a second before and after, and how long nothing ended."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import select

from tests.bench import renders
from tests.bench.kill import QUICK as WAITS
from tests.bench.kill import Ready
from tests.bench.kill import Size as Kind
from tests.bench.report import Report
from tests.stack import until
from worker.database import transact
from worker.renders.models import Render
from worker.renders.states import Status


@dataclass(frozen=True)
class Size:
    """Renders in all, and the seconds over which each rate is taken."""

    renders: int
    window: float


FULL, SMALL = Size(900, 20.0), Size(12, 1.0)
SHORT = Kind(0, 1.0, 0.0, 0.3)
AIM = 0.9
"""Of the rate before."""


def measure(report: Report, home: Path) -> None:
    """Once; print the figures."""
    size = SMALL if report.quick else FULL
    home.mkdir(mode=0o700, parents=True)
    lease = {"VIVIDEO_LEASE_SECONDS": renders.WAITS["VIVIDEO_LEASE_SECONDS"]}
    with Ready(home, SHORT, renders.WAITS | WAITS | lease) as ready:
        ids = renders.accept(size.renders)
        until(lambda: len(_ends(ids)) >= size.renders / 10, 300, what="the first ends")
        began = time.time()
        time.sleep(size.window)  # what is measured: the rate over so many seconds
        stopped = time.time()
        ready.postgres.stop()
        ready.postgres.__enter__()
        back = time.time()
        until(lambda: len(_ends(ids)) == size.renders, 600, what="all ends")
        _tell(report, ready, _ends(ids), (began, stopped, back), size)


def _ends(ids: Sequence[str]) -> list[float]:
    query = select(Render.finished_at).where(Render.id.in_(ids), Render.status == Status.SUCCEEDED.value)
    ends = transact(lambda session: list(session.scalars(query)))
    return sorted((one or datetime.now(UTC)).timestamp() for one in ends)


def _tell(report: Report, ready: Ready, ends: list[float], at: tuple[float, float, float], size: Size) -> None:
    began, stopped, back = at
    again = next((one for one in ends if one > back), back)
    before = _rate(ends, began, stopped)
    after = _rate(ends, again, min(again + size.window, ends[-1]))
    summary = ready.stack.ledger()["summary"]
    twice = summary["executed"] - size.renders
    report.aim("renders that succeeded", len(ends), len(ends) == size.renders, str(size.renders))
    report.aim("messages carried out beyond one each", twice, twice == 0, "0")
    report.say(f"  restart {back - stopped:.1f} s; the first end {again - back:.1f} s after it")
    report.say(f"  {before:.1f} renders a second before, {after:.1f} after")
    share = after / before if before else 0.0
    report.timed("rate after the restart / before", round(share, 2), share >= AIM, str(AIM))


def _rate(ends: list[float], begin: float, end: float) -> float:
    return sum(begin < one <= end for one in ends) / (end - begin) if end > begin else 0.0
