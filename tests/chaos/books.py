"""What is left after a run: our database, the backend's own ledger, the files. Read once, then only compared.

Rows are read with statements of this module's own, not with the service's queries: a checker that asks the checked
program for its books would believe its mistakes.
"""

import os
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

Row = dict[str, Any]
FINAL = frozenset({"succeeded", "failed", "canceled", "expired"})


@dataclass(frozen=True)
class Reading:
    """A reader of the feed: how many events lay before its cursor, and (subject, number) of each that it was given."""

    before: int
    given: list[tuple[str, int]]


@dataclass(frozen=True)
class Given:
    """What the books cannot say of themselves."""

    home: Path
    """The stack's state directory: results, logs."""
    poll_seconds: float
    stream_max_seconds: float
    accepted: frozenset[str] | None = None
    """Ids of renders that somebody was told of; None: those of the database."""
    readings: tuple[Reading, ...] = ()
    secrets: frozenset[str] = frozenset()
    """What must not be written anywhere."""
    connection: psycopg.Connection | None = None
    """For the search of every column; None: not searched."""


@dataclass(frozen=True)
class Books:
    """Rows as dictionaries, in the order of their making."""

    renders: dict[str, Row]
    runs: list[Row]
    attempts: list[Row]
    events: list[Row]
    """In the order of the feed."""
    intents: list[Row]
    exports: list[Row]
    results: list[Row]
    recoveries: list[Row]
    sessions: dict[str, str]
    """Our id of a remote session → the backend's."""
    messages: list[Row]
    backend_exports: dict[str, Row]
    backend_sessions: dict[str, Row]
    violations: list[Row]
    given: Given
    _of: dict[int, dict[str, list[Row]]] = field(default_factory=dict[int, dict[str, list[Row]]])

    def of(self, rows: list[Row], render: str) -> list[Row]:
        """Those of a list that belong to one render."""
        grouped = self._of.get(id(rows))
        if grouped is None:
            grouped = self._of[id(rows)] = defaultdict(list)
            for row in rows:
                grouped[row["render_id"]].append(row)
        return grouped.get(render, [])

    def all_runs(self, render: str) -> list[Row]:
        """Every run of a render as it ended, or as it stands: the earlier ones and the row's own."""
        return [*self.of(self.runs, render), self.renders[render]]

    def events_of(self, render: str) -> list[Row]:
        """A render's events by number."""
        return sorted(self.of(self.events, render), key=lambda event: event["number"])

    def intent_of(self, message: Row) -> Row | None:
        """Our record of a message that the backend saw: the last one of its session committed before it came."""
        made = [one for one in self.intents if self.sessions.get(one["remote_session_id"]) == message["session"]]
        before = [one for one in made if one["created_at"].timestamp() <= message["at"]]
        return before[-1] if before else None

    def maker(self, render: str) -> str:
        """Who made a render's video: itself, or the one that it took over, however many times it was handed on."""
        while (before := self.renders[render]["reused_from"]) in self.renders:
            render = before
        return render

    def folder(self, render: str) -> Path:
        """Where the local object storage keeps a render's files."""
        return self.given.home / "results" / self.renders[render]["owner_id"] / render


def read(connection: psycopg.Connection, ledger: Row, given: Given, only: Collection[str] | None = None) -> Books:
    """Everything, or what belongs to some renders alone."""
    tables = {
        name: _rows(connection, name, order, only)
        for name, order in (
            ("render_runs", "render_id, run"),
            ("attempts", "id"),
            ("events", "transaction, id"),
            ("intents", "created_at, id"),
            ("exports", "created_at, id"),
            ("results", "render_id, run"),
            ("recoveries", "id"),
        )
    }
    renders = {row["id"]: row for row in _rows(connection, "renders", "id", only, "id")}
    sessions = {row["id"]: row["session_id"] for row in _rows(connection, "remote_sessions", "created_at", None)}
    if only is not None:
        ours = {row["remote_session_id"] for row in (*tables["intents"], *renders.values())}
        sessions = {name: remote for name, remote in sessions.items() if name in ours}
    books = Books(
        renders=renders,
        runs=tables["render_runs"],
        attempts=tables["attempts"],
        events=tables["events"],
        intents=tables["intents"],
        exports=tables["exports"],
        results=tables["results"],
        recoveries=tables["recoveries"],
        sessions=sessions,
        messages=_named(ledger["messages"], renders),
        backend_exports={row["id"]: row for row in ledger["exports"]},
        backend_sessions={row["id"]: row for row in ledger["sessions"]},
        violations=ledger["violations"],
        given=given,
    )
    return books if only is None else _narrowed(books)


def _rows(
    connection: psycopg.Connection, table: str, order: str, only: Collection[str] | None, key: str = "render_id"
) -> list[Row]:
    query = sql.SQL("SELECT * FROM {}").format(sql.Identifier(table))
    if only is not None:
        query += sql.SQL(" WHERE {} = ANY(%s)").format(sql.Identifier(key))
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(query + sql.SQL(" ORDER BY " + order), None if only is None else [list(only)])
        return cursor.fetchall()


def _named(messages: Iterable[Row], renders: dict[str, Row]) -> list[Row]:
    """Messages with the render that each belongs to, found by its text: that is all that the backend knows of it. One
    that took over another's video has that one's words, and sends nothing."""
    sending = [row for row in renders.values() if row["purged_at"] is None and row["reused_from"] is None]
    by_text = {row["prompt"].strip(): row["id"] for row in sending}
    if len(by_text) < len(sending):
        raise ValueError("two renders with one prompt: their messages cannot be told apart")
    return [{**one, "render_id": by_text.get(one["text"].strip())} for one in messages]


def _narrowed(books: Books) -> Books:
    ours = {row["id"] for row in books.exports} | set(books.sessions.values())
    return replace(
        books,
        messages=[one for one in books.messages if one["render_id"] in books.renders],
        violations=[one for one in books.violations if any(mark in one["detail"] for mark in ours)],
    )


def subject(event: Row) -> str:
    """The id of what an event is about: a render, a batch, an endpoint."""
    return event["render_id"] or event["batch_id"] or event["endpoint_id"]


def logs(home: Path) -> list[Path]:
    """What our processes said; the sandbox is the backend's side."""
    return [path for path in home.glob("*.log") if path.name != "sandbox.log"]


def files(home: Path) -> list[Path]:
    """Everything below the state directory but logs, the backend's own room and the embedded servers' data."""
    foreign = {home / name for name in ("sandbox", "postgres", "valkey")}
    found: list[Path] = []
    for folder, inner, names in os.walk(home):
        inner[:] = [name for name in inner if Path(folder) / name not in foreign]
        found += [Path(folder) / name for name in names if not name.endswith(".log")]
    return found
