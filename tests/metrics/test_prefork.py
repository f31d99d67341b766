"""A pool of several processes counts as one, whatever becomes of its children."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest
from sqlalchemy import func, update

from tests.metrics.conftest import Scrape, Watched, begins_at_0
from tests.stack import here, until
from worker.database import transact
from worker.owners.store import owner
from worker.renders import store
from worker.renders.models import Render
from worker.renders.store import NewRender

BATCH = 12


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory, database: str, broker_url: str) -> Iterator[Watched]:
    """A dispatcher and a media worker with three children; no backend is needed for what they do here."""
    with Watched(tmp_path_factory.mktemp("pool"), database, broker_url) as running, here(running.environment):
        running.environment["VIVIDEO_LEASE_SECONDS"] = "60"  # a takeover is an attempt that no child counts
        running.migrate()
        running.start("dispatcher", "-m", "worker.dispatch")
        running.start_worker("media", 3)
        until(lambda: running.answers("media"), 90, what="the worker's port")
        yield running


def _work() -> None:
    """Renders that are to be stored but have nothing to store: each fails at its third attempt."""

    def make(session) -> None:
        for number in range(BATCH):
            request = NewRender(prompt=f"a lamp, number {number}", language="en")
            row = store.accept(session, owner(session, "default").id, request)
            session.execute(update(Render).where(Render.id == row.id).values(stage="store", started_at=func.now()))

    transact(make)


def _ended(database: str) -> int:
    with psycopg.connect(database) as books:
        (ended,) = books.execute("SELECT count(*) FROM renders WHERE error_code = 'internal'").fetchone() or (0,)
    return ended


def _told(pool: Watched, database: str, runs: int) -> Scrape:
    """What the pool says once the books have so many ends: a child counts after its commit."""
    until(lambda: _ended(database) >= runs, 60, what=f"{runs} ends in the books")
    until(lambda: pool.scrape("media").sum("vivideo_runs_ended_total") >= runs, 30, what=f"{runs} ends counted")
    return pool.scrape("media")


def _is_as_on_record(scrape: Scrape, database: str) -> int:
    """Compare with the attempts; how many processes made them."""
    with psycopg.connect(database) as books:
        rows = books.execute("SELECT stage, outcome, count(*) FROM attempts GROUP BY 1, 2").fetchall()
        (makers,) = books.execute("SELECT count(DISTINCT worker_id) FROM attempts").fetchone() or (0,)
    assert scrape.by("vivideo_stage_seconds_count", "stage", "outcome") == {
        (stage, outcome): count for stage, outcome, count in rows
    }
    assert scrape.by("vivideo_runs_ended_total", "status", "code") == {("failed", "internal"): _ended(database)}
    return makers


def test_the_sum_over_the_children_survives_their_death(pool: Watched, database: str):
    """Three children, then two of them killed and replaced: the sums are those of the books, before and after, and the
    port is still the main process's; a clean end leaves no file behind."""
    begins_at_0(pool.scrape("media"))
    _work()
    before = _told(pool, database, BATCH)
    assert _is_as_on_record(before, database) > 1
    assert before.sum("vivideo_stage_seconds_count", outcome="fault") == 2 * BATCH
    assert before.by("vivideo_build_info", "process") == {"worker-media": 1}

    main = psutil.Process(pool.running["media"].pid)
    files = _directory(main)
    assert files.stat().st_mode & 0o777 == 0o700
    children = main.children()
    for child in children[:2]:
        os.kill(child.pid, signal.SIGKILL)
    until(lambda: len(_new(main, children)) == 2, what="children in their place")
    assert pool.scrape("media").by("vivideo_runs_ended_total", "code") == {"internal": BATCH}

    _work()
    after = _told(pool, database, 2 * BATCH)
    assert _is_as_on_record(after, database) > 3
    assert len(list(files.glob("counter_*.db"))) <= 4, "a file for each place and one for the main process"
    until(lambda: not any(_listens(child, pool.ports["media"]) for child in main.children()), what="children deaf")

    pool.terminate("media")
    assert not files.exists()
    with pytest.raises(httpx.ConnectError):
        pool.scrape("media")


def _directory(process: psutil.Process) -> Path:
    """Where its counts are mapped from."""
    (found,) = {Path(one.path).parent for one in process.memory_maps() if "/vivideo-metrics-" in one.path}
    return found


def _new(main: psutil.Process, before: list[psutil.Process]) -> list[psutil.Process]:
    return [child for child in main.children() if child not in before]


def _listens(process: psutil.Process, port: int) -> bool:
    return any(one.laddr.port == port for one in process.net_connections() if one.status == psutil.CONN_LISTEN)
