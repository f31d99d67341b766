"""A batch's course: paused, resumed, approved, cancelled, moved to another priority, opened again.

A pause, an approval and a resumption are writes on its lanes, however many renders it has. What concerns each render
is done in chunks. Batches given here are locked.
"""

from typing import Any

from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from worker.batches.models import Batch, BatchState, PauseReason
from worker.batches.telling import tell
from worker.metrics.commits import on_commit
from worker.metrics.declared import RUNS_ENDED
from worker.renders.events import EventType, NewEvent
from worker.renders.models import Lane, Render
from worker.renders.queue import notify_due
from worker.renders.states import Status
from worker.renders.store import CANCEL, lane_beside


def pause(session: Session, batch: Batch, reason: PauseReason = PauseReason.ASKED, detail: str | None = None) -> None:
    """Begin nothing new of it; what is under way goes on. One that is paused keeps its reason."""
    if batch.paused_at is not None:
        return
    told = NewEvent(EventType.BATCH_PAUSED, {"reason": reason.value, "detail": detail})
    _change(session, batch, told, paused_at=func.now(), pause_reason=reason.value, pause_detail=detail)
    _stop_lanes(session, batch)


def resume(session: Session, batch: Batch) -> None:
    """Go on. Failures so far are known to who resumes: they count no more."""
    if batch.paused_at is None:
        return
    counting_from = batch.counting_from if batch.pause_reason == PauseReason.ASKED.value else func.now()
    _change(
        session,
        batch,
        NewEvent(EventType.BATCH_RESUMED),
        paused_at=None,
        pause_reason=None,
        pause_detail=None,
        counting_from=counting_from,
        allowance=None,
    )
    if batch.cancel_requested_at is None:
        _lanes(session, batch, paused_at=None)
        notify_due(session)


def approve(session: Session, batch: Batch) -> None:
    """Let the renders begin that waited for it."""
    if batch.approved_at is not None:
        return
    _change(session, batch, NewEvent(EventType.BATCH_APPROVED), approved_at=func.now())
    _lanes(session, batch, held=False)
    notify_due(session)


def cancel(session: Session, batch: Batch) -> None:
    """Begin nothing more of it, at once; its renders are cancelled by `cancel_some`, called until none is left."""
    if batch.cancel_requested_at is not None or batch.state == BatchState.FINISHED.value:
        return
    _change(session, batch, NewEvent(EventType.BATCH_CANCELING), cancel_requested_at=func.now())
    _stop_lanes(session, batch)
    notify_due(session)


def change(session: Session, batch: Batch, **values: Any) -> None:
    """Give columns of a locked batch other values; queued renders move to another priority by `move_some`."""
    changed = {name: value for name, value in values.items() if getattr(batch, name) != value}
    if not changed:
        return
    if "max_credits" in changed:
        changed["allowance"] = None  # counted anew
    fields = sorted({"meta": "metadata"}.get(name, name) for name in changed if name != "allowance")
    _change(session, batch, NewEvent(EventType.BATCH_UPDATED, {"fields": fields}), **changed)


def cancel_some(session: Session, batch: Batch, limit: int) -> int:
    """Cancel up to `limit` of a batch's renders, as `renders.store.cancel` does one: those that nobody began are
    canceled, of the others it is asked. How many; rows that somebody else has locked are left for the next call."""
    rows = session.execute(_CANCEL_SOME, {"batch_id": batch.id, "limit": limit}).all()
    prevented = sum(row.status == Status.CANCELED.value for row in rows)
    if prevented:
        on_commit(session, lambda: RUNS_ENDED.labels(Status.CANCELED.value, "").inc(prevented))
    if prevented < len(rows):
        notify_due(session)
        session.execute(text(f"NOTIFY {CANCEL}"))
    return len(rows)


_CANCEL_SOME = text(
    f"""
    WITH chosen AS (SELECT id, started_at IS NULL AS unbegun FROM renders
            WHERE batch_id = :batch_id AND batch_id IS NOT NULL AND status IN ('queued', 'running', 'waiting')
                AND finished_at IS NULL AND cancel_requested_at IS NULL
            LIMIT :limit FOR UPDATE SKIP LOCKED),
        changed AS (UPDATE renders SET
                status = CASE WHEN unbegun THEN '{Status.CANCELED.value}' ELSE '{Status.CANCELING.value}' END,
                reason = NULL, cancel_requested_at = now(), sent_at = NULL, updated_at = now(),
                cancel_effect = CASE WHEN unbegun THEN 'prevented' END,
                finished_at = CASE WHEN unbegun THEN now() END, event_number = event_number + 1
            FROM chosen WHERE renders.id = chosen.id
            RETURNING renders.id, owner_id, run, event_number, status, stage),
        told AS (INSERT INTO events (owner_id, render_id, run, number, type, data)
            SELECT owner_id, id, run, event_number,
                CASE WHEN status = '{Status.CANCELED.value}' THEN '{EventType.CANCELED.value}'
                    ELSE '{EventType.CANCELING.value}' END,
                CASE WHEN status = '{Status.CANCELED.value}' THEN jsonb_build_object('effect', 'prevented')
                    ELSE jsonb_build_object('stage', stage) END
            FROM changed)
    SELECT status FROM changed"""  # noqa: S608 - own names
)


def move_some(session: Session, batch: Batch, limit: int) -> int:
    """Move up to `limit` queued renders of a batch to lanes of its priority; how many. They have no event for it."""
    lanes = select(Lane).where(Lane.batch_id == batch.id, Lane.priority != batch.priority).order_by(Lane.id)
    moved = 0
    for lane in session.scalars(lanes).all():
        target = lane_beside(session, lane, batch.priority)
        queued = select(Render.id).where(
            Render.lane_id == lane.id,
            Render.started_at.is_(None),
            Render.finished_at.is_(None),
            Render.worker_id.is_(None),
        )
        chosen = queued.limit(limit - moved).with_for_update(skip_locked=True)
        changed = session.execute(
            update(Render)
            .where(Render.id.in_(session.scalars(chosen).all()))
            .values(lane_id=target, priority=batch.priority, updated_at=func.now())
            .returning(Render.id)
            .execution_options(synchronize_session=False)
        ).all()
        moved += len(changed)
        if moved >= limit:
            break
    return moved


def reopen(session: Session, batch_id: str) -> None:
    """A render of it starts another run. One that was finished goes on: without the pause and the cancellation that it
    ended with, which would hold that run for ever.

    The row is locked whatever its state: who ends a batch locks it too, and looks for open renders after that.
    """
    state = session.scalar(select(Batch.state).where(Batch.id == batch_id).with_for_update())
    if state != BatchState.FINISHED.value:
        return
    cleared = dict.fromkeys(
        ("finished_at", "cancel_requested_at", "paused_at", "pause_reason", "pause_detail", "allowance")
    )
    session.execute(
        update(Batch)
        .where(Batch.id == batch_id)
        .values(state=BatchState.OPEN.value, counting_from=func.now(), **cleared)
        .execution_options(synchronize_session="fetch")
    )
    session.execute(
        update(Lane)
        .where(Lane.batch_id == batch_id)
        .values(paused_at=None)
        .execution_options(synchronize_session=False)
    )
    tell(session, EventType.BATCH_REOPENED, {batch_id: {}})


def _change(session: Session, batch: Batch, told: NewEvent, **values: object) -> None:
    session.execute(
        update(Batch).where(Batch.id == batch.id).values(**values).execution_options(synchronize_session=False)
    )
    tell(session, told.type, {batch.id: told.data})
    session.refresh(batch)


def _stop_lanes(session: Session, batch: Batch) -> None:
    _lanes(session, batch, paused_at=func.coalesce(Lane.paused_at, func.now()))


def _lanes(session: Session, batch: Batch, **values: object) -> None:
    session.execute(
        update(Lane).where(Lane.batch_id == batch.id).values(**values).execution_options(synchronize_session=False)
    )
