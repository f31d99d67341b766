"""One PostgreSQL and one Valkey per test run, shared by all workers of pytest-xdist; a fresh database per module.

The controlling process starts both before any worker exists and hands their homes over in the environment; they end
with it, also after Ctrl-C or `kill -9` (parent-death signal).
"""

import fcntl
import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import psycopg
import pytest

from deploy.local.postgres import Postgres
from deploy.local.servers import Running
from deploy.local.valkey import Valkey

_HOME = "VIVIDEO_TEST_SERVERS"
_TEMPLATE = "migrated"
_running = ExitStack()
_numbers = count()


def pytest_configure(config: pytest.Config) -> None:
    _make_haste()
    if hasattr(config, "workerinput") or config.option.collectonly or config.option.help:
        return
    home = Path(tempfile.mkdtemp(prefix="vivideo-tests-"))
    _running.callback(shutil.rmtree, home, ignore_errors=True)
    try:
        _running.enter_context(Running(Postgres(home / "postgres", durable=False), home / "postgres.log"))
        _running.enter_context(Running(Valkey(home / "valkey"), home / "valkey.log"))
    except BaseException:
        _running.close()
        raise
    os.environ[_HOME] = str(home)


def _make_haste() -> None:
    """A run starts processes by the hundred: what they import is compiled once, whatever the environment says (Git
    ignores it, `make clean` removes it). Garbage is looked for less often."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    gc.set_threshold(50_000, 10, 10)


def pytest_unconfigure() -> None:
    _running.close()


@pytest.fixture(scope="module", autouse=True)
def _no_worker_left() -> Iterator[None]:
    """A process that was a worker says goodbye with its module: a heartbeat that goes on without its database would
    write into what later tests say."""
    yield
    liveness = sys.modules.get("worker.liveness")
    assert liveness is None or liveness._process is None, "a worker's heartbeat was left running"


@pytest.fixture(scope="session")
def postgres() -> Postgres:
    """The running embedded server (use `database` for a database of your own)."""
    return Postgres(Path(os.environ[_HOME]) / "postgres", durable=False)


@pytest.fixture(scope="session")
def valkey() -> Valkey:
    """The running embedded server (use `broker_url` or `redis_url` for an address of your own)."""
    return Valkey(Path(os.environ[_HOME]) / "valkey")


@pytest.fixture(scope="session")
def worker_number() -> int:
    """0 for the first (or only) xdist worker, 1 for the next…"""
    return int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))


@pytest.fixture(scope="session")
def migrated_template(postgres: Postgres) -> str:
    """The name of a database with all migrations applied, made by whichever worker comes first."""
    from worker import migrations

    with (Path(os.environ[_HOME]) / "template.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
            exists = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [_TEMPLATE]).fetchone()
            if not exists:
                # Renamed when complete, so a failed migration is not taken for a template by the next worker.
                connection.execute("DROP DATABASE IF EXISTS migrating WITH (FORCE)")
                connection.execute("CREATE DATABASE migrating")
                migrations.upgrade(postgres.url("migrating"))
                connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'migrating'")
                connection.execute(f"ALTER DATABASE migrating RENAME TO {_TEMPLATE}")
    return _TEMPLATE


def _fresh(postgres: Postgres, worker_number: int, template: str) -> Iterator[str]:
    name = f"test_{worker_number}_{next(_numbers)}"
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE {name} TEMPLATE "{template}"'.encode())
        try:
            yield postgres.url(name)
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture(scope="module")
def database(postgres: Postgres, worker_number: int, migrated_template: str) -> Iterator[str]:
    """The address (`postgresql://…`) of a migrated, empty database; one per module."""
    yield from _fresh(postgres, worker_number, migrated_template)


@pytest.fixture
def fresh_database(postgres: Postgres, worker_number: int, migrated_template: str) -> Iterator[str]:
    """As `database`, one per test (about 50 ms)."""
    yield from _fresh(postgres, worker_number, migrated_template)


@pytest.fixture(scope="module")
def empty_database(postgres: Postgres, worker_number: int) -> Iterator[str]:
    """The address of a database without any table, for tests of the migrations themselves."""
    yield from _fresh(postgres, worker_number, "template0")


@pytest.fixture(scope="module")
def broker_url(valkey: Valkey, worker_number: int) -> Iterator[str]:
    """A Celery broker of this worker's own, emptied before each module."""
    _flush(valkey, worker_number)
    yield valkey.broker_url(worker_number)
    _flush(valkey, worker_number)


@pytest.fixture(scope="module")
def redis_url(valkey: Valkey, broker_url: str, worker_number: int) -> str:
    """The same server and database number as `broker_url`, as redis-py writes it."""
    return valkey.redis_url(worker_number)


def _flush(valkey: Valkey, number: int) -> None:
    import redis

    with redis.Redis.from_url(valkey.redis_url(number)) as client:
        client.flushdb()
