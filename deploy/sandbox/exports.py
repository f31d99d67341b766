"""Exports: accepted drafts on their way to a finished file."""

import asyncio
import hashlib
import hmac
import json
import secrets
import sqlite3
import time
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from .database import Database
from .errors import render_id_used, render_unknown
from .ledger import Ledger
from .settings import Settings

TOLERANCE = 0.95  # a timer that fires a little early is no violation


class Compositor(Protocol):
    """Makes a file of a draft."""

    async def compose(self, draft: dict[str, Any], path: Path, tell: "Progress") -> None:
        """Write the finished file to `path`, telling the progress in whole per cent. Raises OSError, ValueError."""
        ...


class Progress(Protocol):
    """Told how far a render is, in per cent."""

    def __call__(self, percent: int, /) -> None: ...


class Exports:
    """The queue of renders. At most `render_slots` are drawn at a time; the others are pending."""

    def __init__(self, database: Database, settings: Settings, ledger: Ledger, compositor: Compositor) -> None:
        self._database = database
        self._settings = settings
        self._ledger = ledger
        self._compositor = compositor
        self._room = settings.data / "exports"
        self._room.mkdir(parents=True, exist_ok=True)
        self._slots = asyncio.Semaphore(settings.render_slots if settings.draw else 1_000_000)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._secret = self._kept_secret()

    def submit(self, row: dict[str, Any], fate: str, wait: float) -> None:
        """Accept an export. `fate` is "", "fails" or "stuck". Raises 4090 for an id used before."""
        try:
            self._database.insert(
                "exports", **row, at=time.time(), fate=fate, status="pending", key=secrets.token_urlsafe(18)
            )
        except sqlite3.IntegrityError as error:
            self._ledger.violation("render_id_used_twice", row["id"])
            raise render_id_used() from error
        self._start(row["id"], row["draft"], fate, wait)

    def resume(self) -> None:
        """After a restart: what was not finished begins again."""
        for row in self._database.all("SELECT * FROM exports WHERE status IN ('pending', 'processing')"):
            self._start(row["id"], row["draft"], row["fate"], 0.0)

    def owned(self, export_id: str, user_id: str) -> sqlite3.Row:
        """The user's export. Raises 4040."""
        row = self._database.one("SELECT * FROM exports WHERE id = ? AND user_id = ?", export_id, user_id)
        if row is None:
            raise render_unknown()
        return row

    def polled(self, export_id: str) -> None:
        """Keep the poll, and count one that comes too soon after the last."""
        now = time.time()
        last = self._database.one("SELECT max(at) AS at FROM polls WHERE export = ?", export_id)
        if last and last["at"] is not None and now - last["at"] < self._settings.min_poll_seconds * TOLERANCE:
            self._ledger.violation("poll_too_soon", f"{export_id} after {now - last['at']:.2f} s")
        self._database.insert("polls", export=export_id, at=now)

    def cancel(self, export_id: str) -> None:
        """Stop an export that is not finished."""
        if task := self._tasks.pop(export_id, None):
            task.cancel()
        self._end(export_id, "failed", error="canceled")

    def address(self, row: sqlite3.Row, base: str) -> str:
        """The signed address of a finished file."""
        expires = int(time.time() + self._settings.link_seconds)
        name = quote(f"{row['id']}.mp4")
        return f"{base}/files/{row['key']}/{name}?Expires={expires}&Signature={self._sign(row['key'], expires)}"

    def signed(self, key: str, expires: str, signature: str) -> Path | None:
        """The file behind a signed address, or None for one that is unknown, altered or too old."""
        row = self._database.one("SELECT path FROM exports WHERE key = ?", key)
        if row is None or row["path"] is None or not expires.isdigit() or int(expires) < time.time():
            return None
        return Path(row["path"]) if hmac.compare_digest(signature, self._sign(key, int(expires))) else None

    def session_of(self, key: str) -> str:
        """The session of the export behind a signed address; "" for an unknown one."""
        row = self._database.one("SELECT session FROM exports WHERE key = ?", key)
        return row["session"] if row else ""

    async def stop(self) -> None:
        """End every render; they begin again at the next start."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, export_id: str, draft: str, fate: str, wait: float) -> None:
        task = asyncio.get_running_loop().create_task(self._run(export_id, draft, fate, wait))
        self._tasks[export_id] = task
        task.add_done_callback(lambda _: self._tasks.pop(export_id, None))

    async def _run(self, export_id: str, draft: str, fate: str, wait: float) -> None:
        await asyncio.sleep(wait)
        if fate:
            self._progress(export_id, 40)
            if fate == "fails":
                self._end(export_id, "failed", error="the renderer gave up")
            return
        path = self._room / f"{export_id}.mp4"
        try:
            async with self._slots:
                self._progress(export_id, 1)
                await self._compositor.compose(json.loads(draft), path, lambda done: self._progress(export_id, done))
        except Exception as error:  # whatever is wrong with a file fails its render, and nothing else
            self._end(export_id, "failed", error=f"{type(error).__name__}: {error}"[:300])
        else:
            digest = await asyncio.to_thread(_sha256, path)
            # OR REPLACE: a sandbox killed just here draws the file again.
            self._database.run("INSERT OR REPLACE INTO files VALUES (?, ?)", export_id, digest)
            self._end(export_id, "completed", path=str(path))

    def _progress(self, export_id: str, percent: int) -> None:
        self._database.run(
            "UPDATE exports SET status = 'processing', progress = ? WHERE id = ? AND ended_at IS NULL",
            percent,
            export_id,
        )

    def _end(self, export_id: str, status: str, *, error: str | None = None, path: str | None = None) -> None:
        self._database.run(
            "UPDATE exports SET status = ?, error = ?, path = ?, ended_at = ?,"
            " progress = CASE ? WHEN 'completed' THEN 100 ELSE progress END WHERE id = ? AND ended_at IS NULL",
            status, error, path, time.time(), status, export_id,
        )  # fmt: skip

    def _sign(self, key: str, expires: int) -> str:
        return hmac.new(self._secret, f"{key}:{expires}".encode(), hashlib.sha256).hexdigest()

    def _kept_secret(self) -> bytes:
        self._database.run("INSERT OR IGNORE INTO meta VALUES ('secret', ?)", secrets.token_hex(32))
        row = self._database.one("SELECT value FROM meta WHERE name = 'secret'")
        return bytes.fromhex(row["value"] if row else "")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
