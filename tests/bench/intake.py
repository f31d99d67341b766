"""How many renders a second the intake takes on, beside what PostgreSQL itself inserts.

Posts with an `Idempotency-Key` each, over keep-alive connections, one request under way on each. Beside them, in the
same minute on the same server, the same rows by prepared statements in one process per connection: the share says what
is lost between the two. Once more with the broker killed, which must make no difference; and reads of single renders.
"""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlalchemy import text

from tests.bench import bare
from tests.bench.bare import Bare
from tests.bench.figures import percentile
from tests.bench.ground import Ground
from tests.bench.load import PATIENCE_SECONDS, Asking, Seen, Wanted
from tests.bench.meter import cpu_seconds
from tests.bench.report import Cell, Report
from worker.database import transact


@dataclass(frozen=True)
class Size:
    """How much is asked."""

    connections: tuple[int, ...]
    repeats: int
    seconds: float


FULL = Size((1, 8, 32), repeats=3, seconds=3.0)
QUICK = Size((4,), repeats=1, seconds=0.2)


@dataclass(frozen=True)
class Posts:
    """One run of posts, and the CPU seconds it took."""

    seen: Seen
    api: float
    postgres: float


@dataclass
class Round:
    """All runs at one number of connections."""

    bare: list[Bare] = field(default_factory=list[Bare])
    waking: list[Bare] = field(default_factory=list[Bare])
    """With the `NOTIFY` that wakes the dispatcher, whose lock lets commits pass one by one."""
    livez: list[Seen] = field(default_factory=list[Seen])
    posts: list[Posts] = field(default_factory=list[Posts])
    brokerless: list[Posts] = field(default_factory=list[Posts])
    reads: list[Seen] = field(default_factory=list[Seen])


def measure(report: Report, ground: Ground, pid: int) -> None:
    """Run all rounds, in turn so that a disturbance meets all kinds alike, and print the figures."""
    size = QUICK if report.quick else FULL
    rounds = {connections: Round() for connections in size.connections}
    course = _Course(ground, pid, size.seconds)
    for repeat in range(size.repeats):
        for connections, one in rounds.items():
            course.run(one, connections, repeat)
    _print(report, rounds, size)
    _check(report, course, [run.seen for run in _all(rounds)])
    read = [run for one in rounds.values() for run in (*one.reads, *one.livez)]
    wrong = sum(len(run.latencies) - run.statuses.get("200", 0) for run in read)
    report.aim("other calls not answered 200", wrong, wrong == 0, "0")


class _Course:
    """Runs against one intake."""

    def __init__(self, ground: Ground, pid: int, seconds: float) -> None:
        self._ground = ground
        self._pid = pid
        self._seconds = seconds
        assert ground.postgres.process is not None, "it runs"
        self._postgres = ground.postgres.process.pid
        # The first answers pay for imports, connections and plans.
        self.warm = self.ask("post", 8, mark="warm", most=100)

    def again(self) -> Seen:
        """The first posts, with the same keys."""
        return self.ask("post", 8, mark="warm", most=100)

    def run(self, one: Round, connections: int, repeat: int) -> None:
        """One run of each kind."""
        mark = f"{connections}-{repeat}"
        one.livez.append(self.ask("livez", connections))
        one.bare.append(bare.insert(self._ground.database, connections, self._seconds, f"bare-{mark}"))
        one.posts.append(self.posts(connections, f"post-{mark}"))
        with self._ground.broker_killed():
            one.brokerless.append(self.posts(connections, f"brokerless-{mark}"))
        waking = bare.insert(self._ground.database, connections, self._seconds, f"waking-{mark}", notify=True)
        one.waking.append(waking)
        one.reads.append(self.ask("read", connections, ids=one.posts[-1].seen.ids[:500]))

    def posts(self, connections: int, mark: str) -> Posts:
        """A run of posts, with what it cost."""
        api, postgres = cpu_seconds(self._pid), cpu_seconds(self._postgres)
        seen = self.ask("post", connections, mark=mark)
        return Posts(seen, cpu_seconds(self._pid) - api, cpu_seconds(self._postgres) - postgres)

    def ask(self, kind: str, connections: int, *, ids: Iterable[str] = (), mark: str = "", most: int = 0) -> Seen:
        """A run of requests."""
        seconds = PATIENCE_SECONDS if most else self._seconds
        ground = self._ground
        return Asking(Wanted(kind, ground.port, ground.key, connections, seconds, list(ids), mark, most)).seen()


def _all(rounds: dict[int, Round]) -> Iterable[Posts]:
    for one in rounds.values():
        yield from one.posts
        yield from one.brokerless


def _print(report: Report, rounds: dict[int, Round], size: Size) -> None:
    report.say(f"medians of {size.repeats} runs of {size.seconds:g} s each; rates a second, times in ms")
    report.say("posts, and the same rows by prepared statements (bare; waking: with NOTIFY)")
    heads = ("connections", "posts", "bare", "waking", "posts/bare", "posts/waking", "p50", "p99", "api", "postgres")
    report.table((*heads, "generator"), [_posts(connections, one) for connections, one in rounds.items()])
    report.say("(api, postgres: CPU ms a post; generator: its share of a core)")
    report.say("posts with the broker killed")
    heads = ("connections", "posts", "p50", "p99", "killed/up")
    report.table(heads, [_brokerless(connections, one) for connections, one in rounds.items()])
    report.say("reads of single renders, and what generator and server reach on /livez")
    heads = ("connections", "reads", "p50", "p99", "livez", "generator")
    report.table(heads, [_reads(connections, one) for connections, one in rounds.items()])


def _posts(connections: int, one: Round) -> list[Cell]:
    posts = [run.seen for run in one.posts]
    rates = [_rate(posts), _rate(one.bare), _rate(one.waking)]
    shares = [_share(posts, one.bare), _share(posts, one.waking)]
    api = statistics.median(run.api * 1000 / len(run.seen.latencies) for run in one.posts)
    postgres = statistics.median(run.postgres * 1000 / len(run.seen.latencies) for run in one.posts)
    return [connections, *rates, *shares, *_times(posts), api, postgres, _own(posts)]


def _brokerless(connections: int, one: Round) -> list[Cell]:
    killed = [run.seen for run in one.brokerless]
    return [connections, _rate(killed), *_times(killed), _share(killed, [run.seen for run in one.posts])]


def _reads(connections: int, one: Round) -> list[Cell]:
    return [connections, _rate(one.reads), *_times(one.reads), _rate(one.livez), _own(one.livez)]


def _rate(runs: Iterable[Seen | Bare]) -> float:
    return statistics.median(run.rate for run in runs)


def _share(runs: Iterable[Seen], others: Iterable[Seen | Bare]) -> float:
    """The median of each run's rate by that of its neighbour in time."""
    return statistics.median(run.rate / other.rate for run, other in zip(runs, others, strict=True))


def _times(runs: Iterable[Seen]) -> tuple[float, float]:
    """The medians of the runs' own p50 and p99, in ms."""
    both = [(percentile(run.latencies, 0.5) * 1000, percentile(run.latencies, 0.99) * 1000) for run in runs]
    return statistics.median(p50 for p50, _ in both), statistics.median(p99 for _, p99 in both)


def _own(runs: Iterable[Seen]) -> float:
    """The generator's own CPU, as a share of one core: near 1 it measures itself."""
    return statistics.median(run.cpu / run.seconds for run in runs)


def _check(report: Report, course: _Course, posts: list[Seen]) -> None:
    """Every answer a 202, every 202 a render of its own that PostgreSQL holds, every key repeated the same render."""
    asked = sum(len(one.latencies) for one in posts)
    taken = sum(one.statuses.get("202", 0) for one in posts)
    report.aim("posts answered 202", f"{taken} of {asked}", taken == asked, "all")
    ids = {id for one in posts for id in one.ids}
    statement = text("SELECT count(*) FROM renders WHERE id = ANY(:ids) AND status = 'queued'")
    kept = transact(lambda session: session.execute(statement, {"ids": list(ids)}).scalar_one())
    report.aim("renders kept, each its own", f"{kept} of {taken}", len(ids) == kept == taken, "all")
    again = course.again()
    same = len(set(again.ids) & set(course.warm.ids))
    report.aim("keys sent again that led to the same render", same, same == len(course.warm.ids), "100")
