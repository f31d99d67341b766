"""PostgreSQL: the engine, transactions with a bounded retry, and what every table shares.

One clock decides, the database's: times in statements are `now()`, never this process's.
"""

import os
import random
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import lru_cache
from importlib import import_module
from typing import Any, ClassVar, TypeVar

from sqlalchemy import DateTime, Engine, Text, create_engine, func, literal, make_url, text
from sqlalchemy.dialects.postgresql import INTERVAL, JSONB
from sqlalchemy.exc import DataError, DBAPIError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.sql.elements import ColumnElement
from ulid import ULID

from config.logging import get
from config.settings import settings
from worker import infinity
from worker.metrics.declared import DATABASE_RETRIES

log = get(__name__)
infinity.install()
Result = TypeVar("Result")

RETRY_FOR_SECONDS = 20.0
"""A restart of PostgreSQL takes one to ten seconds; past twice that the work is left to a takeover."""

# Serialization failure, deadlock, the server going down or coming up, an idle transaction ended: the transaction did
# nothing, run it again.
RETRYABLE_STATES = frozenset({"40001", "40P01", "57P01", "57P02", "57P03", "53300", "25P03"})

# Serialization failure, deadlock, a lock that was not had in time.
CONTENDED_STATES = frozenset({"40001", "40P01", "55P03"})

PASSING_SECONDS = 1.0
"""For which `in_passing` waits for a lock: a tick."""
STATEMENT_SECONDS = 5.0
"""For which a statement of `in_passing` may run: far longer than any of them should."""

CONNECTION: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""Seconds (the last one milliseconds): a connection whose other end vanished is noticed in 20 s, not in hours."""

IDLE_SECONDS = 10.0
"""A transaction in which nothing is asked for this long, or for a lease where that is longer, is ended by the server:
whoever has it open is frozen, and holds locks that a takeover needs."""

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """Tables. Times carry a zone; text has no length limit that the intake does not check."""

    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: DateTime(timezone=True),
        str: Text(),
        dict[str, Any]: JSONB,
        list[Any]: JSONB,
    }


Base.metadata.naming_convention = NAMING


def new_id(prefix: str) -> str:
    """A time-ordered id: `rnd_` and 26 characters (ULID, lower case)."""
    return f"{prefix}_{str(ULID()).lower()}"


def id_of_moment(prefix: str, moment: datetime) -> str:
    """Below every id of that prefix made at `moment` or later, by the clock of who made it."""
    return f"{prefix}_{str(ULID.from_datetime(moment))[:10].lower()}"


def dialect_url(url: str) -> str:
    """The same address with SQLAlchemy's driver named, so that plain `postgresql://` addresses work."""
    scheme, separator, rest = url.partition("://")
    if scheme in {"postgresql", "postgres"}:
        scheme = "postgresql+psycopg"
    return f"{scheme}{separator}{rest}"


@lru_cache(maxsize=4)
def _engine(url: str, _pid: int) -> Engine:
    """One engine per process: a fork (the prefork pool) gets its own connections."""
    import_module("worker.models")  # every table is known before the first statement: foreign keys name them

    return create_engine(
        dialect_url(url),
        pool_size=20,
        max_overflow=10,
        pool_timeout=30,
        pool_pre_ping=False,
        pool_recycle=1800,
        hide_parameters=True,  # an error's text goes into logs and rows; parameters hold tokens and signed addresses
        connect_args={"application_name": "vivideo-app", "options": _options(url), **CONNECTION},
    )


def _options(url: str) -> str:
    """Those of the address, and ours."""
    seconds = max(settings().waits.lease_seconds.total_seconds(), IDLE_SECONDS)
    given = make_url(dialect_url(url)).query.get("options", ())
    options = [given] if isinstance(given, str) else [*given]
    return " ".join([f"-c idle_in_transaction_session_timeout={round(seconds * 1000)}", *options])


def engine() -> Engine:
    """This process's engine."""
    return _engine(settings().servers.database_url, os.getpid())


def retryable(error: DBAPIError | PoolTimeout) -> bool:
    """Whether running the whole transaction again can help: the connection broke, the server was away, or all
    connections were in use."""
    if isinstance(error, PoolTimeout):
        return True
    state = getattr(error.orig, "sqlstate", None)
    if state is None and isinstance(error, (DataError, ProgrammingError)):
        return False  # the driver's own refusal of a value: nothing was sent
    return error.connection_invalidated or state in RETRYABLE_STATES or state is None


def contended(error: DBAPIError) -> bool:
    """Whether others had what the transaction needed: the database is there, and later it goes."""
    return getattr(error.orig, "sqlstate", None) in CONTENDED_STATES


def ended(error: DBAPIError) -> bool:
    """Whether a statement ran for longer than it may, and was ended: it would do so again."""
    return getattr(error.orig, "sqlstate", None) == "57014"


def transact(work: Callable[[Session], Result], *, retry_for: float = RETRY_FOR_SECONDS) -> Result:
    """Run `work` in one transaction and commit; again, with growing pauses, while PostgreSQL is away.

    `work` may run more than once and a lost COMMIT answer may mean that it already took effect: every `work` is either
    guarded (a fenced write that finds no row the second time) or read back by id.

    Raises:
        sqlalchemy.exc.DBAPIError: still failing after `retry_for` seconds, or no fault that passes.
    """
    return _persistently(lambda: _in_transaction(work), retry_for)


def at_once(work: Callable[[Session], Result], *, retry_for: float = RETRY_FOR_SECONDS) -> Result:
    """As `transact`, for work of one statement (or of reads that need no common moment): each statement commits by
    itself, which saves the round trips of BEGIN and COMMIT."""
    return _persistently(lambda: _statement_by_statement(work), retry_for)


def in_passing(work: Callable[[Session], Result]) -> Result:
    """As `transact`, once, and waiting no longer than `PASSING_SECONDS` for a row that somebody else has and no longer
    than `STATEMENT_SECONDS` for an answer: for a thread that others wait for."""

    def bounded(session: Session) -> Result:
        _within(session, "statement_timeout", STATEMENT_SECONDS)
        return work(impatient(session))

    return _in_transaction(bounded)


def impatient(session: Session, seconds: float = PASSING_SECONDS) -> Session:
    """Have each lock that is not had within `seconds` be an error (`contended`), from here to the transaction's end."""
    _within(session, "lock_timeout", seconds)
    return session


def _within(session: Session, limit: str, seconds: float) -> None:
    session.execute(_LIMIT, {"limit": limit, "value": f"{round(seconds * 1000)}ms"})


_LIMIT = text("SELECT set_config(:limit, :value, true)")
"""Until the transaction's end."""


def _in_transaction(work: Callable[[Session], Result]) -> Result:
    with Session(engine(), expire_on_commit=False) as session, session.begin():
        return work(session)


def _statement_by_statement(work: Callable[[Session], Result]) -> Result:
    with Session(engine().execution_options(isolation_level="AUTOCOMMIT"), expire_on_commit=False) as session:
        return work(session)


def _persistently(attempt: Callable[[], Result], retry_for: float) -> Result:
    give_up = time.monotonic() + retry_for
    pause = 0.05
    while True:
        try:
            return attempt()
        except (DBAPIError, PoolTimeout) as error:
            if not retryable(error) or time.monotonic() + pause > give_up:
                raise
            log.warning("database.retry", error=type(error).__name__, pause=pause)
            DATABASE_RETRIES.labels(type(error).__name__).inc()
            if isinstance(error, DBAPIError) and error.connection_invalidated:
                engine().dispose()
            time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
            pause = min(pause * 2, 2.0)


def from_now(wait: timedelta) -> ColumnElement[datetime]:
    """`now() + wait`, by the database's clock."""
    return func.now() + literal(wait, INTERVAL)


def ago(wait: timedelta) -> ColumnElement[datetime]:
    """`now() - wait`, by the database's clock."""
    return func.now() - literal(wait, INTERVAL)
