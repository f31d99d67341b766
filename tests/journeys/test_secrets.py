"""Nothing secret is written down: after renders that went well and badly, every log, every column of every table, every
file, argument and message is searched for the tokens, keys and signatures that were really in use."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import psutil
import psycopg
import pytest
from psycopg import sql

from api.client import ApiError, Client, Render
from deploy.local import leash
from tests.stack import ROOT, Stack, here, until
from worker.database import transact
from worker.owners import store as owners

START_SECONDS = 90
"""Six Python programs on two cores that run other tests at the same time: 35 s were seen."""
REGISTERED = "nmv_sandbox_of-the-person-who-pays"
ASSET_SECRET = "the-shops-own-signature-5f1c"
CDN_SECRET = "another-files-signature-77e0"
WRONG_KEY = "vv_a-key-that-was-mistyped-somewhere"
SECRET_FLAGS = ("Bearer ", "Signature=", "Expires=")
"""Beginnings that only a header or a signed address has."""

TROUBLE = {
    "well": "",
    "failed": "[[sandbox: error_frame]]",
    "failed twice": "[[sandbox: export_fails times=2]]",
    "server errors": "[[sandbox: http_status on=state status=503]] [[sandbox: http_status on=export status=502]]",
    "server error on message": "[[sandbox: http_status status=500 apply=true]]",
    "pages": "[[sandbox: http_status on=export status=502 body=html]] [[sandbox: poll_html]]",
    "dropped": "[[sandbox: drop apply=true]]",
    "cut download": "[[sandbox: download_truncated]]",
    "address expired": "[[sandbox: download_403]]",
    "downloads away": "[[sandbox: download_5xx times=2]] [[sandbox: fallback_5xx times=2]]",
    "no video": "[[sandbox: download_not_video times=20]] [[sandbox: fallback_not_video times=20]]",
    "rate limited": "[[sandbox: rate_limited on=state]]",
    "no subscription": "[[sandbox: no_subscription on=export]]",
    "lost": "[[sandbox: lost on=state]]",
}
ENDS_BADLY = {"failed", "failed twice", "no video", "lost", "talkative", "unreachable asset"}


@dataclass
class Secrets:
    """What must not be found, by what it is."""

    tokens: set[str]
    keys: dict[str, str]

    def all(self) -> set[str]:
        return self.tokens | set(self.keys.values())


class Written:
    """A stack after trouble, and where it may have written something."""

    def __init__(self, stack: Stack, database: str, ends: dict[str, dict[str, Any]], owners_keys: list[str]) -> None:
        self.stack = stack
        self.database = database
        self.ends = ends
        self.keys = {
            "installation's secret key": stack.environment["VIVIDEO_SECRET_KEY"],
            "first owner's key": stack.environment["VIVIDEO_API_KEY"],
            "second owner's key": owners_keys[0],
            "mistyped key": WRONG_KEY,
            "registered token": REGISTERED,
        }

    def secrets(self) -> Secrets:
        """What was in use, the tokens as the backend has them on file."""
        return Secrets({token for (token,) in self.backend("SELECT token FROM tokens")}, self.keys)

    def backend(self, query: str) -> list[tuple[Any, ...]]:
        """The backend's own books."""
        with sqlite3.connect(f"file:{self.stack.home / 'sandbox' / 'sandbox.sqlite'}?mode=ro", uri=True) as file:
            return file.execute(query).fetchall()

    def logs(self) -> dict[Path, str]:
        """What our processes said; the sandbox is the backend's side."""
        found = self.stack.home.glob("*.log")
        return {path: path.read_text(errors="replace") for path in found if path.name != "sandbox.log"}

    def columns(self) -> Iterator[tuple[str, list[bytes]]]:
        """Every column of every table: `table.column` and what it holds, as bytes."""
        with psycopg.connect(self.database) as connection:
            names = connection.execute(
                "SELECT table_name, column_name, data_type FROM information_schema.columns"
                " JOIN information_schema.tables USING (table_schema, table_name)"
                " WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
            ).fetchall()
            for table, column, kind in names:
                shape = sql.SQL("{}" if kind == "bytea" else "convert_to({}::text, 'UTF8')")
                field = sql.Identifier(column)
                query = sql.SQL("SELECT {} FROM {} WHERE {} IS NOT NULL").format(
                    shape.format(field), sql.Identifier(table), field
                )
                yield f"{table}.{column}", [bytes(value) for (value,) in connection.execute(query)]

    def files(self) -> Iterator[Path]:
        """Everything below the stack's home but the backend's own room and the logs."""
        for path in self.stack.home.rglob("*"):
            if (self.stack.home / "sandbox") not in (path, *path.parents) and path.suffix != ".log":
                yield path


@contextmanager
def jealous_shop() -> Iterator[str]:
    """A server that shows its picture to nobody; the picture's address, signed."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(403)

        def log_message(self, format: str, *args: Any) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/shoe.jpg?X-Amz-Signature={ASSET_SECRET}"
        finally:
            server.shutdown()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, database: str, broker_url: str) -> Iterator[Written]:
    """First with the installation's anonymous trial, then with the token of somebody who pays; all of it ended."""
    with (
        Stack(tmp_path_factory.mktemp("stack"), database, broker_url) as stack,
        here(stack.environment),
        jealous_shop() as address,
    ):
        stack.start_sandbox()
        _migrate(stack)
        # From here on every process has it in its environment, where a dump of settings would find it.
        stack.environment["NEMO_TOKEN"] = REGISTERED
        stack.start("dispatcher", "-m", "worker.dispatch")
        stack.start_worker("stream", 60)
        stack.start_worker("io", 30)
        stack.start_worker("media", 2)
        at = stack.start_api()
        until(lambda: _answers(f"{at}/readyz"), START_SECONDS, what="the intake")
        second = transact(lambda session: owners.new_key(session, owners.owner(session, "demo").id, "secrets"))
        with Client(at, stack.environment["VIVIDEO_API_KEY"]) as client:
            ends = _trouble(stack, client, address)
        _refused_calls(at, stack, second)
        _housekeeping(stack)
        yield Written(stack, database, ends, [second])


def _trouble(stack: Stack, client: Client, address: str) -> dict[str, dict[str, Any]]:
    """Every kind of trouble with the trial's token and again with the registered one; the renders at their ends."""
    ends = _ended(client, {name: client.create_render(prompt=_prompt(name)) for name in TROUBLE})
    ends |= _expired(stack, client, "anonymous")
    ends |= _talkative(stack, client)
    _migrate(stack)  # with the registered token: from now on it is the account's
    made = {f"registered {name}": client.create_render(prompt=_prompt(name)) for name in TROUBLE}
    made["unreachable asset"] = client.create_render(prompt="A 2 second clip of a shoe.", assets=[{"url": address}])
    return ends | _ended(client, made) | _refused_by_the_database(stack, client)


def _prompt(name: str) -> str:
    return f"A 2 second clip, {name}. {TROUBLE[name]}"


def _ended(client: Client, made: dict[str, Render]) -> dict[str, dict[str, Any]]:
    return {name: client.wait(render.id, timeout=90).to_dict() for name, render in made.items()}


def _expired(stack: Stack, client: Client, name: str) -> dict[str, dict[str, Any]]:
    """The token ends at a message, at an export and between two polls."""
    made: dict[str, dict[str, Any]] = {}
    for point in ("message", "export", "poll"):
        prompt = f"A 2 second clip, {name} token expired at {point}."
        stack.rule(do="expire", on=point, match=prompt)
        made |= _ended(client, {prompt: client.create_render(prompt=prompt)})
    return made


def _talkative(stack: Stack, client: Client) -> dict[str, dict[str, Any]]:
    """A backend whose refusals repeat the token and a signed address to who sent them."""
    (token,) = _backend_row(stack, "SELECT token FROM tokens ORDER BY issued_at DESC LIMIT 1")
    address = f"https://cdn.example/a.mp4?Expires=1&Signature={CDN_SECRET}"
    words = f"Authorization: Bearer {token} may not use {address} ({token})"
    made: dict[str, dict[str, Any]] = {}
    for number, point in enumerate(("session", "message", "export")):
        prompt = f"A 2 second clip, talkative {number}."
        # Creating a session says nothing of the prompt: the rule is for the only render under way.
        stack.rule(do="code", on=point, code=4999, message=words, match="" if point == "session" else prompt)
        made |= _ended(client, {f"talkative {point}": client.create_render(prompt=prompt)})
    return made


def _backend_row(stack: Stack, query: str) -> tuple[Any, ...]:
    with sqlite3.connect(f"file:{stack.home / 'sandbox' / 'sandbox.sqlite'}?mode=ro", uri=True) as file:
        return file.execute(query).fetchone()


def _refused_by_the_database(stack: Stack, client: Client) -> dict[str, dict[str, Any]]:
    """The statement that keeps the signed address fails, once for each render, as with a full disk."""
    with psycopg.connect(stack.environment["VIVIDEO_DATABASE_URL"], autocommit=True) as connection:
        connection.execute("CREATE SEQUENCE refusals")
        connection.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " IF nextval('refusals') <= 2 THEN RAISE 'no space left' USING ERRCODE = 'disk_full'; END IF;"
            " RETURN NEW; END $$"
        )
        connection.execute(
            "CREATE TRIGGER refuse BEFORE UPDATE ON exports FOR EACH ROW WHEN (NEW.url IS NOT NULL AND OLD.url IS NULL)"
            " EXECUTE FUNCTION refuse()"
        )
        made = {f"disk full {one}": client.create_render(prompt=f"A 2 second clip, disk full {one}.") for one in (1, 2)}
        ends = _ended(client, made)
        assert connection.execute("SELECT last_value FROM refusals").fetchone() != (1,)
        connection.execute("DROP TRIGGER refuse ON exports")
    return ends


def _refused_calls(at: str, stack: Stack, second: str) -> None:
    """Calls that end in errors, with keys and secrets where people put them by mistake."""
    with Client(at, WRONG_KEY) as wrong, pytest.raises(ApiError):
        wrong.renders()
    key = stack.environment["VIVIDEO_API_KEY"]
    with httpx.Client(base_url=at, headers={"Authorization": f"Bearer {key}"}) as http:
        assert http.post("/v1/renders", content=b"{", headers={"Content-Type": "application/json"}).status_code == 400
        assert http.get("/v1/renders", params={"api_key": key}).status_code == 422
        assert http.post("/v1/renders", json={"prompt": "a kite", "api_key": key}).status_code == 422
        assert http.get(f"/v1/renders/{key}").status_code == 404
        assert http.get("/v1/renders", headers={"Authorization": f"Basic {key}"}).status_code == 401
        for answer in _misplaced(http, key):
            assert 400 <= answer.status_code < 500, answer.text
            assert key not in str(answer.headers), "the log has what the headers have"
    with ThreadPoolExecutor(2) as pool, Client(at, second) as stranger:
        list(pool.map(lambda _: stranger.renders(), range(4)))


def _misplaced(http: httpx.Client, key: str) -> Iterator[httpx.Response]:
    """Refused calls with a key where none belongs: in addresses, conditions, places, names, bodies."""
    nobody = f"/v1/renders/rnd_{'0' * 26}"
    yield http.post(f"/v1/renders/{key}/cancel")
    yield http.post(f"/v1/{key}", headers={"X-Request-Id": key})
    yield http.delete(f"/v1/uploads/{key}")
    yield http.get("/v1/renders", params={"cursor": key})
    yield http.get(f"{nobody}/events", headers={"Last-Event-ID": key})
    yield http.post("/v1/renders", json={}, headers={"Idempotency-Key": key})
    yield http.post("/v1/renders", json=[key], headers={"Prefer": f"wait={key}", "Content-Encoding": key})
    yield http.post("/v1/renders", headers=[("Authorization", f"Bearer {key}"), ("Authorization", f"Bearer {key}")])
    yield http.patch(nobody, json={"metadata": {"key": key}}, headers={"If-Match": key})
    yield http.delete(nobody, headers={"If-Match": f'"{key}"', "Range": key, "X-Api-Key": key, "Cookie": f"key={key}"})
    yield http.post("/v1/uploads", files={key: (f"{key}.txt", key.encode(), "text/plain")})
    yield http.request("BREW", f"/v1/renders?{key}={key}")


def _answers(address: str) -> bool:
    try:
        return httpx.get(address).status_code == 200
    except httpx.HTTPError:
        return False


def _migrate(stack: Stack) -> None:
    """As `vivideo up` does at its start, its output kept like any other."""
    process = stack.start("migrations", "-m", "worker.migrations")
    assert process.wait(60) == 0
    del stack.running["migrations"]


def _housekeeping(stack: Stack) -> None:
    """A round of what beat asks for once a minute: balances are read with each account's token."""
    command = [sys.executable, "-m", "celery", "-A", "worker.app", "call", "housekeeping", "--queue", "io"]
    environment = os.environ | stack.environment
    with (stack.home / "call.log").open("ab") as log:
        subprocess.run(leash.command(command), env=environment, cwd=ROOT, stdout=log, stderr=log, check=True)
    until(lambda: transact(_balances_read) >= 1, what="a balance")


def _balances_read(session: Any) -> int:
    from worker.accounts.models import Account

    return session.query(Account).filter(Account.kind == "registered", Account.balance_read_at.is_not(None)).count()


def test_the_trouble_was_real(written: Written):
    """What should fail failed and what should recover succeeded, with both kinds of account and more than one token:
    otherwise the searches below would prove nothing."""
    for name, end in written.ends.items():
        bad = any(name.removeprefix("registered ").startswith(bad) for bad in ENDS_BADLY)
        assert end["status"] == ("failed" if bad else "succeeded"), (name, end["error"])
    with psycopg.connect(written.database) as connection:
        kinds = connection.execute("SELECT kind, token_version, token_encrypted FROM accounts ORDER BY kind").fetchall()
    assert [kind for kind, _, _ in kinds] == ["anonymous", "registered"]
    tokens = written.secrets().tokens
    assert REGISTERED in tokens
    assert len(tokens) >= 4, "each expiry makes a new one"
    assert all(len(locked) > 60 for _, _, locked in kinds)
    text = "".join(written.logs().values())
    for word in ("account.renewed", "result.refused", "remote.refused", "request.done", "message.ended"):
        assert word in text


def test_no_log_holds_a_secret(written: Written):
    """No token, key, claim, signature or header value in any line of any of our processes."""
    secrets = {*written.secrets().all(), *SECRET_FLAGS, ASSET_SECRET, CDN_SECRET, "ct=clm_"}
    found = {
        (path.name, secret[:12], text[max(text.index(secret) - 200, 0) : text.index(secret)])
        for path, text in written.logs().items()
        for secret in secrets
        if secret in text
    }
    assert found == set()
    assert len(written.logs()) >= 6


def test_no_column_holds_a_secret(written: Written):
    """No token or key as text in any column of any table, bytes and JSON included: an API key is known by its hash, an
    account's token by its cipher. A signed address is where it is fetched from, and nowhere else."""
    secrets = {secret.encode() for secret in written.secrets().all()} | {b"Bearer "}
    columns = dict(written.columns())
    assert {"accounts.token_encrypted", "api_keys.hash", "drafts.body", "events.data", "intents.message"} <= set(
        columns
    )
    for name, values in columns.items():
        for value in values:
            assert [secret for secret in secrets if secret in value] == [], name
    signed = {name for name, values in columns.items() if any(b"Signature=" in value for value in values)}
    assert signed == {"exports.url", "renders.assets"}
    assert ASSET_SECRET.encode() in b"".join(columns["renders.assets"]), "the owner's own words are kept as they are"
    assert b"cdn.example" in b"".join(columns["attempts.error_message"] + columns["renders.error_message"])


def test_no_file_or_folder_holds_a_secret(written: Written):
    """Results are kept under names made of ids and hashes; no name and no content tells a token or a signature."""
    secrets = {secret.encode() for secret in written.secrets().all()} | {ASSET_SECRET.encode()}
    paths = list(written.files())
    assert sum(path.suffix == ".mp4" for path in paths) >= 10
    for path in paths:
        name = str(path.relative_to(written.stack.home)).encode()
        content = path.read_bytes() if path.is_file() else b""
        assert [secret for secret in secrets if secret in name or secret in content] == [], path


def test_no_answer_holds_a_secret(written: Written):
    """What owners are told of their renders, failures and attempts included, has no token and no signature of ours."""
    told = json.dumps(written.ends)
    secrets = (*written.secrets().all(), CDN_SECRET, "Bearer ", "&Signature=")
    assert [secret for secret in secrets if secret in told] == []


def test_no_argument_holds_a_secret(written: Written):
    """Arguments are visible to every user of the machine: secrets travel in the environment."""
    secrets = written.secrets().all()
    for name, process in written.stack.running.items():
        if name == "sandbox":
            continue
        main = psutil.Process(process.pid)
        for one in (main, *main.children(recursive=True)):
            assert [secret for secret in secrets if secret in " ".join(one.cmdline())] == [], name
