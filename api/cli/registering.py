"""What `vivideo accounts add` needs: the token from a place that nobody else reads, checked, and the refusals said."""

import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from api.cli.reporting import Exit, Mistake, fail, os_words

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from worker.accounts.models import Account
    from worker.remote.models import Balance

LONGEST = 8192
"""Characters of a token; more is some other file."""
FORM = "that is no token: give it alone, without quotes, spaces or `Bearer`"


def token(file: Path | None, misplaced: Sequence[str]) -> str:
    """From the file, else from standard input, else asked for. Raises Mistake, typer.Exit."""
    if misplaced:
        # Not repeated: it may be the token itself, and arguments are seen by everybody on the machine.
        raise Mistake("a token is no argument, which others could read: give it on standard input or by --token-file")
    try:
        text = _read(file).strip()
    except OSError as problem:
        fail(os_words(problem), Exit.FAILED)
    except UnicodeDecodeError:
        raise Mistake(FORM) from None
    if not text:
        raise Mistake("no token was given\n  → vivideo accounts add < token.txt")
    whole = len(text) <= LONGEST and text.isascii() and text.isprintable() and not any(c in " \"'" for c in text)
    if not whole:
        raise Mistake(FORM)
    return text


def _read(file: Path | None) -> str:
    if file is not None:
        with file.open(encoding="utf-8") as opened:
            return opened.read(LONGEST + 2)
    if sys.stdin.isatty():
        return str(typer.prompt("Token", hide_input=True, err=True))
    return sys.stdin.read(LONGEST + 2)


def prepare(*, as_json: bool) -> None:
    """See secret key and backend as the local stack does. Ends the command where a setting is wrong."""
    from pydantic import ValidationError

    from api.cli.surroundings import take_over_the_stack_meant
    from config.settings import settings

    try:
        take_over_the_stack_meant()
        settings()
    except ValidationError as error:
        wrong = error.errors()[0]
        fail(f"setting {'.'.join(map(str, wrong['loc']))}: {wrong['msg']}", Exit.USAGE, as_json=as_json, code="usage")


def balance(text: str, *, as_json: bool) -> "Balance":
    """The token's balance: the free call that shows whether the backend takes it."""
    from config.settings import settings
    from worker.remote.client import Remote
    from worker.remote.errors import RemoteError, TokenGone

    with Remote.from_settings(settings()) as remote:
        try:
            return remote.credits(text)
        except TokenGone:
            refused = "the backend refuses this token\n  → copy it anew from the account's page"
            fail(refused, Exit.FAILED, as_json=as_json, code="token.refused")
        except RemoteError as error:
            unknown = (
                f"the backend did not say whether it takes this token: {error}\n  → --no-check registers it anyway"
            )
            fail(unknown, Exit.FAILED, as_json=as_json, code="backend.unavailable")


def keep(session: "Session", account: "Account", balance: "Balance") -> None:
    """Put the balance of its token, which is on file, with the account."""
    from worker.accounts import store
    from worker.renders import queue

    total = balance.total if balance.total is not None else balance.available + balance.frozen
    asked_at = queue.now(session)
    facts = {"available": balance.available, "frozen": balance.frozen, "total": total}
    store.keep_balance(session, account.id, version=account.token_version, **facts, asked_at=asked_at)


def owner_id(session: "Session", name: str, *, as_json: bool) -> str:
    """The owner of that name; a typing mistake makes none."""
    from worker.owners import store

    found = store.find_owner(session, name)
    if found is None:
        there = ", ".join(store.owner_names(session)) or "none"
        message = f"there is no owner {name} (there are: {there})\n  → vivideo keys create --owner … --new-owner"
        fail(message, Exit.USAGE, as_json=as_json, code="owner.unknown")
    return found.id


@contextmanager
def refusals(*, as_json: bool) -> Generator[None]:
    """What the registry refuses, as sentences with a code and a remedy."""
    from worker.accounts import registry, vault

    try:
        yield
    except registry.AlreadyRegistered as problem:
        name = problem.account.name
        message = f"{name} ({problem.account.id}) has this token already"
        fail(message, Exit.FAILED, as_json=as_json, code="token.registered")
    except registry.NameTaken:
        fail("another account has this name: choose another", Exit.USAGE, as_json=as_json, code="account.exists")
    except registry.StillAtWork as problem:
        fail(_still_at_work(problem.renders, problem.watched), Exit.FAILED, as_json=as_json, code="account.busy")
    except registry.OthersAtWork as problem:
        message = (
            f"{problem.renders} of its renders, which wait since it was removed, are other owners'\n"
            "  → add it without --owner, or cancel those renders first"
        )
        fail(message, Exit.FAILED, as_json=as_json, code="account.busy")
    except registry.NotRegistered:
        message = "the anonymous trial is one per installation: it is paused, not removed or given another token"
        fail(message, Exit.FAILED, as_json=as_json, code="account.anonymous")
    except vault.SecretKeyMissing as problem:
        fail(str(problem), Exit.USAGE, as_json=as_json, code="secret_key.missing")


def _still_at_work(renders: int, watched: int) -> str:
    needing = [f"{renders} of its renders are not final"] if renders else []
    if watched:
        needing.append(f"{watched} of its messages are read on for a day, as their video may turn up late")
    return (
        f"{'; '.join(needing)}: that needs its token\n"
        "  → vivideo accounts pause, and remove it once they are done; --force leaves them without"
    )
