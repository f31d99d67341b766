"""The gauges from the database, read here: what they say of an empty one, and of one that falls silent."""

import time
from concurrent.futures import ThreadPoolExecutor

from prometheus_client import CollectorRegistry, generate_latest
from sqlalchemy import make_url

from deploy.local.postgres import Postgres
from tests.journeys.between import Between, Loss
from tests.metrics.conftest import Scrape
from tests.stack import here
from worker.metrics import depths


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
