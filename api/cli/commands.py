"""`render`, `show`, `list`, `cancel`, `credits`: what one needs is imported when it runs, so `--help` is quick."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.reporting import Exit, connected, fail, show_json

if TYPE_CHECKING:
    from rich.console import Console

    from api.client import Client

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Output = Annotated[Path | None, typer.Option("-o", "--output", help="Where the video goes; <id>.mp4 by default.")]
RenderId = Annotated[str, typer.Argument(metavar="ID", help="rnd_…")]


@app.command()
def render(
    prompt: Annotated[str, typer.Argument(help="What the video should be.")],
    asset: Annotated[list[str] | None, typer.Option("-a", "--asset", help="A file or an https address.")] = None,
    output: Output = None,
    language: Annotated[str | None, typer.Option(help="Of the video, such as en or zh; detected by default.")] = None,
    priority: Annotated[str, typer.Option(help="high, normal or low.")] = "normal",
    tag: Annotated[list[str] | None, typer.Option(help="To find it by; several times.")] = None,
    ref: Annotated[str | None, typer.Option(help="Your own reference.")] = None,
    as_json: Json = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Follow it and download the video.")] = True,
) -> None:
    """Make a video from a prompt and, if you like, pictures, clips and sounds."""
    files = _checked_assets(asset or [])
    _check_output(output)
    with connected(as_json=as_json) as client:
        fields: dict[str, Any] = {"prompt": prompt, "priority": priority, "tags": tag or []}
        fields |= {name: value for name, value in (("language", language), ("external_ref", ref)) if value}
        fields["assets"] = [_given(client, one) for one in files]
        made = client.create_render(**fields)
        if not wait:
            if as_json:
                show_json(made)
            else:
                _words().print(made["id"], highlight=False)
            return
        _finish(client, made["id"], output, as_json=as_json)


@app.command()
def show(
    render_id: RenderId,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Until it is final, then download the video.")] = False,
    output: Output = None,
    as_json: Json = False,
) -> None:
    """Show a render; with -o also download its video."""
    _check_output(output)
    with connected(as_json=as_json) as client:
        if follow:
            return _finish(client, render_id, output, as_json=as_json)
        found = client.render(render_id)
        if output:
            found["file"] = str(client.download_video(render_id, _target(output, render_id)))
        if as_json:
            return show_json(found)
        from api.cli import tables

        return tables.show_render(_words(), found)


@app.command("list")
def list_renders(
    status: Annotated[list[str] | None, typer.Option(help="queued, running, succeeded, …; several times.")] = None,
    tag: Annotated[str | None, typer.Option()] = None,
    ref: Annotated[str | None, typer.Option(help="Your own reference.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200)] = 20,
    as_json: Json = False,
) -> None:
    """List renders, newest first."""
    with connected(as_json=as_json) as client:
        page = client.renders(status=status, tag=tag, external_ref=ref, limit=limit)
        if as_json:
            return show_json(page)
        from api.cli import tables

        return tables.show_renders(_words(), page["data"])


@app.command()
def cancel(render_id: RenderId, as_json: Json = False) -> None:
    """Cancel a render, whatever its stage."""
    with connected(as_json=as_json) as client:
        found = client.cancel(render_id)
        if as_json:
            return show_json(found)
        effect = f" ({found['cancel_effect']})" if found["cancel_effect"] else ""
        return _words().print(f"{found['id']} {found['status']}{effect}", highlight=False)


@app.command()
def credits(as_json: Json = False) -> None:
    """Show the balances as last read."""
    with connected(as_json=as_json) as client:
        found = client.credits()
        if as_json:
            return show_json(found)
        from api.cli import tables

        return tables.show_credits(_words(), found["accounts"])


def _finish(client: "Client", render_id: str, output: Path | None, *, as_json: bool) -> None:
    """Follow a render to its end, download its video, say what came of it."""
    from rich.console import Console

    from api.cli import tables
    from api.cli.progress import follow

    aside = Console(stderr=True)
    try:
        final = follow(client, render_id, console=aside)
        if final["status"] == "succeeded":
            final["file"] = str(client.download_video(render_id, _target(output, render_id)))
    except KeyboardInterrupt:
        aside.print(
            f"\nThe render goes on. Follow it:  vivideo show {render_id} --follow\n"
            f"                    Cancel it:  vivideo cancel {render_id}",
            highlight=False,
        )
        raise typer.Exit(Exit.INTERRUPTED) from None
    if as_json:
        show_json(final)
    else:
        tables.show_outcome(_words(), final)
    if final["status"] != "succeeded":
        raise typer.Exit(Exit.FAILED)


def _words() -> "Console":
    from rich.console import Console

    return Console(soft_wrap=True)


def _target(output: Path | None, render_id: str) -> Path:
    if output is None:
        return Path(f"{render_id}.mp4")
    return output / f"{render_id}.mp4" if output.is_dir() else output


def _check_output(output: Path | None) -> None:
    """Before anything is paid for: the place for the video must be there."""
    if output is not None and not output.is_dir() and not output.absolute().parent.is_dir():
        fail(f"{output.absolute().parent} is no directory: make it first, or choose another -o", Exit.USAGE)


def _checked_assets(assets: list[str]) -> list[str | Path]:
    """Addresses as text, files as paths; a missing file is found before anything is sent."""
    checked = [asset if asset.startswith(("http://", "https://")) else Path(asset) for asset in assets]
    for asset in checked:
        if isinstance(asset, Path) and not asset.is_file():
            fail(f"{asset} is no file; -a takes a file or an address that begins with https://", Exit.USAGE)
    return checked


def _given(client: "Client", asset: str | Path) -> dict[str, str]:
    if isinstance(asset, str):
        return {"url": asset}
    from api.cli.uploading import upload

    return {"upload": upload(client, asset)["id"]}
