"""What the database holds, to be compared before and after."""

from importlib import import_module

from sqlalchemy import Table, select
from sqlalchemy.orm import Session

from tests.api.service import Service
from worker.database import Base

import_module("worker.models")  # knows every table
MOVING = {"last_used_at"}
"""Written by reading with a key, once a minute."""


def contents(service: Service) -> dict[str, list[str]]:
    """Every row of every table, as text."""
    with service.session() as session:
        return {table.name: _rows(session, table) for table in Base.metadata.sorted_tables}


def _rows(session: Session, table: Table) -> list[str]:
    columns = [column for column in table.c if column.name not in MOVING]
    return sorted(repr(tuple(row)) for row in session.execute(select(*columns)))
