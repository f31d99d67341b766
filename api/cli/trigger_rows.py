"""Triggers and their messages for people."""

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urljoin

from rich.console import Console

from api.cli import rows
from api.client import Trigger, TriggerDelivery, TriggerTrial

_SHOWN = 20_000
"""Characters of a body; --json has all of it."""
_REMARKABLE = ("include", "ref_prefix", "language", "tags")


def show_list(console: Console, found: Sequence[Trigger]) -> None:
    """A row for each."""
    if not found:
        example = "vivideo triggers create --style shopify --template NAME --secret -"
        return console.print(f"No triggers here. Take one on:  {example}", markup=False)
    titles = ("id", "name", "style", "template", "state", "created")
    cells = [(one.id, one.name or "", one.style, one.template, _state(one), rows.when(one.created_at)) for one in found]
    return rows.table(console, titles, cells)


def show(console: Console, found: Trigger, base_url: str) -> None:
    """One, with the address that its source is given, and its secret where the answer has it."""
    named: list[tuple[str, rows.Cell | None]] = [
        ("id", found.id),
        ("name", found.name),
        ("style", found.style),
        ("template", found.template),
        ("state", _state(found)),
        ("address", urljoin(f"{base_url}/", found.links.get("deliveries", ""))),
        ("secret", found.secret and f"{found.secret}   (shown this once)"),
        ("secret before", found.previous_secret_until and f"until {rows.when(found.previous_secret_until)}"),
        ("topics", _topics(found)),
        *((name.replace("_", " "), _words(found.options.get(name))) for name in _REMARKABLE),
        ("publisher", found.publisher_id),
        ("created", rows.when(found.created_at)),
    ]
    rows.fields(console, named)
    _parts(console, found)


def _parts(console: Console, found: Trigger) -> None:
    mapped = [(name, _words(place)) for name, place in found.mapping.get("variables", {}).items()]
    mapped += [(name, _words(place)) for name, place in found.mapping.items() if name != "variables" and place]
    if mapped:
        console.print()
        rows.table(console, ("mapped", "from"), mapped)
    if found.conditions:
        console.print()
        rows.table(console, ("only if", "", ""), [_condition(one) for one in found.conditions])


def show_deliveries(console: Console, found: Sequence[TriggerDelivery], verdict: str | None) -> None:
    """A row for each."""
    if not found:
        which = f"No {verdict} messages" if verdict else "No messages yet"
        return console.print(f"{which}. Try one out:  vivideo triggers test ID FILE", markup=False)
    titles = ("id", "received", "topic", "verdict", "reference", "render")
    cells = [
        (
            one.id,
            rows.when(one.received_at),
            one.topic or "",
            _verdict(one),
            one.external_ref or "",
            one.render_id or "",
        )
        for one in found
    ]
    return rows.table(console, titles, cells)


def show_delivery(console: Console, found: TriggerDelivery) -> None:
    """One, its headers and its body."""
    named: list[tuple[str, rows.Cell | None]] = [
        ("id", found.id),
        ("trigger", found.trigger_id),
        ("received", rows.when(found.received_at)),
        ("sent", rows.when(found.sent_at)),
        ("came again", f"{found.duplicates} times" if found.duplicates else None),
        ("replay of", found.replay_of),
        ("next try", rows.when(found.retry_at)),
        *_outcome(found),
    ]
    rows.fields(console, named)
    if found.headers:
        console.print()
        rows.table(console, ("header", "value"), list(found.headers.items()))
    if found.body:
        console.print()
        console.print(_tidy(found.body), markup=False, highlight=False, soft_wrap=True)


def show_trial(console: Console, found: TriggerTrial) -> None:
    """What would be made, or why nothing."""
    made = f"{found.template}, {found.language}" if found.template and found.language else found.template
    named: list[tuple[str, rows.Cell | None]] = [*_outcome(found), ("template", made), ("prompt", found.prompt)]
    pictures = [("picture", one) for one in found.pictures]
    rows.fields(console, [*named, *pictures, ("kept", "nothing; nothing was charged")])


def _outcome(found: TriggerDelivery | TriggerTrial) -> list[tuple[str, rows.Cell | None]]:
    return [
        ("verdict", _verdict(found)),
        ("why", found.detail),
        ("topic", found.topic),
        ("reference", found.external_ref),
        ("revision", None if found.revision is None else str(found.revision)),
        ("product", " ".join(f"{name}={value}" for name, value in found.product.items())),
        ("render", found.render_id),
    ]


def _verdict(found: TriggerDelivery | TriggerTrial) -> str:
    return f"{found.verdict} ({found.code})" if found.code else found.verdict


def _state(found: Trigger) -> str:
    return "paused" if found.paused else "active"


def _topics(found: Trigger) -> str:
    return "the style's own" if found.topics is None else ", ".join(found.topics) or "none"


def _condition(one: dict[str, Any]) -> tuple[str, str, str]:
    name = next((name for name in one if name != "pointer"), "")
    return str(one.get("pointer", "")) or "(the whole)", name, "" if name == "changed" else _compared(one.get(name))


def _compared(value: Any) -> str:
    return "null" if value is None else _words(value)


def _words(value: Any) -> str:
    if isinstance(value, str):
        return value
    empty = value is None or value == [] or value == {}
    return "" if empty else json.dumps(value, ensure_ascii=False)


def _tidy(body: str) -> str:
    """JSON over several lines; what is none as it came. No command of a terminal's is left in it."""
    try:
        text = json.dumps(json.loads(body), ensure_ascii=False, indent=2)
    except (ValueError, RecursionError):
        text = body
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}\n… ({len(text):,} characters; --json has all of them)"
    return "".join(one if one.isprintable() or one in "\n\t" else "�" for one in shown)
