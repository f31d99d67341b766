"""`vivideo publications …`: videos on their way to products."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from api.cli.groups import group
from api.cli.options import Json
from api.cli.reporting import Mistake, connected, say, show_json, words

if TYPE_CHECKING:
    from api.client import Publication

HELP = """See which videos are on their way to products, and bring one there.

\b
  vivideo publications list --state failed
  vivideo publications retry pbn_…
  vivideo publications ask pub_… rnd_… --handle red-lamp
"""
PAGE = 200

app = group(HELP)

State = Literal["pending", "published", "failed", "superseded"]
PublicationId = Annotated[str, typer.Argument(metavar="ID", help="pbn_…", show_default=False)]


@app.command("list")
def listed(
    publisher: Annotated[str | None, typer.Option(metavar="ID", help="pub_…: its own.")] = None,
    render: Annotated[str | None, typer.Option(metavar="ID", help="rnd_…: its own.")] = None,
    state: Annotated[State | None, typer.Option(help="These alone.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=PAGE, help="How many of the newest.")] = 50,
    cursor: Annotated[str | None, typer.Option(metavar="TEXT", help="Go on where a list ended.")] = None,
    as_json: Json = False,
) -> None:
    """List videos on their way to products and those that arrived, newest first."""
    with connected(as_json=as_json) as client:
        page = client.publications(publisher_id=publisher, render_id=render, state=state, limit=limit, cursor=cursor)
        if as_json:
            return show_json(page.to_dict())
        from api.cli import publisher_rows

        publisher_rows.show_publications(words(), page.data)
        if page.next_cursor:
            say(f"these are {len(page.data)}; --cursor {page.next_cursor} shows the next")
        return None


@app.command()
def show(publication_id: PublicationId, as_json: Json = False) -> None:
    """Show how far one is, when it is tried next, and why it does not go."""
    with connected(as_json=as_json) as client:
        _show(client.publication(publication_id), as_json=as_json)


@app.command()
def retry(publication_id: PublicationId, as_json: Json = False) -> None:
    """Try one that failed again, now. What it brought before is looked for first: nothing comes twice."""
    with connected(as_json=as_json) as client:
        _show(client.retry_publication(publication_id), as_json=as_json)


@app.command()
def ask(
    publisher_id: Annotated[str, typer.Argument(metavar="PUBLISHER", help="pub_…", show_default=False)],
    render_id: Annotated[str, typer.Argument(metavar="RENDER", help="rnd_…, with its video.", show_default=False)],
    ref: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Your reference of the product; the render's by default.")
    ] = None,
    id: Annotated[str | None, typer.Option("--id", metavar="TEXT", help="The product's in the shop.")] = None,
    handle: Annotated[str | None, typer.Option(metavar="TEXT", help="The product's; of WooCommerce the slug.")] = None,
    sku: Annotated[str | None, typer.Option(metavar="TEXT", help="Of one of its variants.")] = None,
    idempotency_key: Annotated[str | None, typer.Option(help="A text of your own, to repeat the command with.")] = None,
    as_json: Json = False,
) -> None:
    """Have a finished render's video brought to a product; asked again, it is the same publication.

    Without --id, --handle or --sku the reference is taken for where the product is.

    \b
      vivideo publications ask pub_… rnd_… --sku L-7
    """
    product = {name: one for name, one in (("id", id), ("handle", handle), ("sku", sku)) if one is not None}
    if len(product) > 1:
        raise Mistake("a product is found by one thing: give --id, --handle or --sku")
    with connected(as_json=as_json) as client:
        made = client.publish(
            publisher_id, render_id, ref=ref, product=product or None, idempotency_key=idempotency_key
        )
        _show(made, as_json=as_json)


def _show(found: "Publication", *, as_json: bool) -> None:
    if as_json:
        return show_json(found.to_dict())
    from api.cli import publisher_rows

    return publisher_rows.show_publication(words(), found)
