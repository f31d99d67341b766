"""What has to be remembered of a whole file, in bounded memory: SQLite's private temporary database.

Rows of one product may be anywhere in a file of gigabytes. A database with an empty name lives in SQLite's page cache
and goes to an unnamed file in the temporary directory only when it outgrows that; it is gone with its connection.
"""

import sqlite3
from collections.abc import Iterator, Sequence

import msgspec

from worker.catalogs.feeds.products import Fields

_CACHE_KIB = 16 * 1024
_BATCH, _BATCH_BYTES = 500, 1 << 20
"""Rows, and bytes of them, that wait to be written: a row may be a short line or a page of HTML."""
_SETTINGS = (f"PRAGMA cache_size = -{_CACHE_KIB}", "PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF")

Part = tuple[int, Fields]
"""Place and fields of a row."""


def _scratch() -> sqlite3.Connection:
    connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    for setting in _SETTINGS:
        connection.execute(setting)
    connection.execute("BEGIN")  # one transaction, never committed: nothing here outlives the reading
    return connection


class Seen:
    """Which keys were there before."""

    def __init__(self) -> None:
        self._database = _scratch()
        self._database.execute("CREATE TABLE seen (key TEXT PRIMARY KEY) WITHOUT ROWID")

    def add(self, key: str) -> bool:
        """Whether the key is new."""
        return self._database.execute("INSERT OR IGNORE INTO seen VALUES (?)", (key,)).rowcount == 1

    def close(self) -> None:
        self._database.close()


class Parts:
    """Rows that together make products, put in as they come and taken out product by product."""

    def __init__(self) -> None:
        self._database = _scratch()
        self._database.execute("CREATE TABLE parts (at INTEGER PRIMARY KEY, key TEXT NOT NULL, body BLOB NOT NULL)")
        self._database.execute("CREATE TABLE keys (key TEXT PRIMARY KEY, owner INTEGER NOT NULL) WITHOUT ROWID")
        self._bytes = 0
        self._waiting: list[tuple[int, str, bytes]] = []
        self._keys: list[tuple[str, int]] = []

    def begin(self, place: int, keys: Sequence[str], fields: Fields) -> None:
        """A row of the product that has these keys; the first row with a key says where the product stands."""
        self._keys.extend((key, place) for key in keys)
        self.attach(place, keys[0], fields)

    def attach(self, place: int, key: str, fields: Fields) -> None:
        """A row of the product that has, or will have, this key."""
        body = msgspec.json.encode(fields)
        self._waiting.append((place, key, body))
        self._bytes += len(body)
        if len(self._waiting) >= _BATCH or self._bytes >= _BATCH_BYTES:
            self._write()

    def products(self) -> Iterator[tuple[int | None, Part]]:
        """Each row with its product's number, those of a product together in the file's order. None: of nobody."""
        self._write()
        query = "SELECT owner, at, body FROM parts LEFT JOIN keys USING (key) ORDER BY owner, at"
        decode = msgspec.json.Decoder(dict[str, list[str]]).decode
        for owner, at, body in self._database.execute(query):
            yield owner, (at, decode(body))

    def close(self) -> None:
        self._database.close()

    def _write(self) -> None:
        self._database.executemany("INSERT INTO parts VALUES (?, ?, ?)", self._waiting)
        self._database.executemany("INSERT OR IGNORE INTO keys VALUES (?, ?)", self._keys)
        self._waiting.clear()
        self._bytes = 0
        self._keys.clear()
