"""From rows to answers about batches: a few index-only counts for each, however many renders it has."""

from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from api.batches import estimate
from api.batches.bodies import (
    BatchBody,
    BatchCountsBody,
    BatchCreditsBody,
    BatchEstimateBody,
    BatchPauseBody,
    ItemBody,
    ItemErrorBody,
    RowProblemBody,
)
from api.batches.estimate import Left
from api.bodies import ChargeBody
from api.problems import Problem
from worker.batches import store
from worker.batches.models import Batch, BatchProblem, BatchState
from worker.batches.store import NewProblem
from worker.renders.models import Render
from worker.renders.states import FINAL, Status

UNDER_WAY = (Status.RUNNING, Status.WAITING, Status.CANCELING)


def found(session: Session, owner_id: str, batch_id: str) -> Batch:
    """The owner's batch. Raises Problem `batch.unknown`."""
    batch = store.get(session, owner_id, batch_id)
    if batch is None:
        raise unknown(batch_id)
    return batch


def received(session: Session, owner_id: str, batch_id: str) -> Batch:
    """As `found`, for what a batch has once it is accepted. Raises Problem `batch.receiving` too."""
    return _accepted(found(session, owner_id, batch_id))


def held(session: Session, owner_id: str, batch_id: str) -> Batch:
    """As `received`, with its row locked."""
    batch = store.locked(session, owner_id, batch_id)
    if batch is None:
        raise unknown(batch_id)
    return _accepted(batch)


def unknown(batch_id: str) -> Problem:
    """The problem of a batch that is not there, or somebody else's."""
    return Problem("batch.unknown", f"You have no batch {batch_id[:64]}.")


def _accepted(batch: Batch) -> Batch:
    if batch.state == BatchState.RECEIVING.value:
        raise Problem("batch.receiving", f"{batch.total} of its rows are in so far.")
    return batch


def batch_body(session: Session, batch: Batch) -> BatchBody:
    """The answer for one batch."""
    counts = {} if batch.state == BatchState.RECEIVING.value else store.counts(session, batch.id)
    spent = store.spent(session, batch.id)
    final = sum(counts.get(status.value, 0) for status in FINAL)
    waits = store.awaits_approval(batch)
    status = _status(session, batch, waits=waits)
    return BatchBody(
        id=batch.id,
        name=batch.name,
        status=status,
        source=batch.source,
        priority=batch.priority,
        tags=batch.tags,
        metadata=batch.meta,
        total=max(batch.total, 0),
        rejected=batch.rejected,
        counts=BatchCountsBody(**counts),
        progress=round(final / batch.total, 4) if batch.total > 0 else 0.0,
        credits=BatchCreditsBody(known=spent.known, unknown_count=spent.unknown),
        first=batch.first,
        approved_at=batch.approved_at,
        max_credits=batch.max_credits,
        max_failure_rate=batch.max_failure_rate,
        pause=_pause(batch),
        estimate=_estimate(session, batch, counts, waits=waits) if status == "running" else None,
        created_at=batch.created_at,
        accepted_at=batch.accepted_at,
        cancel_requested_at=batch.cancel_requested_at,
        finished_at=batch.finished_at,
        links=_links(batch, counts),
    )


def _status(session: Session, batch: Batch, *, waits: bool) -> str:
    if batch.state != BatchState.OPEN.value:
        return batch.state
    if batch.cancel_requested_at is not None:
        return "canceling"
    if batch.paused_at is not None:
        return "paused"
    if waits and not store.first_are_open(session, batch):
        return "awaiting_approval"
    return "running"


def _pause(batch: Batch) -> BatchPauseBody | None:
    if batch.paused_at is None or batch.pause_reason is None:
        return None
    return BatchPauseBody(reason=batch.pause_reason, detail=batch.pause_detail, since=batch.paused_at)


def _estimate(session: Session, batch: Batch, counts: dict[str, int], *, waits: bool) -> BatchEstimateBody | None:
    under_way = sum(counts.get(status.value, 0) for status in UNDER_WAY)
    queued = counts.get(Status.QUEUED.value, 0)
    if waits:
        queued -= batch.total - (batch.first or 0)
    times = estimate.seconds(estimate.paces.now(session), Left(max(queued, 0), under_way), batch.id)
    if times is None:
        return None
    now = session.execute(select(func.now())).scalar_one()
    p50, p90 = (now + timedelta(seconds=round(one)) for one in times)
    return BatchEstimateBody(p50=p50, p90=p90)


def _links(batch: Batch, counts: dict[str, int]) -> dict[str, str]:
    """Where to go from here: only what answers."""
    at = f"/v1/batches/{batch.id}"
    links = {"self": at}
    if batch.rejected:
        links["problems"] = f"{at}/problems"
    if batch.state == BatchState.RECEIVING.value:
        return links
    links |= {"items": f"{at}/items", "manifest": f"{at}/manifest", "renders": f"/v1/renders?batch={batch.id}"}
    going = batch.state == BatchState.OPEN.value and batch.cancel_requested_at is None
    if going:
        links["cancel"] = f"{at}/cancel"
        links |= {"resume": f"{at}/resume"} if batch.paused_at else {"pause": f"{at}/pause"}
    if going and store.awaits_approval(batch):
        links["approve"] = f"{at}/approve"
    if counts.get(Status.FAILED.value) or counts.get(Status.EXPIRED.value):
        links["retry-failed"] = f"{at}/retry-failed"
    return links


def item_body(render: Render) -> ItemBody:
    """One render in short."""
    error = ItemErrorBody(code=render.error_code, message=render.error_message) if render.error_code else None
    return ItemBody(
        position=render.batch_position or 0,
        id=render.id,
        ref=render.external_ref,
        status=render.status,
        reason=render.reason,
        stage=render.stage,
        run=render.run,
        priority=render.priority,
        charge=ChargeBody(state=render.charge_state, credits=render.charge_credits),
        error=error,
        started_at=render.started_at,
        finished_at=render.finished_at,
    )


def problem_body(problem: BatchProblem | NewProblem) -> RowProblemBody:
    """One rejected row."""
    return RowProblemBody(**{name: getattr(problem, name) for name in RowProblemBody.model_fields})
