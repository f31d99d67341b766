"""What a tick costs that hands out webhooks, publications and held messages, with so many of them waiting or done.

A hundred endpoints that are well, forty that fail and ten that are slow share the backlog, ten events of each render.
Half of io's places are handed out by each look and are done before the next: what the indices keep of rows that are
gone is part of what is measured; so are the planner's statistics, first those of emptier tables, as in a burst,
then those of after an ANALYZE. Nothing is sent.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import text

from config.logging import setup
from deploy.local.postgres import Postgres
from deploy.local.servers import Running
from tests.bench.figures import percentile
from tests.bench.report import Cell, Report
from tests.stack import here
from worker import migrations
from worker.database import engine, transact
from worker.publishing import due as publications
from worker.triggers import holding
from worker.webhooks import due as deliveries

ENDPOINTS, FAILING, SLOW = 150, 40, 10
PUBLISHERS = 50
PLACES = 100
"""Of io."""
LONGEST_MS = 30.0
"""A look with the most rows, its median: the dispatcher does it ten times a second, beside the renders' own."""


@dataclass(frozen=True)
class Size:
    """So many deliveries, publications and messages wait, and as many are done; how often it is looked."""

    rows: tuple[int, ...]
    looks: int


FULL = Size((5_000, 100_000), looks=30)
QUICK = Size((2_000, 4_000), looks=5)


@dataclass(frozen=True)
class Kind:
    """Something that is handed out: by whom, how many at the least where many wait, what ends them."""

    name: str
    look: Callable[[], Sequence[object]]
    least: int
    done: str


KINDS = (
    Kind(
        "deliveries",
        lambda: transact(deliveries.hand_out),
        PLACES // 2 - 1,  # one is kept for a publication
        "UPDATE webhook_deliveries SET state = 'delivered', ended_at = now(), sent_at = NULL"
        " WHERE state = 'pending' AND sent_at IS NOT NULL",
    ),
    Kind(
        "publications",
        lambda: transact(publications.due),
        PLACES // 4 * 3 // 4,  # of one owner
        "UPDATE publications SET state = 'published', finished_at = now(), sent_at = NULL"
        " WHERE state = 'pending' AND sent_at IS NOT NULL",
    ),
    Kind(
        "held messages",
        lambda: transact(holding._due)[0],
        holding.AT_ONCE,
        "UPDATE trigger_deliveries SET verdict = 'ignored', retry_at = NULL WHERE id IN"
        " (SELECT id FROM trigger_deliveries WHERE retry_at <= now() ORDER BY retry_at, id LIMIT 20)",
    ),
)


def measure(report: Report, home: Path) -> None:
    """Fill, look, and print the figures."""
    size = QUICK if report.quick else FULL
    home.mkdir(mode=0o700)
    setup("bench", level="WARNING")
    with ExitStack() as stack:
        postgres = Postgres(home / "postgres")
        stack.enter_context(Running(postgres, home / "postgres.log"))
        url = postgres.url("postgres")
        migrations.upgrade(url)
        given = {"VIVIDEO_DATABASE_URL": url, "VIVIDEO_SECRET_KEY": "k" * 40, "VIVIDEO_LEASE_SECONDS": "3600"}
        stack.enter_context(here(given))
        stack.callback(engine().dispose)
        transact(_begin)
        table = [row for rows in size.rows for row in _with(report, rows, size.looks)]
    report.say(f"ms a look; medians and 99th percentiles of {size.looks}; as many are done as wait")
    report.table(("of", "waiting", "statistics", "look", "p99", "handed out by each"), table)
    for kind in KINDS:
        longest = max(float(row[3]) for row in table if row[0] == kind.name)
        report.timed(f"{kind.name}: a look, ms", round(longest, 1), longest <= LONGEST_MS, f"<= {LONGEST_MS:g}")


def _with(report: Report, rows: int, looks: int) -> list[list[Cell]]:
    began = time.monotonic()
    for statement in _FILL:
        given = {"rows": rows, "mark": str(rows), "endpoints": ENDPOINTS, "publishers": PUBLISHERS}
        transact(lambda session, one=statement, given=given: _fill(session, one, given))
    report.say(f"{rows:,} of each ({time.monotonic() - began:.0f} s to write them)")
    old = [[kind.name, rows, "old", *_figures(kind, looks)] for kind in KINDS]
    transact(lambda session: session.execute(text("ANALYZE")))
    return old + [[kind.name, rows, "new", *_figures(kind, looks)] for kind in KINDS]


def _fill(session, statement: str, given: dict[str, object]) -> None:
    # Without asking of each row whether its references are there, which takes longer than all the rest.
    session.execute(text("SET LOCAL session_replication_role = replica"))
    session.execute(text(statement), given)


def _figures(kind: Kind, looks: int) -> tuple[float, float, int]:
    took: list[float] = []
    found = 0
    for _ in range(looks + 1):
        began = time.monotonic()
        found = len(kind.look())
        took.append((time.monotonic() - began) * 1000)
        assert found >= kind.least, f"{kind.name}: {found}"
        transact(lambda session: session.execute(text(kind.done)))
    del took[0]  # it plans
    return statistics.median(took), percentile(took, 0.99), found


def _begin(session) -> None:
    given = {"places": PLACES, "endpoints": ENDPOINTS, "failing": FAILING, "slow": SLOW, "publishers": PUBLISHERS}
    for statement in _BEGIN:
        session.execute(text(statement), given)


_BEGIN = (
    "INSERT INTO workers (id, kind, hostname, pid, version, capacity) VALUES ('i', 'io', 'here', 1, '1', :places)",
    "INSERT INTO owners (id, name) VALUES ('own', 'of all')",
    "INSERT INTO lanes (owner_id, priority) VALUES ('own', 'normal')",
    "INSERT INTO renders (id, owner_id, lane_id, prompt, language, status, stage, started_at, finished_at)"
    " SELECT 'rnd_' || n, 'own', lanes.id, 'a lamp', 'en', 'succeeded', 'store', now(), now()"
    " FROM generate_series(0, 999) n, lanes",
    "INSERT INTO webhook_endpoints (id, owner_id, url, secret_encrypted, failing_since, last_seconds)"
    " SELECT 'whe_' || n, 'own', 'https://shop.example/', '', CASE WHEN n < :failing THEN now() END,"
    " CASE WHEN n < :failing + :slow THEN 6.0 ELSE 0.1 END FROM generate_series(0, :endpoints - 1) n",
    "INSERT INTO publishers (id, owner_id, kind, credentials_encrypted)"
    " SELECT 'pub_' || n, 'own', 'http', '' FROM generate_series(0, :publishers - 1) n",
    "INSERT INTO triggers (id, owner_id, style, secret_encrypted, template) VALUES ('trg', 'own', 'bearer', '', 't')",
)

_EACH = "FROM generate_series(0, CAST(:rows AS int) - 1) n, (VALUES (true), (false)) AS two (waits)"

_FILL = (
    "INSERT INTO webhook_deliveries (id, owner_id, endpoint_id, subject, sequence, type, body, state, ended_at)"
    " SELECT concat_ws('_', 'msg', CAST(:mark AS text), n, waits), 'own', 'whe_' || n % :endpoints,"
    " concat_ws('_', 'rnd', CAST(:mark AS text), n / (10 * :endpoints)), n / :endpoints % 10, 'render.progress', '{}',"
    f" CASE WHEN waits THEN 'pending' ELSE 'delivered' END, CASE WHEN NOT waits THEN now() END {_EACH}",
    "INSERT INTO publications (id, owner_id, publisher_id, render_id, run, ref, state, finished_at)"
    " SELECT concat_ws('_', 'pbn', CAST(:mark AS text), n, waits), 'own', 'pub_' || n % :publishers,"
    " 'rnd_' || n % 1000, 1,"
    " concat_ws('_', CAST(:mark AS text), n, waits), CASE WHEN waits THEN 'pending' ELSE 'published' END,"
    f" CASE WHEN NOT waits THEN now() END {_EACH}",
    "INSERT INTO trigger_deliveries (id, trigger_id, owner_id, key, body, verdict, retry_at)"
    " SELECT concat_ws('_', 'tdl', CAST(:mark AS text), n, waits), 'trg', 'own',"
    " concat_ws('_', CAST(:mark AS text), n, waits), '',"
    f" CASE WHEN waits THEN 'held' ELSE 'ignored' END, CASE WHEN waits THEN now() - n * interval '1 ms' END {_EACH}",
)
