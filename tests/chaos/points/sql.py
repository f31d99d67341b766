"""The database, past the service."""

from typing import Any

from sqlalchemy import text

from worker.database import transact


def sql(statement: str, **given: Any) -> None:
    """Write."""
    transact(lambda session: session.execute(text(statement), given))


def rows(statement: str, **given: Any) -> list[Any]:
    """Read."""
    return transact(lambda session: list(session.execute(text(statement), given).all()))
