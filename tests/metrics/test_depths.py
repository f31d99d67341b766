"""The gauges from the database, read here: what they say of an empty one, and of one that falls silent."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from prometheus_client import CollectorRegistry, generate_latest
from sqlalchemy import make_url, text, update

from deploy.local.postgres import Postgres
from tests.journeys.between import Between, Loss
from tests.metrics.conftest import Scrape
from tests.renders.conftest import a_batch, a_render
from tests.stack import here
from worker.database import ago, transact
from worker.metrics import depths
from worker.renders.models import Render


def _read(gauges: depths.FromDatabase) -> Scrape:
    registry = CollectorRegistry()
    registry.register(gauges)
    return Scrape(generate_latest(registry).decode())


def test_a_kind_without_workers_is_0(fresh_database: str):
    """Not missing: who waits for `== 0` would wait for ever."""
    with here({"VIVIDEO_DATABASE_URL": fresh_database}):
        scrape = _read(depths.FromDatabase())
    assert scrape.sum("vivideo_database_readable") == 1
    assert scrape.zeros("vivideo_workers", "kind") == {"stream", "io", "media"}


def test_what_was_sent_often_is_on_its_way_for_longer(fresh_database: str):
    """As the dispatcher sees it: up to eight intervals, however often."""
    with here({"VIVIDEO_DATABASE_URL": fresh_database, "VIVIDEO_SECRET_KEY": "k" * 40}):
        for sends, age in ((1, 10), (1, 31), (2, 40), (4, 220), (4, 241), (2000, 220), (2000, 241)):
            begun = {"stage": "upload", "status": "running", "started_at": ago(timedelta(seconds=300))}
            a_render(**begun, sends=sends, sent_at=ago(timedelta(seconds=age)))
        scrape = _read(depths.FromDatabase())
    found = {state: scrape.sum("vivideo_queue_renders", state=state) for state in ("on_its_way", "due")}
    assert found == {"on_its_way": 4, "due": 3}


def test_lanes_that_stand_still_make_nothing_late(fresh_database: str):
    """A batch that waits for an approval, and a render that waits for its turn, wait for somebody: they are counted,
    and nobody is told that the workers are behind."""
    hour = ago(timedelta(hours=1))
    with here({"VIVIDEO_DATABASE_URL": fresh_database, "VIVIDEO_SECRET_KEY": "k" * 40}):
        a_batch(3, priority="low", held=True)
        transact(lambda s: s.execute(update(Render).values(ready_at=hour)))
        a_render(priority="normal", ready_at=text("'infinity'::timestamptz"))
        a_render(priority="high", ready_at=hour)
        scrape = _read(depths.FromDatabase())
    assert scrape.by("vivideo_lane_renders", "priority") == {"low": 3, "normal": 1, "high": 1}
    late = "vivideo_lane_oldest_wait_seconds"
    assert scrape.zeros(late, "priority") == {"low", "normal"}
    assert scrape.sum(late, priority="high") > 3000


def test_a_database_that_falls_silent_holds_up_no_scrape(database: str, postgres: Postgres):
    """Its first answer came, the second never does, and the connection stays: two scrapes are told within the ten
    seconds that Prometheus waits, and later ones read it again."""
    name = make_url(database).database
    with ThreadPoolExecutor(2) as scrapes, Between(postgres.sockets / ".s.PGSQL.5432") as proxy:
        address = f"postgresql://vivideo@127.0.0.1:{proxy.port}/{name}?gssencmode=disable&sslmode=disable"
        with here({"VIVIDEO_DATABASE_URL": address}):
            trap = proxy.lose(b"WITH RECURSIVE busy", Loss.ANSWER)
            gauges = depths.FromDatabase()
            end = time.monotonic() + 10
            first = scrapes.submit(_read, gauges)
            assert trap.sprung.wait(5)
            for one in (first, scrapes.submit(_read, gauges)):
                scrape = one.result(end - time.monotonic())
                assert (scrape.has("vivideo_database_readable"), scrape.sum("vivideo_database_readable")) == (True, 0)
            assert _read(depths.FromDatabase()).sum("vivideo_database_readable") == 1
