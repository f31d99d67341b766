"""A newer revision of one thing takes the place of one that nobody began, and never overtakes one that is at work.

A render may say which revision of its owner's reference it shows (`revision` of `external_ref`). What is known of a
reference is the highest of them, whatever became of that render: an older one is refused. An equal one is not older: it
is the same thing asked for again, and goes the same way as a newer one.
"""

from collections.abc import Mapping

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from worker.metrics.commits import on_commit
from worker.metrics.declared import RUNS_ENDED
from worker.renders.events import EventType
from worker.renders.models import Render
from worker.renders.states import Status


class Stale(Exception):
    """A newer revision is known: nothing older is made any more."""

    def __init__(self, external_ref: str, revision: int, known: int) -> None:
        super().__init__(f"{external_ref} is at revision {known}, which is newer than {revision}")


def refuse_stale(session: Session, owner_id: str, external_ref: str | None, revision: int | None) -> None:
    """Raises Stale where the owner's reference has a newer revision. Without a revision there is none."""
    if revision is None or external_ref is None:
        return
    mine = Render.owner_id == owner_id, Render.external_ref == external_ref, Render.revision.is_not(None)
    known = session.scalar(select(func.max(Render.revision)).where(*mine))
    if known is not None and known > revision:
        raise Stale(external_ref, revision, known)


def make_way(
    session: Session, owner_id: str, external_ref: str | None, revision: int | None, *, newer: str
) -> str | None:
    """Cancel what nobody began of the reference's renders in favour of `newer`, which is about to be made or begun
    anew; the one at work that `newer` has to follow, if there is one.

    Renders without a revision are in nobody's way. Whoever comes with the same reference waits from here to this
    transaction's end, so that none misses what its neighbour makes.

    Raises:
        Stale
    """
    if revision is None or external_ref is None:
        return None
    lock = f"revisions\n{owner_id}\n{external_ref}"
    session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(lock, 0))))
    refuse_stale(session, owner_id, external_ref, revision)
    others = select(Render.id).where(
        Render.owner_id == owner_id,
        Render.external_ref == external_ref,
        Render.revision.is_not(None),
        Render.finished_at.is_(None),
        Render.id != newer,
    )
    unbegun = others.where(Render.started_at.is_(None)).order_by(Render.id).with_for_update()
    replace(session, dict.fromkeys(session.scalars(unbegun), newer))
    # Not locked, only followed: where it ends meanwhile, the dispatcher sees it.
    at_work = others.where(Render.started_at.is_not(None)).order_by(Render.id.desc()).limit(1)
    return session.scalar(at_work)


def replace(session: Session, superseded: Mapping[str, str]) -> None:
    """Cancel locked renders that nobody began, each in favour of another."""
    if not superseded:
        return
    ended = session.scalars(_CANCEL, {"older": list(superseded), "newer": list(superseded.values())}).all()
    on_commit(session, lambda: RUNS_ENDED.labels(Status.CANCELED.value, "").inc(len(ended)))


_CANCEL = text(
    f"""
    WITH given AS (SELECT * FROM unnest(CAST(:older AS text[]), CAST(:newer AS text[])) AS given (older, newer)),
    ended AS (UPDATE renders SET status = '{Status.CANCELED.value}', reason = NULL, cancel_requested_at = now(),
            cancel_effect = 'prevented', finished_at = now(), updated_at = now(), sent_at = NULL,
            event_number = event_number + 1
        FROM given WHERE renders.id = given.older AND started_at IS NULL AND finished_at IS NULL
        RETURNING renders.id, renders.owner_id, renders.run, renders.event_number, given.newer)
    INSERT INTO events (owner_id, render_id, run, number, type, data)
        SELECT owner_id, id, run, event_number, '{EventType.CANCELED.value}',
            jsonb_build_object('effect', 'prevented', 'superseded_by', newer) FROM ended
        RETURNING render_id"""  # noqa: S608 - own names
)


def follow(session: Session, follows: Mapping[str, str]) -> None:
    """Have unbegun renders wait until others are final; the dispatcher sees when that is. One that waits already keeps
    its place, and nobody waits for who waits for it: an equal render that was begun anew may be newer and older."""
    if follows:
        session.execute(_FOLLOW, {"newer": list(follows), "older": list(follows.values())})


_FOLLOW = text(
    """
    UPDATE renders SET follows_id = given.older, follows_until = 'end', ready_at = 'infinity', updated_at = now()
    FROM unnest(CAST(:newer AS text[]), CAST(:older AS text[])) AS given (newer, older)
    WHERE renders.id = given.newer AND started_at IS NULL AND finished_at IS NULL AND ready_at < 'infinity'
        AND NOT EXISTS (WITH RECURSIVE before AS (
                SELECT given.older AS id
                UNION
                SELECT r.follows_id FROM before JOIN renders r ON r.id = before.id
                WHERE r.follows_id IS NOT NULL AND r.started_at IS NULL
                    AND (r.finished_at IS NOT NULL OR r.ready_at = 'infinity'))
            SELECT 1 FROM before WHERE before.id = renders.id)"""
)
"""Also past those that ended before they began: whoever waits behind one is handed on to what that one followed
(`renders.following`)."""
