"""`vivideo batch run`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.options import Json, Priority, RowsTemplate
from api.cli.reporting import Exit, connected, say, show_json, words

if TYPE_CHECKING:
    from api.cli.running.source import Source
    from api.cli.running.state import State
    from api.cli.running.videos import Videos
    from api.client import Batch, Client


def run(
    file: Annotated[
        str, typer.Argument(metavar="FILE|URL", help="Rows, or a shop's products; by its content.", show_default=False)
    ],
    template: RowsTemplate = None,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Where the videos go.")] = Path(
        "videos"
    ),
    first: Annotated[int | None, typer.Option(min=1, help="Make so many, then ask about the others.")] = None,
    watch: Annotated[bool, typer.Option("--watch/--no-watch", help="Follow it, or only print its id.")] = True,
    priority: Annotated[Priority | None, typer.Option(help="Of its renders; normal by default.")] = None,
    max_credits: Annotated[float | None, typer.Option(help="Pause before more is spent.")] = None,
    max_failure_rate: Annotated[
        float | None, typer.Option(min=0, max=1, help="Pause when more than this share failed: 0.2.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only check it and say what it would cost.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Make the others too, without asking.")] = False,
    new: Annotated[bool, typer.Option("--new", help="Another batch, whatever DIR holds.")] = False,
    as_json: Json = False,
) -> None:
    """Make a video of each row or product, and fetch them as they are finished.

    The same command again goes on: it finds its batch, pays nothing twice, and fetches what is missing.

    \b
      vivideo batch run products.csv --template promo -o videos/ --first 5
      vivideo batch run prompts.jsonl --max-credits 5000 --max-failure-rate 0.2
      vivideo batch run https://shop.example/feed.xml -t promo --dry-run
    """
    given = {"template": template, "first": first, "priority": priority}
    given |= {"max_credits": max_credits, "max_failure_rate": max_failure_rate}
    options = {name: value for name, value in given.items() if value is not None}
    with connected(as_json=as_json) as client:
        from api.cli.running.source import understand

        source = understand(client, file, template)
        say(f"{file}: {source.said}")
        if dry_run:
            return _rehearse(client, source, options, as_json=as_json)
        ended = _in_directory(client, source, options, output, watch=watch, yes=yes, new=new, as_json=as_json)
    raise typer.Exit(ended)


def _in_directory(
    client: "Client",
    source: "Source",
    options: dict[str, Any],
    directory: Path,
    *,
    watch: bool,
    yes: bool,
    new: bool,
    as_json: bool,
) -> Exit:
    from api.cli.running import asking_for
    from api.cli.running.state import held

    with held(directory):
        state = asking_for.state_for(directory, client.base_url, str(source.given), options, new=new)
        try:
            if not watch:
                return _accepted(client, source, options, state, as_json=as_json)
            batch_id = asking_for.ask(client, source, options, state)
            if batch_id is None:
                say("nothing in it is new: there is nothing to make")
                return Exit.DONE
            return _watch(client, batch_id, state, directory, yes=yes, as_json=as_json)
        except KeyboardInterrupt:
            _interrupted(state)
            raise


def _accepted(client: "Client", source: "Source", options: dict[str, Any], state: "State", *, as_json: bool) -> Exit:
    """Only see to it that it is asked for."""
    from api.cli.running import asking_for

    if source.kind == "catalog" and state.batch is None:
        made = asking_for.begin_catalog(client, source, options, state)
    else:
        made = asking_for.ask(client, source, options, state)
    if as_json:
        show_json({"batch": state.batch, "catalog": state.catalog, "reading": state.reading})
    else:
        words().print(made)
    return Exit.DONE


def _watch(client: "Client", batch_id: str, state: "State", directory: Path, *, yes: bool, as_json: bool) -> Exit:
    from rich.console import Console

    from api.cli.running import ending
    from api.cli.running.bars import board
    from api.cli.running.following import follow
    from api.cli.running.videos import Videos

    say(f"{batch_id} into {directory}")
    shown = board(Console(stderr=True))
    with Videos(client, directory, state) as videos:
        batch = follow(client, batch_id, videos, shown)
        while batch.status == "awaiting_approval" and _approved(batch, videos, directory, yes=yes):
            client.approve_batch(batch_id)
            batch = follow(client, batch_id, videos, shown)
        return ending.report(client, batch, videos, state, directory, as_json=as_json)


def _approved(batch: "Batch", videos: "Videos", directory: Path, *, yes: bool) -> bool:
    """Whether the others shall be made, now that the first are there to be looked at."""
    from api.cli.running.bars import facts

    others = batch.total - (batch.first or 0)
    say(f"the first {batch.first} are in {directory}: {facts(batch, videos)}")
    if yes:
        return True
    if sys.stdin.isatty() and sys.stderr.isatty() and typer.confirm(f"run the other {others:,}?", err=True):
        return True
    say(
        f"the other {others:,} wait\n"
        f"  make them:  vivideo batch approve {batch.id}, then the same command; or it with --yes\n"
        f"  drop them:  vivideo batch cancel {batch.id}"
    )
    return False


def _interrupted(state: "State") -> None:
    if state.batch is None:
        say("interrupted before the batch was known; the same command finds it, or asks for it")
        return
    say(
        "the batch goes on\n"
        "  follow it:  the same command; what is here is not fetched again\n"
        f"  cancel it:  vivideo batch cancel {state.batch}"
    )


def _rehearse(client: "Client", source: "Source", options: dict[str, Any], *, as_json: bool) -> None:
    from api.cli import batch_tables, rows
    from api.cli.running.asking_for import fields_of

    if source.kind == "rows":
        found = client.dry_run_batch(Path(source.given), kind=source.rows, **fields_of(options))
        return show_json(found.to_dict()) if as_json else batch_tables.show_dry_run(words(), found)
    rest = {name: value for name, value in options.items() if name != "template"}
    tried = client.try_catalog(source.given, options["template"], **rest)
    if as_json:
        return show_json(tried.to_dict())
    counted = [(name.replace("_", " "), f"{count:,}") for name, count in tried.counts.items() if count]
    estimate = f"about {tried.estimate.get('credits')} credits at most: nothing was kept, nothing was charged"
    return rows.fields(words(), [("format", tried.format), *counted, ("first", tried.prompt), ("cost", estimate)])
