"""One intake for all these tests, on a database of its own; what it holds is told apart by tags and owners."""

import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from deploy.local.entry import main
from deploy.local.postgres import Postgres
from tests.api.command import Said
from tests.api.service import FIRST_KEY, Service, serving


@pytest.fixture(scope="session")
def service(
    postgres: Postgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory, worker_number: int
) -> Iterator[Service]:
    """A running intake with its two owners."""
    name = f"api_{worker_number}"
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE {name} TEMPLATE "{migrated_template}"'.encode())
    with serving(postgres.url(name), tmp_path_factory.mktemp("state"), 21_000 + worker_number * 100) as running:
        yield running


@pytest.fixture
def run(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Any:
    """Runs a command in an empty directory against the service: all of the program but the start of a process."""
    monkeypatch.chdir(tmp_path)

    def ran(
        *arguments: str, url: str | None = service.url, key: str | None = FIRST_KEY, stdin: bytes = b"", **more: str
    ) -> Said:
        with monkeypatch.context() as here:
            for name in [name for name in os.environ if name.startswith("VIVIDEO_") or name == "COLUMNS"]:
                here.delenv(name)
            for name, value in ({"VIVIDEO_URL": url, "VIVIDEO_API_KEY": key} | more).items():
                if value is not None:
                    here.setenv(name, value)
            here.setattr(sys, "argv", ["vivideo", *arguments])
            here.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
            with pytest.raises(SystemExit) as ended:
                main()
        assert isinstance(ended.value.code, int)
        return Said(int(ended.value.code), *capfd.readouterr())

    return ran
