"""What the dispatcher does for batches: it bounds and pauses them, calls their renders off, throws away what was never
received whole, and ends them.

One piece at a time, a transaction each, so that nothing else waits for a large batch; and none where there is nothing
to do, which one look along `ix_batches_unfinished` says. A batch's row is locked first and passed over where another
dispatcher, or the intake, has it.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from config.logging import get
from worker.batches import store
from worker.batches.models import Batch, BatchState, PauseReason
from worker.batches.telling import tell
from worker.metrics.commits import on_commit
from worker.remote.intents import ABOUT_A_CLIP
from worker.renders import queue
from worker.renders.events import EventType
from worker.renders.models import Render
from worker.renders.states import Stage, Status

log = get(__name__)

AT_ONCE = 2000
"""Renders called off, or thrown away, in one transaction: their rows are locked until its end."""

ENDED_AT_ONCE = 200

GONE_AFTER = timedelta(minutes=10)
"""Without a row coming in, after which a batch that is being received is thrown away: its intake adds a thousand rows a
second, and waits a minute at most for more. That of a catalog's reading goes with it: its first row may take longer."""

FAILURES_FROM = 5
"""Finished renders from which on a failure rate says something: of fewer, one that failed is a quarter of them."""

SPARSELY = 20
"""A batch is counted again no sooner than after so many times the time that counting it took: a twentieth of one
connection, however many of its renders are done."""

COUNTING_SECONDS = 0.1
"""After so much counting the renders have their look."""

PASSED_OVER_SECONDS = 60.0
"""For which a batch is left alone that could not be looked after: those behind it are."""

OPEN = (Status.QUEUED, Status.RUNNING, Status.WAITING, Status.CANCELING)
FAILED = (Status.FAILED, Status.EXPIRED)
MAY_BE_CHARGED = (Stage.TOKEN, Stage.SESSION, Stage.UPLOAD, Stage.GENERATE, Stage.LOOKUP)
"""Until the message is settled nobody knows what it costs."""


def _list(values: Sequence[Status] | Sequence[Stage]) -> str:
    return ", ".join(f"'{value.value}'" for value in values)


@dataclass(frozen=True)
class Count:
    """How a batch stands."""

    spent: float
    """Credits over all runs: those known, and what a message costs for each of which nobody knows."""
    to_come: int
    """Renders begun, or sent, whose message is still to come."""
    under_way: int
    """Renders begun, or sent, whose message is not settled: what they cost may yet turn out to be less."""
    finished: int
    """Renders that succeeded, failed or expired since failures are counted."""
    failed: int

    def allowance(self, most: float) -> int:
        """How many more may begin."""
        return max(int((most - self.spent) // ABOUT_A_CLIP) - self.to_come, 0)


class Keeper:
    """One dispatcher's care; it remembers when it has to count which batch again."""

    def __init__(self) -> None:
        self._count_at: dict[str, float] = {}
        self._counts_next = False
        self._at: str | None = None
        self._passed_over: dict[str, float] = {}
        self._end_from = 0.0

    def pass_over(self) -> None:
        """What was done last failed: leave that batch alone for a minute, or none behind it is ever looked after. Where
        it was many at once, their ends: what comes after those is done."""
        until = time.monotonic() + PASSED_OVER_SECONDS
        if self._at is not None:
            self._passed_over[self._at] = until
        else:
            self._end_from = until

    def keep(self, session: Session) -> bool:
        """Do one piece of what is to be done; False where there is nothing (more)."""
        self._at = None
        queue.by_index(session)
        found = [row for row in session.execute(_UNFINISHED) if self._passed_over.get(row.id, 0.0) <= time.monotonic()]
        self._count_at = {row.id: self._count_at[row.id] for row in found if row.id in self._count_at}
        due = [row for row in found if row.counts and self._is_due(row)]
        if due and self._counts_next:
            # Between two pieces: a million renders are called off in 500 of them, while other batches spend.
            self._counts_next = False
            self._count_some(session, due)
            return True
        self._counts_next = self._do_piece(session, found)
        return self._counts_next or self._count_some(session, due)

    def _is_due(self, row: Any) -> bool:
        return row.uncounted or self._count_at.get(row.id, 0.0) <= time.monotonic()

    def _do_piece(self, session: Session, found: Sequence[Any]) -> bool:
        over = [row.id for row in found if not row.is_open] if self._end_from <= time.monotonic() else []
        return (
            _discard_one(session, self._each(found))
            or _cancel_one(session, self._each(found))
            or (bool(over) and _end(session, over))
        )

    def _each(self, batches: Sequence[Any]) -> Iterator[Any]:
        for row in batches:
            self._at = row.id
            yield row
        self._at = None

    def _count_some(self, session: Session, batches: Sequence[Any]) -> bool:
        until = time.monotonic() + COUNTING_SECONDS
        for row in self._each(batches):
            began = time.monotonic()
            if began > until:
                return True
            _bound(session, row.id)
            now = time.monotonic()
            self._count_at[row.id] = now + SPARSELY * (now - began)
        return False


_UNFINISHED = text(
    f"""
    SELECT batches.id, state = 'receiving' AND received_at < now() - interval '{GONE_AFTER.total_seconds()} seconds'
            AND NOT EXISTS (SELECT 1 FROM catalog_reads WHERE batch_id = batches.id AND finished_at IS NULL)
            AS is_gone, state = 'open' AND cancel_requested_at IS NOT NULL AS canceling,
        state = 'receiving' OR open.one IS NOT NULL AS is_open,
        state = 'open' AND paused_at IS NULL AND cancel_requested_at IS NULL
            AND (max_credits IS NOT NULL OR max_failure_rate IS NOT NULL) AS counts,
        max_credits IS NOT NULL AND allowance IS NULL AS uncounted
    FROM batches LEFT JOIN LATERAL (
        SELECT 1 AS one FROM renders WHERE renders.batch_id = batches.id AND renders.batch_id IS NOT NULL
            AND renders.status IN ({_list(OPEN)}) LIMIT 1) AS open ON state = 'open'
    WHERE state <> 'finished' ORDER BY batches.id"""  # noqa: S608 - own names
)

_COUNT = text(
    f"""
    WITH begun AS (
        SELECT id, run, stage, cancel_requested_at FROM renders WHERE batch_id = :batch AND batch_id IS NOT NULL
            AND status IN ({_list((Status.RUNNING, Status.WAITING, Status.CANCELING))})
            AND started_at IS NOT NULL AND stage IN ({_list(MAY_BE_CHARGED)})
        UNION ALL
        SELECT id, run, stage, cancel_requested_at FROM renders WHERE batch_id = :batch AND finished_at IS NULL
            AND started_at IS NULL AND sent_at IS NOT NULL AND stage = '{Stage.TOKEN.value}')
    SELECT (SELECT coalesce(sum(coalesce(credits, :clip)), 0) FROM (
            SELECT charge_credits AS credits FROM renders
                WHERE batch_id = :batch AND batch_id IS NOT NULL AND charge_state <> 'none'
            UNION ALL
            SELECT render_runs.charge_credits FROM renders JOIN render_runs ON render_runs.render_id = renders.id
                WHERE batch_id = :batch AND batch_id IS NOT NULL AND renders.run > 1
                AND render_runs.charge_state <> 'none') AS charged) AS spent,
        (SELECT count(*) FROM begun WHERE stage <> '{Stage.LOOKUP.value}' AND cancel_requested_at IS NULL
            AND NOT (stage = '{Stage.GENERATE.value}' AND EXISTS (SELECT 1 FROM intents
                WHERE intents.render_id = begun.id AND intents.run = begun.run AND settled_at IS NULL))) AS to_come,
        (SELECT count(*) FROM begun) AS under_way,
        done.finished, done.failed
    FROM (SELECT count(*) AS finished, count(*) FILTER (WHERE status <> '{Status.SUCCEEDED.value}') AS failed
        FROM renders WHERE batch_id = :batch AND batch_id IS NOT NULL
            AND status IN ('{Status.SUCCEEDED.value}', {_list(FAILED)})
            AND finished_at >= coalesce(:counting_from, '-infinity'::timestamptz)) AS done"""  # noqa: S608 - own names
)


def _locked(session: Session, batch_id: str, state: BatchState) -> Batch | None:
    """What is read after this is of a batch that nobody else changes; None where somebody does, or did."""
    query = select(Batch).where(Batch.id == batch_id, Batch.state == state.value)
    query = query.with_for_update(key_share=True, skip_locked=True).execution_options(populate_existing=True)
    return session.scalars(query).one_or_none()


def _discard_one(session: Session, batches: Iterable[Any]) -> bool:
    for row in batches:
        if row.is_gone and _locked(session, row.id, BatchState.RECEIVING) is not None:
            store.discard(session, row.id, limit=AT_ONCE)
            return True
    return False


def _cancel_one(session: Session, batches: Iterable[Any]) -> bool:
    for row in batches:
        batch = _locked(session, row.id, BatchState.OPEN) if row.canceling and row.is_open else None
        if batch is not None and store.cancel_some(session, batch, AT_ONCE):
            return True
    return False


def _end(session: Session, ids: Sequence[str]) -> bool:
    """Those without an open render. Locked first and looked at after that: who begins a render's next run locks its
    batch too, so that one of the two sees what the other wrote."""
    chosen = select(Batch.id).where(Batch.id.in_(ids[:ENDED_AT_ONCE]), Batch.state == BatchState.OPEN.value)
    locked = session.scalars(chosen.order_by(Batch.id).with_for_update(key_share=True, skip_locked=True)).all()
    if not locked:
        return False
    its_open = Render.batch_id == Batch.id, Render.status.in_([status.value for status in OPEN])
    ended = session.scalars(
        update(Batch)
        .where(Batch.id.in_(locked), ~select(Render.id).where(*its_open).exists())
        .values(state=BatchState.FINISHED.value, finished_at=func.now())
        .returning(Batch.id)
        .execution_options(synchronize_session=False)
    ).all()
    tell(session, EventType.BATCH_FINISHED, {batch: {"counts": counts} for batch, counts in _counts(session, ended)})
    for batch_id in ended:
        on_commit(session, lambda ended=batch_id: log.info("batch.finished", batch=ended))
    return bool(ended)


def _counts(session: Session, ids: Sequence[str]) -> Iterator[tuple[str, dict[str, int]]]:
    """How many renders of each batch came to which status: read off `ix_renders_batch_status` alone."""
    found: dict[str, dict[str, int]] = {batch_id: {} for batch_id in ids}
    query = select(Render.batch_id, Render.status, func.count()).where(Render.batch_id.in_(ids))
    for batch_id, status, number in session.execute(query.group_by(Render.batch_id, Render.status)):
        found[str(batch_id)][status] = number
    yield from found.items()


def _bound(session: Session, batch_id: str) -> None:
    """Count a batch, say how many more may begin, and pause it where it is at one of its bounds."""
    batch = _locked(session, batch_id, BatchState.OPEN)
    if batch is None or batch.paused_at is not None or batch.cancel_requested_at is not None:
        return
    count = counted(session, batch)
    if batch.max_credits is not None:
        batch.allowance = count.allowance(batch.max_credits)
    session.flush()
    if detail := _too_many_failed(batch, count):
        _pause(session, batch, PauseReason.MAX_FAILURE_RATE, detail)
    elif detail := _spent(session, batch, count):
        _pause(session, batch, PauseReason.MAX_CREDITS, detail)


def counted(session: Session, batch: Batch) -> Count:
    """How a batch stands: of one moment, and complete where its row is locked."""
    given = {"batch": batch.id, "clip": ABOUT_A_CLIP, "counting_from": batch.counting_from}
    row = session.execute(_COUNT, given).one()
    return Count(float(row.spent), row.to_come, row.under_way, row.finished, row.failed)


def _too_many_failed(batch: Batch, count: Count) -> str | None:
    most = batch.max_failure_rate
    if most is None or count.finished < FAILURES_FROM or count.failed <= most * count.finished:
        return None
    rate = count.failed / count.finished
    return f"{count.failed} of {count.finished} finished renders failed ({rate:.0%}), more than {most:.0%} of them."


def _spent(session: Session, batch: Batch, count: Count) -> str | None:
    """While something is under way that may turn out to cost less, the batch only begins nothing: it may go on."""
    if batch.max_credits is None or batch.allowance or count.under_way or not _has_unbegun(session, batch):
        return None
    return (
        f"{count.spent:g} of at most {batch.max_credits:g} credits are spent, and a render costs about"
        f" {ABOUT_A_CLIP:g}: those that are left were not begun."
    )


def _has_unbegun(session: Session, batch: Batch) -> bool:
    return bool(session.execute(_UNBEGUN, {"batch": batch.id}).scalar_one())


_UNBEGUN = text(
    """
    SELECT EXISTS (SELECT 1 FROM lanes, LATERAL (SELECT 1 FROM renders WHERE renders.lane_id = lanes.id
            AND started_at IS NULL AND finished_at IS NULL AND sent_at IS NULL LIMIT 1) AS head
        WHERE lanes.batch_id = :batch AND NOT lanes.held)"""
)


def _pause(session: Session, batch: Batch, reason: PauseReason, detail: str) -> None:
    store.pause(session, batch, reason, detail)
    on_commit(session, lambda: log.warning("batch.paused", batch=batch.id, reason=reason.value, detail=detail))
