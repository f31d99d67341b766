"""The database itself, for what no key may do over HTTP: `vivideo keys`, `vivideo accounts add`."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from api.cli.connection import stacks
from api.cli.reporting import Exit, Mistake, fail

if TYPE_CHECKING:
    from sqlalchemy import URL
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.orm import Session

DATABASE = "VIVIDEO_DATABASE_URL"
NOT_MIGRATED = ("42P01", "42703")
"""SQLSTATE: an undefined table or column."""


@contextmanager
def transaction(*, as_json: bool) -> Generator["Session"]:
    """One transaction, committed when all went well; what goes wrong with the database ends the command with a remedy.

    Nothing of it is repeated: a key whose making nobody confirmed is found with `vivideo keys list`.
    """
    from sqlalchemy import NullPool, create_engine, make_url
    from sqlalchemy.exc import ArgumentError, DBAPIError
    from sqlalchemy.orm import Session

    from worker.database import CONNECTION, dialect_url

    try:
        url = make_url(dialect_url(address()))
    except ArgumentError:
        raise Mistake(f"{DATABASE} is no address of a database: postgresql://user@host:5432/name") from None
    options = {"application_name": "vivideo-keys", **CONNECTION}
    engine = create_engine(url, poolclass=NullPool, hide_parameters=True, connect_args=options)
    try:
        with Session(engine, expire_on_commit=False) as session, session.begin():
            yield session
    except DBAPIError as error:
        message, code = _remedy(url, error)
        fail(message, Exit.FAILED, as_json=as_json, code=code)


def address() -> str:
    """The settings' database, or else the nearest local stack's; but never that of another service than VIVIDEO_URL
    names. Raises Mistake."""
    from pydantic import ValidationError

    from config.settings import Servers

    try:
        servers = Servers()
    except ValidationError as error:
        wrong = error.errors()[0]
        raise Mistake(f"setting {'.'.join(map(str, wrong['loc']))}: {wrong['msg']}") from None
    if "database_url" in servers.model_fields_set:
        return servers.database_url
    return _of_a_stack() or servers.database_url


def _of_a_stack() -> str | None:
    meant = os.environ.get("VIVIDEO_URL", "").rstrip("/")
    for _, notes in stacks():
        try:
            if meant in ("", str(notes["api"]["url"]).rstrip("/")):
                return str(notes["settings"][DATABASE])
        except (KeyError, TypeError):
            continue
    return None


def _remedy(url: "URL", error: "DBAPIError") -> tuple[str, str]:
    """What is wrong, with what to do about it; and its code."""
    place = url.set(drivername="postgresql").render_as_string(hide_password=True)
    if getattr(error.orig, "sqlstate", None) in NOT_MIGRATED:
        words = f"the tables in {place} are not those of this version\n  → python -m worker.migrations"
        return words, "database.not_migrated"
    reason = str(error.orig).strip().splitlines()[0] if error.orig else type(error).__name__
    remedy = f"start the local stack with `vivideo up`, or name your database in {DATABASE}"
    return f"the database {place} cannot be used: {reason}\n  → {remedy}", "database.unavailable"
