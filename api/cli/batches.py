"""`vivideo batch …`: send many, look at them, steer them, take their manifest."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from api.cli import asking
from api.cli.groups import group
from api.cli.options import Json, Priority, RowsTemplate
from api.cli.reporting import connected, say, show_json, show_json_line, words
from api.cli.running.command import run
from worker.renders.states import Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from api.client import Batch, BatchFields, Client

HELP = """Send many videos together, and see to them together.

\b
  vivideo batch run products.csv --template promo -o videos/ --first 5
  vivideo batch create products.csv --first 3
  vivideo batch get bat_…
  vivideo batch manifest bat_… -o done.csv
"""

app = group(HELP)

BatchId = Annotated[str, typer.Argument(metavar="ID", help="bat_…", show_default=False)]
File = Annotated[Path | None, typer.Option("-o", "--output", help="Write it into a file.")]


app.command()(run)


@app.command()
def create(
    file: Annotated[Path, typer.Argument(help="JSON Lines or CSV, by its ending.", show_default=False)],
    template: RowsTemplate = None,
    name: Annotated[str | None, typer.Option(help="For people.")] = None,
    priority: Annotated[Priority | None, typer.Option(help="Of its renders; normal by default.")] = None,
    first: Annotated[int | None, typer.Option(min=1, help="Begin so many; the others wait for `approve`.")] = None,
    max_credits: Annotated[float | None, typer.Option(help="Pause before more is spent.")] = None,
    max_failure_rate: Annotated[
        float | None, typer.Option(min=0, max=1, help="Pause when more than this share failed: 0.2.")
    ] = None,
    idempotency_key: Annotated[
        str | None, typer.Option(help="A text of your own: repeated with it, the command finds the same batch.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only check every row and say what it would cost.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Send a file of videos to be made: a render in each row.

    Rows that are not valid are told by their lines; the others are made. With --template the columns are its variables,
    and a row that names a template of its own has that.

    \b
      vivideo batch create products.csv --dry-run
      vivideo batch create products.csv --template promo@3
      vivideo batch create products.csv --max-credits 5000 --max-failure-rate 0.2
    """
    given = asking.a_table(file)
    fields: BatchFields = {"name": name, "first": first}
    fields |= {"max_credits": max_credits, "max_failure_rate": max_failure_rate}
    if priority is not None:
        fields["priority"] = priority
    if template is not None:
        fields["defaults"] = {"template": template}
    with connected(as_json=as_json) as client:
        if dry_run:
            return _rehearse(client, given, fields, as_json=as_json)
        made = client.create_batch(given, idempotency_key=idempotency_key, **fields)
        if made.rejected and not as_json:
            say(f"{made.rejected} rows were rejected:  vivideo batch problems {made.id}")
        return show_json(made.to_dict()) if as_json else words().print(made.id)


@app.command("list")
def list_batches(limit: Annotated[int, typer.Option(min=1, max=200)] = 20, as_json: Json = False) -> None:
    """List batches, newest first."""
    with connected(as_json=as_json) as client:
        page = client.batches(limit=limit)
        if as_json:
            return show_json(page.to_dict())
        from api.cli import batch_tables

        return batch_tables.show_batches(words(), page.data)


@app.command()
def get(batch_id: BatchId, as_json: Json = False) -> None:
    """Show a batch as it stands: how many are where, what they cost, when it will be over."""
    _steer(lambda client: client.batch(batch_id), as_json=as_json)


@app.command()
def items(
    batch_id: BatchId,
    status: Annotated[list[Status] | None, typer.Option(metavar="STATUS", help="failed, …; several times.")] = None,
    as_json: Json = False,
) -> None:
    """List a batch's renders in the order of its source.

    With --json each line is a document of its own.
    """
    with connected(as_json=as_json) as client:
        from api.cli import batch_tables

        for item in client.iter_batch_items(batch_id, status=list(status or []) or None):
            if as_json:
                show_json_line(item.to_dict())
            else:
                batch_tables.show_item(words(), item)


@app.command()
def problems(batch_id: BatchId, output: File = None, as_json: Json = False) -> None:
    """Show the rows that became no render.

    With -o they become a CSV file: mend it, and send it as a batch of its own.
    """
    with connected(as_json=as_json) as client:
        from api.cli import batch_tables

        if output is not None:
            client.save_batch_problems(batch_id, output)
            return words().print(str(output), markup=False)
        cursor: str | None = None
        while True:
            page = client.batch_problems(batch_id, limit=200, cursor=cursor)
            for one in page.data:
                if as_json:
                    show_json_line(one.to_dict())
                else:
                    batch_tables.show_problem(words(), one)
            cursor = page.next_cursor
            if cursor is None:
                return None


@app.command()
def manifest(
    batch_id: BatchId,
    output: File = None,
    format: Annotated[Literal["jsonl", "csv"] | None, typer.Option(help="By default what the file ends with.")] = None,
) -> None:
    """Take what became of each row: reference, status, address, checksum, credits, error.

    Also while the batch runs. Without -o it is JSON Lines on standard output.
    """
    with connected() as client:
        if output is None:
            for line in client.batch_manifest(batch_id):
                show_json_line(line.to_dict())
            return
        kind = format or ("csv" if output.suffix.lower() == ".csv" else "jsonl")
        client.save_batch_manifest(batch_id, output, kind)
        words().print(str(output), markup=False)


@app.command()
def pause(batch_id: BatchId, as_json: Json = False) -> None:
    """Begin nothing new of a batch; what is under way goes on."""
    _steer(lambda client: client.pause_batch(batch_id), as_json=as_json)


@app.command()
def resume(batch_id: BatchId, as_json: Json = False) -> None:
    """Let a paused batch go on."""
    _steer(lambda client: client.resume_batch(batch_id), as_json=as_json)


@app.command()
def approve(batch_id: BatchId, as_json: Json = False) -> None:
    """Let the rest of a batch begin, behind its first ones."""
    _steer(lambda client: client.approve_batch(batch_id), as_json=as_json)


@app.command()
def cancel(batch_id: BatchId, as_json: Json = False) -> None:
    """Cancel what is not final of a batch. Harmless to repeat."""
    _steer(lambda client: client.cancel_batch(batch_id), as_json=as_json)


@app.command()
def retry(
    batch_id: BatchId,
    force: Annotated[bool, typer.Option("--force", help="Also those that could be charged a second time.")] = False,
    as_json: Json = False,
) -> None:
    """Begin a batch's failed renders anew, all of them."""
    with connected(as_json=as_json) as client:
        done = client.retry_failed(batch_id, force=force)
        retried = done.retried
        while done.left and done.retried:
            done = client.retry_failed(batch_id, force=force)
            retried += done.retried
        if as_json:
            return show_json(done.to_dict() | {"retried": retried})
        if done.needs_force:
            say(f"{done.needs_force} could be charged a second time: --force begins them too")
        return words().print(f"{retried} begun anew")


def _steer(ask: "Callable[[Client], Batch]", *, as_json: bool) -> None:
    with connected(as_json=as_json) as client:
        found = ask(client)
        if as_json:
            return show_json(found.to_dict())
        from api.cli import batch_tables

        return batch_tables.show_batch(words(), found)


def _rehearse(client: "Client", file: Path, fields: "BatchFields", *, as_json: bool) -> None:
    found = client.dry_run_batch(file, **fields)
    if as_json:
        return show_json(found.to_dict())
    from api.cli import batch_tables

    return batch_tables.show_dry_run(words(), found)
