"""`vivideo accounts …`: tokens registered, held, resumed, removed in the database itself, by who runs the service."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli import registering
from api.cli.database import transaction
from api.cli.keys import MOST, label
from api.cli.options import Json
from api.cli.reporting import Exit, Mistake, connected, fail, show_json, words

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from worker.accounts.models import Account

HELP = """Show the accounts your renders may use, and manage them.

Without a command it asks the service, as your key may see them. The commands work on the database, not over HTTP.

\b
  vivideo accounts                                  balances, slots, pauses
  vivideo accounts add --name shop < token.txt      register a token
  vivideo accounts pause shop                       take nothing new, send nothing
"""

app = typer.Typer(rich_markup_mode=None)

Which = Annotated[str, typer.Argument(metavar="ACCOUNT", help="Its name or its id (acc_…).", show_default=False)]


@app.callback(invoke_without_command=True, help=HELP)
def top(context: typer.Context, as_json: Json = False) -> None:
    """Without a command: over HTTP, what the key may see."""
    if context.invoked_subcommand is not None:
        return None
    with connected(as_json=as_json) as client:
        found = client.accounts()
        if as_json:
            return show_json({"data": [account.to_dict() for account in found]})
        from api.cli import balances

        return balances.show_accounts(words(), found)


@app.command()
def add(
    name: Annotated[
        str | None, typer.Option(parser=label, metavar="NAME", help="To tell it from others; a number by default.")
    ] = None,
    owner: Annotated[
        str | None, typer.Option(metavar="NAME", help="Whose renders alone may use it; all by default.")
    ] = None,
    slots: Annotated[
        int | None,
        typer.Option(min=0, max=MOST, metavar="N", help="Renders in flight at once; 0: no limit; as in the settings."),
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option("--token-file", metavar="FILE", help="Read the token there.")
    ] = None,
    replaces: Annotated[
        str | None, typer.Option(metavar="ACCOUNT", help="Give that account, as it is, this token in place of its own.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check/--no-check", help="Ask the backend for its balance first, which costs nothing.")
    ] = True,
    misplaced: Annotated[list[str] | None, typer.Argument(hidden=True)] = None,
    as_json: Json = False,
) -> None:
    """Register a token, read from standard input, from a file, or asked for without an echo; never an argument.

    \b
      vivideo accounts add --name shop --slots 20 < token.txt
      vivideo accounts add --token-file /run/secrets/token --owner acme
      vivideo accounts add --replaces shop
    """
    from worker.accounts import registry

    if replaces is not None and not (name is owner is slots is None):
        raise Mistake("--replaces keeps the account's name, owner and slots: leave out --name, --owner and --slots")
    token = registering.token(token_file, misplaced or ())
    registering.prepare(as_json=as_json)
    balance = registering.balance(token, as_json=as_json) if check else None
    with transaction(as_json=as_json) as session, registering.refusals(as_json=as_json):
        if replaces is not None:
            account = _found(session, replaces, as_json=as_json)
            registry.replace(session, account, token)
        else:
            owner_id = registering.owner_id(session, owner, as_json=as_json) if owner else None
            called = name or registry.free_name(session)
            account = registry.add(session, token, name=called, owner_id=owner_id, slots=slots)
        if balance is not None:
            registering.keep(session, account, balance)
        facts = _facts(session, account.id)
    _say(f"{facts['name']} registered ({facts['id']}, token {facts['token']})", facts, as_json=as_json)


@app.command("list")
def listed(as_json: Json = False) -> None:
    """Show every account, removed ones too: balance and its age, slots, what stands still and why.

    \b
      vivideo accounts list --json
    """
    from api.cli import account_rows

    registering.prepare(as_json=as_json)
    with transaction(as_json=as_json) as session:
        found = account_rows.facts(session)
    return show_json({"data": found}) if as_json else account_rows.show(words(), found)


@app.command()
def pause(account: Which, as_json: Json = False) -> None:
    """Let an account take nothing new and send no message until it is resumed. What is past its message goes on.

    \b
      vivideo accounts pause shop
    """
    from worker.accounts import registry

    with transaction(as_json=as_json) as session:
        found = _found(session, account, as_json=as_json)
        registry.hold(session, found)
        facts = _facts(session, found.id)
    _say(f"{facts['name']} paused: its renders wait until `vivideo accounts resume`", facts, as_json=as_json)


@app.command()
def resume(account: Which, as_json: Json = False) -> None:
    """Let an account work again, whyever it stands still: a token that was refused is tried once more.

    \b
      vivideo accounts resume shop
    """
    from worker.accounts import registry

    with transaction(as_json=as_json) as session:
        found = _found(session, account, as_json=as_json)
        if found.disabled_at is not None:
            gone = f"{found.name} is removed\n  → vivideo accounts add, with its token"
            fail(gone, Exit.FAILED, as_json=as_json, code="account.removed")
        woken = registry.resume(session, found)
        facts = _facts(session, found.id)
    _say(f"{facts['name']} resumed: {woken} of its renders go on at once", facts, as_json=as_json)


@app.command()
def remove(
    account: Which,
    force: Annotated[bool, typer.Option("--force", help="Also while renders or a late video need its token.")] = False,
    as_json: Json = False,
) -> None:
    """Take an account out of use and erase its token. Its row stays, for the books.

    \b
      vivideo accounts remove shop
    """
    from worker.accounts import registry

    with transaction(as_json=as_json) as session, registering.refusals(as_json=as_json):
        found = _found(session, account, as_json=as_json)
        registry.remove(session, found, force=force)
        facts = _facts(session, found.id)
    _say(f"{facts['name']} removed, its token erased", facts, as_json=as_json)


def _found(session: "Session", reference: str, *, as_json: bool) -> "Account":
    from worker.accounts import registry

    found = registry.named(session, reference)
    if not found:
        none = f"there is no account of that name or id: {reference}\n  → vivideo accounts list"
        fail(none, Exit.FAILED, as_json=as_json, code="account.unknown")
    if len(found) > 1:
        ids = ", ".join(account.id for account in found)
        several = f"{reference} is the name of several: give an id ({ids})"
        fail(several, Exit.USAGE, as_json=as_json, code="account.ambiguous")
    return found[0]


def _facts(session: "Session", account_id: str) -> dict[str, Any]:
    from api.cli import account_rows

    return next(one for one in account_rows.facts(session) if one["id"] == account_id)


def _say(sentence: str, facts: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        return show_json(facts)
    return words().print(sentence, markup=False)
