"""`vivideo hooks …`: where events go, what was sent there, and events on one's own machine."""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from api.cli.groups import group
from api.cli.listening.command import Events, listen
from api.cli.options import Json, Since, span
from api.cli.reporting import Mistake, connected, show_json, words

if TYPE_CHECKING:
    from api.client import WebhookEndpoint

HELP = """Have events sent to an address, and see what came of it.

\b
  vivideo hooks listen --forward-to http://localhost:3000/hooks
  vivideo hooks create https://shop.example/hooks --events render.succeeded
  vivideo hooks deliveries --state failed
  vivideo hooks resend --endpoint whe_… --since 24h
"""
PAGE = 200

app = group(HELP)

EndpointId = Annotated[str, typer.Argument(metavar="ID", help="whe_…", show_default=False)]
Endpoint = Annotated[str | None, typer.Option(metavar="ID", help="whe_…")]
Description = Annotated[str | None, typer.Option(help="For people.")]
Secret = Annotated[str | None, typer.Option(metavar="whsec_…", help="One of your own; left out, it is made.")]
State = Literal["pending", "delivered", "failed", "superseded"]

app.command()(listen)


@app.command("list")
def listed(as_json: Json = False) -> None:
    """List your endpoints: how they do, and what lately became of what was sent."""
    with connected(as_json=as_json) as client:
        found = list(client.iter_webhook_endpoints())
        if as_json:
            return show_json({"data": [one.to_dict() for one in found]})
        from api.cli import hook_tables

        return hook_tables.show_endpoints(words(), found)


@app.command()
def create(
    url: Annotated[str, typer.Argument(metavar="URL", help="https, outside development.", show_default=False)],
    events: Events = None,
    description: Description = None,
    secret: Secret = None,
    idempotency_key: Annotated[
        str | None, typer.Option(help="A text of your own: repeated with it, the command finds the same endpoint.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Have events sent to an address; by default how each render and batch ended.

    Shows the secret that the receiver checks with; `hooks secret` shows it again.

    \b
      vivideo hooks create https://shop.example/hooks --events render.succeeded --events render.failed
    """
    with connected(as_json=as_json) as client:
        made = client.create_webhook_endpoint(
            url, events=events, description=description, secret=secret, idempotency_key=idempotency_key
        )
        _show(made, as_json=as_json)


@app.command()
def show(endpoint_id: EndpointId, as_json: Json = False) -> None:
    """Show an endpoint: whether it takes what is sent, and if it gets nothing, why and what to do."""
    with connected(as_json=as_json) as client:
        _show(client.webhook_endpoint(endpoint_id), as_json=as_json)


@app.command()
def update(
    endpoint_id: EndpointId,
    url: Annotated[str | None, typer.Option(metavar="URL", help="What is on its way goes there too.")] = None,
    events: Events = None,
    description: Description = None,
    as_json: Json = False,
) -> None:
    """Change an endpoint's address, events or description; what is left out stays."""
    given: dict[str, Any] = {"url": url, "events": events, "description": description}
    changes = {name: value for name, value in given.items() if value is not None}
    if not changes:
        raise Mistake("nothing to change: give --url, --events or --description")
    with connected(as_json=as_json) as client:
        _show(client.change_webhook_endpoint(endpoint_id, **changes), as_json=as_json)


@app.command()
def enable(endpoint_id: EndpointId, as_json: Json = False) -> None:
    """Send to an endpoint again. What it missed: `hooks resend --endpoint ID --since …`."""
    with connected(as_json=as_json) as client:
        _show(client.change_webhook_endpoint(endpoint_id, enabled=True), as_json=as_json)


@app.command()
def disable(endpoint_id: EndpointId, as_json: Json = False) -> None:
    """Send nothing to an endpoint until it is enabled."""
    with connected(as_json=as_json) as client:
        _show(client.change_webhook_endpoint(endpoint_id, enabled=False), as_json=as_json)


@app.command()
def delete(endpoint_id: EndpointId, as_json: Json = False) -> None:
    """Delete an endpoint with all that was sent there, and what still was to be."""
    with connected(as_json=as_json) as client:
        client.delete_webhook_endpoint(endpoint_id)
        if as_json:
            return show_json({"deleted": endpoint_id})
        return words().print(f"{endpoint_id} is deleted", markup=False)


@app.command()
def rotate(
    endpoint_id: EndpointId,
    overlap: Annotated[
        timedelta, typer.Option(parser=span, metavar="SPAN", help="How long both secrets sign; 0 after a leak.")
    ] = "24h",  # pyright: ignore[reportArgumentType] - Typer hands it to the parser
    secret: Secret = None,
    as_json: Json = False,
) -> None:
    """Replace an endpoint's secret, and show the new one.

    A second rotation during the overlap ends the first secret at once.
    """
    with connected(as_json=as_json) as client:
        seconds = int(overlap.total_seconds())
        made = client.rotate_webhook_secret(endpoint_id, overlap_seconds=seconds, secret=secret)
        _show(made, as_json=as_json)


@app.command()
def secret(endpoint_id: EndpointId, as_json: Json = False) -> None:
    """Print what signs for an endpoint: one secret on a line, during a rotation two, the newer first."""
    with connected(as_json=as_json) as client:
        found = client.webhook_secret(endpoint_id)
        if as_json:
            return show_json(found.to_dict())
        console = words()
        for one in (found.secret, found.previous_secret):
            if one:
                console.print(one, markup=False)
        return None


@app.command()
def deliveries(
    endpoint: Endpoint = None,
    render: Annotated[str | None, typer.Option(metavar="ID", help="rnd_…: its own events.")] = None,
    batch: Annotated[str | None, typer.Option(metavar="ID", help="bat_…: its own events.")] = None,
    state: Annotated[State | None, typer.Option(help="These alone.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=PAGE, help="How many of the newest.")] = 50,
    as_json: Json = False,
) -> None:
    """List what was to be sent, newest first."""
    if render and batch:
        raise Mistake("an event is about a render or a batch: give --render or --batch")
    with connected(as_json=as_json) as client:
        page = client.webhook_deliveries(
            endpoint_id=endpoint, render_id=render, batch_id=batch, state=state, limit=limit
        )
        if as_json:
            return show_json(page.to_dict())
        from api.cli import hook_tables

        return hook_tables.show_deliveries(words(), page.data)


@app.command()
def delivery(
    delivery_id: Annotated[str, typer.Argument(metavar="ID", help="msg_…", show_default=False)], as_json: Json = False
) -> None:
    """Show what was sent, each try with its answer, and when the next one is."""
    with connected(as_json=as_json) as client:
        found = client.webhook_delivery(delivery_id)
        if as_json:
            return show_json(found.to_dict())
        from api.cli import hook_tables

        return hook_tables.show_delivery(words(), found)


@app.command()
def resend(
    delivery_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="msg_…", show_default=False)] = None,
    endpoint: Endpoint = None,
    since: Since = None,
    everything: Annotated[bool, typer.Option("--all", help="Also what was delivered.")] = False,
    as_json: Json = False,
) -> None:
    """Send one again, or all that an endpoint missed since a moment; under the same ids.

    \b
      vivideo hooks resend msg_…
      vivideo hooks resend --endpoint whe_… --since 24h
    """
    if (delivery_id is None) == (endpoint is None) or (endpoint is None) != (since is None):
        raise Mistake("give one delivery's id, or --endpoint and --since")
    with connected(as_json=as_json) as client:
        if delivery_id is not None:
            again = client.redeliver_webhook(delivery_id)
            return show_json(again.to_dict()) if as_json else _say_sent(again.id)
        assert endpoint is not None
        assert since is not None
        many = client.redeliver_webhooks(endpoint, since, only="all" if everything else "failed")
        if as_json:
            return show_json(many.to_dict())
        more = "" if many.state == "done" else " so far, and it goes on"
        return words().print(
            f"{many.redelivered} sent again{more}: vivideo hooks deliveries --endpoint {endpoint}", markup=False
        )


@app.command()
def trigger(
    type: Annotated[str, typer.Argument(metavar="TYPE", help="render.succeeded, batch.finished …", show_default=False)],
    endpoint: Annotated[str, typer.Option(metavar="ID", help="whe_…", show_default=False)],
    as_json: Json = False,
) -> None:
    """Send an endpoint a test event of a type, whatever it asks for.

    \b
      vivideo hooks trigger render.succeeded --endpoint whe_…
    """
    with connected(as_json=as_json) as client:
        sent = client.test_webhook_endpoint(endpoint, type)
        return show_json(sent.to_dict()) if as_json else _say_sent(sent.id)


def _say_sent(delivery_id: str) -> None:
    words().print(f"{delivery_id} is on its way: vivideo hooks delivery {delivery_id}", markup=False)


def _show(endpoint: "WebhookEndpoint", *, as_json: bool) -> None:
    if as_json:
        return show_json(endpoint.to_dict())
    from api.cli import hook_tables

    return hook_tables.show_endpoint(words(), endpoint)
