"""In which order messages about one thing are made: a newer state takes the place of one that nobody began, and never
overtakes one that is at work.

By the owner's reference and the template, as catalogs do it (`worker.catalogs.revisions`): two videos of one thing,
made with two templates, leave each other alone. A trigger's revisions are kept with what it knows of its things and not
on its renders: most are microseconds, beside which the small numbers that an owner counts by himself (`revision` of
POST /v1/renders) would be stale for ever. Who calls this has the thing locked (`planning.one_at_a_time`).
"""

from collections.abc import Collection, Sequence

from sqlalchemy import Select, exists, func, select
from sqlalchemy.orm import Session

from worker.renders.models import Render
from worker.renders.revisions import replace
from worker.templates.models import TemplateVersion
from worker.triggers.models import Trigger, TriggerDelivery, TriggerThing, Verdict


def known(session: Session, owner_id: str, ref: str, template: Collection[str]) -> int | None:
    """The newest revision of a thing that the owner's triggers of this template know of; `template`: its name and its
    id, by either of which a trigger may call it."""
    query = (
        select(func.max(TriggerThing.revision))
        .join(Trigger, Trigger.id == TriggerThing.trigger_id)
        .where(
            Trigger.owner_id == owner_id,
            Trigger.deleted_at.is_(None),
            TriggerThing.ref == ref,
            TriggerThing.counted_from == Trigger.counts_from,
            func.split_part(Trigger.template, "@", 1).in_(template),
        )
    )
    return session.scalar(query)


def make_way(session: Session, owner_id: str, ref: str, template_id: str, *, newer: str) -> str | None:
    """Cancel what nobody began of the thing's renders that triggers made, in favour of `newer`; the one at work that
    `newer` has to follow, if there is one. Renders of messages without a revision are in nobody's way."""
    others = _open(owner_id, ref, template_id).where(Render.id != newer)
    unbegun: Sequence[str] = session.scalars(
        others.where(Render.started_at.is_(None)).order_by(Render.id).with_for_update(of=Render)
    ).all()
    replace(session, dict.fromkeys(unbegun, newer))
    # Not locked, only followed: where it ends meanwhile, the dispatcher sees it.
    at_work = others.where(Render.started_at.is_not(None)).order_by(Render.id.desc()).limit(1)
    return session.scalar(at_work)


def _open(owner_id: str, ref: str, template_id: str) -> Select[str]:
    of_template = exists().where(
        TemplateVersion.id == Render.template_version_id, TemplateVersion.template_id == template_id
    )
    of_message = exists().where(
        TriggerDelivery.render_id == Render.id,
        TriggerDelivery.verdict == Verdict.RENDERED.value,
        TriggerDelivery.revision.is_not(None),
        TriggerDelivery.trigger_id == Trigger.id,
        Trigger.deleted_at.is_(None),
    )
    mine = Render.owner_id == owner_id, Render.external_ref == ref, Render.finished_at.is_(None)
    return select(Render.id).where(*mine, of_template, of_message)
