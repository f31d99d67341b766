"""`python -m deploy.local.alive PROCESS`: whether that process does its work, for a container's health check.

Asked from beside it: by its port, by what the database has of it, or by a ping. It ends with 1 and a reason only where
something speaks against *this* process. While the database is away nothing does: whoever restarts the unhealthy would
end streams that are paid for, and mend nothing.
"""

import http.client
import socket
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from config.settings import settings

PATIENCE_SECONDS = 5
"""For one answer; below the health check's own limit."""

_LOOK = "-c statement_timeout=5s"


def api() -> str | None:
    """`/livez`, not `/readyz`: the intake takes renders while database, broker and workers are away or being replaced,
    and a new intake would not bring them back."""
    return _answers(settings().servers.api_port, "/livez")


def flower() -> str | None:
    """The one page that needs no password."""
    return _answers(settings().servers.flower_port, "/healthcheck")


def dispatcher() -> str | None:
    """Its connections come from this machine's address: it listens, and within a lease it has asked for something."""
    row = _asked(
        "SELECT count(*) FILTER (WHERE application_name = 'vivideo-dispatch'), max(state_change) > now() - %s::interval"
        " FROM pg_stat_activity WHERE application_name IN ('vivideo-dispatch', 'vivideo-app')"
        " AND datname = current_database() AND client_addr IS NOT DISTINCT FROM inet_client_addr()",
        settings().waits.lease_seconds,
    )
    if row is None or (row[0] and row[1]):
        return None
    return "it has asked nothing of the database within a lease" if row[0] else "it is not connected to the database"


def worker(kind: str) -> str | None:
    """This machine's heartbeat within a lease: cheaper than Celery's ping, and it is what decides on takeovers."""
    row = _asked(
        "SELECT count(*) FROM workers WHERE kind = %s AND hostname = %s AND stopped_at IS NULL"
        " AND seen_at > now() - %s::interval",
        kind,
        socket.gethostname(),
        settings().waits.lease_seconds,
    )
    return None if row is None or row[0] else "no heartbeat within a lease"


def beat() -> str | None:
    """Celery's own ping: beat stays silent once its schedule stands still."""
    from celery.beat import beat_nodename

    from worker.app import app

    replies = app.control.inspect(destination=[beat_nodename()], timeout=PATIENCE_SECONDS, limit=1).ping()
    return None if replies else f"{beat_nodename()} does not answer a ping"


CHECKS: dict[str, Callable[[], str | None]] = {
    "api": api,
    "dispatcher": dispatcher,
    "worker-stream": partial(worker, "stream"),
    "worker-io": partial(worker, "io"),
    "worker-media": partial(worker, "media"),
    "beat": beat,
    "flower": flower,
}
"""By process: what speaks against it, or None."""


def _answers(port: int, path: str) -> str | None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    try:
        connection.request("GET", path)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"port {port} does not answer: {error}"
    finally:
        connection.close()
    return None if status == 200 else f"{path} answers with {status}"


def _asked(query: str, *parameters: object) -> tuple[Any, ...] | None:
    """The one row of an answer; None where the database cannot be asked."""
    import psycopg  # late, and without the service's own: this is run every half minute in each container

    scheme, _, place = settings().servers.database_url.partition("://")
    try:
        with psycopg.connect(
            f"{scheme.partition('+')[0]}://{place}",
            autocommit=True,
            connect_timeout=PATIENCE_SECONDS,
            application_name="vivideo-alive",
            options=_LOOK,
        ) as connection:
            return connection.execute(query.encode(), parameters).fetchone()
    except psycopg.OperationalError:
        sys.stdout.write("the database does not answer: nothing is known\n")
        return None


def main() -> None:
    """Ends with 0, with 1 and a reason, or with 2 where there is no such process."""
    check = CHECKS.get(" ".join(sys.argv[1:]))
    if check is None:
        sys.stderr.write(f"name one of: {', '.join(CHECKS)}\n")
        sys.exit(2)
    sys.exit(check())


if __name__ == "__main__":
    main()
