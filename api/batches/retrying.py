"""The failed renders of a batch, begun anew within one call: in short transactions, up to a bound."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from api import idempotency
from api.auth import Caller
from api.batches.bodies import RetriedBody
from api.batches.views import batch_body, held
from api.database import transact
from api.idempotency import Earlier, Key
from api.problems import Problem
from api.schemas import RetryRequest
from worker.batches import failed
from worker.owners import limits
from worker.owners.limits import LimitReached
from worker.remote.intents import ABOUT_A_CLIP
from worker.renders import runs
from worker.renders.runs import ForceNeeded
from worker.renders.states import Stage
from worker.sessions import store as sessions

AT_ONCE = 50
"""In one transaction: about 0.2 s, in which their rows are locked."""
MOST = 1_000
"""In one call: about 5 s."""


@dataclass
class _Progress:
    """How far one call is. A transaction that is run again starts from the copy it was given."""

    after: str = ""
    retried: int = 0
    refused: int = 0
    over: bool = False


def retry(caller: Caller, batch_id: str, request: RetryRequest, key: Key) -> tuple[RetriedBody, bool]:
    """Begin the failed renders anew; and whether an earlier call with this key did.

    A key stands for one call: where some are left, the next one needs another. Raises Problem `batch.…`,
    `idempotency.…`, and LimitReached where the key's limits let none of them begin.
    """
    route = f"POST /v1/batches/{batch_id}/retry-failed"
    hashed = idempotency.body_hash(request.model_dump(mode="json"))

    def first(session: Session) -> _Progress | Earlier:
        held(session, caller.owner_id, batch_id)
        return idempotency.once(
            session, caller.owner_id, route, key, hashed, batch_id, lambda: _some(session, caller, batch_id, request)
        )

    made = transact(first)
    if isinstance(made, Earlier):
        return _answer(caller, batch_id, _Progress()), key.given
    while not made.over and made.retried < MOST:
        try:
            made = transact(lambda session, before=made: _some(session, caller, batch_id, request, before))
        except LimitReached:
            break  # what was begun is begun; `left` says that there is more
    return _answer(caller, batch_id, made), False


def _some(
    session: Session, caller: Caller, batch_id: str, request: RetryRequest, before: _Progress | None = None
) -> _Progress:
    done = _Progress(**vars(before)) if before else _Progress()
    batch = held(session, caller.owner_id, batch_id)
    if batch.cancel_requested_at is not None and batch.finished_at is None:
        raise Problem("batch.canceling", "Wait until it is finished.")
    found = failed.some(session, batch, force=request.force, after=done.after, limit=AT_ONCE)
    paid = 0
    for render in found:
        done.after = render.id
        try:
            paid += runs.first_stage(session, render, force=request.force) is Stage.TOKEN
            runs.retry(session, render, force=request.force, api_key_id=caller.key_id)
            done.retried += 1
        except (ForceNeeded, sessions.Lost, sessions.Closed):
            done.refused += 1
    limits.check(session, caller.key_id, caller.limits, credits=ABOUT_A_CLIP if paid else 0, runs=0)
    done.over = len(found) < AT_ONCE
    return done


def _answer(caller: Caller, batch_id: str, done: _Progress) -> RetriedBody:
    def work(session: Session) -> RetriedBody:
        batch = held(session, caller.owner_id, batch_id)
        count, needing = failed.count(session, batch)
        needing = min(needing + done.refused, count)
        return RetriedBody(
            retried=done.retried, needs_force=needing, left=count - needing, batch=batch_body(session, batch)
        )

    return transact(work)
