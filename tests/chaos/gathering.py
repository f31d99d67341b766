"""The books of a stack as it is now."""

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from tests.chaos.books import Books, Given, read
from tests.stack import Stack


def given(stack: Stack, connection: psycopg.Connection | None = None, **more: Any) -> Given:
    """What the stack's settings and the backend's own file say."""
    return Given(
        home=stack.home,
        poll_seconds=float(stack.environment["VIVIDEO_EXPORT_POLL_SECONDS"]),
        stream_max_seconds=float(stack.environment["VIVIDEO_STREAM_MAX_SECONDS"]),
        secrets=secrets(stack),
        connection=connection,
        **more,
    )


def secrets(stack: Stack) -> frozenset[str]:
    """Every token that the backend gave out, as it has them on file, and the installation's own two keys."""
    path = stack.home / "sandbox" / "sandbox.sqlite"
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as file:
        tokens = {str(token) for (token,) in file.execute("SELECT token FROM tokens")}
    return frozenset(tokens | {stack.environment["VIVIDEO_SECRET_KEY"], stack.environment["VIVIDEO_API_KEY"]})


@contextmanager
def connected(stack: Stack) -> Iterator[psycopg.Connection]:
    """A connection whose transaction is thrown away: rows may be spoilt in it to see what the checker says."""
    with psycopg.connect(stack.environment["VIVIDEO_DATABASE_URL"]) as connection:
        yield connection
        connection.rollback()


def books(stack: Stack, only: Collection[str] | None = None, **more: Any) -> Books:
    """All of it, or what belongs to some renders. Logs and columns are searched where nothing else is left out."""
    with psycopg.connect(stack.environment["VIVIDEO_DATABASE_URL"], autocommit=True) as connection:
        return read(connection, stack.ledger(), given(stack, **more), only)
