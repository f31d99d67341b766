"""Sessions: who owns them, what is planned and drafted in them, and which of them has a turn running."""

import json
import secrets
import sqlite3
import time
from dataclasses import dataclass, replace
from typing import Any

from .database import Database
from .draft import draft_text, mark_of, state_extras
from .errors import session_gone
from .prompt import Plan, edited_plan, first_plan, loaded
from .uploads import Uploads


@dataclass(frozen=True)
class Session:
    """One session as it is stored. `draft` is JSON text, or None before the first turn."""

    id: str
    task_id: str
    user_id: str
    language: str
    plan: Plan | None
    draft: str | None


class Sessions:
    """Creates, finds and drafts sessions."""

    def __init__(self, database: Database, uploads: Uploads) -> None:
        self._database = database
        self._uploads = uploads
        self.running: set[str] = set()

    def create(self, user_id: str, task_name: str, language: str) -> Session:
        """A new session; its id is a number too big for a float."""
        session = Session(
            str(1_900_000_000_000_000_000 + secrets.randbelow(10**17)),
            f"task_{secrets.token_hex(8)}",
            user_id,
            language,
            None,
            None,
        )
        self._database.insert(
            "sessions",
            id=session.id,
            task_id=session.task_id,
            user_id=user_id,
            task_name=task_name,
            language=language,
            at=time.time(),
        )
        return session

    def owned(self, session_id: str, user_id: str) -> Session:
        """The user's session. Raises 1002 for an unknown, forgotten or foreign one."""
        row = self._database.one(
            "SELECT * FROM sessions WHERE id = ? AND user_id = ? AND forgotten = 0", session_id, user_id
        )
        if row is None:
            raise session_gone()
        return _session(row)

    def draft_turn(self, session_id: str, text: str, *, finished: bool = True, ready: bool = True) -> None:
        """Do what the message says: a first draft or an edit."""
        session = self._found(session_id)
        plan = first_plan(text) if session.plan is None else edited_plan(session.plan, text)
        self._store(session_id, replace(plan, finished=finished, ready=ready))

    def finish_later(self, session_id: str, due: float) -> None:
        """Remember when music and titles follow (Unix seconds), so that a restart does not forget them."""
        self._database.run("UPDATE sessions SET finish_due = ? WHERE id = ?", due, session_id)

    def finish(self, session_id: str) -> None:
        """Add music and titles to a raw draft."""
        session = self._found(session_id)
        if session.plan is not None and not session.plan.finished:
            self._store(session_id, replace(session.plan, finished=True))
        self._database.run("UPDATE sessions SET finish_due = NULL WHERE id = ?", session_id)

    def unfinished(self) -> list[tuple[str, float]]:
        """(session, due) of the raw drafts whose second stage has not come yet."""
        rows = self._database.all("SELECT id, finish_due FROM sessions WHERE finish_due IS NOT NULL")
        return [(row["id"], row["finish_due"]) for row in rows]

    def extras(self, session: Session, base: str) -> dict[str, Any]:
        """What the state holds beside the draft: the files from their arrival on, the scenes from the first turn on."""
        files = [one.shown(base) for one in self._uploads.of(session.id)]
        if session.plan is None or session.draft is None:
            return {"video_infos": files, "generated_media": [], "canvas_config": {}}
        made = state_extras(session.plan, json.loads(session.draft))
        return made | {"video_infos": [*files, *made["video_infos"]]}

    def gave(self, session_id: str, draft: str) -> bool:
        """Whether the session's state ever gave this draft. Raises ValueError for text that is not JSON."""
        mark = mark_of(draft)
        return bool(
            self._database.number("SELECT count(*) FROM drafts WHERE session = ? AND mark = ?", session_id, mark)
        )

    def same(self, current: str | None, draft: str) -> bool:
        """Whether the draft is the session's current one."""
        return current is not None and mark_of(current) == mark_of(draft)

    def forget(self, session_id: str) -> None:
        """Lose one session, as the live service sometimes does."""
        self._database.run("UPDATE sessions SET forgotten = 1 WHERE id = ?", session_id)

    def forget_all(self) -> int:
        """Lose every session; answers how many."""
        return self._database.run("UPDATE sessions SET forgotten = 1 WHERE forgotten = 0").rowcount

    def words(self, session_id: str) -> str:
        """Everything said in the session, for rules to match."""
        rows = self._database.all("SELECT text FROM messages WHERE session = ? ORDER BY number", session_id)
        return "\n".join(row["text"] for row in rows)

    def _found(self, session_id: str) -> Session:
        row = self._database.one("SELECT * FROM sessions WHERE id = ?", session_id)
        if row is None:
            raise session_gone()
        return _session(row)

    def _store(self, session_id: str, plan: Plan) -> None:
        draft = draft_text(plan, self._uploads.of(session_id))
        saved = json.dumps(plan.saved())
        self._database.run("UPDATE sessions SET plan = ?, draft = ? WHERE id = ?", saved, draft, session_id)
        self._database.run("INSERT OR IGNORE INTO drafts VALUES (?, ?)", session_id, mark_of(draft))


def _session(row: sqlite3.Row) -> Session:
    plan = None if row["plan"] is None else loaded(json.loads(row["plan"]))
    return Session(row["id"], row["task_id"], row["user_id"], row["language"], plan, row["draft"])
