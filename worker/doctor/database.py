"""PostgreSQL: reachable, new enough, migrated, past its own events, and of one mind about the time."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg
from alembic.script import ScriptDirectory
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from worker import migrations
from worker.doctor.findings import Case, Finding, Level, fail, ok, warn
from worker.liveness import connection_url
from worker.migrations import counter
from worker.remote.text import redact

NAME = "database"
OLDEST = 130_000
"""Transaction ids as `pg_current_xact_id()` gives them begin with 13."""
LARGEST_SKEW = 2.0
"""Seconds. The database's clock decides everything; this machine's stands in logs, signatures and certificates."""


def look(case: Case) -> Iterator[Finding]:
    url = case.settings.servers.database_url
    try:
        shown = make_url(url).set(query={}).render_as_string(hide_password=True)
    except ArgumentError:
        yield fail(NAME, "VIVIDEO_DATABASE_URL is no address", "give postgresql://user:password@host:5432/name")
        return
    try:
        began = time.monotonic()
        with psycopg.connect(connection_url(url), connect_timeout=5, options="-c statement_timeout=5s") as connection:
            took = (time.monotonic() - began) * 1000
            yield from _examined(connection, f"{shown}, connected in {took:.0f} ms", url)
    except psycopg.OperationalError as error:
        yield fail(NAME, f"{shown} does not answer: {_words(error)}", _remedy(error))
    except psycopg.Error as error:
        yield fail(NAME, f"{shown} refuses to be asked: {_words(error)}", "give its user all rights on the database")


def _examined(connection: psycopg.Connection, where: str, url: str) -> Iterator[Finding]:
    number = connection.info.server_version
    version = f"PostgreSQL {number // 10_000}.{number % 10_000}"
    if number < OLDEST:
        yield fail(NAME, f"{version} is too old", "use PostgreSQL 13 or newer; 18 is what vivideo is tested with")
        return
    yield ok(NAME, f"{version} at {where}")
    migrated = _migrated(connection, url)
    yield migrated
    if migrated.level is Level.OK:
        yield _counter(connection)
    yield _clock(connection)


def _migrated(connection: psycopg.Connection, url: str) -> Finding:
    heads = set(ScriptDirectory.from_config(migrations.configuration(url)).get_heads())
    there = connection.execute("SELECT to_regclass('alembic_version') IS NOT NULL").fetchone()
    rows = connection.execute("SELECT version_num FROM alembic_version").fetchall() if there and there[0] else []
    found = {str(row[0]) for row in rows}
    if found == heads:
        return ok(NAME, f"migrated to {', '.join(sorted(heads))}")
    seen = f"at {', '.join(sorted(found))}" if found else "without any table"
    return fail(
        NAME,
        f"the schema is {seen}; this version needs {', '.join(sorted(heads))}",
        "run `python -m worker.migrations` (`vivideo up` does it by itself); a newer schema needs a newer vivideo",
    )


def _counter(connection: psycopg.Connection) -> Finding:
    row = connection.execute(counter.NEXT_EPOCH).fetchone()
    if row is not None:
        return fail(NAME, counter.BEHIND, counter.remedy(row[0]))
    return ok(NAME, "its count of transactions is past all events and relays")


def _clock(connection: psycopg.Connection) -> Finding:
    before = datetime.now(UTC)
    row = connection.execute("SELECT clock_timestamp()").fetchone()
    after = datetime.now(UTC)
    assert row is not None, "a SELECT without FROM has a row"
    skew = (before + (after - before) / 2 - row[0]).total_seconds()
    if abs(skew) > LARGEST_SKEW:
        ahead = "ahead of" if skew > 0 else "behind"
        seen = f"this machine's clock is {abs(skew):.1f} s {ahead} the database's"
        return warn(NAME, seen, "have both set by NTP: signatures and certificates depend on the time")
    return ok(NAME, f"the clocks agree within {abs(skew) * 1000:.0f} ms")


def _words(error: psycopg.Error) -> str:
    return redact(str(error).partition("\n")[0])


def _remedy(error: psycopg.OperationalError) -> str:
    words = str(error)
    if "password authentication" in words or "no password supplied" in words:
        return "correct user and password in VIVIDEO_DATABASE_URL"
    if "does not exist" in words and "database" in words:
        return "create the database, or correct its name in VIVIDEO_DATABASE_URL"
    if "too many clients" in words or "too many connections" in words:
        return "raise max_connections (each process may hold 31), or run fewer processes"
    return "start PostgreSQL, or correct VIVIDEO_DATABASE_URL; `vivideo up` brings one of its own"
