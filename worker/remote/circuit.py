"""The one switch between this installation and a broken backend: while it is open nobody calls, and one probes.

Each process counts its own calls that failed in a row; at `CIRCUIT_FAILURES` it opens the one row that all processes
see. While the circuit is open no stage calls the backend: its render waits (`backend`), which counts as no fault. After
`open_until` one call at a time goes through as the probe: its answer closes the circuit, its failure opens it for twice
as long. A probe that dies leaves nothing: `probing_until` passes.

A call about one session or export may fail because that one is broken. So the verdict is left to calls that concern
none (`OF_THE_BACKEND`): where only others failed it is in doubt, and whoever is at it asks for a second opinion
(`Job.second_opinion`).
"""

import random
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import lru_cache

from sqlalchemy import CheckConstraint, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import INTERVAL, insert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Mapped, Session, mapped_column

from config.logging import get
from config.settings import Waits, settings
from worker.accounts.tokens import NotNow
from worker.database import Base, from_now, transact
from worker.remote.pulse import Pulse
from worker.renders import waiting
from worker.renders.states import Reason

log = get(__name__)

BACKEND = "backend"
"""The one circuit's name."""

OF_THE_BACKEND = frozenset({"anonymous_token", "credits", "create_session"})
"""Calls that concern no session and no export: where they fail, the backend is broken."""

PROBE_MARGIN = timedelta(seconds=5)
"""Beyond the longest wait for an ordinary answer: after it, the probe's worker has died and the next may probe."""


class Circuit(Base):
    """The one switch between this installation and a backend that is broken: open, calls are held back and probed."""

    __tablename__ = "circuits"

    name: Mapped[str] = mapped_column(primary_key=True)
    failures: Mapped[int] = mapped_column(server_default="0")
    """Openings and failed probes in a row."""
    opened_at: Mapped[datetime | None]
    """Since when it is open; None: closed."""
    open_until: Mapped[datetime | None]
    """When the next probe may go."""
    pause_seconds: Mapped[float | None]
    probing_until: Mapped[datetime | None]
    """One probe at a time: who set it probes; over without a word, the next may."""
    detail: Mapped[str | None]

    __table_args__ = (CheckConstraint("(opened_at IS NULL) = (open_until IS NULL)", name="opened"),)


class HeldBack(NotNow):
    """The circuit is open: nothing was asked, look again after `wait`."""

    def __init__(self, wait: timedelta) -> None:
        super().__init__(wait, Reason.BACKEND)


def standing(session: Session) -> Circuit | None:
    """The open circuit; None where it is closed."""
    return session.scalars(select(Circuit).where(Circuit.name == BACKEND, Circuit.opened_at.is_not(None))).one_or_none()


def probes_due(session: Session) -> int | None:
    """How many new renders may try a broken backend now, 0 or 1; None: the circuit is closed."""
    now = func.now()
    due = (Circuit.open_until <= now) & (func.coalesce(Circuit.probing_until, now) <= now)
    found = session.execute(select(due).where(Circuit.name == BACKEND, Circuit.opened_at.is_not(None))).one_or_none()
    return None if found is None else int(found[0])


def open_it(session: Session, first: timedelta, detail: str) -> timedelta | None:
    """Open a closed circuit for about `first` (with jitter); None where it is open already."""
    values = {
        "failures": 1,
        "opened_at": func.now(),
        "open_until": from_now(_jittered(first)),
        "pause_seconds": first.total_seconds(),
        "probing_until": None,
        "detail": detail[:500],
    }
    statement = insert(Circuit).values(name=BACKEND, **values)
    opened = session.execute(
        statement.on_conflict_do_update(
            index_elements=[Circuit.name], set_=values, where=Circuit.opened_at.is_(None)
        ).returning(Circuit.name)
    ).one_or_none()
    return None if opened is None else first


def begin_probe(session: Session, takes: timedelta) -> datetime | None:
    """Until when the caller probes, the pause being over and nobody else at it; None: it may not."""
    return session.execute(
        update(Circuit)
        .where(
            Circuit.name == BACKEND,
            Circuit.open_until <= func.now(),
            or_(Circuit.probing_until.is_(None), Circuit.probing_until <= func.now()),
        )
        .values(probing_until=from_now(takes))
        .returning(Circuit.probing_until)
        .execution_options(synchronize_session=False)
    ).scalar_one_or_none()


def give_back(session: Session, mine: datetime) -> None:
    """The probe asked nothing after all: the next may. `mine` is what `begin_probe` said; another's is left alone."""
    session.execute(
        update(Circuit).where(Circuit.name == BACKEND, Circuit.probing_until == mine).values(probing_until=None)
    )


def reopen(session: Session, longest: timedelta, detail: str) -> timedelta | None:
    """A probe failed: open for twice as long, at most about `longest`; None where it was closed meanwhile."""
    most = longest.total_seconds()
    doubled = func.least(func.coalesce(Circuit.pause_seconds, 0) * 2, most)
    pause = session.execute(
        update(Circuit)
        .where(Circuit.name == BACKEND, Circuit.opened_at.is_not(None))
        .values(
            failures=Circuit.failures + 1,
            pause_seconds=doubled,
            open_until=func.now() + doubled * random.uniform(0.8, 1.2) * literal(timedelta(seconds=1), INTERVAL),  # noqa: S311 - jitter, not a secret
            probing_until=None,
            detail=detail[:500],
        )
        .returning(Circuit.pause_seconds)
        .execution_options(synchronize_session=False)
    ).scalar_one_or_none()
    return None if pause is None else timedelta(seconds=pause)


def close(session: Session, *, export_interval: timedelta) -> tuple[datetime, int] | None:
    """The backend answers: since when the circuit was open, and how many waiting renders were made due, spread over a
    few seconds. None where it was closed already."""
    since = session.scalar(
        select(Circuit.opened_at).where(Circuit.name == BACKEND, Circuit.opened_at.is_not(None)).with_for_update()
    )
    if since is None:
        return None
    session.execute(
        update(Circuit)
        .where(Circuit.name == BACKEND)
        .values(failures=0, opened_at=None, open_until=None, pause_seconds=None, probing_until=None, detail=None)
        .execution_options(synchronize_session=False)
    )
    return since, waiting.wake(session, Reason.BACKEND, export_interval=export_interval)


def _jittered(pause: timedelta) -> timedelta:
    return pause * random.uniform(0.8, 1.2)  # noqa: S311 - jitter, not a secret


class Probe(threading.local):
    """What this thread or greenlet, and no other, is about."""

    until: datetime | None = None
    """It probes, until then at most."""
    doubt: str | None = None
    """Its probe failed at a call that may be broken by itself: with what."""


class Breaker(Pulse):
    """This process's part: it counts, opens, and says before each call whether it may be made.

    Shared by all threads or greenlets; which of them probes is known to that one alone.
    """

    def __init__(self, waits: Waits) -> None:
        self._waits = waits
        self._in_a_row = 0
        self._of_the_backend = False
        """Whether one of those in a row was of `OF_THE_BACKEND`."""
        self._open_until = 0.0
        self._mine = Probe()
        self._asking = threading.Lock()

    # What the client tells

    def answered(self, call: str) -> None:
        self._forget()
        if self._ends_probe():
            self._safely(self._close)

    def failed(self, call: str, detail: str) -> None:
        decisive = call in OF_THE_BACKEND
        if self._mine.until is not None:
            if not decisive and self._mine.doubt is None:
                self._mine.doubt = detail
                return
            self._ends_probe()
            self._safely(lambda: self._reopen(detail))
            return
        if self.open_for():
            return  # one that was in flight at the opening tells nothing new
        self._in_a_row += 1
        self._of_the_backend |= decisive
        if self._in_a_row >= self._waits.circuit_failures and self._of_the_backend:
            self._safely(lambda: self._open(detail))

    # What stages ask

    def enter(self, open_until: datetime | None, at: datetime, *, may_probe: bool = True) -> None:
        """Before a call, with the circuit as it stood at `at` (the database's time): `open_until` is the end of its
        pause, or of the probe that somebody is at. Raises HeldBack."""
        if open_until is None or self._mine.until is not None:
            return
        left = open_until - at
        if may_probe and left <= timedelta(0):
            self._mine.until = transact(lambda session: begin_probe(session, self._probe_takes()))
            if self._mine.until is not None:
                return
        # Somebody else probes: how that went is known within a moment, or else the pause is long enough to see it.
        raise HeldBack(max(left, self._waits.circuit_seconds) * random.uniform(1.0, 1.3))  # noqa: S311 - jitter

    def leave(self) -> None:
        """The work that may have been the probe is over; if it asked nothing, another probes."""
        mine, doubt = self._mine.until, self._mine.doubt
        if mine is None:
            return
        self._ends_probe()
        if doubt is not None:
            self._safely(lambda: self._reopen(doubt))
        else:
            self._safely(lambda: transact(lambda session: give_back(session, mine)))

    def settle(self, ask: Callable[[], object]) -> None:
        """Where calls failed that may be broken by themselves, `ask`, a call of `OF_THE_BACKEND`, has to tell: one at a
        time, not each of a batch."""
        in_doubt = self._in_a_row >= self._waits.circuit_failures and not self.open_for()
        if (in_doubt or self._mine.doubt is not None) and self._asking.acquire(blocking=False):
            try:
                ask()
            finally:
                self._asking.release()

    def open_for(self) -> timedelta:
        """How much longer the circuit is open, as far as this process knows; 0: closed, or it does not know."""
        return timedelta(seconds=max(0.0, self._open_until - time.monotonic()))

    def _forget(self) -> None:
        self._in_a_row, self._of_the_backend = 0, False

    def _ends_probe(self) -> bool:
        probed = self._mine.until is not None
        self._mine.until = self._mine.doubt = None
        return probed

    def _probe_takes(self) -> timedelta:
        return self._waits.http_connect_seconds + self._waits.http_read_seconds + PROBE_MARGIN

    def _open(self, detail: str) -> None:
        pause = transact(lambda session: open_it(session, self._waits.circuit_seconds, detail))
        self._open_until = time.monotonic() + (pause or self._waits.circuit_seconds).total_seconds()
        if pause is not None:
            log.warning("circuit.opened", failures=self._in_a_row, seconds=pause.total_seconds(), detail=detail)
        self._forget()  # a healed backend is not shut out for one late failure more

    def _reopen(self, detail: str) -> None:
        pause = transact(lambda session: reopen(session, self._waits.retry_longest_seconds, detail))
        if pause is not None:
            self._open_until = time.monotonic() + pause.total_seconds()
            log.warning("circuit.opened", failures=1, seconds=pause.total_seconds(), detail=detail)

    def _close(self) -> None:
        closed = transact(lambda session: close(session, export_interval=self._waits.export_poll_seconds))
        self._open_until = 0.0
        if closed is not None:
            log.info("circuit.closed", since=closed[0].isoformat(), renders=closed[1])

    def _safely(self, write: Callable[[], None]) -> None:
        """A database that is away must not turn an answer into a fault: the circuit is written at the next."""
        try:
            write()
        except SQLAlchemyError as error:
            log.warning("circuit.unwritten", error=type(error).__name__)


@lru_cache(maxsize=1)
def breaker() -> Breaker:
    """This process's."""
    return Breaker(settings().waits)
