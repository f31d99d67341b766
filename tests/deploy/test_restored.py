"""A dump of a server that had come far, restored into one that begins: the feed's order is kept, or nothing starts."""

import re
import subprocess
from pathlib import Path

import psycopg

from deploy.local import leash
from deploy.local.postgres import Postgres
from deploy.local.servers import Running
from tests.deploy.test_migrate import _ended, _migrate
from tests.stack import ROOT

OLD = 5_000_000
FEED = """SELECT id, transaction::text::bigint FROM events WHERE transaction < pg_snapshot_xmin(pg_current_snapshot())
    ORDER BY transaction, id"""


def an_event(connection: psycopg.Connection, render: str, transaction: int | None = None) -> None:
    """One event, as it was restored or as it is written now."""
    given = "" if transaction is None else ", transaction"
    value = "" if transaction is None else f", '{transaction}'"
    connection.execute("INSERT INTO owners (id, name) VALUES ('o', 'o') ON CONFLICT DO NOTHING")
    connection.execute("INSERT INTO lanes (owner_id, priority) VALUES ('o', 'normal') ON CONFLICT DO NOTHING")
    connection.execute(
        "INSERT INTO renders (id, owner_id, lane_id, prompt, language) SELECT %s, 'o', min(id), 'p', 'en' FROM lanes",
        [render],
    )
    connection.execute(
        f"INSERT INTO events (owner_id, render_id, run, number, type{given})"  # noqa: S608 - the two cases above
        f" VALUES ('o', %s, 1, 1, 'render.queued'{value})".encode(),
        [render],
    )


def test_nothing_starts_until_the_counter_is_past_the_events(tmp_path: Path):
    """`migrate` refuses and names the step; after it the old event is shown and a new one comes behind it."""
    server = Postgres(tmp_path / "postgres", durable=False)
    with Running(server, tmp_path / "postgres.log"):
        url = server.url("postgres")
        assert _ended(_migrate(url))[0] == 0
        with psycopg.connect(url, autocommit=True) as connection:
            an_event(connection, "old", OLD)
            assert connection.execute(FEED).fetchall() == []
        status, _, complained = _ended(_migrate(url))
        assert status == 1
        assert "pg_resetwal --epoch=1 " in complained
    program = [str(server.binaries / "pg_resetwal"), "--epoch=1", str(server.data)]
    subprocess.run(leash.command(program, identity=server._identity), cwd="/", check=True, capture_output=True)
    with Running(server, tmp_path / "postgres.log"):
        status, said, complained = _ended(_migrate(url))
        assert status == 0, complained
        assert said.startswith("vivideo: the database was up to date")
        with psycopg.connect(url, autocommit=True) as connection:
            an_event(connection, "new")
            (_, first), (_, second) = connection.execute(FEED).fetchall()
    assert first == OLD < second


def renumbering() -> str:
    """What docs/operations.md says to run on a server that has no `pg_resetwal`."""
    told = (ROOT / "docs" / "operations.md").read_text()
    found = re.search(r"^    BEGIN;\n(?:    .+\n)+    COMMIT;$", told, re.MULTILINE)
    assert found is not None
    return found[0]


NEXT = """SELECT render_id FROM events, relays WHERE name = %s
    AND (events.transaction, id) > (relays.transaction, event_id) ORDER BY events.transaction, id"""


def test_where_the_step_cannot_be_taken_the_old_events_are_put_first(fresh_database: str):
    """A managed server has no such program: the events are numbered below all that come, in the order of their ids;
    each relay goes on with what it had not taken, and with what comes."""
    with psycopg.connect(fresh_database, autocommit=True) as connection:
        for render in ("first", "second"):
            an_event(connection, render, 2**40)
        place = "UPDATE relays SET transaction = %s::text::xid8, event_id = %s WHERE name = %s"
        connection.execute(place, [2**40, 1, "webhooks"])
        connection.execute(place, [2**40, 2, "publications"])
        assert _ended(_migrate(fresh_database))[0] == 1
        connection.execute(renumbering().encode())
        status, _, complained = _ended(_migrate(fresh_database))
        assert status == 0, complained
        an_event(connection, "third")
        rows = connection.execute("SELECT render_id FROM events ORDER BY transaction, id").fetchall()
        assert rows == [("first",), ("second",), ("third",)]
        assert connection.execute(NEXT, ["webhooks"]).fetchall() == [("second",), ("third",)]
        assert connection.execute(NEXT, ["publications"]).fetchall() == [("third",)]


def test_a_relay_that_is_ahead_of_the_server_is_seen_too(empty_database: str):
    """Its events may be gone by age, or numbered anew by hand: nothing new would ever be behind its place."""
    assert _ended(_migrate(empty_database))[0] == 0
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute("UPDATE relays SET transaction = '5000000000' WHERE name = 'webhooks'")
        status, _, complained = _ended(_migrate(empty_database))
        assert (status, "pg_resetwal --epoch=2 " in complained) == (1, True)
