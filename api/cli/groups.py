"""Groups of commands, which show what there is to whoever names none of it."""

from typing import Any

import typer

from api.cli.reporting import Exit


def group(help: str, **options: Any) -> typer.Typer:
    """A group with these words on its page; `options` as Typer takes them."""
    made = typer.Typer(rich_markup_mode=None, **options)

    @made.callback(invoke_without_command=True, help=help)
    def top(context: typer.Context) -> None:  # pyright: ignore[reportUnusedFunction] - Typer keeps it
        if context.invoked_subcommand is None:
            typer.echo(context.get_help())
            raise typer.Exit(Exit.USAGE)

    return made
