"""`vivideo keys …`: made, listed, rotated and revoked in the database itself, by who runs the service."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.database import transaction
from api.cli.groups import group
from api.cli.options import SPAN, Json, span
from api.cli.reporting import Exit, Mistake, fail, show_json, words
from worker.owners.scopes import Scope

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from worker.owners.models import ApiKey, Owner

HELP = """Make and end the keys that callers of the service show. Works on the database, not over HTTP.

\b
  vivideo keys create --name shop --scope renders:write --scope renders:read --expires 90d
  vivideo keys rotate vv_3fA8c --overlap 24h
  vivideo keys revoke vv_3fA8c
"""
PREFIX_CHARACTERS = 8
LONGEST_NAME = 100
MOST = 10**9
"""More is no limit."""
IN_SETTINGS = (
    "this key is the one in VIVIDEO_API_KEY: put another there (for a local stack: remove the file api-key in its state"
    " directory) and restart the API, which revokes the old one"
)

app = group(HELP)


def end(text: str) -> timedelta | datetime:
    """A span from now, or a moment (ISO 8601; UTC where it names no zone). Raises typer.BadParameter."""
    if SPAN.fullmatch(text):
        if not span(text):
            raise typer.BadParameter(f"{text} is over at once")
        return span(text)
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"{text!r} is neither like 90d nor a date like 2027-01-31") from None
    if moment <= datetime.now(UTC):
        raise typer.BadParameter(f"{text} is over")
    return moment


def label(text: str) -> str:
    """A name that a table can show. Raises typer.BadParameter."""
    text = text.strip()
    if not text or len(text) > LONGEST_NAME or not text.isprintable():
        raise typer.BadParameter(f"a name has 1 to {LONGEST_NAME} printable characters")
    return text


Which = Annotated[
    str,
    typer.Argument(metavar="KEY", help="Its prefix (the first 8 characters) or its id (key_…).", show_default=False),
]


@app.command()
def create(
    owner: Annotated[str, typer.Option(parser=label, metavar="NAME", help="Whose renders it sees.")] = "default",
    new_owner: Annotated[bool, typer.Option("--new-owner", help="Make that owner.")] = False,
    name: Annotated[str, typer.Option(parser=label, metavar="NAME", help="To tell it from others.")] = "unnamed",
    scope: Annotated[
        list[Scope] | None, typer.Option(metavar="SCOPE", help="What it may do, several times; all by default.")
    ] = None,
    expires: Annotated[
        Any, typer.Option(parser=end, metavar="WHEN", help="90d, or 2027-01-31 (UTC); never by default.")
    ] = None,
    requests_per_minute: Annotated[
        int | None,
        typer.Option(
            min=0, max=MOST, metavar="N", help="Calls that change something; 0: no limit; as in the settings."
        ),
    ] = None,
    reads_per_minute: Annotated[
        int | None, typer.Option(min=0, max=MOST, metavar="N", help="GET and HEAD, likewise.")
    ] = None,
    renders_in_flight: Annotated[
        int | None, typer.Option(min=1, max=MOST, metavar="N", help="Renders not yet final.")
    ] = None,
    credits_per_day: Annotated[
        float | None, typer.Option(min=100, max=MOST, metavar="N", help="In any 24 hours; a render costs about 100.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a key. It is shown this once: only its hash is kept.

    Scopes: renders:read, renders:write, uploads:write, account:read.

    \b
      vivideo keys create --owner acme --new-owner --name production
      vivideo keys create --scope renders:read --expires 90d
    """
    from worker.database import from_now
    from worker.owners import store
    from worker.owners.limits import Limits

    if name == store.FROM_SETTINGS:
        raise Mistake(f"{name} is the name of the key in the settings: choose another")
    limits = Limits(requests_per_minute, reads_per_minute, renders_in_flight, credits_per_day)
    until = from_now(expires) if isinstance(expires, timedelta) else expires
    with transaction(as_json=as_json) as session:
        whose = _owner(session, owner, new=new_owner, as_json=as_json)
        text = store.new_key(session, whose.id, name, scopes=scope or (), limits=limits, expires_at=until)
        made = store.key(session, text)
        assert made is not None, "it was made valid just now"
        facts = _facts(session, made, owner)
    _show_text(text, facts, as_json=as_json)


@app.command("list")
def listed(
    owner: Annotated[str | None, typer.Option(metavar="NAME", help="Only this owner's.")] = None,
    as_json: Json = False,
) -> None:
    """Show the keys: whose they are, what they may do, when they were used last (to a minute), whether they work."""
    from worker.owners import store

    with transaction(as_json=as_json) as session:
        found = [_facts(session, key, name) for key, name in store.keys(session) if owner in (None, name)]
    if as_json:
        return show_json({"data": found})
    return _show_table(found)


@app.command()
def rotate(
    key: Which,
    overlap: Annotated[
        timedelta, typer.Option(parser=span, metavar="SPAN", help="How long the old text still works; 0: not at all.")
    ] = "24h",  # pyright: ignore[reportArgumentType] - Typer hands it to the parser
    as_json: Json = False,
) -> None:
    """Give a key another text. It stays the same key: its owner, scopes, limits, renders and expiry.

    A text that still works from an earlier rotation ends at once.
    """
    from worker.owners import store

    with transaction(as_json=as_json) as session:
        found = _found(session, key, as_json=as_json)
        try:
            text = store.rotate(session, found, overlap)
        except store.FromSettings:
            fail(IN_SETTINGS, Exit.USAGE, as_json=as_json, code="key.from_settings")
        except store.NoLongerValid:
            gone = f"{found.prefix} is revoked or expired\n  → vivideo keys create"
            fail(gone, Exit.FAILED, as_json=as_json, code="key.not_valid")
        facts = _facts(session, found, _name(session, found))
    _show_text(text, facts, as_json=as_json)


@app.command()
def revoke(key: Which, as_json: Json = False) -> None:
    """End a key for good. It is refused at the latest three seconds later; what it asked for goes on."""
    from worker.owners import store

    with transaction(as_json=as_json) as session:
        found = _found(session, key, as_json=as_json)
        try:
            store.revoke(session, found)
        except store.FromSettings:
            fail(IN_SETTINGS, Exit.USAGE, as_json=as_json, code="key.from_settings")
        facts = _facts(session, found, _name(session, found))
    if as_json:
        return show_json(facts)
    return words().print(f"{facts['prefix']} revoked ({facts['owner']}, {facts['name']})", markup=False)


def _owner(session: "Session", name: str, *, new: bool, as_json: bool) -> "Owner":
    """The owner meant. A typing mistake makes none, and a new one is not somebody else."""
    from worker.owners import store

    found = store.find_owner(session, name)
    if found is None and not new:
        there = ", ".join(store.owner_names(session)) or "none"
        message = f"there is no owner {name} (there are: {there})\n  → --new-owner makes one"
        fail(message, Exit.USAGE, as_json=as_json, code="owner.unknown")
    if found is not None and new:
        message = f"there is an owner {name} already\n  → leave --new-owner out, or choose another name"
        fail(message, Exit.USAGE, as_json=as_json, code="owner.exists")
    return found or store.owner(session, name)


def _found(session: "Session", reference: str, *, as_json: bool) -> "ApiKey":
    from worker.owners import store

    if reference.startswith("vv_") and len(reference) > PREFIX_CHARACTERS:
        raise Mistake(
            "that may be a key itself, which belongs on no command line: give its first 8 characters, or its id"
        )
    found = store.named(session, reference)
    if not found:
        fail(f"there is no key {reference}\n  → vivideo keys list", Exit.FAILED, as_json=as_json, code="key.unknown")
    if len(found) > 1:
        ids = ", ".join(key.id for key in found)
        fail(
            f"{reference} is the prefix of several: give an id ({ids})",
            Exit.USAGE,
            as_json=as_json,
            code="key.ambiguous",
        )
    return found[0]


def _name(session: "Session", key: "ApiKey") -> str:
    from worker.owners.models import Owner

    return session.get_one(Owner, key.owner_id).name


def _facts(session: "Session", key: "ApiKey", owner: str) -> dict[str, Any]:
    """All about a key but its text."""
    from worker.owners import store

    moments = ("created_at", "last_used_at", "expires_at", "revoked_at")
    state, old_until = store.standing(session, key)
    return {
        "id": key.id,
        "prefix": key.prefix,
        "owner": owner,
        "name": key.name,
        "state": state,
        "scopes": list(key.scopes),
        "limits": dict(key.limits),
        **{moment: _moment(getattr(key, moment)) for moment in moments},
        "old_text_until": _moment(old_until),
    }


def _moment(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z") if moment else None


def _show_text(text: str, facts: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        return show_json({"key": text, **facts})
    from api.cli.rows import fields

    shown = [("key", text), *((name.replace("_", " "), _cell(value)) for name, value in facts.items() if value)]
    fields(words(), shown)
    return words().print("\nKeep the key now: it is not shown again.", markup=False)


def _show_table(found: Sequence[dict[str, Any]]) -> None:
    if not found:
        return words().print("No keys here. Make one:  vivideo keys create --name mine", markup=False)
    from api.cli.rows import table

    titles = ("prefix", "owner", "name", "state", "scopes", "limits", "created_at", "last_used_at", "expires_at")
    rows = [[_state(one) if title == "state" else _cell(one[title]) for title in titles] for one in found]
    return table(words(), [title.removesuffix("_at").replace("_", " ") for title in titles], rows)


def _state(facts: dict[str, Any]) -> str:
    return f"{facts['state']}, old text until {facts['old_text_until']}" if facts["old_text_until"] else facts["state"]


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case dict():
            return ", ".join(f"{name} {number:g}" for name, number in value.items())
        case list():
            return " ".join(value) or "all"
        case _:
            return str(value)
