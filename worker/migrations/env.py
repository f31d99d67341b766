"""Alembic's entry: runs the revisions on the connection that `upgrade` hands over."""

from alembic import context
from sqlalchemy import create_engine

from worker.models import metadata


def run() -> None:
    """Run on the given connection, or, for `alembic revision`, on one of its own."""
    connection = context.config.attributes.get("connection")
    if connection is not None:
        context.configure(connection=connection, target_metadata=metadata)
        context.run_migrations()
        return
    with create_engine(context.config.attributes["url"]).begin() as own:
        context.configure(connection=own, target_metadata=metadata, compare_server_default=True)
        context.run_migrations()


run()
