"""Other ways to commit, send, call out or move a file: found in the code, and explained or refused."""

import ast

from tests.chaos.points import rules

OPENERS = frozenset(
    {
        "sqlalchemy.create_engine",
        "sqlalchemy.orm.Session",
        "psycopg.connect",
        "httpx.Client",
        "httpx.AsyncClient",
        "httpx.get",
        "httpx.post",
        "httpx.request",
        "httpx.stream",
        "httpcore.ConnectionPool",
        "httpcore.HTTPConnection",
        "socket.socket",
        "socket.create_connection",
        "urllib.request.urlopen",
        "redis.Redis",
        "redis.from_url",
        "redis.Redis.from_url",
        "subprocess.run",
        "subprocess.Popen",
        "celery.Celery",
    }
)
"""What opens a way to the world."""

COMMITTING = frozenset({"commit", "begin", "begin_nested", "exec_driver_sql"})
"""Methods that a session or connection of one's own would be used with."""

ALLOWED = {
    ("worker.app", "celery.Celery"): "the one app; its sends are points",
    ("worker.dispatch", "psycopg.connect"): "listens; what it executes is a point",
    ("worker.liveness", "psycopg.connect"): "the heartbeat's own connection; what it executes is a point",
    ("worker.media.download", "httpx.Client"): "within `download`, which is a point where it is called",
    ("worker.metrics", ".begin"): "of the folder that a pool's children count in; no transaction",
    ("worker.metrics.depths", "socket.socket"): "a second hold on a reader's connection, to cut it; it opens none",
    ("worker.renders.leases", ".exec_driver_sql"): "statements within the caller's transaction",
    ("worker.addresses.connect", "socket.socket"): "fetches what customers name: feeds and their pictures' versions",
    ("worker.addresses.fetch", "httpcore.ConnectionPool"): "only reads; who dies of it, or in it, asks again",
    ("api.batches.intake", ".begin"): "of a batch that is to be received, within `transact`; no transaction",
    ("worker.catalogs.reading", ".begin"): "the same",
    ("api.webhooks.intake", ".begin"): "of a redelivery, within `transact`; no transaction",
    ("worker.triggers.acceptance", ".begin_nested"): "a savepoint within the caller's transaction",
    ("worker.triggers.holding", ".begin_nested"): "the same",
    ("api.batches.csv_records", ".begin"): "of a record in a text; no transaction",
    **dict.fromkeys(
        ((f"worker.catalogs.feeds.{name}", ".begin") for name in ("json_items", "lines", "rows")),
        "of a row in a text, to cut it back to; no transaction",
    ),
    **dict.fromkeys(
        ((f"worker.catalogs.feeds.{name}", ".begin") for name in ("tables", "woocommerce")),
        "of a product in the scratch database, which is nobody else's and gone with the reading",
    ),
}
"""Module and way → why it is no hole."""


def other_ways(tree: ast.Module) -> set[str]:
    """The openers a module calls, and the committing methods (with a dot before)."""
    imports = rules.imports_of(tree)
    found: set[str] = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = rules.full_name(node.func, imports)
        if name in OPENERS:
            found.add(str(name))
        elif isinstance(node.func, ast.Attribute) and node.func.attr in COMMITTING:
            found.add(f".{node.func.attr}")
    return found
