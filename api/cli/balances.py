"""Balances, accounts and usage in words."""

from collections.abc import Sequence

from rich.console import Console

from api.cli.rows import table, when
from api.client import Account, Credits, Usage


def amount(credits: float | None) -> str:
    """1000000.0 as 1,000,000; 12.5 as 12.5; what was never read as ?."""
    return "?" if credits is None else f"{credits:,.2f}".removesuffix("0").removesuffix("0").removesuffix(".")


def show_credits(console: Console, credits: Credits) -> None:
    """One line per account."""
    if not credits.accounts:
        return _none(console)
    rows = [
        (one.name, one.kind, amount(one.available), amount(one.frozen), when(one.read_at) or "never")
        for one in credits.accounts
    ]
    return table(console, ("account", "kind", "available", "in use", "read"), rows)


def show_accounts(console: Console, accounts: Sequence[Account]) -> None:
    """One line per account: its balance, its slots, why it stands still."""
    if not accounts:
        return _none(console)
    rows = [(one.id, one.name, one.kind, amount(one.available), _slots(one), _state(one)) for one in accounts]
    return table(console, ("id", "account", "kind", "available", "slots", "state"), rows)


def show_usage(console: Console, usage: Sequence[Usage]) -> None:
    """One line per span."""
    if not any(one.succeeded + one.failed + one.canceled + one.expired for one in usage):
        console.print('No run ended in that time. Make a video:  vivideo render "a 10-second video about the sea"')
        return
    titles = ("from", "until", "succeeded", "failed", "canceled", "expired", "credits", "unknown", "video")
    table(console, titles, [_used(one) for one in usage])


def _used(one: Usage) -> tuple[str, ...]:
    counts = (one.succeeded, one.failed, one.canceled, one.expired)
    video = f"{one.video_seconds:,.1f} s, {one.video_bytes / 1e6:,.1f} MB"
    return (when(one.since), when(one.until), *map(str, counts), amount(one.credits), str(one.unknown), video)


def _slots(account: Account) -> str:
    return f"{account.slots_in_use} of {account.slots}" if account.slots else f"{account.slots_in_use}"


def _state(account: Account) -> str:
    if account.disabled:
        return "disabled"
    if account.held:
        return "paused: by who runs the service"
    if account.pause_reason or account.paused_until:
        until = f" until {when(account.paused_until)}" if account.paused_until else ""
        return f"paused{until}: {account.pause_reason or 'no reason given'}"
    return "ready"


def _none(console: Console) -> None:
    console.print('No account yet: the first render opens one.  vivideo render "a 10-second video about the sea"')
