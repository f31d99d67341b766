"""Publishers and publications in words."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from api.cli.rows import Cell, fields, table, when
from api.client import Publication, Publisher, PublishError

COLOURS = {"published": "green", "failed": "red", "superseded": "dim"}


def show_publishers(console: Console, found: Sequence[Publisher]) -> None:
    """A table, newest first, or how to get a first row."""
    if not found:
        example = "vivideo publishers create shopify --shop NAME.myshopify.com --token-from FILE"
        return console.print(f"No publishers here. Make one:  {example}", markup=False)
    cells = [(one.id, one.kind, _place(one), one.name or "", _state(one), when(one.succeeded_at)) for one in found]
    return table(console, ("id", "kind", "place", "name", "state", "last brought"), cells)


def show_publisher(console: Console, one: Publisher) -> None:
    """Everything a person asks about one."""
    settings = [(name.replace("_", " "), _word(value)) for name, value in one.settings.items()]
    named: list[tuple[str, Cell | None]] = [
        ("id", one.id),
        ("kind", one.kind),
        ("name", one.name),
        *settings,
        ("state", _state(one)),
        ("failing since", when(one.failing_since)),
        *_why(one.error),
        ("waits until", when(one.quiet_until)),
        ("last brought", when(one.succeeded_at)),
        ("secret", one.secret and f"{one.secret}   (shown this once)"),
        ("created", when(one.created_at)),
        ("check", f"vivideo publishers check {one.id}"),
        ("publications", f"vivideo publications list --publisher {one.id}"),
    ]
    fields(console, named)


def show_publications(console: Console, found: Sequence[Publication]) -> None:
    """A table, newest first, or how there comes to be a row."""
    if not found:
        return console.print("No publications here. Ask for one:  vivideo publications ask pub_… rnd_…", markup=False)
    titles = ("id", "product", "render", "state", "why", "created")
    cells = [
        (one.id, one.ref, one.render_id, _outcome(one), one.error.code if one.error else "", when(one.created_at))
        for one in found
    ]
    return table(console, titles, cells)


def show_publication(console: Console, one: Publication) -> None:
    """One with its product, and why it does not go."""
    product = " ".join(f"{name}={value}" for name, value in one.product.items())
    named: list[tuple[str, Cell | None]] = [
        ("id", one.id),
        ("publisher", one.publisher_id),
        ("render", one.render_id),
        ("reference", one.ref),
        ("product", product),
        ("state", _outcome(one)),
        ("step", one.step if one.state == "pending" else None),
        ("in the shop", one.media_id),
        ("tries", str(one.tries) if one.tries else None),
        *_why(one.error),
        ("remark", one.remark),
        ("next try", when(one.next_try_at)),
        ("created", when(one.created_at)),
        ("ended", when(one.finished_at)),
        ("again", f"vivideo publications retry {one.id}" if one.state == "failed" else None),
    ]
    fields(console, named)


def _why(error: PublishError | None) -> list[tuple[str, Cell | None]]:
    if error is None:
        return []
    return [("why", f"{error.message} [{error.code}]".strip()), ("remedy", error.help)]


def _place(one: Publisher) -> str:
    return str(one.settings.get("shop") or one.settings.get("url") or "")


def _state(one: Publisher) -> Text:
    if not one.enabled:
        return Text("disabled", style="red")
    return Text("failing", style="yellow") if one.failing_since else Text("enabled", style="green")


def _outcome(one: Publication) -> Text:
    return Text(one.state, style=COLOURS.get(one.state, ""))


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)
