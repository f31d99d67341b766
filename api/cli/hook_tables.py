"""Webhook endpoints and deliveries in words."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from api.cli.rows import Cell, fields, table, when
from api.client import WebhookAttempt, WebhookDelivery, WebhookEndpoint

COLOURS = {"delivered": "green", "failed": "red", "superseded": "dim"}


def show_endpoints(console: Console, endpoints: Sequence[WebhookEndpoint]) -> None:
    """A table, newest first, or how to get a first row."""
    if not endpoints:
        console.print(
            "No webhook endpoints here. Make one:  vivideo hooks create https://shop.example/hooks\n"
            "Without a public address:  vivideo hooks listen --forward-to http://localhost:3000/hooks",
            markup=False,
        )
        return
    rows = [(one.id, _state(one), _lately(one), _events(one), one.url, one.description or "") for one in endpoints]
    table(console, ("id", "state", "last 24 h", "events", "address", ""), rows)


def show_endpoint(console: Console, one: WebhookEndpoint) -> None:
    """Everything a person asks about one endpoint."""
    health, disabled = one.health, one.disabled
    named: list[tuple[str, Cell | None]] = [
        ("id", one.id),
        ("address", one.url),
        ("description", one.description),
        ("events", _events(one)),
        ("state", _state(one)),
        ("since", when(disabled.at) if disabled else when(health.failing_since)),
        ("remedy", disabled.remedy if disabled else None),
        ("last 24 h", _lately(one)),
        ("quiet until", when(health.quiet_until)),
        ("last taken", when(health.last_success_at)),
        ("last failed", when(health.last_failure_at)),
        ("last try", f"{health.last_seconds:.2f} s" if health.last_seconds is not None else None),
        ("secret", one.secret),
        ("old secret until", when(one.previous_secret_until)),
        ("created", when(one.created_at)),
        ("deliveries", f"vivideo hooks deliveries --endpoint {one.id}"),
    ]
    fields(console, named)


def show_deliveries(console: Console, deliveries: Sequence[WebhookDelivery]) -> None:
    """A table, newest first, or how there comes to be a row."""
    if not deliveries:
        console.print("No deliveries here. A test event:  vivideo hooks trigger render.succeeded --endpoint whe_…")
        return
    rows = [
        (one.id, one.type, one.subject, _delivery_state(one), str(one.tries), _last(one), when(one.created_at))
        for one in deliveries
    ]
    table(console, ("id", "event", "about", "state", "tries", "last answer", "created"), rows)


def show_delivery(console: Console, one: WebhookDelivery) -> None:
    """A delivery with each of its tries."""
    again = f"vivideo hooks resend {one.id}" if one.state != "pending" else None
    named: list[tuple[str, Cell | None]] = [
        ("id", one.id),
        ("event", f"{one.type}{' (a test)' if one.test else ''}"),
        ("about", one.subject),
        ("endpoint", one.endpoint_id),
        ("state", _delivery_state(one)),
        ("tries", str(one.tries)),
        ("last answer", _last(one)),
        ("next try", when(one.next_try_at)),
        ("created", when(one.created_at)),
        ("ended", when(one.ended_at)),
        ("body", one.body),
        *((f"try {attempt.number}", _attempt(attempt)) for attempt in one.attempts),
        ("again", again),
    ]
    fields(console, named)


def _state(one: WebhookEndpoint) -> Text:
    if one.disabled is not None:
        return Text(f"disabled: {one.disabled.reason}", style="red")
    return Text("failing", style="yellow") if one.health.failing_since else Text("enabled", style="green")


def _lately(one: WebhookEndpoint) -> str:
    last = one.last_day
    counts = ((last.delivered, "delivered"), (last.failed, "failed"), (last.pending, "pending"))
    said = ", ".join(f"{count} {name}" for count, name in counts if count) or "nothing"
    return said if last.complete else f"{said} of the newest"


def _events(one: WebhookEndpoint) -> str:
    return "as each render says" if one.kind == "render" else " ".join(one.events)


def _delivery_state(one: WebhookDelivery) -> Text:
    return Text(one.state, style=COLOURS.get(one.state, ""))


def _last(one: WebhookDelivery) -> str:
    return " ".join(str(said) for said in (one.last_status, one.last_error) if said)


def _attempt(one: WebhookAttempt) -> str:
    outcome = " ".join(str(said) for said in (one.status, one.error) if said)
    answer = f"  {one.answer.strip()[:200]}" if one.answer and one.answer.strip() else ""
    return f"{when(one.started_at)}  {outcome or 'no answer'}  {one.seconds:.2f} s{answer}"
