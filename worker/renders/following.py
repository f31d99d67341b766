"""Renders that must not overtake another one: until then they are ready at `infinity`, and the dispatcher looks."""

from sqlalchemy import text
from sqlalchemy.orm import Session

from worker.renders.states import Reason, Stage, Status

AT_ONCE = 500

_RELEASE = text(
    f"""
    WITH turned AS (SELECT f.id FROM renders f LEFT JOIN renders t ON t.id = f.follows_id
        WHERE f.follows_id IS NOT NULL AND f.started_at IS NULL AND f.finished_at IS NULL AND f.ready_at = 'infinity'
            AND (t.id IS NULL OR t.finished_at IS NOT NULL OR f.follows_until = 'export'
                AND t.stage IN ('{Stage.POLL.value}', '{Stage.STORE.value}'))
        ORDER BY f.id LIMIT :limit FOR UPDATE OF f SKIP LOCKED)
    UPDATE renders SET ready_at = now(), updated_at = now(),
        status = CASE WHEN reason = '{Reason.SESSION.value}' THEN '{Status.QUEUED.value}' ELSE status END,
        reason = CASE WHEN reason = '{Reason.SESSION.value}' THEN NULL ELSE reason END
    FROM turned WHERE renders.id = turned.id"""  # noqa: S608 - own names
)
"""Along `ix_renders_followers`: by those that wait, not by the rows there are. One whose predecessor is no more (its
batch was thrown away) waits for nobody."""


def release_followers(session: Session, limit: int = AT_ONCE) -> int:
    """Make ready those whose turn has come, up to `limit`; how many."""
    done = session.execute(_RELEASE, {"limit": limit})
    return done.rowcount  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType, reportUnknownMemberType]
