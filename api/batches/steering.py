"""What is asked of a batch as a whole."""

from collections.abc import Callable

from sqlalchemy.orm import Session

from api.auth import Caller
from api.batches.bodies import BatchBody
from api.batches.schemas import BatchChange
from api.batches.views import batch_body, held
from api.database import transact
from api.problems import Problem
from worker.batches import store
from worker.batches.models import Batch, BatchState, PauseReason
from worker.remote.intents import ABOUT_A_CLIP

MOVED_AT_ONCE = 2_000
"""Renders that change their priority in one transaction."""


def pause(caller: Caller, batch_id: str) -> BatchBody:
    """Raises Problem `batch.…`."""
    return _steer(caller, batch_id, _going, store.pause)


def resume(caller: Caller, batch_id: str) -> BatchBody:
    """Raises Problem `batch.…`; `batch.max_credits` where it would be paused again at once."""

    def may_spend(session: Session, owner_id: str, batch_id: str) -> Batch:
        batch = _going(session, owner_id, batch_id)
        _check_credits(session, batch)
        return batch

    return _steer(caller, batch_id, may_spend, store.resume)


def _check_credits(session: Session, batch: Batch) -> None:
    if batch.pause_reason != PauseReason.MAX_CREDITS.value or batch.max_credits is None:
        return
    spent = store.spent(session, batch.id)
    known = spent.known + spent.unknown * ABOUT_A_CLIP
    if known + ABOUT_A_CLIP > batch.max_credits:
        words = f"{known:g} of {batch.max_credits:g} credits are spent, and a render costs about {ABOUT_A_CLIP:g}."
        raise Problem("batch.max_credits", words)


def approve(caller: Caller, batch_id: str) -> BatchBody:
    """Raises Problem `batch.…`."""
    return _steer(caller, batch_id, _going, store.approve)


def cancel(caller: Caller, batch_id: str) -> BatchBody:
    """Harmless to repeat. Raises Problem `batch.unknown`, `batch.receiving`."""
    return _steer(caller, batch_id, held, store.cancel)


def change(caller: Caller, batch_id: str, given: BatchChange) -> BatchBody:
    """Change what is given; queued renders move to their new priority in short transactions, before the answer."""

    def work(session: Session) -> None:
        batch = held(session, caller.owner_id, batch_id)
        values = given.model_dump(exclude_unset=True)
        if "metadata" in values:
            values["meta"] = values.pop("metadata") or {}
        if values.get("priority", "") is None:
            del values["priority"]
        store.change(session, batch, **values)

    transact(work)
    if given.priority is not None:
        while transact(
            lambda session: store.move_some(session, held(session, caller.owner_id, batch_id), MOVED_AT_ONCE)
        ):
            pass
    return transact(lambda session: batch_body(session, held(session, caller.owner_id, batch_id)))


def _steer(
    caller: Caller,
    batch_id: str,
    found: Callable[[Session, str, str], Batch],
    act: Callable[[Session, Batch], object],
) -> BatchBody:
    """Act on the locked batch, in one transaction; how it stands then."""

    def work(session: Session) -> BatchBody:
        batch = found(session, caller.owner_id, batch_id)
        act(session, batch)
        return batch_body(session, batch)

    return transact(work)


def _going(session: Session, owner_id: str, batch_id: str) -> Batch:
    """The batch, locked. Raises Problem `batch.finished`, `batch.canceling` where it takes no more orders."""
    batch = held(session, owner_id, batch_id)
    if batch.state == BatchState.FINISHED.value:
        raise Problem("batch.finished", "All its renders are final.")
    if batch.cancel_requested_at is not None:
        raise Problem("batch.canceling", "Its renders are being cancelled.")
    return batch
