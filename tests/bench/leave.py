"""A worker asked to leave (SIGTERM) with hundreds of paid streams open: how long until it is gone, and what became of
them."""

import time
from pathlib import Path

from sqlalchemy import func, select

from tests.bench import renders
from tests.bench.kill import QUICK, Ready, Size
from tests.bench.report import Report
from tests.stack import until
from worker.database import transact
from worker.remote.intents import Intent
from worker.renders.models import Recovery, Render

AIM = 10.0
"""Seconds: supervisors kill soon after."""

FULL = Size(500, 60.0, 1.0, 1.0)
SMALL = Size(10, 10.0, 0.2, 0.3)


def measure(report: Report, home: Path) -> None:
    """Open the streams, ask the worker to leave, start another, wait for the last end; print the figures."""
    size = SMALL if report.quick else FULL
    waits = renders.WAITS | {"VIVIDEO_LOOKUP_FIRST_SECONDS": "5"} | (QUICK if report.quick else {})
    home.mkdir(mode=0o700, parents=True)
    with Ready(home, size, waits) as run:
        stack = run.stack
        ids = renders.accept(size.renders)
        until(lambda: stack.ledger()["summary"]["streams"] >= len(ids), 180, what="all streams")
        time.sleep(size.into)  # the streams have begun to be followed
        took = stack.terminate("stream", 60)
        report.timed(f"gone with {len(ids)} streams open, s", round(took, 2), took <= AIM, "10")
        marked = transact(lambda s: s.scalar(select(func.count()).where(Intent.cause == "aborted:drain")))
        report.aim("messages marked as cut by the leaving worker", marked, marked == len(ids), str(len(ids)))
        stack.start_worker("stream", 1500)
        open_ones = select(func.count()).select_from(Render).where(Render.finished_at.is_(None))
        until(lambda: transact(lambda s: s.scalar(open_ones)) == 0, 600, what="the last end")
        succeeded = transact(lambda s: s.scalar(select(func.count()).where(Render.status == "succeeded")))
        summary = stack.ledger()["summary"]
        taken = transact(lambda s: s.scalar(select(func.count()).select_from(Recovery)))
        report.aim("succeeded", succeeded, succeeded == len(ids), str(len(ids)))
        report.aim("messages carried out", summary["executed"], summary["executed"] == len(ids), str(len(ids)))
        report.say(f"  takeovers {taken}; violations: {summary['violations'] or 'none'}")
