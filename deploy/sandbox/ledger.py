"""What happened, for tests and benchmarks to count: every message, charge, export, poll and violation."""

import sqlite3
import time
from typing import Any

from .database import Database


class Ledger:
    """Writes what the tables of the nouns do not hold anyway, and reports all of it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen = {str(row["name"]) for row in database.all("SELECT name FROM calls")}
        self.streams = 0
        self.most_streams = database.number("SELECT value FROM meta WHERE name = 'most_streams'")

    def called(self, name: str) -> None:
        """Keep the time of the first call of each kind."""
        if name not in self._seen:
            self._seen.add(name)
            self._database.run("INSERT OR IGNORE INTO calls (name, first_at) VALUES (?, ?)", name, time.time())

    def violation(self, what: str, detail: str) -> None:
        """The client broke the contract in a way worth counting; the answer it gets is decided elsewhere."""
        self._database.insert("violations", at=time.time(), what=what, detail=detail)

    def stream_opened(self) -> None:
        """One more event stream is open."""
        self.streams += 1
        if self.streams > self.most_streams:
            self.most_streams = self.streams
            self._database.run("INSERT OR REPLACE INTO meta VALUES ('most_streams', ?)", str(self.most_streams))

    def stream_closed(self) -> None:
        """One event stream less."""
        self.streams -= 1

    def forget(self) -> None:
        """Start counting anew; streams that are open stay counted."""
        self._seen.clear()
        self.most_streams = self.streams

    def summary(self) -> dict[str, Any]:
        """Counts only: cheap enough to ask for every second."""
        count = self._database.number
        return {
            "messages": self._by("messages", "outcome"),
            "executed": count("SELECT sum(executed) FROM messages"),
            "charged": count("SELECT sum(charged) FROM messages"),
            "refunded": count("SELECT sum(refunded) FROM messages"),
            "sessions": count("SELECT count(*) FROM sessions"),
            "uploads": count("SELECT count(*) FROM uploads"),
            "tokens": count("SELECT count(*) FROM tokens"),
            "exports": self._by("exports", "status"),
            "polls": count("SELECT count(*) FROM polls"),
            "violations": self._by("violations", "what"),
            "streams": self.streams,
            "most_streams": self.most_streams,
        }

    def report(self) -> dict[str, Any]:
        """Everything. Times are Unix seconds, money is credits."""
        rows = self._database.all
        polls: dict[str, list[float]] = {}
        for row in rows("SELECT export, at FROM polls ORDER BY at"):
            polls.setdefault(row["export"], []).append(row["at"])
        hashes = {row["export"]: row["sha256"] for row in rows("SELECT * FROM files")}
        messages = [_message(row) for row in rows("SELECT * FROM messages ORDER BY number")]
        return {
            "summary": self.summary(),
            "messages": messages,
            "charges": [_money(one, "charged") for one in messages if one["charged"]],
            "refunds": [_money(one, "refunded") for one in messages if one["refunded"]],
            "exports": [
                {**_export(row, polls.get(row["id"], [])), "sha256": hashes.get(row["id"])}
                for row in rows("SELECT * FROM exports ORDER BY at")
            ],
            "polls": polls,
            "uploads": [dict(row) for row in rows("SELECT * FROM uploads ORDER BY number")],
            "sessions": [_session(row) for row in rows("SELECT * FROM sessions ORDER BY at")],
            "tokens": [_token(row) for row in rows("SELECT * FROM tokens ORDER BY issued_at")],
            "users": [dict(row) for row in rows("SELECT * FROM users")],
            "violations": [dict(row) for row in rows("SELECT * FROM violations ORDER BY at")],
            "first_calls": {row["name"]: row["first_at"] for row in rows("SELECT * FROM calls ORDER BY first_at")},
            "most_streams": self.most_streams,
        }

    def _by(self, table: str, column: str) -> dict[str, int]:
        rows = self._database.all(f"SELECT {column}, count(*) FROM {table} GROUP BY 1")  # noqa: S608 - own names
        return {str(row[0]): int(row[1]) for row in rows}


def _message(row: sqlite3.Row) -> dict[str, Any]:
    return {**dict(row), "user": row["user_id"], "executed": bool(row["executed"])}


def _money(message: dict[str, Any], column: str) -> dict[str, Any]:
    return {
        "message": message["number"],
        "user": message["user"],
        "credits": message[column],
        "at": message["ended_at"],
    }


def _export(row: sqlite3.Row, polls: list[float]) -> dict[str, Any]:
    shown = {name: row[name] for name in row.keys() if name not in ("draft", "key", "path")}  # noqa: SIM118 - a Row
    return {**shown, "user": row["user_id"], "polls": polls}


def _session(row: sqlite3.Row) -> dict[str, Any]:
    wanted = ("id", "task_id", "user_id", "task_name", "language", "at", "forgotten")
    return {**{name: row[name] for name in wanted}, "has_draft": row["draft"] is not None}


def _token(row: sqlite3.Row) -> dict[str, Any]:
    return {**dict(row), "token": f"{row['token'][:12]}…"}  # a ledger may be printed; tokens may not
