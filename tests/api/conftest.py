"""One intake per module, on a database of the module's own."""

from collections.abc import Iterator

import pytest

from tests.api.service import Service, until


@pytest.fixture(scope="module")
def service(database: str, tmp_path_factory: pytest.TempPathFactory, worker_number: int) -> Iterator[Service]:
    """A running intake with its two owners."""
    running = Service(database, tmp_path_factory.mktemp("state"), 21_000 + worker_number * 100)
    running.start()
    try:
        until(lambda: running.first.get("/v1/credits").status_code == 200, why=lambda: running.log)
        yield running
    finally:
        running.close()
