"""The feed of a test's database, whose events wait for every transaction of the server that is older."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from tests.stack import until
from worker.database import transact


def readable(within: Callable[[Callable[[Session], bool]], Any] = transact) -> None:
    """Wait until everything that is committed here can be read: other tests' transactions hold the horizon up, too.
    `within` runs a function in a transaction of the database that is meant."""
    until(lambda: within(_is_all_there), what="the horizon of the feed")


def _is_all_there(session: Session) -> bool:
    query = "SELECT coalesce(max(transaction) < pg_snapshot_xmin(pg_current_snapshot()), true) FROM events"
    return bool(session.scalar(text(query)))
