"""A shop that sends 1,000 products at once, three of ten messages twice: renders made, and how long the shop waited.

Shops give an answer five seconds, and count what takes longer as failed; after some failures they send no more.
"""

import httpx
from sqlalchemy import func, select

from tests.bench.figures import percentile
from tests.bench.ground import Ground
from tests.bench.load import PATIENCE_SECONDS, REPEATED, Asking, Seen, Wanted
from tests.bench.meter import cpu_seconds
from tests.bench.report import Report
from worker.database import transact
from worker.renders.models import Render

FULL, QUICK = 1_000, 60
CONNECTIONS = 32
PATIENCE_OF_SHOPS = 5.0
SECRET = "the-secret-of-the-shop"


def measure(report: Report, ground: Ground, pid: int) -> None:
    """Send the burst, look at what came of it, and print the figures."""
    most = QUICK if report.quick else FULL
    report.say(f"{most:,} messages of a shop on {CONNECTIONS} connections, 30 % of them duplicates")
    trigger_id = _trigger(ground)
    _send(ground, trigger_id, "warm", 40)  # the first answers pay for imports, connections and plans
    before, cpu = _renders(), cpu_seconds(pid)
    seen = _send(ground, trigger_id, "burst", most)
    cpu, made = cpu_seconds(pid) - cpu, _renders() - before
    wanted = most - len(REPEATED) * most // 10
    report.aim("messages answered 200", seen.statuses.get("200", 0), seen.statuses == {"200": most}, "all")
    report.aim("renders made", made, made == wanted, str(wanted))
    times = [one * 1000 for one in seen.latencies]
    row = [most / seen.seconds, percentile(times, 0.5), percentile(times, 0.99), max(times), cpu * 1000 / most]
    report.table(("messages/s", "p50 ms", "p99 ms", "longest ms", "CPU ms a message"), [row])
    longest = max(seen.latencies)
    report.timed("longest answer, s", round(longest, 2), longest < PATIENCE_OF_SHOPS, f"< {PATIENCE_OF_SHOPS:g}")


def _send(ground: Ground, trigger_id: str, mark: str, most: int) -> Seen:
    order = Wanted("hook", ground.port, SECRET, CONNECTIONS, PATIENCE_SECONDS, [trigger_id], mark, most)
    return Asking(order).seen()


def _trigger(ground: Ground) -> str:
    content = {"prompt": "a video about {{ title }}", "variables": {"title": {}}}
    _made(ground, "/v1/templates", {"name": "of-the-shop", **content})
    return _made(ground, "/v1/triggers", {"style": "shopify", "template": "of-the-shop", "secret": SECRET})


def _made(ground: Ground, path: str, body: dict[str, object]) -> str:
    return httpx.post(ground.api + path, json=body, headers=ground.headers).raise_for_status().json()["id"]


def _renders() -> int:
    return transact(lambda session: session.scalar(select(func.count()).select_from(Render)) or 0)
