"""Workers killed with -9 in the middle of a hundred paid streams, and started again: what is sent twice, paid twice,
left unfinished, and how long it takes from the restart to the last end.

The stand-in goes on with a stream whose listener died, as the real backend does, and its remaining time is nobody's
fault; neither are the waits of the contract: the look-up's first read, two reads of a draft whose end nobody saw, and
the export's poll.
"""

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select

from config.settings import settings
from deploy.local.postgres import Postgres
from deploy.local.servers import Running
from deploy.local.valkey import Valkey
from tests.bench import renders
from tests.bench.figures import percentile
from tests.bench.meter import cpu_seconds
from tests.bench.report import Report
from tests.stack import Stack, here, until
from worker.database import transact
from worker.renders.models import Recovery, Render
from worker.renders.states import Status

PLACES = {"stream": 1500, "io": 200, "media": 2}
VARIANTS = {"the stream worker": ("stream",), "every worker": ("stream", "io", "media")}
CONTRACT = {"VIVIDEO_EXPORT_POLL_SECONDS": "30", "VIVIDEO_SETTLE_SECONDS": "5"}
"""The rest of the bench's waits are the contract's already."""
QUICK = {
    "VIVIDEO_LEASE_SECONDS": "3",
    "VIVIDEO_LOOKUP_FIRST_SECONDS": "1",
    "VIVIDEO_LOOKUP_NEXT_SECONDS": "0.5",
    "VIVIDEO_EXPORT_POLL_SECONDS": "0.5",
    "VIVIDEO_DISPATCH_TICK_SECONDS": "0.2",
}
AIM = 60.0
"""Seconds beyond the stand-in's own remaining time."""


@dataclass(frozen=True)
class Size:
    """How many, how long their streams last, and how far into them the workers die (seconds)."""

    renders: int
    stream: float
    into: float
    export: float


FULL = Size(100, 30.0, 10.0, 3.0)
SMALL = Size(5, 4.0, 0.2, 0.3)


def measure(report: Report, home: Path, *, contract: bool) -> None:
    """Each variant on a stack of its own; print the figures."""
    for number, (name, kinds) in enumerate(VARIANTS.items()):
        if report.quick and number:
            return  # one is enough to see that it works
        size, waits = (SMALL, QUICK) if report.quick else (FULL, CONTRACT if contract else {})
        report.say(f"{name} killed {size.into:g} s into {size.renders} streams of {size.stream:g} s")
        (place := home / str(number)).mkdir(mode=0o700, parents=True)
        with Ready(place, size, renders.WAITS | waits) as run:
            Run(report, run, size, kinds).go()


class Ready:
    """Servers, the stand-in and the workers."""

    def __init__(self, home: Path, size: Size, waits: dict[str, str]) -> None:
        self._home, self._size, self._waits = home, size, waits
        self._open = ExitStack()

    def __enter__(self) -> "Ready":
        postgres, valkey = Postgres(self._home / "postgres"), Valkey(self._home / "valkey")
        self.postgres = self._open.enter_context(Running(postgres, self._home / "postgres.log"))
        self.valkey = self._open.enter_context(Running(valkey, self._home / "valkey.log"))
        address = postgres.url("postgres")
        self.stack = self._open.enter_context(Stack(self._home, address, valkey.broker_url(0), **self._waits))
        self._open.enter_context(here(self.stack.environment))
        export, poll = str(self._size.export), self._waits["VIVIDEO_EXPORT_POLL_SECONDS"]
        self.stack.start_sandbox(
            *("--stream-seconds", str(self._size.stream), "--export-seconds", export, "--min-poll-seconds", poll)
        )
        self.stack.migrate()
        self.stack.start("dispatcher", "-m", "worker.dispatch")
        for kind, places in PLACES.items():
            self.stack.start_worker(kind, places)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()


class Run:
    """One variant."""

    def __init__(self, report: Report, ready: Ready, size: Size, kinds: Sequence[str]) -> None:
        self._report, self._ready, self._size, self._kinds = report, ready, size, kinds
        self._stack = ready.stack
        self._cpu: Counter[str] = Counter()
        self._killed = 0.0

    def go(self) -> None:
        """Accept, kill, start again, wait for the last end, and tell."""
        self._charge(-1)
        ids = renders.accept(self._size.renders)
        until(lambda: len(self._stack.ledger()["messages"]) >= len(ids), 120, what="all streams")
        time.sleep(self._size.into)  # so far into the streams, as the figure is defined
        self._killed = time.time()
        for kind in self._kinds:
            self._cpu[kind] += cpu_seconds(self._stack.running[kind].pid)
            self._stack.kill(kind)
        for kind in self._kinds:
            self._stack.start_worker(kind, PLACES[kind])
        restarted = time.time()
        unfinished = select(func.count()).select_from(Render).where(Render.finished_at.is_(None))
        until(lambda: transact(lambda s: s.scalar(unfinished)) == 0, 600, what="the last end")
        self._charge(1)
        self._tell(ids, restarted)

    def _charge(self, sign: int) -> None:
        servers = {"postgres": self._ready.postgres.process, "valkey": self._ready.valkey.process}
        for name, process in [*self._stack.running.items(), *servers.items()]:
            assert process is not None, "it runs"
            self._cpu[name] += sign * cpu_seconds(process.pid)

    def _tell(self, ids: Sequence[str], restarted: float) -> None:
        report, ledger = self._report, self._stack.ledger()
        sent = Counter(message["text"] for message in ledger["messages"])
        paid = Counter(message["text"] for message in ledger["messages"] if message["executed"])
        rows = transact(lambda s: list(s.scalars(select(Render).where(Render.id.in_(ids)))))
        taken = transact(lambda s: list(s.scalars(select(Recovery))))
        for what, counted in (("sent twice", sent), ("paid twice", paid)):
            twice = sum(count > 1 for count in counted.values())
            report.aim(what, twice, twice == 0, "0")
        unfinished = sum(row.status != Status.SUCCEEDED for row in rows)
        report.aim("unfinished or without a video", unfinished, unfinished == 0, "0")
        ends = [row.finished_at.timestamp() - restarted for row in rows if row.finished_at]
        streams = max(message["ended_at"] for message in ledger["messages"]) - restarted
        own, least = max(streams, 0.0) + self._size.export, self._least(streams, restarted)
        beyond = max(ends) - own
        what = "from the restart to the last end, beyond the stand-in's own time, s"
        report.timed(what, round(beyond, 1), beyond <= AIM, f"{AIM:g}")
        report.say(f"  last end {max(ends):.1f} s after the restart, median {percentile(ends, 0.5):.1f} s")
        report.say(f"  the stand-in's own: {own:.1f} s (its streams' end, and {self._size.export:g} s for an export)")
        report.say(f"  the least that the waits allow: {least:.1f} s; beyond it {max(ends) - least:.1f} s")
        late = sorted(one.taken_at.timestamp() - restarted for one in taken)
        if late:
            report.say(f"  takeovers {len(late)}, the last {late[-1]:.1f} s after the restart")
        report.say(f"  {self._waits()}; violations: {ledger['summary']['violations'] or 'none'}")
        ours = sum(seconds for name, seconds in self._cpu.items() if name != "sandbox")
        report.say(f"  CPU a render (workers, dispatcher, database, broker): {ours * 1000 / len(ids):.1f} ms")

    def _least(self, streams: float, restarted: float) -> float:
        """Seconds from the restart to an end at which only waits of the contract and the stand-in were waited for: the
        look-up counts from the kill, and finds nothing before the stream has ended."""
        waits = settings().waits
        first, again = waits.lookup_first_seconds.total_seconds(), waits.lookup_next_seconds.total_seconds()
        found = self._killed - restarted + first
        while found < streams:
            found += again
        return found + first + max(waits.export_poll_seconds.total_seconds(), self._size.export)

    def _waits(self) -> str:
        waits = settings().waits
        first, again = waits.lookup_first_seconds.total_seconds(), waits.lookup_next_seconds.total_seconds()
        poll = waits.export_poll_seconds.total_seconds()
        return (
            f"waits that stay: look-up after {first:g} s, then every {again:g} s; {first:g} s between two reads of a "
            f"draft whose end nobody saw; export poll {poll:g} s"
        )
