"""No token anywhere: not in a log, a column, a file or a file's name."""

from collections.abc import Iterator

import psycopg
from psycopg import sql

from tests.chaos.books import Books, files, logs
from tests.chaos.invariants.violation import Violation


def secrets(books: Books) -> Iterator[Violation]:
    """Everything that was written is searched for every secret that was in use."""
    wanted = {secret.encode() for secret in books.given.secrets}
    if not wanted:
        return
    for path in logs(books.given.home):
        for line in _found(path.read_bytes(), wanted | {b"Bearer "}):
            yield Violation("secrets", "-", f"{path.name} holds one: {line}")
    for path in files(books.given.home):
        if _found(str(path).encode(), wanted) or _found(path.read_bytes(), wanted):
            yield Violation("secrets", "-", f"the file {path.name} holds one")
    if books.given.connection is not None:
        for name, value in columns(books.given.connection):
            if _found(value, wanted):
                yield Violation("secrets", "-", f"the column {name} holds one")


def _found(text: bytes, wanted: set[bytes]) -> list[str]:
    """What stands before each secret that is there: enough to find the place, without the secret."""
    return [
        text[max(text.index(one) - 80, 0) : text.index(one)].decode(errors="replace") for one in wanted if one in text
    ]


def columns(connection: psycopg.Connection) -> Iterator[tuple[str, bytes]]:
    """Every value of every column of every table: `table.column` and the value as bytes."""
    names = connection.execute(
        "SELECT table_name, column_name, data_type FROM information_schema.columns"
        " JOIN information_schema.tables USING (table_schema, table_name)"
        " WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
        " AND data_type IN ('text', 'jsonb', 'bytea', 'ARRAY', 'character varying')"
    ).fetchall()
    for table, column, kind in names:
        shape = sql.SQL("{}" if kind == "bytea" else "convert_to({}::text, 'UTF8')")
        field = sql.Identifier(column)
        query = sql.SQL("SELECT DISTINCT {} FROM {} WHERE {} IS NOT NULL").format(
            shape.format(field), sql.Identifier(table), field
        )
        for (value,) in connection.execute(query):
            yield f"{table}.{column}", bytes(value)
