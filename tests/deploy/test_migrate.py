"""`vivideo migrate`: patient with a database that comes late, plain about one that does not, harmless twice."""

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from deploy.local.postgres import Postgres
from deploy.local.servers import Running
from tests.stack import ROOT

NOBODY_THERE = "postgresql://vivideo:hidden@127.0.0.1:1/vivideo"


def _migrate(url: str, *options: str) -> subprocess.Popen[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("VIVIDEO_", "NEMO_"))}
    return subprocess.Popen(
        [sys.executable, "-m", "deploy.local.entry", "migrate", *options],
        env=kept | {"VIVIDEO_DATABASE_URL": url},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    said, complained = process.communicate(timeout=60)
    return process.returncode, said, complained


@pytest.fixture
def url(empty_database: str) -> str:
    """A database without tables, or as the test before left it."""
    return empty_database


def test_two_at_once_take_turns_and_the_next_finds_nothing_to_do(url: str):
    """Two hosts that start together both succeed; a third run says that all was up to date."""
    pair = [_migrate(url), _migrate(url)]
    assert [_ended(process)[0] for process in pair] == [0, 0]
    status, said, _ = _ended(_migrate(url))
    assert status == 0
    assert said.startswith("vivideo: the database was up to date at 0")


def test_it_waits_for_a_database_that_starts_later(tmp_path: Path):
    """It says what it waits for, and goes on by itself once the server answers."""
    server = Postgres(tmp_path / "postgres", durable=False)
    waiting = _migrate(server.url("postgres"), "--wait", "60")
    assert waiting.stdout is not None
    assert waiting.stdout.readline().startswith("vivideo: waiting up to 60 s for postgresql://vivideo@/postgres: ")
    with Running(server, tmp_path / "postgres.log"):
        status, said, complained = _ended(waiting)
    assert status == 0, complained
    assert said.startswith("vivideo: the database went from no tables to 0")


def test_a_database_that_stays_away_is_named_without_its_password():
    """One sentence, a remedy, exit status 1; no traceback and no secret."""
    status, said, complained = _ended(_migrate(NOBODY_THERE, "--wait", "0"))
    assert (status, said) == (1, "")
    assert complained.startswith("vivideo: postgresql://vivideo:***@127.0.0.1:1/vivideo does not answer: ")
    assert "VIVIDEO_DATABASE_URL" in complained
    assert "hidden" not in complained + said
    assert "Traceback" not in complained


def test_a_database_that_is_not_there_is_not_waited_for(postgres: Postgres):
    """A server that answers and has no such database will not get one by waiting."""
    status, said, complained = _ended(_migrate(postgres.url("no_such_database"), "--wait", "600"))
    assert (status, said) == (1, "")
    assert '"no_such_database" does not exist' in complained


def test_a_newer_schema_is_left_alone(fresh_database: str):
    """A version that is older than the database changes nothing and says which way out there is."""
    with psycopg.connect(fresh_database, autocommit=True) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    status, _, complained = _ended(_migrate(fresh_database))
    assert status == 1
    assert "at 9999, cannot be brought up to date" in complained
    assert "made by a newer version" in complained


def test_an_address_that_is_none_is_said_so():
    """The setting is named, and its form."""
    status, _, complained = _ended(_migrate("db.example"))
    assert status == 1
    assert complained.startswith("vivideo: VIVIDEO_DATABASE_URL is no address of a database; give postgresql://")
