"""The gauges from the database, read here: what they say of an empty one."""

from prometheus_client import CollectorRegistry, generate_latest

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
