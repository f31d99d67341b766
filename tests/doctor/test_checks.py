"""Each check fails for its own reason and says what to do about it; where all is well it says what it saw."""

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import psycopg
import pytest
import redis

from config.settings import settings
from deploy.local.servers import Running
from deploy.local.valkey import Valkey
from tests.deploy.test_restored import an_event
from tests.doctor.conftest import Examine
from tests.remote.scripted import Peer, Script, Scripted, answers, json_answer
from worker.doctor import disk, examination
from worker.doctor.examination import Step
from worker.doctor.findings import Case, Finding, Level, ok

OK, WARN, FAIL = Level.OK, Level.WARN, Level.FAIL


def of(findings: list[Finding], check: str) -> list[Finding]:
    return [one for one in findings if one.check == check]


def worst(findings: list[Finding], check: str) -> Finding:
    """What a person looks at first."""
    return max(of(findings, check), key=lambda one: (OK, WARN, FAIL).index(one.level))


def found(findings: list[Finding], check: str, level: Level, seen: str, remedy: str = "") -> Finding:
    """The finding that says so."""
    fitting = [one for one in of(findings, check) if one.level is level and seen in one.seen and remedy in one.remedy]
    assert fitting, of(findings, check)
    return fitting[0]


# Settings


@pytest.mark.parametrize(
    ("changes", "level", "seen", "remedy"),
    [
        ({"VIVIDEO_LEASE_SECONDS": "soon"}, FAIL, "VIVIDEO_LEASE_SECONDS: ", "correct VIVIDEO_LEASE_SECONDS"),
        ({"VIVIDEO_API_PORT": "http"}, FAIL, "VIVIDEO_API_PORT: ", "correct VIVIDEO_API_PORT"),
        ({"VIVIDEO_SECRET_KEY": ""}, FAIL, "VIVIDEO_SECRET_KEY is missing", "at least 32 characters"),
        ({"VIVIDEO_SECRET_KEY": "short"}, FAIL, "VIVIDEO_SECRET_KEY is too short", "as the workers have it"),
        ({"VIVIDEO_LEASE_SECONDS": "0"}, FAIL, "VIVIDEO_LEASE_SECONDS is below 3 s", "to its default"),
        ({"VIVIDEO_SETTLE_SECONDS": "100000"}, WARN, "VIVIDEO_SETTLE_SECONDS is longer than a day", "in seconds"),
        ({"VIVIDEO_STREAM_MAX_SECONDS": "9"}, WARN, "not in this order", "unset VIVIDEO_STREAM_"),
        (
            {"VIVIDEO_EXPORT_POLL_SECONDS": "2", "NEMO_API_URL": "https://backend.invalid"},
            WARN,
            "below the contract's 30",
            "unset it",
        ),
        ({"NEMO_TOKEN": "Bearer abc"}, FAIL, "a `Bearer` in it", "the token alone"),
        ({"NEMO_TOKEN": '"abc"'}, FAIL, "quotes", "the token alone"),
        ({"NEMO_TOKEN": "nmv_abc"}, OK, "NEMO_TOKEN is set, 7 characters", ""),
        ({"NEMO_API_URL": "http://backend.example"}, FAIL, "plain http to backend.example", "use https"),
        ({"NEMO_API_URL": "https://[::1"}, FAIL, "no address of a backend", "https://host"),
        ({"NEMO_API_URL": "backend.example"}, FAIL, "no address of a backend", "https://host"),
        ({"NEMO_API_URL": "https://me:secret@backend.example"}, FAIL, "no address of a backend", "https://host"),
    ],
)
def test_settings(examined: Examine, changes: dict[str, str], level: Level, seen: str, remedy: str):
    """Unreadable, missing, out of reason or dangerous: said by name, and never with the value of a secret."""
    findings = examined(**changes)
    found(findings, "settings", level, seen, remedy)
    assert "me:secret" not in str(findings)


def test_unreadable_settings_end_it(examined: Examine):
    """Nothing can be looked at with settings nobody can read: each check says so instead of guessing."""
    findings = examined(VIVIDEO_API_PORT="http")
    assert {one.level for one in findings if one.check != "settings"} == {WARN}
    found(findings, "database", WARN, "not looked at: settings failed")


def test_the_env_file_is_named(examined: Examine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Where it is, or where it would have been."""
    monkeypatch.chdir(tmp_path)
    found(examined(), "settings", OK, f"no {tmp_path}/.env")
    (tmp_path / ".env").write_text("VIVIDEO_SETTLE_SECONDS=100000\n")
    findings = examined()
    found(findings, "settings", OK, f"{tmp_path}/.env and the environment")
    found(findings, "settings", WARN, "VIVIDEO_SETTLE_SECONDS is longer than a day")


# Servers


@pytest.mark.parametrize(
    ("url", "seen", "remedy"),
    [
        ("postgresql://u:pa55word@127.0.0.1:1/x", "127.0.0.1:1/x does not answer", "start PostgreSQL"),
        ("no address", "is no address", "postgresql://user:password@host:5432/name"),
        ("{0}_gone", "does not answer", "create the database"),
    ],
)
def test_a_database_out_of_reach(examined: Examine, database: str, url: str, seen: str, remedy: str):
    """The address is shown without its password, and what needs the database is not looked at."""
    address, query, options = database.partition("?")
    findings = examined(VIVIDEO_DATABASE_URL=url.format(address) + (query + options if "{0}" in url else ""))
    found(findings, "database", FAIL, seen, remedy)
    found(findings, "workers", WARN, "not looked at: database failed")
    assert "pa55word" not in str(findings)


def test_a_database_without_tables(examined: Examine, empty_database: str):
    """Reachable, but not migrated."""
    findings = examined(VIVIDEO_DATABASE_URL=empty_database)
    found(findings, "database", OK, "PostgreSQL 18")
    found(findings, "database", FAIL, "without any table", "python -m worker.migrations")


def test_a_schema_of_another_version(examined: Examine, fresh_database: str):
    """Older or newer, it is named beside the one that is needed."""
    with psycopg.connect(fresh_database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    findings = examined(VIVIDEO_DATABASE_URL=fresh_database)
    found(findings, "database", FAIL, "at 9999; this version needs", "newer vivideo")


def test_events_of_a_server_that_had_counted_further(examined: Examine, fresh_database: str):
    """Restored into a server that begins anew: the feed hides them, and the step that mends it is named."""
    found(examined(), "database", OK, "past all events")
    with psycopg.connect(fresh_database, autocommit=True) as connection:
        an_event(connection, "restored", 3 * 2**32 + 5)
    findings = examined(VIVIDEO_DATABASE_URL=fresh_database)
    found(findings, "database", FAIL, "had counted further", "pg_resetwal --epoch=4 ")


def test_a_clock_that_is_off(examined: Examine, fresh_database: str):
    """The database's clock decides; this machine's should not be seconds away from it."""
    found(examined(), "database", OK, "the clocks agree")
    with psycopg.connect(fresh_database, autocommit=True) as connection:
        connection.execute(
            "CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql"
            " AS $$ SELECT pg_catalog.clock_timestamp() + interval '90 s' $$"
        )
        connection.execute(
            f"ALTER DATABASE {connection.info.dbname} SET search_path = public, pg_catalog".encode()  # finds ours first
        )
    findings = examined(VIVIDEO_DATABASE_URL=fresh_database)
    found(findings, "database", WARN, "clock is 90.0 s behind the database's", "NTP")


def test_a_broker_out_of_reach(examined: Examine):
    """And the Redis for limits, which may be another: that one is missed less."""
    findings = examined(VIVIDEO_BROKER_URL="redis://:pa55word@127.0.0.1:1/0")
    found(findings, "broker", FAIL, "does not answer", "VIVIDEO_BROKER_URL")
    found(findings, "limits", WARN, "does not answer", "counts for itself")
    assert "pa55word" not in str(findings)


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[Valkey]:
    """One whose settings may be changed."""
    server = Valkey(tmp_path / "valkey")
    with Running(server, tmp_path / "valkey.log"):
        yield server


def test_a_broker_that_drops_messages(examined: Examine, own_valkey: Valkey):
    """A Redis that evicts keys when full loses tasks without a word."""
    found(examined(VIVIDEO_BROKER_URL=own_valkey.broker_url()), "broker", OK, "noeviction")
    with redis.Redis.from_url(own_valkey.redis_url()) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
    findings = examined(VIVIDEO_BROKER_URL=own_valkey.broker_url())
    found(findings, "broker", WARN, "maxmemory-policy is allkeys-lru", "CONFIG SET maxmemory-policy noeviction")
    found(findings, "limits", OK, "answers")


def test_storage(examined: Examine, tmp_path: Path):
    """Written, read, deleted and nothing left; a place that is no directory; an address nobody knows."""
    results = tmp_path / "results"
    found(examined(VIVIDEO_STORAGE_URL=results.as_uri()), "storage", OK, "written, read and deleted")
    assert [path for path in results.rglob("*") if path.is_file()] == []
    (tmp_path / "file").write_text("")
    taken = (tmp_path / "file" / "below").as_uri()
    found(examined(VIVIDEO_STORAGE_URL=taken), "storage", FAIL, "", "let this user write there")
    found(examined(VIVIDEO_STORAGE_URL="ftp://x/y"), "storage", FAIL, "s3://bucket/prefix", "VIVIDEO_STORAGE_URL")


def test_a_state_directory_that_is_not_there_stays_so(examined: Examine, tmp_path: Path):
    """Looking makes nothing that `vivideo up` would take for somebody else's."""
    findings = examined(VIVIDEO_STATE_DIR=str(tmp_path / "none"))
    found(findings, "storage", WARN, "is not there yet", "`vivideo up` makes it")
    assert not (tmp_path / "none").exists()


def test_disk_space(examined: Examine, monkeypatch: pytest.MonkeyPatch):
    """Enough, little, too little: measured where results and state lie."""
    monkeypatch.setattr(disk, "ENOUGH", 1)
    monkeypatch.setattr(disk, "LEAST", 1)
    assert worst(examined(), "disk").level is OK
    monkeypatch.setattr(disk, "ENOUGH", 10**18)
    assert worst(examined(), "disk").level is WARN
    monkeypatch.setattr(disk, "LEAST", 10**18)
    found(examined(), "disk", FAIL, "GB free at", "make room")


# The service


@pytest.mark.parametrize(
    ("script", "level", "seen", "remedy"),
    [
        (answers(json_answer(b'{"ready": true, "missing": []}')), OK, "is ready", ""),
        (
            answers(json_answer(b'{"ready": false, "missing": ["worker-io: none"]}', "503 Service Unavailable")),
            FAIL,
            "not ready: worker-io: none",
            "what it names",
        ),
        (answers(json_answer(b"<html>")), FAIL, "something else answers", "VIVIDEO_API_PORT"),
        (Peer.reset, FAIL, "does not answer", "vivideo up"),
    ],
)
def test_the_intake(
    examined: Examine, monkeypatch: pytest.MonkeyPatch, script: Script, level: Level, seen: str, remedy: str
):
    """Ready, not ready and why, another program at its address, nobody."""
    with Scripted(script) as server:
        monkeypatch.setenv("VIVIDEO_URL", server.url)
        found(examined(), "api", level, seen, remedy)


@pytest.fixture
def workers(database: str) -> Iterator[Callable[..., None]]:
    """Puts a worker on file as its heartbeat would, heard of so many seconds ago."""
    with psycopg.connect(database, autocommit=True) as connection:

        def seen(kind: str, ago: float = 0.0, version: str = "0.1.0") -> None:
            connection.execute(
                "INSERT INTO workers (id, kind, hostname, pid, version, capacity, seen_at)"
                " VALUES (%s, %s, 'h', 1, %s, 7, now() - %s * interval '1 s')",
                (f"{kind}-{ago}-{version}", kind, version, ago),
            )

        yield seen
        connection.execute("TRUNCATE workers CASCADE")


def test_workers(examined: Examine, workers: Callable[..., None], database: str):
    """A kind that is missing, a version that differs, one that fell silent, no dispatcher: each by name."""
    workers("stream")
    workers("io", version="0.0.9")
    workers("io", ago=600)
    findings = examined()
    found(findings, "workers", OK, "worker-stream: 1 process, 7 places")
    found(findings, "workers", FAIL, "no worker-media lives", "queue media")
    found(findings, "workers", WARN, "1 fell silent within a day without a goodbye: io-600-0.1.0", "logs")
    found(findings, "workers", WARN, "workers 0.0.9, 0.1.0", "one version")
    found(findings, "workers", FAIL, "no dispatcher is connected", "worker.dispatch")
    with psycopg.connect(database, application_name="vivideo-dispatch"):
        found(examined(), "workers", OK, "dispatcher: 1 connected")


# The examination itself


def test_a_check_that_hangs_does_not_hold_up_the_others(examined: Examine, monkeypatch: pytest.MonkeyPatch):
    """Each has its seconds; one that breaks is a sentence too, without anything secret in it."""

    def hangs(_: Case) -> Iterator[Finding]:
        yield ok("one", "began")
        Event().wait(60)

    def breaks(_: Case) -> Iterator[Finding]:
        raise RuntimeError("see https://u:p@a.test/x?sig=abc and nmv_usr_123")
        yield

    def works(_: Case) -> Iterator[Finding]:
        yield ok("three", "fine")

    steps = (
        Step("one", hangs, seconds=0.2),
        Step("two", breaks),
        Step("three", works),
        Step("four", works, needs=("one", "three", "two")),
    )
    monkeypatch.setattr(examination, "CHECKS", steps)
    monkeypatch.setattr(examination, "LAST", ())
    findings = examined(case=Case(read_settings=settings))
    assert [(one.check, one.level) for one in findings] == [
        ("one", OK),
        ("one", FAIL),
        ("two", FAIL),
        ("three", OK),
        ("four", WARN),
    ]
    assert findings[1].seen == "no end within 0.2 s"
    assert findings[4].seen == "not looked at: one and two failed"
    assert "the check itself broke: RuntimeError" in findings[2].seen
    assert "sig=abc" not in findings[2].seen
    assert "nmv_usr_123" not in findings[2].seen
