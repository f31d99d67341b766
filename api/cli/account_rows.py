"""Accounts as who runs the service sees them: all of them, with everything but their tokens."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from api.cli.balances import amount
from api.cli.rows import table

if TYPE_CHECKING:
    from rich.console import Console
    from sqlalchemy.orm import Session

    from worker.accounts.models import Account
    from worker.accounts.registry import Listed

SHOWN = 4
"""Last characters of a token: enough to tell two apart."""
LEAST_HIDDEN = 12
"""A token is not shown at all unless so much of it stays hidden."""


def facts(session: "Session") -> list[dict[str, Any]]:
    """Every account, removed ones too, oldest first."""
    from sqlalchemy import func, select

    from worker.accounts import registry

    now = session.execute(select(func.now())).scalar_one()
    return [_facts(one, now) for one in registry.listed(session)]


def _facts(one: "Listed", now: datetime) -> dict[str, Any]:
    account = one.account
    state, reason, until = _standing(account, now)
    read = account.balance_read_at
    return {
        "id": account.id,
        "name": account.name,
        "kind": account.kind,
        "owner": one.owner,
        "state": state,
        "reason": reason,
        "paused_until": _moment(until),
        "token": _masked(account.token_encrypted),
        "available": account.balance_available,
        "frozen": account.balance_frozen,
        "total": account.balance_total,
        "reserved": one.reserved,
        "read_at": _moment(read),
        "read_seconds_ago": round((now - read).total_seconds()) if read else None,
        "slots": account.slots,
        "slots_in_use": one.slots_in_use,
        "created_at": _moment(account.created_at),
    }


def _standing(account: "Account", now: datetime) -> tuple[str, str | None, datetime | None]:
    """`ready`, `paused` or `removed`; why it is paused, and until when."""
    from worker.accounts import pauses

    if account.disabled_at is not None:
        return "removed", None, None
    if account.held_at is not None:
        return "paused", "paused", None
    reason, until = pauses.standstill(account, now)
    return ("paused" if reason else "ready"), reason, until


def show(console: "Console", found: Sequence[dict[str, Any]]) -> None:
    """A line each; with none, how to get one."""
    if not found:
        console.print("No account yet: the first migration makes one. Or:  vivideo accounts add --name mine")
        return
    titles = ("id", "name", "owner", "token", "state", "available", "read", "slots")
    table(console, titles, [_row(one) for one in found])


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    slots = f"{one['slots_in_use']} of {one['slots']}" if one["slots"] else str(one["slots_in_use"])
    return (
        one["id"],
        one["name"],
        one["owner"] or ("all" if one["kind"] == "registered" else "all (trial)"),
        one["token"] or "",
        _state(one),
        amount(one["available"]),
        _age(one["read_seconds_ago"]),
        slots,
    )


def _state(one: dict[str, Any]) -> str:
    why = {"paused": "by hand", "token": "token refused", None: ""}.get(one["reason"], one["reason"])
    until = f" until {one['paused_until']}" if one["paused_until"] else ""
    return f"{one['state']}{until}: {why}" if why else f"{one['state']}{until}"


def _age(seconds: int | None) -> str:
    if seconds is None:
        return "never"
    return f"{seconds} s ago" if seconds < 120 else f"{seconds // 60:,} min ago"


def _masked(locked: bytes | None) -> str | None:
    """The token's last characters; None without a token, dots alone where it cannot or must not be read."""
    from worker.accounts import vault

    if locked is None:
        return None
    try:
        text = vault.unlock(locked)
    except (vault.SecretKeyMissing, vault.SecretKeyChanged):
        return "…"
    return f"…{text[-SHOWN:]}" if len(text) >= LEAST_HIDDEN + SHOWN else "…"


def _moment(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z") if moment else None
