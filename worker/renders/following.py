"""Renders that must not overtake another one: until then they are ready at `infinity`, and the dispatcher looks.

A render that ended before it began was never in anybody's way, but the one that it followed may still be: whoever
follows it follows that one instead. So an order holds whatever is cancelled in the middle of it.
"""

from sqlalchemy import literal_column, text
from sqlalchemy.orm import Session

from worker.renders.events import EventType
from worker.renders.states import Reason, Status

NOT_YET = literal_column("'infinity'::timestamptz")
"""`ready_at` of a render whose turn has not come."""

AT_ONCE = 500
"""Released in one look: their rows are locked until its end."""
LOOKED_AT = 2000
"""Waiting ones in one look, 0.03 s; where there are more, the others are for the next looks: of 50,000 each has been
looked at within seconds."""
PASSED_AT_ONCE = 16
"""Ended renders passed over in a row in one look: never without an end, whatever the rows say."""

_WAITS = (
    "{0}.follows_id IS NOT NULL AND {0}.started_at IS NULL AND {0}.finished_at IS NULL AND {0}.ready_at = 'infinity'"
)
_BEHIND = f"{_WAITS.format('w')} AND (w.follows_id, w.id) > (:after, :after_id) ORDER BY w.follows_id, w.id"
_PAIRS = f"""
    (SELECT w.id, w.follows_id, w.follows_until FROM renders w WHERE {_BEHIND} LIMIT :most) f
    LEFT JOIN LATERAL (SELECT * FROM renders p WHERE p.id = f.follows_id OFFSET 0) t ON true"""  # noqa: S608 - own names
"""Who waits, and behind whom: along `ix_renders_turns`, once the planner has statistics of the table."""
_ENDED_UNBEGUN = "t.finished_at IS NOT NULL AND t.started_at IS NULL AND t.follows_id IS NOT NULL"

_LAST = text(f"SELECT w.follows_id, w.id FROM renders w WHERE {_BEHIND} OFFSET :most - 1 LIMIT 1")  # noqa: S608 - own names
_PASS_OVER = text(
    f"""
    WITH passed AS MATERIALIZED (SELECT f.id, t.follows_id, t.follows_until FROM {_PAIRS} WHERE {_ENDED_UNBEGUN}),
    mine AS (SELECT r.id FROM renders r WHERE r.id = ANY (ARRAY(SELECT id FROM passed)) AND {_WAITS.format("r")}
        ORDER BY r.id FOR UPDATE SKIP LOCKED)
    UPDATE renders SET follows_id = passed.follows_id, follows_until = passed.follows_until
    FROM passed WHERE renders.id = passed.id AND renders.id = ANY (ARRAY(SELECT id FROM mine))"""  # noqa: S608 - own names
)
"""Rows that somebody holds are passed over here too: nobody's lock may stop the dispatcher."""
_RELEASE = text(
    f"""
    WITH turned AS MATERIALIZED (SELECT f.id FROM {_PAIRS}
        WHERE ({_ENDED_UNBEGUN}) IS NOT TRUE
            AND (t.id IS NULL OR t.id = f.id OR t.finished_at IS NOT NULL
                OR f.follows_until = 'export' AND t.stage IN ('poll', 'store'))),
    mine AS (SELECT r.id FROM renders r WHERE r.id = ANY (ARRAY(SELECT id FROM turned)) AND {_WAITS.format("r")}
        ORDER BY r.id LIMIT {AT_ONCE} FOR UPDATE SKIP LOCKED)
    UPDATE renders SET ready_at = now(), status = '{Status.QUEUED.value}', reason = NULL, updated_at = now()
    WHERE id = ANY (ARRAY(SELECT id FROM mine))"""  # noqa: S608 - own names
)
_INHERITED = "t.started_at IS NULL AND t.follows_id IS NOT NULL"
_FREED = f"{_WAITS.format('f')} AND NOT ({_INHERITED})"
_LEAVE = text(
    f"""
    UPDATE renders f SET updated_at = now(),
        follows_id = CASE WHEN {_INHERITED} THEN t.follows_id END,
        follows_until = CASE WHEN {_INHERITED} THEN t.follows_until END,
        ready_at = CASE WHEN {_FREED} THEN now() ELSE f.ready_at END,
        status = CASE WHEN {_FREED} THEN '{Status.QUEUED.value}' ELSE f.status END,
        reason = CASE WHEN {_FREED} THEN NULL ELSE f.reason END
    FROM renders t WHERE t.id = :id AND f.follows_id = t.id"""  # noqa: S608 - own names
)
"""Whoever names the render, waiting or not: one that was released may be called off yet, and would hand on a way
back to this one, behind it."""
_WAIT = text(
    f"""
    WITH waits AS (UPDATE renders SET follows_id = :follows, follows_until = :until, ready_at = 'infinity',
            status = '{Status.WAITING.value}', reason = '{Reason.SESSION.value}', event_number = event_number + 1
        WHERE id = :id RETURNING *)
    INSERT INTO events (owner_id, render_id, run, number, type, data)
    SELECT owner_id, id, run, event_number, '{EventType.WAITING.value}',
        jsonb_build_object('reason', reason, 'follows_id', follows_id) FROM waits"""  # noqa: S608 - own names
)


class Turns:
    """One dispatcher's look at whose turn has come, a slice of those who wait at a time: a look costs no more, however
    many they are."""

    def __init__(self, most: int = LOOKED_AT) -> None:
        self._most = most
        self._after = ("", "")

    def release(self, session: Session) -> int:
        """Make ready those of the next slice whose turn has come; how many. One whose predecessor is no more (its
        batch was thrown away), or that is said to follow itself, waits for nobody."""
        given = {"after": self._after[0], "after_id": self._after[1], "most": self._most}
        last = session.execute(_LAST, given).one_or_none()
        self._after = (last.follows_id, last.id) if last is not None else ("", "")
        for _ in range(PASSED_AT_ONCE):
            if not _rows(session, _PASS_OVER, **given):
                break
        return _rows(session, _RELEASE, **given)


def release_followers(session: Session, limit: int = LOOKED_AT) -> int:
    """Look at the first `limit` of those who wait."""
    return Turns(limit).release(session)


def leave(session: Session, render_id: str) -> None:
    """A locked, final render is about to take another place: whoever follows it goes on as if it were over for good."""
    _rows(session, _LEAVE, id=render_id)


def wait_for(session: Session, render_id: str, follows: str, until: str) -> None:
    """A render that nobody began waits for its turn behind another, until its `export` is accepted or its `end`."""
    _rows(session, _WAIT, id=render_id, follows=follows, until=until)


def _rows(session: Session, statement: object, **given: object) -> int:
    found = session.execute(statement, given)  # pyright: ignore[reportCallIssue, reportArgumentType]
    return found.rowcount  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType, reportUnknownMemberType]
