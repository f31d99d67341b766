"""`vivideo keys` on the service's database: its words, its exit status, what it did."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import update

from api import cli
from tests.api.keys import caller, new_key
from tests.api.service import FIRST_KEY, Service, until
from worker.owners import store
from worker.owners.models import ApiKey

ROOT = Path(__file__).parents[2]


class Done(NamedTuple):
    """What came of a command."""

    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


def _settings(database: str | None) -> dict[str, str]:
    return {"VIVIDEO_DATABASE_URL": database} if database else {}


@pytest.fixture
def run(service: Service, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in an empty directory, in this process; `database=None` names none."""

    def ran(*arguments: str, database: str | None = service.database, **more: str) -> Done:
        with pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.startswith(("VIVIDEO_", "NEMO_"))]:
                patch.delenv(name)
            for name, value in (_settings(database) | more).items():
                patch.setenv(name, value)
            patch.chdir(tmp_path)
            patch.setattr(sys, "argv", ["vivideo", "keys", *arguments])
            with pytest.raises(SystemExit) as ended:
                cli.run(cli.app)
        return Done(int(ended.value.code or 0), *capfd.readouterr())

    return ran


def _made(run: Run, *arguments: str) -> dict[str, Any]:
    done = run("create", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _status(service: Service, text: str) -> int:
    with caller(service, text) as key:
        return key.get("/v1/key").status_code


def _refused(done: Done, status: int, code: str) -> str:
    """The sentence, where the command failed so."""
    assert done.returncode == status, done.stdout + done.stderr
    error = json.loads(done.stdout)["error"]
    assert error["code"] == code
    assert "Traceback" not in done.stderr
    return error["message"]


def test_it_runs_as_a_program(service: Service, tmp_path: Path):
    """A process with nothing but the database's address, as on a server."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("VIVIDEO_", "NEMO_"))}
    program = [sys.executable, "-c", "from api.cli import app, run; run(app)", "keys", "create", "--json"]
    environment = kept | _settings(service.database) | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(program, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
    assert _status(service, json.loads(done.stdout)["key"]) == 200


def test_a_key_is_made_used_listed_and_revoked(service: Service, run: Run):
    """Shown once; the service takes it at once with what it was made with; the list never shows it; revoked, it is
    refused within seconds."""
    made = _made(
        run,
        *("--name", "shop", "--scope", "renders:read", "--scope", "account:read", "--expires", "90d"),
        *("--requests-per-minute", "5", "--reads-per-minute", "50", "--renders-in-flight", "2"),
        *("--credits-per-day", "500"),
    )
    with caller(service, made["key"]) as key:
        told = key.get("/v1/key").json()
    limits = {"requests_per_minute": 5, "reads_per_minute": 50, "renders_in_flight": 2, "credits_per_day": 500}
    assert (told["name"], told["owner"], told["prefix"]) == ("shop", "default", made["key"][:8])
    assert (told["scopes"], told["limits"]) == (["renders:read", "account:read"], limits)
    listed = run("list", "--json")
    (found,) = [one for one in json.loads(listed.stdout)["data"] if one["id"] == made["id"]]
    assert found | {"last_used_at": None} == {name: value for name, value in made.items() if name != "key"}
    assert found["last_used_at"] is not None
    assert made["key"] not in listed.stdout
    revoked = run("revoke", made["prefix"])
    assert revoked.stdout.startswith(f"{made['prefix']} revoked")
    until(lambda: _status(service, made["key"]) == 401)
    with service.session() as session:
        kept = session.get_one(ApiKey, made["id"])
    assert made["key"] not in repr(vars(kept))


def test_words_for_people(run: Run):
    """The key, what it may do, and that it is not shown again; a table of all."""
    made = run("create", "--name", "words", "--scope", "uploads:write")
    assert made.returncode == 0, made.stderr
    assert "uploads:write" in made.stdout
    assert "not shown again" in made.stdout
    text = next(word for word in made.stdout.split() if word.startswith("vv_"))
    table = run("list").stdout
    (row,) = [line for line in table.splitlines() if line.startswith(text[:8])]
    assert row.split()[:5] == [text[:8], "default", "words", "valid", "uploads:write"]


def test_a_rotated_key_overlaps(service: Service, run: Run):
    """Both texts work, as the same key; with `--overlap 0` the old one ends within seconds."""
    made = _made(run, "--name", "turning")
    done = run("rotate", made["id"], "--json")
    assert done.returncode == 0, done.stderr
    second = json.loads(done.stdout)
    assert (second["id"], second["key"] != made["key"]) == (made["id"], True)
    assert second["old_text_until"] is not None
    assert [_status(service, text) for text in (made["key"], second["key"])] == [200, 200]
    third = json.loads(run("rotate", second["prefix"], "--overlap", "0", "--json").stdout)
    assert third["old_text_until"] is None
    until(lambda: [_status(service, text) for text in (made["key"], second["key"])] == [401, 401])
    assert _status(service, third["key"]) == 200


def test_a_typing_mistake_makes_no_owner(run: Run):
    """Who is meant has to be there, unless a new one is asked for; a new one is not somebody else's."""
    assert "default, demo" in _refused(run("create", "--owner", "defualt", "--json"), 2, "owner.unknown")
    assert _made(run, "--owner", "acme", "--new-owner")["owner"] == "acme"
    assert _made(run, "--owner", "acme")["owner"] == "acme"
    assert "already" in _refused(run("create", "--owner", "acme", "--new-owner", "--json"), 2, "owner.exists")
    owners = {one["owner"] for one in json.loads(run("list", "--owner", "acme", "--json").stdout)["data"]}
    assert owners == {"acme"}


@pytest.mark.parametrize("verb", ["revoke", "rotate"])
def test_what_is_no_key_and_what_is_several(service: Service, run: Run, verb: str):
    """Nothing is guessed; a key's own text is not wanted on a command line and not repeated."""
    _refused(run(verb, "vv_nobod", "--json"), 1, "key.unknown")
    ids = sorted(_made(run)["id"] for _ in range(2))
    twins = update(ApiKey).where(ApiKey.id.in_(ids)).values(prefix=f"vv_t{verb[:4]}")
    service.write(lambda session: session.execute(twins))
    assert ", ".join(ids) in _refused(run(verb, f"vv_t{verb[:4]}", "--json"), 2, "key.ambiguous")
    text = new_key(service)
    done = run(verb, text, "--json")
    assert (done.returncode, text in done.stdout + done.stderr) == (2, False)
    assert _status(service, text) == 200


@pytest.mark.parametrize("verb", ["revoke", "rotate"])
def test_the_key_in_the_settings_is_changed_there(service: Service, run: Run, verb: str):
    """It would be back at the next start; the words say where it is."""
    with service.session() as session:
        key = store.key(session, FIRST_KEY)
        assert key is not None
    assert "VIVIDEO_API_KEY" in _refused(run(verb, key.id, "--json"), 2, "key.from_settings")
    assert run("create", "--name", "VIVIDEO_API_KEY", "--json").returncode == 2
    assert service.first.get("/v1/key").status_code == 200


def test_what_is_over_is_not_rotated(run: Run):
    """A revoked key stays so; revoking it again does no harm."""
    made = _made(run)
    assert run("revoke", made["id"]).returncode == 0
    assert run("revoke", made["id"]).returncode == 0
    _refused(run("rotate", made["id"], "--json"), 1, "key.not_valid")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--scope", "everything"),
        ("--expires", "yesterday"),
        ("--expires", "2020-01-01"),
        ("--expires", "0"),
        ("--requests-per-minute", "-1"),
        ("--renders-in-flight", "0"),
        ("--credits-per-day", "99"),
        ("--credits-per-day", "nan"),
        ("--credits-per-day", "inf"),
        ("--name", ""),
        ("--owner", "a\nb"),
    ],
)
def test_wrong_use_is_said_so(run: Run, arguments: tuple[str, ...]):
    """With status 2 and a sentence, and no key."""
    before = run("list", "--json").stdout
    done = run("create", "--json", *arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert run("list", "--json").stdout == before


def test_a_date_is_the_beginning_of_that_day(run: Run):
    """In UTC, whatever the terminal's zone is."""
    assert _made(run, "--expires", "2099-01-31")["expires_at"] == "2099-01-31T00:00:00Z"


def test_a_database_that_is_away(run: Run):
    """Which one, without its password, and what to do."""
    away = "postgresql://vivideo:hunter2@127.0.0.1:1/vivideo"
    done = run("list", "--json", database=away)
    message = _refused(done, 1, "database.unavailable")
    assert "127.0.0.1:1" in message
    assert "VIVIDEO_DATABASE_URL" in message
    assert "hunter2" not in done.stdout + done.stderr
    assert run("list", database="not an address").returncode == 2


def test_a_database_without_tables(run: Run, empty_database: str):
    """Says how to make them."""
    done = run("create", "--json", database=empty_database)
    assert "worker.migrations" in _refused(done, 1, "database.not_migrated")


def test_the_local_stacks_database_is_found(service: Service, run: Run, tmp_path: Path):
    """By its notes, unless VIVIDEO_URL names another service: a key belongs to one."""
    (tmp_path / ".vivideo").mkdir()
    notes = {"api": {"url": service.url}, "settings": {"VIVIDEO_DATABASE_URL": service.database}}
    (tmp_path / ".vivideo" / "stack.json").write_text(json.dumps(notes))
    (tmp_path / ".vivideo" / "stack.json").chmod(0o600)
    made = run("create", "--json", database=None)
    assert made.returncode == 0, made.stderr
    assert _status(service, json.loads(made.stdout)["key"]) == 200
    assert run("list", database=None, VIVIDEO_URL=service.url).returncode == 0
    elsewhere = run("list", "--json", database=None, VIVIDEO_URL="https://elsewhere.example")
    assert "127.0.0.1:5432" in _refused(elsewhere, 1, "database.unavailable")
