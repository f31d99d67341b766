"""Schema migrations (Alembic). `upgrade` brings a database of any age to today's schema; twice is harmless."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text

from worker.database import dialect_url
from worker.migrations import counter

# Any constant: two `upgrade`s at once take turns.
LOCK = 7_361_120


def configuration(database_url: str) -> Config:
    """Alembic's configuration for one database; no ini file."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["url"] = dialect_url(database_url)
    return config


def upgrade(database_url: str) -> None:
    """Migrate to the newest revision.

    Raises:
        sqlalchemy.exc.OperationalError: the database cannot be reached.
        worker.migrations.counter.CounterBehind: it was restored into a server that begins anew; nothing is changed.
    """
    engine = create_engine(dialect_url(database_url))
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
            config = configuration(database_url)
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            epoch = connection.execute(text(counter.NEXT_EPOCH)).scalar()
            if epoch is not None:
                raise counter.CounterBehind(epoch)
    finally:
        engine.dispose()
