"""`vivideo render …`: make, watch, show, list, begin anew, cancel, open."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from api.cli import asking
from api.cli.groups import group
from api.cli.options import Json, Output, Priority, RenderId, Since, Until, Variables, VariablesFile, Wait, span
from api.cli.reporting import Exit, connected, fail, say, show_json, show_json_line, words
from api.cli.short import Short
from worker.renders.states import Status

if TYPE_CHECKING:
    from collections.abc import Iterable

    from api.client import Client, Event, Render, RenderFields

HELP = """Make a video, or see to those under way. `vivideo render "…"` is short for `vivideo render create "…"`.

\b
  vivideo render "a 10-second video about the sea" -a waves.jpg -o sea.mp4
  vivideo render list --status failed --since 24h
"""

app = group(HELP, cls=Short)


@app.command()
def create(
    prompt: Annotated[
        str | None, typer.Argument(help="What the video should be; - reads standard input.", show_default=False)
    ] = None,
    asset: Annotated[
        list[str] | None,
        typer.Option("-a", "--asset", metavar="FILE|URL|ID", help="Picture, clip or sound; several times."),
    ] = None,
    output: Output = None,
    prompt_file: Annotated[Path | None, typer.Option(help="Read the prompt from a file.")] = None,
    template: Annotated[
        str | None, typer.Option(metavar="NAME[@N]", help="In the place of a prompt: a template, its newest version.")
    ] = None,
    var: Variables = None,
    var_file: VariablesFile = None,
    language: Annotated[str | None, typer.Option(help="Of the video, such as en or zh; detected by default.")] = None,
    priority: Annotated[Priority, typer.Option()] = "normal",
    tag: Annotated[list[str] | None, typer.Option(metavar="TAG", help="To find it by; several times.")] = None,
    ref: Annotated[str | None, typer.Option(help="Your own reference.")] = None,
    revision: Annotated[
        int | None,
        typer.Option(min=0, metavar="NUMBER", help="Of the reference: replaces what is queued, refused if older."),
    ] = None,
    metadata: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Kept and returned; several times.")
    ] = None,
    on_unconfirmed: Annotated[
        Literal["fail", "retry"], typer.Option(help="Where nobody can know whether it was paid: give up, or pay again.")
    ] = "fail",
    quality: Annotated[
        Literal["report", "fail", "off"],
        typer.Option(help="A video with something wrong: say so, fail with it, or do not look."),
    ] = "report",
    deadline: Annotated[
        Any,
        typer.Option(
            parser=span,
            metavar="SPAN",
            help="Give up after 30m, 24h, 2d; time on hold does not count.",
            show_default=False,
        ),
    ] = None,
    idempotency_key: Annotated[
        str | None, typer.Option(help="A text of your own: repeated with it, the command finds the same render.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only check it and say what it would cost.")] = False,
    wait: Wait = True,
    as_json: Json = False,
) -> None:
    """Make a video from a prompt, pictures, clips, sounds.

    \b
      vivideo render "a 10-second video about the sea" -a waves.jpg -o sea.mp4
      vivideo render create --prompt-file brief.txt --tag spring --no-wait
      vivideo render create --template promo --var title="Red mug" --var price:=9.5
      vivideo render "…" --dry-run
    """
    text = None if template and prompt is None and prompt_file is None else asking.prompt_text(prompt, prompt_file)
    given = asking.assets(asset or [])
    asking.check_output(output)
    fields: RenderFields = {
        "priority": priority,
        "on_unconfirmed": on_unconfirmed,
        "quality_gate": quality,
        "deadline_seconds": deadline.total_seconds() if deadline else None,
        "language": language,
        "external_ref": ref,
        "metadata": asking.metadata(metadata or []),
    }
    if tag:
        fields["tags"] = tag  # left out, they are the template's
    if revision is not None:
        fields["revision"] = revision
    if template is not None:
        fields["template"] = template
    if given_variables := asking.variables(var or [], var_file):
        fields["variables"] = given_variables
    with connected(as_json=as_json) as client:
        if dry_run:
            return _rehearse(client, text, fields, given, as_json=as_json)
        made = _made(client, text, fields, given, idempotency_key)
        return go_on(client, made, output, wait=wait, as_json=as_json)


@app.command()
def watch(render_id: RenderId, output: Output = None, as_json: Json = False) -> None:
    """Follow a render to its end and download its video."""
    asking.check_output(output)
    with connected(as_json=as_json) as client:
        _finish(client, render_id, output, as_json=as_json)


@app.command()
def get(render_id: RenderId, output: Output = None, as_json: Json = False) -> None:
    """Show a render as it stands.

    With -o its video is downloaded too.

    \b
      vivideo render get rnd_… -o sea.mp4
    """
    asking.check_output(output)
    with connected(as_json=as_json) as client:
        found = client.render(render_id)
        file = _download(client, render_id, output) if output else None
        if as_json:
            return show_json(_with_file(found, file))
        from api.cli import tables

        return tables.show_render(words(), found, file)


@app.command("list")
def list_renders(
    status: Annotated[
        list[Status] | None, typer.Option(metavar="STATUS", help="queued, running, failed, …; several times.")
    ] = None,
    tag: Annotated[str | None, typer.Option()] = None,
    ref: Annotated[str | None, typer.Option(help="Your own reference.")] = None,
    priority: Annotated[Priority | None, typer.Option()] = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option(min=1, max=200)] = 20,
    everything: Annotated[bool, typer.Option("--all", help="All pages of them.")] = False,
    as_json: Json = False,
) -> None:
    """List renders, newest first.

    \b
      vivideo render list --status failed --status expired --since 24h
      vivideo render list --tag spring --all --json
    """
    from api.client import Page, Render, RenderFilters

    filters = RenderFilters(
        status=list(status or []),
        tag=tag,
        external_ref=ref,
        priority=priority,
        created_after=since,
        created_before=until,
    )
    with connected(as_json=as_json) as client:
        if everything:
            page = Page[Render](data=list(client.iter_renders(**filters)), next_cursor=None)
        else:
            page = client.renders(limit=limit, **filters)
        if as_json:
            return show_json(page.to_dict())
        from api.cli import tables

        tables.show_renders(words(), page.data)
        if page.next_cursor:
            say(f"these are the newest {len(page.data)}; --limit 200 or --all shows more")
        return None


@app.command()
def events(
    render_id: RenderId,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="As they happen, until it is final.")] = False,
    after: Annotated[int, typer.Option(min=0, help="Only those with a greater number.")] = 0,
    as_json: Json = False,
) -> None:
    """Show what happened to a render, oldest first.

    With --json each line is a document of its own.

    \b
      vivideo render events rnd_… --follow --json | jq .type
    """
    with connected(as_json=as_json) as client:
        from api.cli import tables

        console, shown = words(), 0
        for event in client.iter_events(render_id, after) if follow else _so_far(client, render_id, after):
            shown += 1
            if as_json:
                show_json_line(event.to_dict())
            else:
                tables.show_event(console, event)
        if not shown:
            say(f"nothing after number {after}; --follow waits for more until the render is final")


@app.command()
def retry(
    render_id: RenderId,
    force: Annotated[bool, typer.Option("--force", help="From the beginning, with a new charge.")] = False,
    output: Output = None,
    idempotency_key: Annotated[
        str | None, typer.Option(help="A text of your own: repeated with it, no other run begins.")
    ] = None,
    wait: Wait = True,
    as_json: Json = False,
) -> None:
    """Start the next run of a render that did not succeed.

    It keeps its id. A draft that is paid for and kept is exported again, for free. Where it could be charged a second
    time, --force is needed.
    """
    asking.check_output(output)
    with connected(as_json=as_json) as client:
        made = client.retry(render_id, force=force, idempotency_key=idempotency_key)
        go_on(client, made, output, wait=wait, as_json=as_json)


@app.command()
def edit(
    render_id: RenderId,
    prompt: Annotated[str, typer.Argument(help="What to change.", show_default=False)],
    asset: Annotated[
        list[str] | None,
        typer.Option("-a", "--asset", metavar="FILE|URL|ID", help="Picture, clip or sound; several times."),
    ] = None,
    output: Output = None,
    idempotency_key: Annotated[
        str | None, typer.Option(help="A text of your own: repeated with it, the command finds the same render.")
    ] = None,
    wait: Wait = True,
    as_json: Json = False,
) -> None:
    """Change a video: the edit is a video of its own, and the earlier one stays as it is.

    \b
      vivideo render edit rnd_… "make it faster" -o faster.mp4
    """
    asking.check_output(output)
    given = asking.assets(asset or [])
    with connected(as_json=as_json) as client:
        files = asking.sent(client, given, idempotency_key)
        made = client.edit(render_id, prompt, assets=files, idempotency_key=idempotency_key)
        go_on(client, made, output, wait=wait, as_json=as_json)


@app.command()
def cancel(render_id: RenderId, as_json: Json = False) -> None:
    """Cancel a render, whatever its stage.

    Harmless to repeat. In words it says what that achieved: prevented, stopped or too_late.
    """
    with connected(as_json=as_json) as client:
        found = client.cancel(render_id)
        if as_json:
            return show_json(found.to_dict())
        effect = f" ({found.cancel_effect})" if found.cancel_effect else ""
        return words().print(f"{found.id} {found.status}{effect}")


@app.command("open")
def open_render(render_id: RenderId, output: Output = None, as_json: Json = False) -> None:
    """Open a render's video in the browser.

    Before it is there, its page at the backend. Where the service has no address for the video that needs no key, it
    is downloaded first. Without a browser the address is printed.
    """
    asking.check_output(output)
    with connected(as_json=as_json) as client:
        from api.cli import opening

        found = client.render(render_id)
        address = opening.address(client, found, asking.target(output, render_id))
        if address is None:
            remedy = f"vivideo render {'watch' if not found.final else 'get'} {render_id}"
            fail(f"{render_id} is {found.status}: no video and no page yet\n  → {remedy}", Exit.FAILED, as_json=as_json)
        opened = opening.opened(address)
        if as_json:
            return show_json({"id": render_id, "address": address, "opened": opened})
        return words().print(address, markup=False)


def _rehearse(
    client: "Client", text: str | None, fields: "RenderFields", given: list[str | Path], *, as_json: bool
) -> None:
    """Say what the request would come to; files stay here."""
    fields["assets"] = [one for one in given if isinstance(one, str)]
    found = client.dry_run(text, **fields)
    if as_json:
        return show_json(found.to_dict())
    from api.cli import tables

    return tables.show_dry_run(words(), found, files=[one for one in given if isinstance(one, Path)])


def _made(
    client: "Client", text: str | None, fields: "RenderFields", given: list[str | Path], idempotency_key: str | None
) -> "Render":
    try:
        fields["assets"] = asking.sent(client, given, idempotency_key)
        return client.create_render(text, idempotency_key=idempotency_key, **fields)
    except KeyboardInterrupt:
        say("interrupted before the service answered; if it took the render on, `vivideo render list` shows it")
        raise


def go_on(client: "Client", made: "Render", output: Path | None, *, wait: bool, as_json: bool) -> None:
    """What is left after a run was asked for."""
    if wait:
        return _finish(client, made.id, output, as_json=as_json)
    if as_json:
        return show_json(made.to_dict())
    return words().print(made.id)


def _finish(client: "Client", render_id: str, output: Path | None, *, as_json: bool) -> None:
    """Follow a render to its end, download its video, say what came of it."""
    from rich.console import Console

    from api.cli import tables
    from api.cli.progress import follow

    try:
        final = follow(client, render_id, console=Console(stderr=True))
        file = _download(client, render_id, output) if final.status == "succeeded" else None
    except KeyboardInterrupt:
        say(
            "the render goes on\n"
            f"  follow it:  vivideo render watch {render_id}\n"
            f"  cancel it:  vivideo render cancel {render_id}"
        )
        raise
    if as_json:
        show_json(_with_file(final, file))
    else:
        tables.show_outcome(words(), final, file)
    if final.status != "succeeded":
        raise typer.Exit(Exit.FAILED)


def _download(client: "Client", render_id: str, output: Path | None) -> Path:
    from api.cli.uploading import download

    return download(client, render_id, asking.target(output, render_id))


def _with_file(render: "Render", file: Path | None) -> dict[str, Any]:
    return render.to_dict() | ({"file": str(file)} if file else {})


def _so_far(client: "Client", render_id: str, after: int) -> "Iterable[Event]":
    while page := client.events(render_id, after):
        yield from page
        after = page[-1].number
