"""A newer revision of a product takes the place of one that nobody began, and never overtakes one that is at work.

By the owner's reference and the template: two videos of one product, made with two templates, leave each other alone.
"""

from dataclasses import dataclass, field

from sqlalchemy import text
from sqlalchemy.orm import Session

from worker.renders.revisions import follow, replace


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
