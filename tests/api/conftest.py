"""One intake for all these tests, on a database of its own; what it holds is told apart by tags and owners."""

from collections.abc import Iterator

import psycopg
import pytest

from deploy.local.postgres import Postgres
from tests.api.service import Service, until


@pytest.fixture(scope="session")
def service(
    postgres: Postgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory, worker_number: int
) -> Iterator[Service]:
    """A running intake with its two owners."""
    name = f"api_{worker_number}"
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE {name} TEMPLATE "{migrated_template}"'.encode())
    running = Service(postgres.url(name), tmp_path_factory.mktemp("state"), 21_000 + worker_number * 100)
    try:
        running.start()
        until(lambda: running.first.get("/v1/credits").status_code == 200, why=lambda: running.log)
        yield running
    finally:
        running.close()
