"""The backend by its free calls: what is asked, as whom, and what is made of each way to fail."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import create_server

import pytest
from sqlalchemy import select, update

from config.settings import settings
from tests.doctor.conftest import Examine
from tests.doctor.test_checks import FAIL, OK, WARN, found, of
from tests.remote.scripted import Peer, Script, Scripted, answers, json_answer
from tests.remote.tls import certificate
from tests.sandbox.driver import Sandbox
from tests.stack import here
from worker.accounts.models import Account
from worker.database import transact
from worker.doctor import examination
from worker.doctor.findings import Case
from worker.remote.client import tls_context
from worker.remote.record import Recorder

TOKEN = "nmv_registered_0123456789"
SESSION = json_answer(b'{"code": 0, "data": {"task_id": "t-1", "session_id": "190000000000"}}')
STATE = json_answer(b'{"code": 0, "data": {"state": {"draft": null, "video_infos": []}}}')
CREDITS = json_answer(b'{"code": 0, "data": {"available": 100, "frozen": 0, "total": 100}}')


@pytest.fixture(autouse=True)
def _only_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The servers' own checks are tested elsewhere."""
    kept = tuple(step for step in examination.CHECKS if step.name in ("settings", "values", "database"))
    monkeypatch.setattr(examination, "CHECKS", kept)


@contextmanager
def backend(*scripts: Script) -> Iterator[Scripted]:
    """A server whose first connection is only looked at; the calls come on those that follow."""
    with Scripted(lambda peer: peer.wait_closed() and None, *scripts) as server:
        yield server


def account(environment: dict[str, str]) -> Account:
    with here(environment):
        return transact(lambda session: session.scalars(select(Account)).one())


def test_a_trial_is_asked_for_what_costs_nothing(
    examined: Examine, on_file: Callable[..., None], sandbox: Sandbox, environment: dict[str, str]
):
    """Token, session, state and balance, each once and nothing else; the second time the token on file is used."""
    sandbox.http.post("/_sandbox/reset").raise_for_status()
    on_file(NEMO_API_URL=sandbox.address)
    for _ in range(2):
        findings = examined(backend=True, NEMO_API_URL=sandbox.address)
        assert {one.level for one in of(findings, "backend")} == {OK}
        found(findings, "backend", OK, "token: that of anonymous trial")
        found(findings, "backend", OK, "create_session: a task and a session")
        found(findings, "backend", OK, "state: an empty state")
        found(findings, "backend", OK, "credits: 1,000,000 available, 0 frozen")
        found(findings, "network", OK, "name in")
        found(findings, "surprises", OK, "nothing unknown")
    ledger = sandbox.ledger()
    assert ledger["first_calls"].keys() == {"token", "session", "state", "credits"}
    assert (len(ledger["tokens"]), len(ledger["sessions"]), len(ledger["users"])) == (1, 2, 1)
    assert ledger["violations"] == []
    assert account(environment).token_version == 1


def test_an_expired_trial_stays_the_same_person(
    examined: Examine, on_file: Callable[..., None], sandbox: Sandbox, environment: dict[str, str]
):
    """Its token is got again with the installation's client id: one account, one client id, one user at the backend."""
    on_file(NEMO_API_URL=sandbox.address)
    examined(backend=True, NEMO_API_URL=sandbox.address)
    before = account(environment)
    with here(environment):
        transact(lambda session: session.execute(update(Account).values(token_expires_at=datetime.now(UTC))))
    findings = examined(backend=True, NEMO_API_URL=sandbox.address)
    after = account(environment)
    assert {one.level for one in of(findings, "backend")} == {OK}
    assert (after.client_id, after.remote_user_id) == (before.client_id, before.remote_user_id)
    assert after.token_version == before.token_version + 1


REFUSALS = [
    (json_answer(b'{"code": 1001, "message": "expired"}', "401 Unauthorized"), FAIL, "code 1001", "set NEMO_TOKEN"),
    (json_answer(b'{"code": 2001, "message": "no"}'), WARN, "code 2001", "top up"),
    (json_answer(b'{"code": 429}', "429 Slow", "Retry-After: 40"), WARN, "429", "wait 40 s"),
    (json_answer(b'{"detail": "oops"}', "500 Internal Server Error"), FAIL, "HTTP 500", "fault of its own"),
    (json_answer(b"<html>wait</html>"), FAIL, "not a JSON object", "--record"),
    (json_answer(b'{"code": 0, "data": {"task": 1}}'), FAIL, "unexpected answer: task_id, session_id", "--record"),
    (json_answer(b'{"code": 4777, "message": "new rule"}'), FAIL, "code 4777", "--record"),
]


@pytest.mark.parametrize(("answer", "level", "seen", "remedy"), REFUSALS)
def test_a_refusal_is_named_with_its_remedy(
    examined: Examine, on_file: Callable[..., None], answer: bytes, level: str, seen: str, remedy: str
):
    """The call, the code, what to do; the state of a session that was not made is not asked for, the balance is."""
    with backend(answers(answer, CREDITS), answers(CREDITS)) as server:
        changes = {"NEMO_API_URL": server.url, "NEMO_TOKEN": TOKEN}
        on_file(**changes)
        findings = examined(backend=True, **changes)
    refusal = found(findings, "backend", level, seen, remedy)  # type: ignore[arg-type]
    assert refusal.seen.startswith("create_session")
    found(findings, "backend", OK, "credits: 100 available")
    assert [line.split()[1] for line in map(bytes.decode, server.requests)] == [
        "/api/tasks/me/with-session/nemo_agent",
        "/api/credits/balance/simple",
    ]
    assert TOKEN not in str(findings)


def test_unknown_fields_are_listed_and_kept(
    examined: Examine, on_file: Callable[..., None], environment: dict[str, str]
):
    """Named at the call, counted in the table, shown with the times; no failure, and without any value."""
    balance = json_answer(b'{"code": 0, "data": {"available": 5, "tier": "gold-of-ann"}, "served_by": "node-ann"}')
    for times in (1, 2):
        with backend(answers(SESSION, STATE, balance)) as server:
            changes = {"NEMO_API_URL": server.url, "NEMO_TOKEN": TOKEN}
            if times == 1:
                on_file(**changes)
            with here(environment | changes):
                case = Case(read_settings=settings)
                findings = examined(backend=True, case=case, **changes)
        found(findings, "backend", WARN, "credits: unknown to this version: field data.tier, field served_by", "send")
        found(findings, "surprises", WARN, "2 things unknown to this version were met in credits", "--record DIR")
        assert {(one.name, one.count, one.example) for one in case.surprises} == {
            ("data.tier", times, "text of 11"),
            ("served_by", times, "text of 8"),
        }
        assert case.failed == set()
    assert "ann" not in str((findings, case.surprises)).replace("anonymous", "")


def test_a_backend_that_hangs(examined: Examine, on_file: Callable[..., None]):
    """Taken, never answered: said after the read's time-out, for each call."""

    def silent(peer: Peer) -> None:
        peer.request()
        peer.wait_closed(20)

    with backend(silent) as server:
        changes = {"NEMO_API_URL": server.url, "NEMO_TOKEN": TOKEN}
        on_file(**changes)
        findings = examined(backend=True, **changes)
    found(findings, "backend", FAIL, "create_session: ReadTimeout", "did not answer in time")
    found(findings, "backend", FAIL, "credits: ReadTimeout", "did not answer in time")


def test_accounts_that_cannot_be_used(examined: Examine, on_file: Callable[..., None], environment: dict[str, str]):
    """None on file, a token the backend refused, one encrypted with another key, another than the setting's."""
    with backend(answers(SESSION, STATE, CREDITS)) as server:
        changes = {"NEMO_API_URL": server.url, "NEMO_TOKEN": TOKEN}
        on_file(**changes)
        other = examined(backend=True, **changes, VIVIDEO_SECRET_KEY="another key of more than thirty-two characters")
        found(other, "backend", FAIL, "VIVIDEO_SECRET_KEY is not the one", "docs/operations.md")
        with here(environment):
            transact(lambda session: session.execute(update(Account).values(token_refused_at=datetime.now(UTC))))
        refused = examined(backend=True, **changes)
        found(refused, "backend", FAIL, "the token of NEMO_TOKEN cannot be used now", "set NEMO_TOKEN to a new one")
        changed = examined(backend=True, **changes | {"NEMO_TOKEN": "nmv_another"})
        found(changed, "backend", WARN, "NEMO_TOKEN is not the token on file", "worker.migrations")
        with here(environment):
            transact(lambda session: session.delete(session.scalars(select(Account)).one()))
        found(examined(backend=True, **changes), "backend", FAIL, "no account is on file", "worker.migrations")
    assert server.requests == []


def test_a_record_holds_no_secret(
    examined: Examine, on_file: Callable[..., None], sandbox: Sandbox, environment: dict[str, str], tmp_path: Path
):
    """Of a trial's first contact, token call included: what was sent and answered is there, who it was is not."""
    on_file(NEMO_API_URL=sandbox.address)
    with here(environment | {"NEMO_API_URL": sandbox.address}):
        case = Case(read_settings=settings, recorder=Recorder(tmp_path / "record"))
    examined(backend=True, case=case, NEMO_API_URL=sandbox.address)
    assert case.recorder is not None
    case.recorder.seal()
    calls = json.loads((tmp_path / "record" / "index.json").read_text())["calls"]
    assert [one["call"] for one in calls] == ["anonymous_token", "create_session", "state", "credits"]
    held = "".join(path.read_text() for path in (tmp_path / "record").iterdir())
    one = account(environment)
    assert one.client_id
    assert one.remote_user_id
    for secret in (one.client_id, one.remote_user_id, "nmv_usr_"):
        assert secret not in held
    assert "session_id" in held


# The way there


@pytest.mark.parametrize(
    ("url", "seen", "remedy"),
    [
        ("https://no-such-host.invalid", "no-such-host.invalid has no address", "DNS"),
        ("http://127.0.0.1:1", "127.0.0.1:1 does not take a connection", "firewall"),
    ],
)
def test_a_backend_out_of_reach(examined: Examine, on_file: Callable[..., None], url: str, seen: str, remedy: str):
    """The name, or the connection; its calls are then not tried."""
    on_file()
    findings = examined(backend=True, NEMO_API_URL=url)
    found(findings, "network", FAIL, seen, remedy)
    found(findings, "backend", WARN, "not looked at: network failed")


@contextmanager
def secured(context: ssl.SSLContext) -> Iterator[str]:
    """A server that greets with TLS and says nothing more."""
    with create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            try:
                while True:
                    with listener.accept()[0] as sock:
                        try:
                            context.wrap_socket(sock, server_side=True).close()
                        except OSError:
                            continue
            except OSError:
                return

        threading.Thread(target=serve, daemon=True).start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"


def test_its_certificate(
    examined: Examine, on_file: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """One that nobody trusts fails; one that is trusted is shown with its end, and this one ends in an hour."""
    on_file()
    context, _ = certificate(tmp_path)
    with secured(context) as url:
        found(examined(backend=True, NEMO_API_URL=url), "network", FAIL, "is not trusted", "SSL_CERT_FILE")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "loopback.pem"))
        tls_context.cache_clear()
        try:
            findings = examined(backend=True, NEMO_API_URL=url)
        finally:
            tls_context.cache_clear()
    ends = f"{datetime.now(UTC) + timedelta(hours=1):%Y-%m-%d}"
    found(findings, "network", WARN, f"certificate until {ends}", "renew")


def test_a_proxy_is_named(examined: Examine, on_file: Callable[..., None], monkeypatch: pytest.MonkeyPatch):
    """Where the environment names one, the way to it says more than a connection that is not used."""
    on_file()
    monkeypatch.setenv("https_proxy", "http://user:pa55word@proxy.example:3128")
    findings = examined(backend=True, NEMO_API_URL="https://backend.example")
    found(findings, "network", OK, "backend.example is reached through the proxy proxy.example")
    assert "pa55word" not in str(findings)
