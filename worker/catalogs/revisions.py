"""A newer revision of a product takes the place of one that nobody began, and never overtakes one that is at work.

By the owner's reference and the template: two videos of one product, made with two templates, leave each other alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import text
from sqlalchemy.orm import Session

from worker.metrics.commits import on_commit
from worker.metrics.declared import RUNS_ENDED
from worker.renders.events import EventType
from worker.renders.states import Status


@dataclass
class Plan:
    """What to do about the open renders of products that have a newer one."""

    superseded: dict[str, str] = field(default_factory=dict[str, str])
    """Unbegun → the one that takes its place."""
    follows: dict[str, str] = field(default_factory=dict[str, str])
    """Newer one → the one at work that it must not overtake."""


def settle(session: Session, read_id: str, *, prefix: str, template_id: str) -> int:
    """Cancel what a reading's new renders replace, and have them wait for what is at work; how many were replaced."""
    plan = _plan(session, read_id, prefix, template_id)
    replace(session, plan.superseded)
    follow(session, plan.follows)
    return len(plan.superseded)


def _plan(session: Session, read_id: str, prefix: str, template_id: str) -> Plan:
    plan = Plan()
    for row in session.execute(_OPEN, {"read": read_id, "prefix": prefix, "template": template_id}):
        if row.begun:
            plan.follows[row.newer] = row.older
            continue
        plan.superseded[row.older] = row.newer
        if row.follows_id is not None:
            plan.follows.setdefault(row.newer, row.follows_id)
    return plan


_OPEN = text(
    """
    SELECT DISTINCT o.id AS older, c.render_id AS newer, o.started_at IS NOT NULL AS begun, o.follows_id
    FROM (SELECT o.* FROM renders o WHERE o.id IN (
            SELECT p.render_id FROM catalog_changes c JOIN catalog_reads r ON r.id = c.read_id
            JOIN catalog_products p ON p.owner_id = r.owner_id AND p.external_ref = :prefix || c.ref
                AND p.template_id = :template AND p.render_id <> c.render_id
            WHERE c.read_id = :read AND c.kind <> 'unchanged')
        AND o.finished_at IS NULL ORDER BY o.id FOR UPDATE) o
    JOIN catalog_products p ON p.render_id = o.id AND p.template_id = :template
    JOIN catalog_reads r ON r.id = :read
    JOIN catalog_changes c ON c.read_id = r.id AND p.owner_id = r.owner_id AND p.external_ref = :prefix || c.ref
        AND c.render_id <> o.id AND c.kind <> 'unchanged'
    ORDER BY o.id"""
)


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
                WHERE r.follows_id IS NOT NULL AND r.started_at IS NULL AND r.finished_at IS NULL
                    AND r.ready_at = 'infinity')
            SELECT 1 FROM before WHERE before.id = renders.id)"""
)
