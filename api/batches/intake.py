"""A source becomes a batch: chunk by chunk, and then, in one last transaction with its key, as a promise.

Whoever dies before that has promised nothing; what it left is found by the time when its last rows came, and thrown
away.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from api import idempotency
from api.auth import Caller
from api.batches.bodies import BatchBody
from api.batches.checking import Checker, Chunk
from api.batches.rows import Row
from api.batches.views import batch_body, found
from api.database import transact
from api.idempotency import Earlier, Key
from api.problems import FieldError, Problem
from worker.batches import store
from worker.batches.store import NewBatch, NewProblem, Received
from worker.database import new_id
from worker.owners import limits
from worker.renders import uploads

ROUTE = "POST /v1/batches"
SAMPLE = 20
"""Problems told in an answer."""
PATIENCE_SECONDS = 15.0
"""A database that restarts in the middle of a long file is waited for: everything before would have to come again."""


@dataclass(frozen=True)
class Asked:
    """A batch as it is asked for: its rows, what their fields are by default, and what its key stands for."""

    new: NewBatch
    rows: Iterable[Row]
    defaults: Mapping[str, Any]
    hashed: str

    def checker(self, caller: Caller) -> Checker:
        """For its rows."""
        return Checker(caller, self.defaults, strict=self.new.source != "csv")


@dataclass(frozen=True)
class Answer:
    """The batch that a request led to, and whether an earlier one with its key had."""

    body: BatchBody
    replayed: bool


def accept(caller: Caller, key: Key, asked: Asked) -> Answer:
    """Take a batch on.

    Raises Problem `batch.empty`, `batch.header`, `idempotency.…`, LimitReached.
    """
    if key.given and (known := transact(lambda session: _earlier(session, caller, key, asked.hashed))):
        return Answer(known, replayed=True)
    batch_id = new_id("bat")
    transact(lambda session: store.begin(session, caller.owner_id, asked.new, batch_id=batch_id))
    try:
        _fill(caller, batch_id, asked)
        answer = transact(lambda session: _promise(session, caller, key, asked.hashed, batch_id))
    except BaseException:
        # Also after a database error: one that was accepted all the same is not thrown away.
        with suppress(DBAPIError, PoolTimeout):
            throw_away(batch_id)
        raise
    if answer.replayed:
        throw_away(batch_id)
    return answer


def throw_away(batch_id: str) -> None:
    """Delete what is there of a batch that was not accepted."""
    while not transact(lambda session: store.discard(session, batch_id)):
        pass


def _fill(caller: Caller, batch_id: str, asked: Asked) -> None:
    checker, received = asked.checker(caller), Received()
    sample: list[NewProblem] = []
    for chunk in checker.chunks(asked.rows):
        before = received
        received, problems = transact(
            lambda session, chunk=chunk, before=before: _add(session, caller, batch_id, checker, chunk, before),
            retry_for=PATIENCE_SECONDS,
        )
        sample += problems[: SAMPLE - len(sample)]
    if not received.total:
        raise empty(sample)


def _add(
    session: Session, caller: Caller, batch_id: str, checker: Checker, chunk: Chunk, before: Received
) -> tuple[Received, list[NewProblem]]:
    entries, problems = checker.sorted_out(session, chunk, uploads.take(session, caller.owner_id, chunk.uploads()))
    received = store.add(session, batch_id, entries, problems, before=before)
    # After the rows are there, not before: a repetition after a lost COMMIT would count them twice.
    limits.check(session, caller.key_id, caller.limits, runs=0)
    return received, problems


def empty(sample: list[NewProblem]) -> Problem:
    """The refusal of a source without a single good row."""
    errors = [FieldError(f"line {one.line}", one.detail) for one in sample]
    why = f"Line {sample[0].line}: {sample[0].detail}" if sample else "It has no row at all."
    return Problem("batch.empty", why, errors=errors)


def _promise(session: Session, caller: Caller, key: Key, hashed: str, batch_id: str) -> Answer:
    made = idempotency.once(
        session, caller.owner_id, ROUTE, key, hashed, batch_id, lambda: store.accept(session, batch_id)
    )
    leads_to = made.resource_id if isinstance(made, Earlier) else batch_id
    # Its own key's row, after a COMMIT whose answer was lost, is no earlier request's.
    body = batch_body(session, found(session, caller.owner_id, leads_to))
    return Answer(body, replayed=leads_to != batch_id)


def _earlier(session: Session, caller: Caller, key: Key, hashed: str) -> BatchBody | None:
    leads_to = idempotency.earlier(session, caller.owner_id, ROUTE, key, hashed)
    return batch_body(session, found(session, caller.owner_id, leads_to)) if leads_to else None
