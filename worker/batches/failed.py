"""A batch's failed renders, begun anew: those that cost nothing twice, or all of them with `force`."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, exists, func, not_, or_, select, true
from sqlalchemy.orm import Session

from worker.batches.models import Batch
from worker.remote.intents import Intent, IntentState
from worker.renders.models import Draft, Render, Run
from worker.renders.states import Charge, Status

_FAILED = (Status.FAILED.value, Status.EXPIRED.value)


def some(session: Session, batch: Batch, *, force: bool, after: str = "", limit: int) -> Sequence[Render]:
    """Up to `limit` of its failed renders behind the id `after` that may be begun anew, locked; those that somebody
    else has locked are passed over. A draft that was lost at the backend shows only when one tries."""
    query = (
        select(Render)
        .where(*_failed(batch), Render.id > after, true() if force else _without_another_charge())
        .order_by(Render.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )
    return session.scalars(query).all()


def count(session: Session, batch: Batch) -> tuple[int, int]:
    """How many failed, and how many of these need `force`."""
    query = select(func.count(), func.count().filter(not_(_without_another_charge()))).where(*_failed(batch))
    failed, needing = session.execute(query).one()
    return failed, needing


def _failed(batch: Batch) -> tuple[ColumnElement[bool], ...]:
    return Render.batch_id == batch.id, Render.status.in_(_FAILED), Render.purged_at.is_(None)


def _without_another_charge() -> ColumnElement[bool]:
    """Nothing was charged, or the draft that was paid for is there to go on from (`runs.first_stage` looks closer)."""
    charged = Charge.NONE.value
    earlier = exists().where(Run.render_id == Render.id, Run.charge_state != charged)
    draft = exists().where(Draft.render_id == Render.id, Draft.run == Render.run)
    carried_out = exists().where(Intent.render_id == Render.id, Intent.state == IntentState.APPLIED.value)
    return or_((Render.charge_state == charged) & not_(earlier), draft, carried_out)
