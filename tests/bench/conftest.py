"""An intake for the tests of the load generator."""

from collections.abc import Iterator

import pytest

from tests.api.service import Service, serving


@pytest.fixture(scope="module")
def service(database: str, tmp_path_factory: pytest.TempPathFactory, worker_number: int) -> Iterator[Service]:
    """A running intake on a database of this module's own."""
    with serving(database, tmp_path_factory.mktemp("state"), 25_000 + worker_number * 100) as running:
        yield running
