"""The feed of a test's database, whose events wait for every transaction of the server that is older."""

from sqlalchemy import text
from sqlalchemy.orm import Session

from tests.stack import until
from worker.database import transact


def readable() -> None:
    """Wait until everything that is committed here can be read: other tests' transactions hold the horizon up, too."""
    until(lambda: transact(_is_all_there), what="the horizon of the feed")


def _is_all_there(session: Session) -> bool:
    query = "SELECT coalesce(max(transaction) < pg_snapshot_xmin(pg_current_snapshot()), true) FROM events"
    return bool(session.scalar(text(query)))
