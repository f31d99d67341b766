"""This worker process: its identity, its heartbeat, and how work in hand is told to stop.

One row per process in `workers`, renewed every third of a lease on a connection of its own, so that a busy pool of
database connections never makes a healthy worker look dead. The same connection listens for cancellations.
"""

import os
import socket
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version

import psycopg
from sqlalchemy import URL, make_url
from sqlalchemy.exc import SQLAlchemyError
from ulid import ULID

from config.logging import get
from config.settings import settings
from worker import machine
from worker.database import CONNECTION, transact
from worker.remote import surprises
from worker.renders import takeover
from worker.renders.store import CANCEL

log = get(__name__)

Stop = Callable[[str], None]
"""Ends a stream in hand; its argument says why (`drain`, `cancel`)."""


@dataclass
class Process:
    """A worker process."""

    id: str
    kind: str
    capacity: int
    pid: int
    draining: bool = False
    streams: dict[str, Stop] = field(default_factory=dict[str, Stop])
    """Streams in hand, by render id."""
    done: threading.Event = field(default_factory=threading.Event)
    in_hand: set[tuple[str, int]] = field(default_factory=set[tuple[str, int]])
    """Render id and lease number of what this process works on at the moment."""
    _unknown_since: dict[tuple[str, int], float] = field(default_factory=dict[tuple[str, int], float])

    @contextmanager
    def holding(self, claims: Sequence[tuple[str, int]]) -> Generator[None]:
        """Note that these claims are being worked on."""
        self.in_hand.update(claims)
        try:
            yield
        finally:
            self.in_hand.difference_update(claims)

    def strays(self, owned: set[tuple[str, int]]) -> set[tuple[str, int]]:
        """Of the rows that name this process, those that it has not been working on for a whole heartbeat: a claim
        whose answer was lost, or an outcome that could not be written while the database was away. (A look may fall
        between a claim and its note, which are milliseconds apart.)"""
        now = time.monotonic()
        self._unknown_since = {claim: self._unknown_since.get(claim, now) for claim in owned - self.in_hand}
        heartbeat = settings().waits.heartbeat.total_seconds()
        return {claim for claim, since in self._unknown_since.items() if now - since >= heartbeat * 0.9}

    def drain(self) -> None:
        """Take nothing new and end what streams; each hands its render over to the look-up."""
        self.draining = True
        for stop in list(self.streams.values()):
            stop("drain")


_process: Process | None = None
_lock = threading.Lock()


def process() -> Process:
    """This process; registered, with its heartbeat running, on first use (a fork registers anew)."""
    global _process
    with _lock:
        if _process is None or _process.pid != os.getpid():
            _process = _register()
        return _process


def kind_of_worker() -> str:
    """`stream`, `io` or `media`: what the worker of this process serves."""
    return os.environ.get("VIVIDEO_WORKER_KIND", "io")


def _register() -> Process:
    kind = kind_of_worker()
    # A prefork child holds one thing at a time; a gevent worker as many as it has greenlets.
    capacity = 1 if kind == "media" else int(os.environ.get("VIVIDEO_WORKER_CAPACITY", "100"))
    me = Process(id=f"{kind}-{os.getpid()}-{str(ULID()).lower()[-10:]}", kind=kind, capacity=capacity, pid=os.getpid())
    beating = threading.Event()
    threading.Thread(target=_beat_for_ever, args=(me, beating), name="heartbeat", daemon=True).start()
    threading.Thread(target=_tell_surprises, args=(me,), name="surprises", daemon=True).start()
    # Nothing is claimed under a name that is not on file: it would look like a dead worker's.
    if not beating.wait(30):
        log.warning("worker.unregistered", worker=me.id)
    return me


def connection_url(url: str) -> str:
    """The database's address for a connection made without SQLAlchemy."""
    parsed: URL = make_url(url).set(drivername="postgresql")
    return parsed.render_as_string(hide_password=False)


def _beat_for_ever(me: Process, beating: threading.Event) -> None:
    while not me.done.is_set():
        try:
            with psycopg.connect(
                connection_url(settings().servers.database_url),
                autocommit=True,
                application_name=f"vivideo-heartbeat-{me.kind}",
                options="-c statement_timeout=10s",
                **CONNECTION,
            ) as connection:
                connection.execute(f"LISTEN {CANCEL}")
                _stop_cancelled(connection, me)
                while not me.done.is_set():
                    _beat(connection, me)
                    _look_for_strays(connection, me)
                    beating.set()
                    _listen(connection, me)
        except Exception as error:  # whatever it is: a worker without a heartbeat works for nothing
            log.warning("heartbeat.failed", worker=me.id, error=type(error).__name__)
            me.done.wait(1)


def _beat(connection: psycopg.Connection, me: Process) -> None:
    connection.execute(
        "INSERT INTO workers (id, kind, hostname, pid, machine, pid_started, version, capacity)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (id) DO UPDATE SET seen_at = now()",
        (
            *(me.id, me.kind, socket.gethostname(), me.pid),
            *(machine.identity(), machine.began(me.pid), version("vivideo"), me.capacity),
        ),
    )


def _look_for_strays(connection: psycopg.Connection, me: Process) -> None:
    """Rows that this process owns without working on them would stay so for as long as it lives."""
    rows = connection.execute("SELECT id, lease FROM renders WHERE worker_id = %s", (me.id,)).fetchall()
    lost = me.strays({(row[0], row[1]) for row in rows})
    if lost:
        log.warning("worker.strays", worker=me.id, renders=[render for render, _ in lost])
        # Not here: the pool may be used up just then, and the heartbeat must not wait for it.
        threading.Thread(target=_let_go, args=(me, sorted(lost)), name="strays", daemon=True).start()


def _let_go(me: Process, claims: list[tuple[str, int]]) -> None:
    try:
        transact(lambda session: takeover.let_go(session, worker=me.id, claims=claims), retry_for=0)
    except (SQLAlchemyError, psycopg.Error) as error:
        log.warning("strays.kept", worker=me.id, error=type(error).__name__)  # seen again at the next beat


def _tell_surprises(me: Process) -> None:
    """Apart from the heartbeat: counts of what the backend sent may wait, a lease may not."""
    while not me.done.wait(settings().waits.heartbeat.total_seconds()):
        surprises.flush()


def _listen(connection: psycopg.Connection, me: Process) -> None:
    """Wait for the next beat; end the streams of renders that are cancelled meanwhile."""
    until = time.monotonic() + settings().waits.heartbeat.total_seconds()
    while not me.done.is_set() and (left := until - time.monotonic()) > 0:
        # Read to its end first: the generator holds the connection's lock, a query within the loop would wait for ever.
        list(connection.notifies(timeout=left, stop_after=1))
        # Looked at on each beat too, not only when told: what was told while the connection was away is lost.
        _stop_cancelled(connection, me)


def _stop_cancelled(connection: psycopg.Connection, me: Process) -> None:
    if me.streams:
        rows = connection.execute(
            "SELECT id FROM renders WHERE worker_id = %s AND cancel_requested_at IS NOT NULL", (me.id,)
        ).fetchall()
        for (render_id,) in rows:
            stop = me.streams.get(render_id)
            if stop:
                stop("cancel")


def goodbye(children: Sequence[int] = (), *, hurried: bool = False) -> None:
    """Say that this process ends, and its `children` (pids) with it: what they may still hold is free at once, not
    after a lease. `hurried`: it has work in hand that others begin from now on, so nothing more is waited for."""
    me = _process if _process is not None and _process.pid == os.getpid() else None
    if me is None and not children:
        return
    if me is not None:
        me.done.set()
    try:
        with psycopg.connect(
            connection_url(settings().servers.database_url), autocommit=True, connect_timeout=2
        ) as connection:
            connection.execute(
                "UPDATE workers SET stopped_at = now() WHERE stopped_at IS NULL"
                " AND (id = %s OR (machine = %s AND pid = ANY(%s)))",
                (me.id if me else None, machine.identity(), list(children)),
            )
        if not hurried:
            surprises.flush()  # may wait for one of the pool's connections, which are free by now
    except psycopg.Error as error:
        log.warning("goodbye.failed", worker=me.id if me else None, error=type(error).__name__)


def drain_if_any() -> None:
    """Drain this process if it is a worker."""
    if _process is not None and _process.pid == os.getpid():
        _process.drain()
