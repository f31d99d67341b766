"""What a storm came to, in numbers."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tests.chaos.books import FINAL, Books, Row
from tests.chaos.ground import Death
from tests.chaos.invariants import Violation
from tests.chaos.invariants.charges import NOBODY_KNOWS

WINDOW_SECONDS = 10.0
"""Before and after a restart of PostgreSQL: long enough to count a few hundred stages."""

HEADS = (
    ("seed", 5), ("renders", 8), ("good", 5), ("kills", 6), ("frozen", 7), ("flushed", 8), ("db", 3),
    ("takeovers", 10), ("lost", 5), ("doubled", 8), ("unknown", 8), ("p50 s", 6), ("p99 s", 6), ("slowest s", 10),
    ("before/s", 9), ("after/s", 8), ("seconds", 8),
)  # fmt: skip


@dataclass(frozen=True)
class Figures:
    """One storm's."""

    seed: int
    renders: int
    good: int
    ends: Counter[str]
    """Status or error code → renders."""
    done: dict[str, int]
    recoveries: int
    takeovers: list[float]
    """Seconds from the kill (or the last heartbeat) to the next claim, sorted."""
    lost: int
    doubled: int
    unknown: int
    before: float
    """Stages ended a second, in the ten seconds before a restart of PostgreSQL and after its return."""
    after: float
    seconds: float = 0.0
    repeated: int = 0

    def timed(self, seconds: float, repeated: int) -> "Figures":
        """With what the clock and the customers say."""
        return replace(self, seconds=seconds, repeated=repeated)

    def row(self) -> str:
        """Under `head()`."""
        done = self.done.get
        cells = (
            self.seed, self.renders, self.good, done("kill", 0), done("freeze", 0), done("flush", 0),
            done("postgres", 0), self.recoveries, self.lost, self.doubled, self.unknown,
            *(f"{value:.1f}" for value in (*self._shares(), self.before, self.after)), f"{self.seconds:.0f}",
        )  # fmt: skip
        return "".join(f"{cell:>{width + 1}}" for cell, (_, width) in zip(cells, HEADS, strict=True))

    def _shares(self) -> tuple[float, float, float]:
        times = self.takeovers or [0.0]
        return times[len(times) // 2], times[min(len(times) - 1, int(len(times) * 0.99))], times[-1]


def head() -> str:
    """The table's first line."""
    return "".join(f"{name:>{width + 1}}" for name, width in HEADS)


def count(
    seed: int,
    books: Books,
    deaths: Sequence[Death],
    done: dict[str, int],
    restarts: Sequence[tuple[float, float]],
    violations: Sequence[Violation],
) -> Figures:
    """Count."""
    rows = books.renders.values()
    by_invariant = Counter(one.invariant for one in violations)
    before, after = _rates(books, restarts)
    return Figures(
        seed=seed,
        renders=len(rows),
        good=sum(row["status"] == "succeeded" for row in rows),
        ends=Counter(str(row["error_code"] or row["status"]) for row in rows),
        done=dict(done),
        recoveries=len(books.recoveries),
        takeovers=sorted(_takeovers(books, deaths)),
        lost=sum(row["status"] not in FINAL for row in rows) + by_invariant["accepted"],
        doubled=by_invariant["once"] + by_invariant["recorded"],
        unknown=sum(one["state"] in NOBODY_KNOWS for one in books.intents),
        before=before,
        after=after,
    )


def _takeovers(books: Books, deaths: Sequence[Death]) -> list[float]:
    """One for each takeover whose next claim is on file (polls write none)."""
    found: list[float] = []
    for recovery in books.recoveries:
        later = [
            one["started_at"].timestamp()
            for one in books.of(books.attempts, recovery["render_id"])
            if one["lease"] > recovery["lease"] and one["stage"] == recovery["stage"] != "poll"
        ]
        if later:
            found.append(min(later) - _fell_silent(books, recovery, deaths))
    return found


def _fell_silent(books: Books, recovery: Row, deaths: Sequence[Death]) -> float:
    """When its worker was killed or frozen; else (it lost track, the database was away) when the render was freed."""
    taken = recovery["taken_at"].timestamp()
    pid = int(recovery["from_worker"].split("-")[1])
    began = max(
        (one["started_at"].timestamp() for one in books.of(books.attempts, recovery["render_id"])
         if one["lease"] == recovery["lease"]),
        default=0.0,
    )  # fmt: skip
    died = [death.at for death in deaths if pid in death.pids and death.at <= taken]
    return max(*died, began) if died else taken


def _rates(books: Books, restarts: Sequence[tuple[float, float]]) -> tuple[float, float]:
    ended = [one["ended_at"].timestamp() for one in books.attempts if one["outcome"] in ("advance", "done")]

    def rate(begin: float) -> float:
        return sum(begin <= at < begin + WINDOW_SECONDS for at in ended) / WINDOW_SECONDS

    if not restarts:
        return 0.0, 0.0
    before = [rate(went - WINDOW_SECONDS) for went, _ in restarts]
    after = [rate(back) for _, back in restarts]
    return sum(before) / len(restarts), sum(after) / len(restarts)
