"""A ground for all crash tests of a test process: starting a whole stack costs more than a crash."""

from collections.abc import Iterator

import pytest

from tests.chaos.points.ground import Ground
from tests.stack import here


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory, database: str, broker_url: str) -> Iterator[Ground]:
    """The test build, with nothing armed."""
    with Ground(tmp_path_factory.mktemp("ground"), database, broker_url) as made, here(made.environment):
        made.start_all()
        yield made
