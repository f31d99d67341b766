"""The SQLite file that lets the sandbox be killed and go on where it was."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS users (
  id TEXT PRIMARY KEY, kind TEXT NOT NULL, client_id TEXT UNIQUE, bind_id TEXT NOT NULL,
  available INTEGER NOT NULL CHECK (available >= 0), frozen INTEGER NOT NULL DEFAULT 0 CHECK (frozen >= 0));
CREATE TABLE IF NOT EXISTS tokens (
  token TEXT PRIMARY KEY, user_id TEXT NOT NULL, issued_at REAL NOT NULL, expires_at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS sessions (
  id TEXT PRIMARY KEY, task_id TEXT NOT NULL, user_id TEXT NOT NULL, task_name TEXT NOT NULL, language TEXT NOT NULL,
  at REAL NOT NULL, plan TEXT, draft TEXT, finish_due REAL, forgotten INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS drafts (session TEXT NOT NULL, mark TEXT NOT NULL, PRIMARY KEY (session, mark));
CREATE TABLE IF NOT EXISTS uploads (
  number INTEGER PRIMARY KEY, session TEXT NOT NULL, sha TEXT NOT NULL, filename TEXT NOT NULL, kind TEXT NOT NULL,
  suffix TEXT NOT NULL, size INTEGER NOT NULL, duration REAL NOT NULL, width INTEGER NOT NULL,
  height INTEGER NOT NULL, at REAL NOT NULL);
CREATE INDEX IF NOT EXISTS uploads_of_session ON uploads (session);
CREATE TABLE IF NOT EXISTS messages (
  number INTEGER PRIMARY KEY, session TEXT NOT NULL, user_id TEXT NOT NULL, text TEXT NOT NULL, at REAL NOT NULL,
  ended_at REAL, outcome TEXT NOT NULL, code INTEGER, price INTEGER NOT NULL DEFAULT 0,
  charged INTEGER NOT NULL DEFAULT 0, refunded INTEGER NOT NULL DEFAULT 0, executed INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS messages_of_session ON messages (session);
CREATE TABLE IF NOT EXISTS exports (
  id TEXT PRIMARY KEY, session TEXT NOT NULL, user_id TEXT NOT NULL, draft TEXT NOT NULL, at REAL NOT NULL,
  stale INTEGER NOT NULL, same_bytes INTEGER NOT NULL, fate TEXT NOT NULL DEFAULT '', status TEXT NOT NULL,
  progress INTEGER NOT NULL DEFAULT 0, ended_at REAL, error TEXT, path TEXT, key TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS files (export TEXT PRIMARY KEY, sha256 TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS polls (export TEXT NOT NULL, at REAL NOT NULL);
CREATE INDEX IF NOT EXISTS polls_of_export ON polls (export, at);
CREATE TABLE IF NOT EXISTS violations (at REAL NOT NULL, what TEXT NOT NULL, detail TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS calls (name TEXT PRIMARY KEY, first_at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS rules (number INTEGER PRIMARY KEY, rule TEXT NOT NULL);
"""
TABLES = tuple(line.split()[5] for line in SCHEMA.splitlines() if line.startswith("CREATE TABLE"))


class Database:
    """One connection, used by the event loop's thread only; every statement commits by itself.

    `synchronous=OFF` hands each commit to the operating system without waiting for the disk: it outlives a killed
    process, which is all that is asked here, and costs tens of microseconds.
    """

    def __init__(self, path: Path) -> None:
        self._link = sqlite3.connect(path, isolation_level=None)
        self._link.row_factory = sqlite3.Row
        self._link.execute("PRAGMA journal_mode=WAL")
        self._link.execute("PRAGMA synchronous=OFF")
        self._link.executescript(SCHEMA)

    def run(self, statement: str, *values: Any) -> sqlite3.Cursor:
        """Execute a statement; its `rowcount` and `lastrowid` are there for the caller."""
        return self._link.execute(statement, values)

    def one(self, statement: str, *values: Any) -> sqlite3.Row | None:
        """The first row, or None."""
        row: sqlite3.Row | None = self._link.execute(statement, values).fetchone()
        return row

    def all(self, statement: str, *values: Any) -> list[sqlite3.Row]:
        """All rows."""
        return self._link.execute(statement, values).fetchall()

    def number(self, statement: str, *values: Any) -> int:
        """The first column of the first row; 0 for none or NULL."""
        row = self.one(statement, *values)
        return int(row[0] or 0) if row is not None else 0

    def insert(self, table: str, **values: Any) -> int:
        """Insert one row; answers its number."""
        names, marks = ", ".join(values), ", ".join("?" * len(values))
        held: Sequence[Any] = list(values.values())
        return self.run(f"INSERT INTO {table} ({names}) VALUES ({marks})", *held).lastrowid or 0  # noqa: S608 - own names

    def clear(self) -> None:
        """Empty every table."""
        for table in TABLES:
            self.run(f"DELETE FROM {table}")  # noqa: S608 - own names

    def close(self) -> None:
        """Close the file."""
        self._link.close()
