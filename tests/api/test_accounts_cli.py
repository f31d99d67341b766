"""`vivideo accounts …` on the service's database: its words, its exit status, what it did; never a token."""

import io
import json
import os
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import func, insert, select, text, update

from api import cli
from config.settings import settings
from tests.api import working
from tests.api.service import Service
from tests.api.wire import Told, answering
from tests.emptying import empty_tables
from worker.accounts import vault
from worker.accounts.models import Account, RemoteSession
from worker.owners.store import FIRST_OWNER, SECOND_OWNER
from worker.remote.intents import Intent
from worker.renders import leases
from worker.renders.models import Render
from worker.renders.states import Status

TOKEN = "nmv_usr_of_the_shop_0123456789"
OTHER = "nmv_usr_of_another_9876543210"
SECRET = "k" * 40
BALANCE = Told(200, b'{"code": 0, "data": {"available": 250, "frozen": 50, "total": 300}}')


class Done(NamedTuple):
    """What came of a command."""

    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


@pytest.fixture
def run(service: Service, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in an empty directory, in this process, as on a server with a secret key."""

    def ran(*arguments: str, stdin: str = "", **more: str) -> Done:
        named = {"VIVIDEO_DATABASE_URL": service.database, "VIVIDEO_SECRET_KEY": SECRET, **more}
        with pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.startswith(("VIVIDEO_", "NEMO_"))]:
                patch.delenv(name)
            for name, value in named.items():
                patch.setenv(name, value)
            patch.chdir(tmp_path)
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
            patch.setattr(sys, "argv", ["vivideo", "accounts", *arguments])
            settings.cache_clear()
            with pytest.raises(SystemExit) as ended:
                cli.run(cli.app)
            settings.cache_clear()
        done = Done(int(ended.value.code or 0), *capfd.readouterr())
        for secret in (TOKEN, OTHER):
            assert secret not in done.stdout + done.stderr
        return done

    return ran


@pytest.fixture(autouse=True)
def _none_before(service: Service) -> None:
    service.write(lambda session: empty_tables(session, "accounts"))


def added(run: Run, *arguments: str, token: str = TOKEN) -> dict[str, Any]:
    done = run("add", "--no-check", "--json", *arguments, stdin=token + "\n")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def the(service: Service, account_id: str) -> Account:
    with service.session() as session:
        return session.scalars(select(Account).where(Account.id == account_id)).one()


def refused(done: Done, status: int, code: str) -> str:
    """The sentence, where the command failed so."""
    assert done.returncode == status, done.stdout + done.stderr
    error = json.loads(done.stdout)["error"]
    assert error["code"] == code
    return error["message"]


def shown(run: Run) -> dict[str, dict[str, Any]]:
    done = run("list", "--json")
    assert done.returncode == 0, done.stderr
    return {one["name"]: one for one in json.loads(done.stdout)["data"]}


def in_flight(service: Service, account_id: str) -> leases.Held:
    made = service.make()
    held = service.write(lambda session: working.claimed(session, made["id"]))
    service.write(lambda session: leases.write(session, held, {"account_id": account_id}))
    return held


def test_a_token_is_read_from_standard_input_checked_and_kept_encrypted(service: Service, run: Run):
    """The free balance call goes out with it; what comes back is on file; only its last four characters are shown."""
    with answering(BALANCE) as (url, asked):
        done = run("add", "--name", "shop", "--slots", "7", "--owner", FIRST_OWNER, stdin=TOKEN, NEMO_API_URL=url)
    assert (done.returncode, len(asked)) == (0, 1), done.stderr
    assert asked[0].path == "/api/credits/balance/simple"
    assert f"…{TOKEN[-4:]}" in done.stdout
    one = shown(run)["shop"]
    assert (one["owner"], one["slots"], one["state"]) == (FIRST_OWNER, 7, "ready")
    assert (one["available"], one["frozen"], one["total"], one["token"]) == (250, 50, 300, f"…{TOKEN[-4:]}")
    assert 0 <= one["read_seconds_ago"] < 60
    kept = the(service, one["id"]).token_encrypted
    assert kept is not None
    assert TOKEN.encode() not in kept
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIVIDEO_SECRET_KEY", SECRET)
        settings.cache_clear()
        assert vault.unlock(kept) == TOKEN
    settings.cache_clear()


def test_a_token_from_a_file_and_never_from_an_argument(run: Run, tmp_path: Path):
    """A file's end of line is no part of it; an argument is refused without being repeated."""
    (tmp_path / "token").write_text(TOKEN + "\n")
    assert run("add", "--no-check", "--token-file", "token").returncode == 0
    assert refused(run("add", "--no-check", "--json", OTHER), 2, "usage").startswith("a token is no argument")
    assert run("add", "--no-check", "--token-file", "nowhere").returncode == 1
    assert list(shown(run)) == ["account 1"]


@pytest.mark.parametrize("given", ["", "  \n", "Bearer nmv_usr_x", '"nmv_usr_x"', "nmv usr", "nmv_ü", "x" * 9000])
def test_what_is_no_token_is_refused(run: Run, given: str):
    """Nothing is kept of it."""
    assert run("add", "--no-check", stdin=given).returncode == 2
    assert shown(run) == {}


def test_the_same_token_is_not_taken_twice_nor_a_name(run: Run):
    """The refusal names who has it."""
    mine = added(run, "--name", "shop")
    assert mine["id"] in refused(run("add", "--no-check", "--json", stdin=TOKEN), 1, "token.registered")
    refused(run("add", "--no-check", "--json", "--name", "shop", stdin=OTHER), 2, "account.exists")
    refused(run("add", "--no-check", "--json", "--owner", "a-stranger", stdin=OTHER), 2, "owner.unknown")
    assert list(shown(run)) == ["shop"]


def test_a_token_that_the_backend_refuses_is_not_kept(run: Run):
    """1001: nothing is kept. No answer: nothing either, and the remedy is named."""
    with answering(Told(200, b'{"code": 1001, "message": "token expired"}')) as (url, _):
        refused(run("add", "--json", stdin=TOKEN, NEMO_API_URL=url), 1, "token.refused")
    with answering(Told(503)) as (url, _):
        message = refused(run("add", "--json", stdin=TOKEN, NEMO_API_URL=url), 1, "backend.unavailable")
    assert "--no-check" in message
    assert shown(run) == {}


def test_without_a_secret_key_nothing_is_kept(run: Run):
    """The setting is named."""
    message = refused(run("add", "--no-check", "--json", stdin=TOKEN, VIVIDEO_SECRET_KEY=""), 2, "secret_key.missing")
    assert "VIVIDEO_SECRET_KEY" in message


def test_pause_holds_and_resume_ends_whatever_it_stands_still_for(service: Service, run: Run):
    """Held by hand, refused, out of credits: all is over at once, and who waited for it is woken."""
    mine = added(run, "--name", "shop")
    assert run("pause", "shop").returncode == 0
    assert run("pause", mine["id"]).returncode == 0  # again: no harm
    assert (shown(run)["shop"]["state"], shown(run)["shop"]["reason"]) == ("paused", "paused")
    assert service.first.get(f"/v1/accounts/{mine['id']}").json()["held"] is True
    assert "by hand" in run("list").stdout
    held = in_flight(service, mine["id"])
    waits = leases.release(wait=timedelta(hours=1), reason="paused")
    service.write(lambda session: leases.write(session, held, waits))
    service.write(
        lambda session: session.execute(
            update(Account).values(token_refused_at=text("now()"), paused_until=text("now() + interval '1 hour'"))
        )
    )
    assert "1 of its renders" in run("resume", "shop").stdout
    row = the(service, mine["id"])
    assert (row.held_at, row.token_refused_at, row.paused_until) == (None, None, None)
    assert shown(run)["shop"]["state"] == "ready"


def test_remove_erases_the_token_and_keeps_the_row(service: Service, run: Run):
    """Not while renders are in flight, unless forced; the same token added again brings the same account back."""
    mine = added(run, "--name", "shop")
    in_flight(service, mine["id"])
    assert "--force" in refused(run("remove", "shop", "--json"), 1, "account.busy")
    assert the(service, mine["id"]).token_encrypted is not None
    assert json.loads(run("remove", "shop", "--force", "--json").stdout)["state"] == "removed"
    assert (the(service, mine["id"]).token_encrypted, shown(run)["shop"]["token"]) == (None, None)
    refused(run("resume", "shop", "--json"), 1, "account.removed")
    again = added(run, "--name", "shop again")
    assert (again["id"], again["state"]) == (mine["id"], "ready")
    assert the(service, mine["id"]).token_encrypted is not None


def test_an_account_comes_back_under_an_owner_only_without_other_owners_renders(service: Service, run: Run):
    """They would send their messages on its account: refused, and it stays removed. Without an owner, or with theirs,
    it comes back as ever."""
    mine = added(run, "--name", "shop")
    in_flight(service, mine["id"])
    assert run("remove", "shop", "--force").returncode == 0
    came = run("add", "--no-check", "--json", "--name", "shop", "--owner", SECOND_OWNER, stdin=TOKEN)
    assert "1 of its renders" in refused(came, 1, "account.busy")
    row = the(service, mine["id"])
    assert (row.owner_id, row.token_encrypted) == (None, None)
    again = added(run, "--name", "shop", "--owner", FIRST_OWNER)
    assert (again["id"], again["owner"], again["state"]) == (mine["id"], FIRST_OWNER, "ready")
    assert run("remove", "shop", "--force").returncode == 0
    assert added(run, "--name", "shop")["owner"] is None


def test_remove_keeps_the_token_that_watched_messages_are_read_with(service: Service, run: Run):
    """A message that nobody could be sure of is read on for a day: without the token a late video would be lost."""
    mine = added(run, "--name", "shop")
    held = in_flight(service, mine["id"])
    service.write(lambda session: working.finished(session, held, Status.FAILED, error_code="generation.unconfirmed"))
    known = {"owner_id": held.render.owner_id, "account_id": mine["id"]}
    place = {"id": "ses_1", "task_id": "t", "session_id": "s", **known}
    message = {"id": "int_1", "render_id": held.render.id, "run": 1, "remote_session_id": "ses_1", "message": "a lamp"}
    message |= {"before": "x", "reserved_credits": 100, "send_by": func.now(), "settled_at": func.now(), **known}
    message |= {"state": "unconfirmed", "watch_at": func.now()}
    service.write(lambda session: session.execute(insert(RemoteSession).values(**place)))
    service.write(lambda session: session.execute(insert(Intent).values(**message)))
    said = refused(run("remove", "shop", "--json"), 1, "account.busy")
    assert "1 of its messages" in said
    assert "renders are not final" not in said
    assert the(service, mine["id"]).token_encrypted is not None
    assert run("remove", "shop", "--force").returncode == 0
    assert the(service, mine["id"]).token_encrypted is None


def test_a_token_that_cannot_be_read_any_more_is_given_again(service: Service, run: Run):
    """Another secret key since: the same token in its own place makes the account work again, and wakes who waits."""
    mine = added(run, "--name", "shop")
    locked = Fernet(Fernet.generate_key()).encrypt(TOKEN.encode())
    service.write(lambda session: session.execute(update(Account).values(token_encrypted=locked)))
    assert shown(run)["shop"]["token"] == "…"
    held = in_flight(service, mine["id"])
    waits = leases.release(wait=timedelta(hours=1), reason="token")
    service.write(lambda session: leases.write(session, held, waits))
    again = added(run, "--replaces", "shop")
    assert (again["id"], again["state"], again["token"]) == (mine["id"], "ready", f"…{TOKEN[-4:]}")
    with service.session() as session:
        ready_at = session.get_one(Render, held.render.id).ready_at
        assert ready_at < session.execute(select(func.now())).scalar_one() + timedelta(minutes=1)


@pytest.mark.parametrize("more", [("--name", "new"), ("--owner", FIRST_OWNER), ("--slots", "0")])
def test_what_another_token_does_not_change_is_refused(service: Service, run: Run, more: tuple[str, str]):
    """`--replaces` keeps name, owner and slots: given beside it they are a mistake, and nothing is changed."""
    mine = added(run, "--name", "shop", "--slots", "7")
    before = the(service, mine["id"]).token_encrypted
    refused(run("add", "--no-check", "--json", "--replaces", "shop", *more, stdin=OTHER), 2, "usage")
    one = shown(run)["shop"]
    assert (one["owner"], one["slots"], the(service, mine["id"]).token_encrypted) == (None, 7, before)


def test_another_token_in_the_place_of_one(service: Service, run: Run):
    """The account stays the same, and with it its renders; what was known of the old token is forgotten."""
    mine = added(run, "--name", "shop")
    service.write(lambda session: session.execute(update(Account).values(token_refused_at=text("now()"))))
    assert shown(run)["shop"]["reason"] == "token"
    again = added(run, "--replaces", "shop", token=OTHER)
    assert (again["id"], again["state"], again["token"]) == (mine["id"], "ready", f"…{OTHER[-4:]}")
    added(run, "--name", "second")
    refused(run("add", "--no-check", "--json", "--replaces", "second", stdin=OTHER), 1, "token.registered")


def test_the_trial_is_paused_but_neither_removed_nor_replaced(service: Service, run: Run):
    """It is one per installation."""
    trial = Account(id="acc_trial", kind="anonymous", name="anonymous trial", client_id="c")
    service.write(lambda session: session.add(trial))
    refused(run("remove", "acc_trial", "--json"), 1, "account.anonymous")
    replaced = run("add", "--no-check", "--json", "--replaces", "acc_trial", stdin=TOKEN)
    refused(replaced, 1, "account.anonymous")
    assert run("pause", "anonymous trial").returncode == 0
    assert the(service, "acc_trial").held_at is not None


def test_none_and_an_unknown_one(run: Run):
    """The empty state names the next command; what is not there is a failure."""
    assert "vivideo accounts add" in run("list").stdout
    assert json.loads(run("list", "--json").stdout) == {"data": []}
    for command in ("pause", "resume", "remove"):
        refused(run(command, "nobody", "--json"), 1, "account.unknown")
    assert "vivideo accounts add" in run("--help").stdout
