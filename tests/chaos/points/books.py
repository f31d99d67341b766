"""What holds after a play, whoever died in it: our books against the backend's ledger, the files, the rows."""

import hashlib
from pathlib import Path
from typing import Any

from tests.chaos.points import many
from tests.chaos.points.plays import Play
from tests.chaos.points.sql import rows
from worker.media.storage import PARTS

SENT_OR_NOT = (
    "after commit worker.stages.generate._commit_intent transact 1",
    "before call worker.stages.generate._send send_message 1",
    "before commit worker.stages.generate._refused transact 1",
)
"""Between the intent and its first byte, or between a refusal and its record: nothing was done, and nobody can know
that afterwards. The run ends with `generation.unconfirmed`, its charge `unknown`."""


def check(play: Play, where: str = "") -> None:
    """Raises AssertionError with the first thing that does not hold. `where` is the point that somebody died at."""
    ledger = play.ground.ledger()
    assert ledger["summary"]["violations"] == {}, ledger["violations"]
    for render_id, ends in play.ends.items():
        _ended(play, render_id, ends, where)
        _paid(render_id, ledger, play.messages[render_id])
        _stored(play, render_id)
    for batch in play.batches:
        many.check(batch)
    for catalog_id in play.catalogs:
        many.check_readings(catalog_id)
    _named(play)


def _ended(play: Play, render_id: str, ends: tuple[str, ...], where: str) -> None:
    ((status, code, worker),) = rows("SELECT status, error_code, worker_id FROM renders WHERE id = :id", id=render_id)
    allowed = status in ends or (where in SENT_OR_NOT and code == "generation.unconfirmed")
    assert allowed, f"{play.name}: {render_id} is {status}, {code}"
    assert worker is None
    told = rows(
        "SELECT type FROM events WHERE render_id = :id AND run = (SELECT run FROM renders WHERE id = :id)"
        " AND type IN ('render.succeeded', 'render.failed', 'render.canceled', 'render.expired')",
        id=render_id,
    )
    gone = rows("SELECT 1 FROM renders WHERE id = :id AND purged_at IS NOT NULL", id=render_id)
    assert gone or [one.type for one in told] == [f"render.{status}"]


def _paid(render_id: str, ledger: dict[str, Any], most: int) -> None:
    """By session, which holds for a render whose words were deleted too: but for turns of one session, which are told
    apart by their words, no session is another render's."""
    intents = rows(
        "SELECT i.state, i.reserved_credits AS price, i.message, s.session_id, r.session_id AS shared FROM intents i"
        " JOIN remote_sessions s ON s.id = i.remote_session_id JOIN renders r ON r.id = i.render_id"
        " WHERE i.render_id = :id",
        id=render_id,
    )
    sessions = {one.session_id: one for one in intents}
    seen = [one for one in ledger["messages"] if _is_its(one, sessions.get(one["session"]))]
    assert len(seen) <= max(most, len(intents)), (render_id, seen)
    assert sum(one["executed"] for one in seen) <= 1, (render_id, seen)
    charged = sum(one["charged"] for one in seen)
    known = sum(one.price for one in intents if one.state == "applied")
    unknown = sum(one.price for one in intents if one.state in ("unknown", "unconfirmed", "received"))
    assert known <= charged <= known + unknown, (render_id, charged, intents)


def _is_its(message: dict[str, Any], intent: Any) -> bool:
    return intent is not None and (intent.shared is None or message["text"] == intent.message)


def _stored(play: Play, render_id: str) -> None:
    found = rows(
        "SELECT r.storage_key, r.poster_key, r.sha256 FROM results r JOIN renders ON renders.id = r.render_id"
        " WHERE r.render_id = :id AND r.run = renders.run AND renders.purged_at IS NULL",
        id=render_id,
    )
    good = rows("SELECT 1 FROM renders WHERE id = :id AND status = 'succeeded' AND purged_at IS NULL", id=render_id)
    assert len(found) == len(good)
    for one in found:
        assert hashlib.sha256((_results(play) / one.storage_key).read_bytes()).hexdigest() == one.sha256
        assert (_results(play) / one.poster_key).is_file()


def _named(play: Play) -> None:
    """Every stored file is named by a row, or waits in the outbox for its deletion."""
    keys = rows(
        "SELECT storage_key AS key FROM results UNION SELECT poster_key FROM results"
        " UNION SELECT storage_key FROM uploads UNION SELECT storage_key FROM doomed_files"
        " UNION SELECT storage_key FROM catalog_reads WHERE storage_key IS NOT NULL"
    )
    known = {one.key for one in keys}
    files = {str(path.relative_to(_results(play))) for path in _results(play).rglob("*") if path.is_file()}
    files = {name for name in files if not name.startswith(f"{PARTS}/")}  # swept when they are old
    assert files <= known, f"nobody names {sorted(files - known)}"


def _results(play: Play) -> Path:
    return play.ground.home / "results"
