"""An intake for the tests of the load generator."""

from collections.abc import Iterator

import pytest

from tests.api.service import Service, until


@pytest.fixture(scope="module")
def service(database: str, tmp_path_factory: pytest.TempPathFactory, worker_number: int) -> Iterator[Service]:
    """A running intake on a database of this module's own."""
    running = Service(database, tmp_path_factory.mktemp("state"), 25_000 + worker_number * 100)
    try:
        running.start()
        until(lambda: running.first.get("/v1/credits").status_code == 200, why=lambda: running.log)
        yield running
    finally:
        running.close()
