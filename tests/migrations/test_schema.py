"""The schema: migrated, the same as the models, and keeping the invariants by itself."""

import psycopg
import pytest
from alembic import command

from worker.migrations import configuration, upgrade


def test_the_migrations_make_what_the_models_say(empty_database: str):
    """Migrating twice is harmless, and nothing is left to migrate."""
    upgrade(empty_database)
    upgrade(empty_database)
    command.check(configuration(empty_database))


@pytest.mark.parametrize(
    ("broken", "constraint"),
    [
        ("status = 'succeeded'", "finished"),
        ("finished_at = now()", "finished"),
        ("status = 'waiting'", "reason"),
        ("reason = 'credits'", "reason"),
        ("status = 'failed', finished_at = now()", "error"),
        ("status = 'canceled', finished_at = now(), worker_id = 'io'", "final_unowned"),
        ("status = 'lost'", "status"),
        ("stage = 'nowhere'", "stage"),
        ("charge_state = 'maybe'", "charge"),
        ("fraction = 1.5", "fraction"),
        ("revision = 1", "revision"),
        ("external_ref = 'sku', revision = -1", "revision"),
    ],
)
def test_the_database_refuses_what_must_not_be(database: str, broken: str, constraint: str):
    """An impossible row cannot be written, whatever the code does."""
    with psycopg.connect(database) as connection:
        connection.execute("INSERT INTO owners (id, name) VALUES ('o', 'o')")
        connection.execute("INSERT INTO lanes (owner_id, priority) VALUES ('o', 'normal')")
        connection.execute(
            "INSERT INTO renders (id, owner_id, lane_id, prompt, language) SELECT 'r', 'o', id, 'p', 'en' FROM lanes"
        )
        with pytest.raises(psycopg.errors.CheckViolation, match=f"ck_renders_{constraint}"):
            connection.execute(f"UPDATE renders SET {broken}".encode())  # noqa: S608 - the cases above
        connection.rollback()


def test_one_turn_at_a_time_in_a_session(database: str):
    """A second message that is not settled cannot be put on file for the same session; after the first is, it can."""
    with psycopg.connect(database) as connection:
        connection.execute("INSERT INTO owners (id, name) VALUES ('o', 'o')")
        connection.execute("INSERT INTO lanes (owner_id, priority) VALUES ('o', 'normal')")
        connection.execute("INSERT INTO accounts (id, kind, name) VALUES ('a', 'registered', 'a')")
        connection.execute(
            "INSERT INTO remote_sessions (id, owner_id, account_id, task_id, session_id)"
            " VALUES ('s', 'o', 'a', 't', 's')"
        )
        connection.execute(
            "INSERT INTO renders (id, owner_id, lane_id, prompt, language) SELECT 'r', 'o', id, 'p', 'en' FROM lanes"
        )
        intent = (
            "INSERT INTO intents (id, owner_id, render_id, run, account_id, remote_session_id, message, before,"
            " reserved_credits, send_by) VALUES (%s, 'o', 'r', 1, 'a', 's', 'm', 'f', 100, now())"
        )
        connection.execute(intent, ["i1"])
        with pytest.raises(psycopg.errors.UniqueViolation), connection.transaction():
            connection.execute(intent, ["i2"])
        connection.execute("UPDATE intents SET state = 'applied', settled_at = now()")
        connection.execute(intent, ["i2"])
        connection.rollback()


def test_there_is_one_anonymous_account(database: str):
    """A second trial identity is refused by the database itself."""
    with psycopg.connect(database) as connection:
        add = "INSERT INTO accounts (id, kind, name, client_id) VALUES (%s, 'anonymous', 'trial', %s)"
        connection.execute(add, ["a1", "c1"])
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute(add, ["a2", "c2"])
        connection.rollback()
