"""Renders and balances in words."""

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from api.cli.progress import label

COLOURS = {"succeeded": "green", "failed": "red", "expired": "red", "canceled": "yellow", "waiting": "yellow"}


def amount(credits: float) -> str:
    """1000000.0 as 1,000,000; 12.5 as 12.5."""
    return f"{credits:,.2f}".removesuffix("0").removesuffix("0").removesuffix(".")


def show_renders(console: Console, renders: list[dict[str, Any]]) -> None:
    """A table, newest first, or how to get a first row."""
    if not renders:
        console.print('No renders here. Make one:  vivideo render "a 10-second video about the sea"', highlight=False)
        return
    table = Table(box=None, pad_edge=False)
    for title in ("id", "reference", "state", "progress", "created"):
        table.add_column(title, no_wrap=title == "id")  # an id that is cut off cannot be copied
    for render in renders:
        state = Text(label(render), style=COLOURS.get(render["status"], ""))
        created = render["created_at"][:19].replace("T", " ") + "Z"
        table.add_row(render["id"], Text(render["external_ref"] or ""), state, f"{render['progress']:.0%}", created)
    console.print(table)


def show_render(console: Console, render: dict[str, Any]) -> None:
    """Everything a person asks about one render."""
    result = render["result"]
    charge = render["charge"]
    lines: list[tuple[str, Any]] = [
        ("id", render["id"]),
        ("state", label(render)),
        ("progress", f"{render['progress']:.0%}"),
        ("reference", render["external_ref"]),
        ("prompt", render["prompt"]),
        ("answer", render["answer"]),
        ("timeline", render["timeline"]),
        ("video", f"{result['width']}×{result['height']}, {result['duration']:.1f} s" if result else None),
        ("file", render.get("file")),
        ("charge", f"{amount(charge['credits'])} credits" if charge["credits"] is not None else charge["state"]),
        ("error", _error(render)),
        *(("hint", hint["message"]) for hint in render["hints"]),
    ]
    for name, value in lines:
        if value:
            console.print(Text(f"{name:>10}  ", style="dim") + Text(str(value)), highlight=False)


def show_outcome(console: Console, render: dict[str, Any]) -> None:
    """What came of a render: the file, or the error with its remedy."""
    if "file" in render:
        result = render["result"]
        facts = f"{result['width']}×{result['height']}, {result['duration']:.1f} s, {result['bytes'] / 1e6:.1f} MB"
        console.print(Text(render["file"], style="green") + Text(f"  {facts}"), highlight=False)
    else:
        words = _error(render) or render["cancel_effect"] or ""
        console.print(
            Text(f"{render['id']} {render['status']}", style=COLOURS.get(render["status"], "")) + Text(f"  {words}"),
            highlight=False,
        )


def show_credits(console: Console, accounts: list[dict[str, Any]]) -> None:
    """One line per account."""
    if not accounts:
        console.print("No account yet: the first render opens one.", highlight=False)
        return
    table = Table(box=None, pad_edge=False)
    for title in ("account", "kind", "available", "in use", "read"):
        table.add_column(title)
    for account in accounts:
        known = account["read_at"] is not None
        read = account["read_at"][:19].replace("T", " ") + "Z" if known else "never"
        available, frozen = (amount(account[name] or 0) if known else "?" for name in ("available", "frozen"))
        table.add_row(Text(account["name"]), account["kind"], available, frozen, read)
    console.print(table)


def _error(render: dict[str, Any]) -> str | None:
    error = render["error"]
    if not error:
        return None
    remedy = f" → {error['help']}" if error["help"] else ""
    return f"{error['message']}{remedy} [{error['code']}]"
