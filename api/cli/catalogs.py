"""`vivideo catalog`: look at a feed here, or have the service make videos of it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.groups import group
from api.cli.options import Json
from api.cli.reporting import Exit, Mistake, connected, fail, show_json, words

if TYPE_CHECKING:
    from api.client import CatalogRead
    from worker.catalogs.rehearsal import Rehearsal

app = group("Make videos of a shop's catalog; what did not change costs nothing.")

CatalogId = Annotated[str, typer.Argument(metavar="ID", help="`cat_…`", show_default=False)]
Publisher = Annotated[str | None, typer.Option(metavar="ID", help="Brings the videos to their products: pub_…")]
PAGE = 200


@app.command()
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV, XML, JSON or JSON Lines.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Read a feed on this machine and show what is understood of it; no service is needed.

    Exit status 1 where the file is no product feed.

    \b
      vivideo catalog check feed.xml
    """
    from worker.catalogs.feeds import NotAFeed
    from worker.catalogs.rehearsal import rehearse

    try:
        seen = rehearse(file, None, seconds=float("inf"))
    except NotAFeed as error:
        fail(f"{file}: {error.reason}\n  → {error.remedy}", Exit.FAILED, as_json=as_json, code=error.code)
    except OSError as error:
        fail(f"{file}: {error.strerror}", Exit.FAILED, as_json=as_json)
    if as_json:
        from api.catalogs.views import dry_run_body

        return show_json(dry_run_body(seen).model_dump(mode="json", exclude={"estimate", "prompt"}))
    return _show(seen)


def _show(seen: "Rehearsal") -> None:
    from api.cli import rows

    console = words()
    found = [("format", seen.format), ("encoding", seen.encoding), ("delimiter", seen.delimiter)]
    named = [*found, ("columns", ", ".join(seen.columns)), *((name, str(n)) for name, n in seen.counted.items() if n)]
    rows.fields(console, named)
    products = [
        (one.ref, one.title, one.sale_price or one.price or "", str(len(one.pictures))) for one in seen.products
    ]
    rows.table(console, ("ref", "title", "price", "pictures"), products)
    for one in seen.problems:
        console.print(f"{one.place}: {one.code}: {one.detail}", markup=False)


@app.command()
def add(
    source: Annotated[str, typer.Argument(metavar="FILE|URL", help="What is read.", show_default=False)],
    template: Annotated[str, typer.Option("--template", "-t", help="`promo`, or `promo@3`.", show_default=False)],
    name: Annotated[str | None, typer.Option(help="For people.")] = None,
    include: Annotated[list[str] | None, typer.Option(help="draft, archived, out_of_stock.")] = None,
    first: Annotated[int | None, typer.Option(help="Begin so many; the others wait for approval.")] = None,
    max_credits: Annotated[float | None, typer.Option(help="Pause before more is spent.")] = None,
    every: Annotated[int | None, typer.Option(help="Read an address again so often; seconds.")] = None,
    publisher: Publisher = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only try it out.")] = False,
    as_json: Json = False,
) -> None:
    """Have the service read a feed and make a video of each product.

    \b
      vivideo catalog add feed.csv -t promo --dry-run
      vivideo catalog add https://shop.example/feed.xml -t promo --every 86400
    """
    given = {"name": name, "include": include, "first": first, "max_credits": max_credits, "schedule_seconds": every}
    given |= {"publisher_id": publisher}
    options: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    with connected(as_json=as_json) as client:
        if dry_run:
            return show_json(client.try_catalog(source, template, **options).to_dict())
        made = client.create_catalog(source, template, idempotency_key=None, **options)
        if as_json:
            return show_json(made.to_dict())
        return words().print(f"{made.id} is being read: vivideo catalog get {made.id}", markup=False)


@app.command("list")
def listed(as_json: Json = False) -> None:
    """List your catalogs with their last readings."""
    with connected(as_json=as_json) as client:
        found = client.catalogs(limit=PAGE).data
        if as_json:
            return show_json({"data": [one.to_dict() for one in found]})
        from api.cli import rows

        cells = [
            (one.id, one.name or one.url or "", one.template, one.last_read.state if one.last_read else "")
            for one in found
        ]
        return rows.table(words(), ("id", "catalog", "template", "last reading"), cells)


@app.command()
def get(catalog_id: CatalogId, as_json: Json = False) -> None:
    """Show a catalog and what its last reading came to."""
    with connected(as_json=as_json) as client:
        found = client.catalog(catalog_id)
        if as_json:
            return show_json(found.to_dict())
        from api.cli import rows

        named = [("id", found.id), ("name", found.name), ("url", found.url), ("template", found.template)]
        return rows.fields(words(), [*named, ("publisher", found.publisher_id), *_facts(found.last_read)])


@app.command()
def update(
    catalog_id: CatalogId,
    template: Annotated[str | None, typer.Option("--template", "-t", help="`promo`, or `promo@3`.")] = None,
    name: Annotated[str | None, typer.Option(help="For people.")] = None,
    every: Annotated[int | None, typer.Option(help="Read an address again so often; seconds.")] = None,
    publisher: Publisher = None,
    clear: Annotated[list[str] | None, typer.Option(metavar="PART", help="Take back: name, every, publisher.")] = None,
    as_json: Json = False,
) -> None:
    """Change a catalog; what is not named stays.

    \b
      vivideo catalog update cat_… --publisher pub_…
      vivideo catalog update cat_… --clear publisher
    """
    if unknown := [one for one in clear or [] if one not in _PARTS]:
        raise Mistake(f"--clear takes one of {', '.join(_PARTS)}, not {unknown[0]!r}")
    given = {"template": template, "name": name, "schedule_seconds": every, "publisher_id": publisher}
    changes = {key: value for key, value in given.items() if value is not None}
    changes |= {_PARTS[one]: None for one in clear or []}
    if not changes:
        raise Mistake("nothing to change: give --template, --name, --every, --publisher or --clear")
    with connected(as_json=as_json) as client:
        made = client.change_catalog(catalog_id, **changes)
        if as_json:
            return show_json(made.to_dict())
        return words().print(f"{made.id} is changed: vivideo catalog get {made.id}", markup=False)


_PARTS = {"name": "name", "every": "schedule_seconds", "publisher": "publisher_id"}
"""What a catalog may be without, by the word for it."""


def _facts(read: "CatalogRead | None") -> list[tuple[str, str | None]]:
    if read is None:
        return []
    error = f"{read.error.get('code')}: {read.error.get('message')}" if read.error else None
    counts = [(name, str(count)) for name, count in read.counts.items() if count]
    return [("reading", read.id), ("state", read.state), ("error", error), ("batch", read.batch_id), *counts]


@app.command()
def read(
    catalog_id: CatalogId,
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="Instead of its address.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Render everything again.")] = False,
    as_json: Json = False,
) -> None:
    """Have a catalog read now."""
    with connected(as_json=as_json) as client:
        made = client.read_catalog(catalog_id, file, force=force)
        if as_json:
            return show_json(made.to_dict())
        return words().print(f"{made.id} began: vivideo catalog get {catalog_id}", markup=False)


@app.command()
def diff(
    catalog_id: CatalogId,
    reading: Annotated[str | None, typer.Argument(metavar="[READING]", help="The last one by default.")] = None,
    as_json: Json = False,
) -> None:
    """Show what a reading changed: products that are new, changed, rendered again or gone."""
    with connected(as_json=as_json) as client:
        newest = client.catalog_reads(catalog_id, limit=1).data
        which = reading or (newest[0].id if newest else None)
        if which is None:
            fail(f"{catalog_id} was never read", Exit.FAILED, as_json=as_json)
        changes, cursor = list[Any](), None
        while True:
            page = client.catalog_changes(catalog_id, which, limit=PAGE, cursor=cursor)
            changes += page.data
            if not (cursor := page.next_cursor):
                break
        if as_json:
            return show_json({"data": [one.to_dict() for one in changes]})
        from api.cli import rows

        cells = [(one.kind, one.ref, one.title, one.outcome or "", one.render_id) for one in changes]
        return rows.table(words(), ("change", "ref", "title", "outcome", "render"), cells)


@app.command()
def remove(catalog_id: CatalogId) -> None:
    """Forget a catalog; its videos stay."""
    with connected() as client:
        client.delete_catalog(catalog_id)
