"""Videos that are there already: an equal render's video is taken over, one that is being made is waited for.

All at once for a batch that is about to be accepted, by set. Two batches of an owner are accepted one after the other
(`acceptance`), so that neither misses what the other makes.
"""

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.orm import Session

from worker.metrics.commits import on_commit
from worker.metrics.declared import RUNS_ENDED
from worker.renders.events import EventType
from worker.renders.states import Stage, Status


def take_over(session: Session, batch_id: str) -> int:
    """End those of the batch's renders whose video is there already: each gets a result that names the same files, and
    costs nothing. How many there were.

    The renders whose video is taken are locked: a deletion comes before or after, and finds the file in use or the
    video gone.
    """
    locked = session.scalars(_LOCK, {"batch": batch_id}).all()
    if not locked:
        return 0
    ended = session.scalars(_TAKE, {"batch": batch_id, "sources": list(locked)}).all()
    session.execute(_RESULTS, {"ids": list(ended)})
    session.execute(_DRAFTS, {"ids": list(ended)})
    on_commit(session, lambda: RUNS_ENDED.labels(Status.SUCCEEDED.value, "").inc(len(ended)))
    return len(ended)


_LOCK = text(
    f"""
    SELECT r.id FROM renders r
    WHERE r.id IN (
        SELECT DISTINCT ON (n.id) s.id FROM renders n
        JOIN renders s ON s.owner_id = n.owner_id AND s.fingerprint = n.fingerprint AND s.id <> n.id
        JOIN results f ON f.render_id = s.id AND f.run = s.run
        WHERE n.batch_id = :batch AND n.finished_at IS NULL
            AND s.status = '{Status.SUCCEEDED.value}' AND s.purged_at IS NULL
        ORDER BY n.id, s.created_at DESC, s.id DESC)
        AND r.purged_at IS NULL
    ORDER BY r.id FOR SHARE OF r"""  # noqa: S608 - own names
)

_TAKE = text(
    f"""
    WITH pairs AS (SELECT DISTINCT ON (n.id) n.id, s.id AS source, s.answer, s.timeline FROM renders n
        JOIN renders s ON s.owner_id = n.owner_id AND s.fingerprint = n.fingerprint AND s.id = ANY(:sources)
        WHERE n.batch_id = :batch AND n.finished_at IS NULL AND s.purged_at IS NULL
        ORDER BY n.id, s.created_at DESC, s.id DESC),
    ended AS (UPDATE renders SET status = '{Status.SUCCEEDED.value}', stage = '{Stage.STORE.value}', fraction = 1,
            reused_from = pairs.source, answer = pairs.answer, timeline = pairs.timeline, stage_at = now(),
            started_at = now(), finished_at = now(), updated_at = now(), event_number = event_number + 1
        FROM pairs WHERE renders.id = pairs.id
        RETURNING renders.id, renders.owner_id, renders.run, renders.event_number, renders.reused_from),
    told AS (INSERT INTO events (owner_id, render_id, run, number, type, data)
        SELECT owner_id, id, run, event_number, '{EventType.SUCCEEDED.value}',
            jsonb_build_object('reused_from', reused_from) FROM ended)
    SELECT id FROM ended"""  # noqa: S608 - own names
)

_FACTS = (
    "storage_key, poster_key, sha256, bytes, duration_seconds, width, height, video_codec, audio_codec, pixel_format,"
    " frame_rate, quality"
)
_RESULTS = text(
    f"""
    INSERT INTO results (render_id, run, owner_id, {_FACTS})
    SELECT n.id, n.run, n.owner_id, {", ".join(f"f.{name}" for name in _FACTS.split(", "))}
    FROM renders n JOIN renders s ON s.id = n.reused_from JOIN results f ON f.render_id = s.id AND f.run = s.run
    WHERE n.id = ANY(:ids)"""  # noqa: S608 - own names
)
_DRAFTS = text(
    """
    INSERT INTO drafts (render_id, run, owner_id, body)
    SELECT n.id, n.run, n.owner_id, d.body
    FROM renders n JOIN renders s ON s.id = n.reused_from JOIN drafts d ON d.render_id = s.id AND d.run = s.run
    WHERE n.id = ANY(:ids)"""
)


def under_way(session: Session, batch_id: str) -> Sequence[tuple[str, str]]:
    """Of the batch's renders those whose equal is being made already, each with that one's id, which is not being
    cancelled, nor is its batch: its renders go one by one. Of one that is still being received nothing is promised."""
    return [(row.id, row.other) for row in session.execute(_UNDER_WAY, {"batch": batch_id})]


_UNDER_WAY = text(
    """
    SELECT DISTINCT ON (n.id) n.id, s.id AS other FROM renders n
    JOIN renders s ON s.owner_id = n.owner_id AND s.fingerprint = n.fingerprint AND s.batch_id IS DISTINCT FROM :batch
    WHERE n.batch_id = :batch AND n.finished_at IS NULL
        AND s.finished_at IS NULL AND s.cancel_requested_at IS NULL AND NOT EXISTS (SELECT 1 FROM batches b
            WHERE b.id = s.batch_id AND (b.state = 'receiving' OR b.cancel_requested_at IS NOT NULL))
    ORDER BY n.id, s.created_at DESC, s.id DESC"""
)
