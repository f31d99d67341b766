"""PostgreSQL: the engine, transactions with a bounded retry, and what every table shares.

One clock decides, the database's: times in statements are `now()`, never this process's.
"""

import os
import random
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, ClassVar, TypeVar

from sqlalchemy import DateTime, Engine, Text, create_engine, func, literal
from sqlalchemy.dialects.postgresql import INTERVAL, JSONB
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.sql.elements import ColumnElement
from ulid import ULID

from config.logging import get
from config.settings import settings

log = get(__name__)
Result = TypeVar("Result")

RETRY_FOR_SECONDS = 20.0
"""A restart of PostgreSQL takes one to ten seconds; past twice that the work is left to a takeover."""

# Serialization failure, deadlock, the server going down or coming up: the transaction did nothing, run it again.
RETRYABLE_STATES = frozenset({"40001", "40P01", "57P01", "57P02", "57P03", "53300"})

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


def dialect_url(url: str) -> str:
    """The same address with SQLAlchemy's driver named, so that plain `postgresql://` addresses work."""
    scheme, separator, rest = url.partition("://")
    if scheme in {"postgresql", "postgres"}:
        scheme = "postgresql+psycopg"
    return f"{scheme}{separator}{rest}"


@lru_cache(maxsize=4)
def _engine(url: str, _pid: int) -> Engine:
    """One engine per process: a fork (the prefork pool) gets its own connections."""
    import worker.models  # noqa: F401, PLC0415 - every table is known before the first statement: foreign keys name them

    return create_engine(
        dialect_url(url),
        pool_size=20,
        max_overflow=10,
        pool_timeout=30,
        pool_pre_ping=False,
        pool_recycle=1800,
        connect_args={"connect_timeout": 5, "application_name": f"vivideo-{os.environ.get('VIVIDEO_PROCESS', 'app')}"},
    )


def engine() -> Engine:
    """This process's engine."""
    return _engine(settings().servers.database_url, os.getpid())


def retryable(error: DBAPIError) -> bool:
    """Whether running the whole transaction again can help: the connection broke or the server was away."""
    state = getattr(error.orig, "sqlstate", None)
    return error.connection_invalidated or state in RETRYABLE_STATES or state is None


def transact(work: Callable[[Session], Result], *, retry_for: float = RETRY_FOR_SECONDS) -> Result:
    """Run `work` in one transaction and commit; again, with growing pauses, while PostgreSQL is away.

    `work` may run more than once and a lost COMMIT answer may mean that it already took effect: every `work` is either
    guarded (a fenced write that finds no row the second time) or read back by id.

    Raises:
        sqlalchemy.exc.DBAPIError: still failing after `retry_for` seconds, or no fault that passes.
    """
    give_up = time.monotonic() + retry_for
    pause = 0.05
    while True:
        try:
            with Session(engine(), expire_on_commit=False) as session, session.begin():
                return work(session)
        except DBAPIError as error:
            if not retryable(error) or time.monotonic() + pause > give_up:
                raise
            log.warning("database.retry", error=type(error.orig).__name__, pause=pause)
            if error.connection_invalidated:
                engine().dispose()
            time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
            pause = min(pause * 2, 2.0)


def from_now(wait: timedelta) -> ColumnElement[datetime]:
    """`now() + wait`, by the database's clock."""
    return func.now() + literal(wait, INTERVAL)


def ago(wait: timedelta) -> ColumnElement[datetime]:
    """`now() - wait`, by the database's clock."""
    return func.now() - literal(wait, INTERVAL)
