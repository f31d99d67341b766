"""What has to be there for renders to be made."""

from dataclasses import dataclass
from functools import lru_cache

from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from api.database import transact
from config.settings import settings
from worker import migrations
from worker.renders import queue

WORKERS = ("stream", "io", "media")


@dataclass(frozen=True)
class Health:
    """Each check's outcome, and in words what is missing."""

    checks: dict[str, bool]
    missing: list[str]

    @property
    def ready(self) -> bool:
        return not self.missing


def look() -> Health:
    """Ask the database now."""
    try:
        migrated, kinds = transact(_look, retry_for=0)
    except (DBAPIError, PoolTimeout):
        return Health({"database": False}, ["database: does not answer at VIVIDEO_DATABASE_URL"])
    checks = {"database": True, "migrations": migrated} | {f"worker-{kind}": kind in kinds for kind in WORKERS}
    missing = [] if migrated else ["migrations: the schema is not this version's; run the migrations"]
    missing += [f"worker-{kind}: none reported within a lease" for kind in WORKERS if kind not in kinds]
    return Health(checks, missing)


def _look(session: Session) -> tuple[bool, set[str]]:
    if not session.execute(text("SELECT to_regclass('alembic_version') IS NOT NULL")).scalar_one():
        return False, set()
    revisions = set(session.execute(text("SELECT version_num FROM alembic_version")).scalars())
    if revisions != set(_heads()):
        return False, set()
    return True, set(queue.capacity(session, lease=settings().waits.lease_seconds))


@lru_cache(maxsize=1)
def _heads() -> tuple[str, ...]:
    configuration = migrations.configuration(settings().servers.database_url)
    return tuple(ScriptDirectory.from_config(configuration).get_heads())
