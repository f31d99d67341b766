"""A newer revision of a product takes the place of one that nobody began, and never overtakes one that is at work.

By the owner's reference and the template: two videos of one product, made with two templates, leave each other alone,
and so do renders that somebody asked for one by one, or a shop by a message that are still queued.
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
    pairs = session.execute(_PAIRS, {"read": read_id, "prefix": prefix, "template": template_id}).all()
    newer = {row.older: row.newer for row in pairs}
    unbegun = set(session.scalars(_LOCK_UNBEGUN, {"ids": [*newer]})) if newer else set[str]()
    for row in session.execute(_OPEN, {"ids": [*newer]}) if newer else ():
        if row.begun:
            plan.follows[newer[row.id]] = row.id
        elif row.id in unbegun:
            plan.superseded[row.id] = newer[row.id]
            if row.follows_id is not None:
                plan.follows.setdefault(newer[row.id], row.follows_id)
    return plan


_PAIRS = text(
    """
    SELECT o.id AS older, c.render_id AS newer
    FROM catalog_reads r JOIN catalog_changes c ON c.read_id = r.id AND c.kind NOT IN ('unchanged', 'gone'),
        LATERAL (SELECT o.id, o.template_version_id, o.batch_id, o.started_at FROM renders o
            WHERE o.owner_id = r.owner_id AND o.external_ref = :prefix || c.ref
                AND o.finished_at IS NULL AND o.fingerprint IS NOT NULL OFFSET 0) o
    WHERE r.id = :read AND o.id <> c.render_id
        AND EXISTS (SELECT 1 FROM template_versions v WHERE v.id = o.template_version_id AND v.template_id = :template)
        AND NOT EXISTS (SELECT 1 FROM batches b WHERE b.id = o.batch_id AND b.state = 'receiving')
        AND (o.started_at IS NOT NULL OR NOT EXISTS (SELECT 1 FROM trigger_deliveries d
            WHERE d.render_id = o.id AND d.verdict = 'rendered'))
    ORDER BY o.id"""
)
"""By what the renders say, not the products: a catalog that was dropped left renders, and no products. One by one along
`ix_renders_external_ref` (hence OFFSET 0), whatever the planner knows of a table that a shop has just filled.

What a shop's message asked for and nobody began is no feed's to replace, which may have been exported before; one at
work is followed all the same."""

_LOCK_UNBEGUN = text(
    """
    SELECT id FROM renders WHERE id = ANY(:ids) AND started_at IS NULL AND finished_at IS NULL ORDER BY id FOR UPDATE"""
)
"""Those at work are not locked, only followed: where one ends meanwhile, the dispatcher sees it."""

_OPEN = text(
    """
    SELECT id, started_at IS NOT NULL AS begun, follows_id FROM renders
    WHERE id = ANY(:ids) AND finished_at IS NULL ORDER BY id"""
)
