"""How long one owner's single renders wait beside another owner's batch, and without it.

Single renders come at a steady pace, first alone, then while a batch of a hundred thousand is queued and has taken
every stream that it may, with streams far longer than theirs, no two of them as long. A stack as in `renders`: real
PostgreSQL (durable), real Valkey, the sandbox with drawing switched off.

The pace is one that the places kept free for them carry: who asks faster than that has a queue of his own, and waits
for streams of the batch to end.
"""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, insert, select, text, update
from sqlalchemy.orm import Session

from deploy.local.postgres import Postgres
from deploy.local.servers import Running
from deploy.local.valkey import Valkey
from tests.bench.figures import percentile
from tests.bench.renders import WAITS
from tests.bench.report import Report
from tests.stack import Stack, here, until
from worker.batches.models import Batch, BatchState
from worker.database import new_id, transact
from worker.owners.store import owner
from worker.renders import bulk, store
from worker.renders.bulk import Placed
from worker.renders.models import Lane, Render
from worker.renders.queue import notify_due
from worker.renders.sharing import kept_free
from worker.renders.store import NewRender

AT_ONCE = 5_000
FEW_SECONDS = 5.0
PATIENCE_SECONDS = 180.0


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    batch: int
    singles: int
    streams: int
    stream_seconds: float
    """A single render's; the batch's last from half of `batch_seconds` to half as long again."""
    batch_seconds: float
    pause: float
    """Seconds between two single renders."""


FULL = Size(100_000, singles=200, streams=320, stream_seconds=1.0, batch_seconds=120.0, pause=0.5)
"""Twenty places are kept free, and each single render has one for some four seconds where two cores do all the work.
With streams of two minutes, 300 of them end 2.5 a second: with a minute's, two cores are measured and not the queue."""
QUICK = Size(1_000, singles=10, streams=32, stream_seconds=0.2, batch_seconds=5.0, pause=0.2)


def measure(report: Report, home: Path) -> None:
    """Run both and print the figures."""
    size = QUICK if report.quick else FULL
    home.mkdir(mode=0o700)
    with ExitStack() as stack:
        postgres, valkey = Postgres(home / "postgres"), Valkey(home / "valkey")
        stack.enter_context(Running(postgres, home / "postgres.log"))
        stack.enter_context(Running(valkey, home / "valkey.log"))
        running = stack.enter_context(Stack(home, postgres.url("postgres"), valkey.broker_url(0), **WAITS))
        stack.enter_context(here(running.environment))
        _start(running, size)
        each = f"{size.singles} single renders, one every {size.pause * 1000:.0f} ms, {size.streams} streams"
        report.say(f"{each} of {size.stream_seconds:g} s; the batch's of {size.batch_seconds:g} s on average")
        singles(2, 0.0)  # they pay for connections and the account's token
        alone = singles(size.singles, size.pause)
        began = time.monotonic()
        batch = a_batch(size.batch, size.batch_seconds)
        report.say(f"a batch of {size.batch:,} is queued ({time.monotonic() - began:.0f} s)")
        most = size.streams - kept_free(size.streams)
        until(lambda: _begun(batch) >= most, PATIENCE_SECONDS, what="every stream taken that it may take")
        beside = singles(size.singles, size.pause)
        _show(report, size, alone, beside, _begun(batch))


def _start(running: Stack, size: Size) -> None:
    running.start_sandbox(
        "--stream-seconds", str(size.stream_seconds), "--export-seconds", "3", "--min-poll-seconds", "5"
    )
    running.migrate()
    running.start("dispatcher", "-m", "worker.dispatch")
    running.start_worker("stream", size.streams)
    running.start_worker("io", 200)
    running.start_worker("media", 2)
    alive = text("SELECT count(DISTINCT kind) FROM workers")
    until(lambda: transact(lambda s: s.execute(alive).scalar_one()) == 3, 60, what="the workers")


def singles(count: int, pause: float) -> list[float]:
    """Take on so many of one owner's, at that pace; the seconds that each waited from there to its beginning."""
    ids = [_single(number, pause) for number in range(count)]
    waits = select(func.extract("epoch", Render.started_at - Render.created_at)).where(Render.id.in_(ids))
    begun = waits.where(Render.started_at.is_not(None))
    until(lambda: len(transact(lambda s: s.scalars(begun).all())) == count, PATIENCE_SECONDS, what="their beginning")
    return [float(one) for one in transact(lambda s: s.scalars(begun).all())]


def _single(number: int, pause: float) -> str:
    time.sleep(pause)
    request = NewRender(prompt=f"A 2 second clip of lamp {number}", language="en")
    return transact(lambda s: store.accept(s, owner(s, "single").id, request).id)


def a_batch(count: int, seconds: float) -> str:
    """Another owner's, accepted with so many renders whose streams last so long; its id."""
    batch, lane = transact(_begin)
    for begin in range(0, count, AT_ONCE):
        numbers = range(begin, min(begin + AT_ONCE, count))
        transact(lambda s, numbers=numbers: _add(s, batch, lane, numbers, seconds))
    transact(lambda s: _accept(s, batch, count))
    return batch


def _begin(session: Session) -> tuple[str, int]:
    mine, batch = owner(session, "many").id, new_id("bat")
    session.execute(insert(Batch).values(id=batch, owner_id=mine, source="jsonl"))
    held = {"owner_id": mine, "batch_id": batch, "priority": "normal", "held": True}
    return batch, session.scalars(insert(Lane).values(**held).returning(Lane.id)).one()


def _add(session: Session, batch: str, lane: int, numbers: range, seconds: float) -> None:
    def prompt(number: int) -> str:
        length = seconds * (0.5 + number % 101 / 100)
        return f"A 2 second clip of product {number} [[sandbox: stream seconds={length:g}]]"

    requests = {number: NewRender(prompt(number), "en") for number in numbers}
    placed = [Placed(request, lane, batch, number + 1) for number, request in requests.items()]
    bulk.insert(session, owner(session, "many").id, placed)


def _accept(session: Session, batch: str, count: int) -> None:
    accepted = {"state": BatchState.OPEN.value, "accepted_at": func.now(), "total": count}
    session.execute(update(Batch).where(Batch.id == batch).values(**accepted))
    session.execute(update(Lane).where(Lane.batch_id == batch).values(held=False))
    notify_due(session)


def _begun(batch: str) -> int:
    begun = select(func.count()).where(Render.batch_id == batch, Render.started_at.is_not(None))
    return transact(lambda s: s.execute(begun).scalar_one())


def _show(report: Report, size: Size, alone: Sequence[float], beside: Sequence[float], begun: int) -> None:
    report.say("accepted to begun, ms")
    rows = [
        [name, *(percentile(waits, share) * 1000 for share in (0.5, 0.99)), max(waits) * 1000]
        for name, waits in (("without the batch", alone), ("beside the batch", beside))
    ]
    report.table(("", "p50", "p99", "most"), rows)
    ratios = [f"{percentile(beside, share) / percentile(alone, share):.1f}" for share in (0.5, 0.99)]
    report.say(f"beside / without: p50 {ratios[0]}, p99 {ratios[1]}; of the batch {begun:,} had begun by then")
    late = percentile(beside, 0.99)
    report.timed("p99 beside the batch, s", round(late, 2), late <= FEW_SECONDS, f"{FEW_SECONDS:g}")
    report.aim("single renders begun", len(beside), len(beside) == size.singles, str(size.singles))
