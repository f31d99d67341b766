"""What the dispatcher alone tells: how the queue stands, what it sent, sent again and took over."""

from collections.abc import Iterator

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

WORKERS = """INSERT INTO workers (id, kind, hostname, pid, version, capacity, seen_at, stopped_at) VALUES
    ('media-believed', 'media', 'nowhere', 1, '0', 10, now() + interval '1 hour', NULL),
    ('io-silent', 'io', 'nowhere', 2, '0', 10, now() - interval '1 hour', NULL),
    ('stream-gone', 'stream', 'nowhere', 3, '0', 10, now(), now())"""


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, database: str, broker_url: str) -> Iterator[Watched]:
    """A dispatcher, and of the workers no more than their rows: one believed to live, one silent, one that left."""
    with Watched(tmp_path_factory.mktemp("alone"), database, broker_url) as running, here(running.environment):
        running.migrate()
        with psycopg.connect(database, autocommit=True) as books:
            books.execute(WORKERS)
        for number in range(3):
            _render("store", number)
        for number in range(2):
            _render("generate", number, worker_id="stream-gone")
        _render("session", 0, worker_id="io-silent")
        transact(lambda session: _accept(session, "high", 0))
        transact(lambda session: [_accept(session, "normal", number) for number in range(2)])
        running.start("dispatcher", "-m", "worker.dispatch")
        until(lambda: running.answers("dispatcher"), 90, what="its port")
        yield running


def _accept(session, priority: str, number: int) -> Render:
    request = NewRender(prompt=f"a lamp, number {number}", language="en", priority=priority)
    return store.accept(session, owner(session, "default").id, request)


def _render(stage: str, number: int, **columns: str) -> None:
    def make(session) -> None:
        row = _accept(session, "low", number)
        begun = {"stage": stage, "status": "running", "started_at": func.now(), **columns}
        session.execute(update(Render).where(Render.id == row.id).values(**begun))

    transact(make)


def _seen(alone: Watched, name: str, value: float, **labels: str) -> Scrape:
    """The scrape in which a series has reached a value; gauges are read anew after ten seconds."""

    def reached() -> Scrape | None:
        scrape = alone.scrape("dispatcher")
        return scrape if scrape.sum(name, **labels) >= value else None

    return until(reached, 60, what=f"{name} {labels} of {value}")


def test_takeovers_are_those_on_record(alone: Watched, database: str):
    """Two from the one that left, one from the silent one, by the words of `recoveries`."""
    scrape = _seen(alone, "vivideo_takeovers_total", 3)
    with psycopg.connect(database) as books:
        rows = dict(books.execute("SELECT why, count(*) FROM recoveries GROUP BY 1").fetchall())
    assert scrape.by("vivideo_takeovers_total", "why") == rows
    assert rows == {"worker stopped": 2, "worker silent for a lease": 1}


def test_what_nobody_claims_is_sent_again_and_counted(alone: Watched):
    """Three messages first, and three more once they are overdue; none failed."""
    _seen(alone, "vivideo_sent_again_total", 3, stage="store")  # at its commit; the messages go out after it
    scrape = _seen(alone, "vivideo_broker_messages_total", 6, queue="media", outcome="sent")
    assert scrape.by("vivideo_sent_again_total", "stage").keys() == {"store"}
    assert scrape.sum("vivideo_broker_messages_total", outcome="failed") == 0


def test_the_gauges_are_the_rows(alone: Watched):
    """By status, by where the next step stands, by lane; and who is believed to live."""
    scrape = _seen(alone, "vivideo_queue_renders", 2, stage="generate", state="due")
    assert scrape.by("vivideo_renders_open", "status", "reason") == {("running", ""): 6, ("queued", ""): 3}
    where = scrape.by("vivideo_queue_renders", "queue", "stage")
    assert where == {("media", "store"): 3, ("stream", "generate"): 2, ("io", "session"): 1}
    assert scrape.by("vivideo_lane_renders", "priority") == {"high": 1, "normal": 2}
    assert scrape.by("vivideo_lanes", "priority") == {"high": 1, "normal": 1}
    assert set(scrape.by("vivideo_lane_oldest_wait_seconds", "priority")) == {"high", "normal"}
    assert scrape.sum("vivideo_queue_overdue_seconds", queue="stream") > 0
    assert scrape.by("vivideo_workers", "kind") == {"media": 1}
    assert scrape.sum("vivideo_database_readable") == 1


@pytest.fixture(scope="module")
def fresh(alone: Watched) -> Scrape:
    """What a dispatcher says that has no database, so that nothing happened to it."""
    nowhere = "postgresql://vivideo@127.0.0.1:1/vivideo"
    alone.start("lost", "-m", "worker.dispatch", VIVIDEO_DATABASE_URL=nowhere)
    until(lambda: alone.answers("lost"), 90, what="its port")
    return alone.scrape("lost")


def test_what_did_not_happen_yet_is_0_and_not_missing(fresh: Scrape):
    """`increase` sees the first of a kind where the series was there before it."""
    begins_at_0(fresh)
    for queue in ("stream", "io", "media"):
        assert {(queue, "sent"), (queue, "failed")} <= fresh.zeros("vivideo_broker_messages_total", "queue", "outcome")


def test_a_database_that_is_away_is_told_and_hides_nothing_old(fresh: Scrape):
    """The process answers at once; its own counts are there, the gauges are not."""
    scrape = fresh
    assert (scrape.has("vivideo_database_readable"), scrape.sum("vivideo_database_readable")) == (True, 0)
    assert not scrape.has("vivideo_renders_open")
    assert scrape.has("vivideo_process_start_time_seconds")


def test_a_taken_port_stops_nobody(alone: Watched):
    """The process says so in its log and works."""
    alone.start("second", "-m", "worker.dispatch", VIVIDEO_METRICS_PORT=str(alone.ports["dispatcher"]))
    log = alone.home / "second.log"
    until(lambda: "metrics.unserved" in log.read_text(), what="the line in the log")
    until(lambda: "dispatcher.started" in log.read_text(), what="its start")
    assert alone.running["second"].poll() is None
