"""Renders that wait, woken before their time because what they wait for is there."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import ColumnElement, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import INTERVAL
from sqlalchemy.orm import Session

from worker.renders.leases import unowned
from worker.renders.models import Export, Render
from worker.renders.states import Reason, Stage, Status

SPREAD = timedelta(seconds=3)
"""Over how long those that are woken together come back: one after the other, not as one wave."""


def wake(
    session: Session,
    *reasons: Reason,
    account_id: str | None = None,
    limit: int | None = None,
    export_interval: timedelta | None = None,
) -> int:
    """Make due, spread over a few seconds, the renders that wait for one of `reasons`; how many.

    With `account_id` those of that account and those that no account has taken on yet; at most `limit`, the oldest
    first. An export that was asked after keeps `export_interval` to its last answer; without one, polls stay as they
    are.
    """
    waiting = select(Render.id).where(*_waits_for(reasons, account_id), _is_woken(export_interval))
    waiting = waiting.order_by(Render.id).limit(limit).with_for_update(skip_locked=True)
    chosen = waiting.cte()  # once: a subquery with a limit may be asked anew for each row, and finds others then
    soon = func.now() + func.random() * literal(SPREAD, INTERVAL)
    woken = session.execute(
        update(Render)
        .where(Render.id.in_(select(chosen.c.id)))
        .values(ready_at=func.least(Render.ready_at, _not_before(soon, export_interval)), sent_at=None)
        .returning(Render.id)
        .execution_options(synchronize_session=False)
    )
    return len(woken.all())


def _waits_for(reasons: Sequence[Reason], account_id: str | None) -> list[ColumnElement[bool]]:
    wanted = [
        unowned(),
        Render.started_at.is_not(None),
        Render.ready_at > func.now(),
        Render.status == Status.WAITING.value,
        Render.reason.in_([reason.value for reason in reasons]),
    ]
    if account_id is not None:
        wanted.append(or_(Render.account_id == account_id, Render.account_id.is_(None)))
    return wanted


def _is_woken(export_interval: timedelta | None) -> ColumnElement[bool]:
    # A render of which nothing was ever answered keeps its time: its interval runs from the submission.
    if export_interval is None:
        return Render.stage != Stage.POLL.value
    return or_(Render.stage != Stage.POLL.value, _answered().is_not(None))


def _answered() -> ColumnElement[object]:
    return select(Export.answered_at).where(Export.id == Render.export_id).scalar_subquery()


def _not_before(soon: ColumnElement[object], export_interval: timedelta | None) -> ColumnElement[object]:
    if export_interval is None:
        return soon
    # `greatest` passes over the NULL of those that are at no export.
    asked_again = _answered() + literal(export_interval, INTERVAL)
    return func.greatest(soon, asked_again)
