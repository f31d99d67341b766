"""`vivideo migrate`: waits for the database, brings it up to date and says from what to what."""

import sys
import time
from contextlib import suppress

import psycopg
from alembic.util.exc import CommandError
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from config.logging import setup
from config.settings import settings
from worker.accounts.vault import SecretKeyMissing
from worker.database import CONNECTION
from worker.liveness import connection_url
from worker.migrations.counter import BEHIND, CounterBehind
from worker.migrations.install import install

from .errors import DatabaseAway, LocalError, NotMigrated

NONE = "no tables"
PAUSE_SECONDS = 0.5
FOR_GOOD = ("password authentication failed", "no password supplied", "does not exist", "no pg_hba.conf entry")
"""Words of a server that is there and will not change its mind."""


def run(*, wait: float) -> int:
    """Migrate; 0, or a LocalError raised. `wait` is how many seconds the database may take to appear."""
    setup("migrations", level="WARNING")
    config = settings()
    shown = _shown(config.servers.database_url)
    url = connection_url(config.servers.database_url)
    before = _once_there(url, shown, wait)
    try:
        install(config)
    except CommandError as error:
        raise NotMigrated(shown, before, str(error), "it was made by a newer version: run that one") from None
    except DBAPIError as error:
        raise NotMigrated(shown, before, _first_line(error.orig or error), "give its user all rights on it") from None
    except CounterBehind as error:
        raise NotMigrated(shown, before, BEHIND, error.remedy) from None
    except SecretKeyMissing as error:
        raise NotMigrated(shown, before, "NEMO_TOKEN cannot be kept", str(error)) from None
    after = _revision(url)
    _say(
        f"the database was up to date at {after}" if after == before else f"the database went from {before} to {after}"
    )
    return 0


def _once_there(url: str, shown: str, wait: float) -> str:
    """The revision, as soon as the database answers."""
    deadline = time.monotonic() + wait
    told = False
    while True:
        try:
            return _revision(url)
        except psycopg.OperationalError as error:
            why = _first_line(error)
            if time.monotonic() >= deadline or any(words in why for words in FOR_GOOD):
                raise DatabaseAway(shown, why, wait) from None
            if not told:
                told = True
                _say(f"waiting up to {wait:g} s for {shown}: {why}")
        time.sleep(PAUSE_SECONDS)


def _revision(url: str) -> str:
    """Where the schema stands."""
    with psycopg.connect(url, autocommit=True, application_name="vivideo-migrate", **CONNECTION) as connection:
        with suppress(psycopg.errors.UndefinedTable):
            rows = connection.execute("SELECT version_num FROM alembic_version ORDER BY 1").fetchall()
            return ", ".join(row[0] for row in rows) or NONE
        return NONE


def _shown(url: str) -> str:
    """The address without its password."""
    try:
        return make_url(url).set(query={}).render_as_string(hide_password=True)
    except ArgumentError:
        form = "postgresql://user:password@host:5432/name"
        raise LocalError(f"VIVIDEO_DATABASE_URL is no address of a database; give {form}") from None


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]


def _say(words: str) -> None:
    sys.stdout.write(f"vivideo: {words}\n")
    sys.stdout.flush()
