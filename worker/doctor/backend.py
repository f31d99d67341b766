"""The backend itself, by the calls that cost nothing: token, session, state, credits.

Asked with the real client and the account on file, as the workers do. Nothing here sends a message, uploads or exports,
and no identity is made: a trial's token is renewed with the installation's own client id.
"""

import hashlib
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from config.settings import Settings
from worker.accounts import vault
from worker.accounts.models import Account
from worker.accounts.tokens import NotNow, Unreadable, bearer
from worker.database import transact
from worker.doctor.explaining import explain
from worker.doctor.findings import Case, Finding, fail, ok, warn
from worker.remote import noticing
from worker.remote.client import Remote
from worker.remote.errors import RemoteError
from worker.remote.headers import platform
from worker.remote.models import Balance, SessionIds
from worker.remote.record import Recorder
from worker.remote.state import State

NAME = "backend"
PATIENCE = timedelta(seconds=20)
"""At most, for one read: a person waits."""
OTHER_KEY = "give the key that the token was encrypted with (docs/operations.md, Secrets)"
SHOWN = 8
"""Unknown fields named in a line; all are in the table of surprises."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class OnFile:
    """The account the workers would use, and the database's time."""

    account: Account | None
    others: int
    names_token: bool
    """Whether NEMO_TOKEN, where it is set, is one of those on file."""
    now: datetime


def look(case: Case) -> Iterator[Finding]:
    settings = case.settings
    found = transact(lambda session: _on_file(session, settings), retry_for=0)
    if found.account is None:
        remedy = "run `python -m worker.migrations`, which makes the accounts that the settings speak of"
        yield fail(NAME, "no account is on file", remedy)
        return
    if not found.names_token and not case.stack.get("sandbox"):
        remedy = "run `python -m worker.migrations` (or restart `vivideo up`) to put it on file"
        yield warn(NAME, "NEMO_TOKEN is not the token on file: the workers use the other", remedy)
    with _remote(settings, case.recorder) as remote:
        yield from _asked(remote, found.account, found, case.recorder)


def _on_file(session: Session, settings: Settings) -> OnFile:
    rows = session.scalars(
        select(Account).where(Account.disabled_at.is_(None)).order_by(Account.created_at, Account.id)
    ).all()
    registered = [row for row in rows if row.kind == "registered"]
    usable = [row for row in registered if row.token_refused_at is None] or registered or list(rows)
    token = settings.upstream.token
    digest = hashlib.sha256(token.get_secret_value().encode()).hexdigest() if token else None
    return OnFile(
        account=usable[0] if usable else None,
        others=max(0, len(registered or rows) - 1),
        names_token=digest is None or any(row.token_hash == digest for row in rows),
        now=session.execute(select(func.now())).scalar_one(),
    )


def _remote(settings: Settings, recorder: Recorder | None) -> Remote:
    """The workers' client, with a person's patience."""
    names = ("http_connect_seconds", "http_read_seconds")
    waits = settings.waits.model_copy(update={name: min(getattr(settings.waits, name), PATIENCE) for name in names})
    upstream, source = settings.upstream, platform(settings.upstream.skill_source)
    return Remote(upstream.api_url, upstream.web_url, platform=source, waits=waits, recorder=recorder)


def _asked(remote: Remote, account: Account, found: OnFile, recorder: Recorder | None) -> Iterator[Finding]:
    trial = account.kind == "anonymous"
    _forewarn(recorder, client=account.client_id, user=account.remote_user_id)
    try:
        token = bearer(remote, account, found.now)
    except Unreadable as error:
        yield fail(NAME, str(error.cause), OTHER_KEY)
    except NotNow:
        yield fail(NAME, f"the token of {account.name} cannot be used now", _renewing(trial=trial))
    except (vault.SecretKeyMissing, vault.SecretKeyChanged) as error:
        yield fail(NAME, str(error), OTHER_KEY)
    except RemoteError as error:
        yield explain(NAME, error, trial=trial)
        yield from _unknown("anonymous_token")
    else:
        _forewarn(recorder, token=token)
        others = f", one of {found.others + 1}" if found.others else ""
        yield ok(NAME, f"token: that of {account.name} ({account.kind}{others})")
        yield from _unknown("anonymous_token")
        yield from _calls(remote, token, trial=trial)


def _forewarn(recorder: Recorder | None, **secrets: str | None) -> None:
    """What the record must not hold, wherever the backend repeats it."""
    for kind, value in secrets.items():
        if recorder is not None and value:
            recorder.redactor.learn(kind, value)


def _renewing(*, trial: bool) -> str:
    if trial:
        return "a worker is renewing it: look again in a minute"
    return "the backend refused it: set NEMO_TOKEN to a new one and run `python -m worker.migrations` (or restart `up`)"


def _calls(remote: Remote, token: str, *, trial: bool) -> Iterator[Finding]:
    ids = yield from _call("create_session", lambda: remote.create_session(token, "en"), _ids, trial)
    if ids is not None:
        yield from _call("state", lambda: remote.state(token, ids.session_id), _state, trial)
    yield from _call("credits", lambda: remote.credits(token), _balance, trial)


def _call(
    call: str, ask: Callable[[], Result], told: Callable[[Result], str], trial: bool
) -> Generator[Finding, None, Result | None]:
    """One call, what came of it, and what the client did not know in its answer."""
    began = time.monotonic()
    try:
        answer = ask()
    except RemoteError as error:
        yield explain(NAME, error, trial=trial)
        yield from _unknown(call)
        return None
    yield ok(NAME, f"{call}: {told(answer)}, in {(time.monotonic() - began) * 1000:.0f} ms")
    yield from _unknown(call)
    return answer


def _unknown(call: str) -> Iterator[Finding]:
    names = sorted(f"{kind} {name}" for kind, place, name in noticing.NOTICES.pending() if place == call)
    if names:
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        seen = f"{call}: unknown to this version: {', '.join(names[:SHOWN])}{more}"
        yield warn(NAME, seen, "the client reads on; keep a record (--record) and send it to vivideo's maintainers")


def _ids(ids: SessionIds) -> str:
    return f"a task and a session, ids of {len(ids.task_id)} and {len(ids.session_id)} characters"


def _state(state: State) -> str:
    """A new session's draft is empty; one that is not is no fault, but was not expected."""
    return "an empty state, as a new session has" if state.draft is None else "a state with a draft already in it"


def _balance(balance: Balance) -> str:
    return f"{balance.available:,.10g} available, {balance.frozen:,.10g} frozen"
