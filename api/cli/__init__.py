"""The command line's commands about renders, files, balances and keys; `vivideo` mounts them at its top level."""

from api.cli import keys
from api.cli.commands import app
from api.cli.program import run

app.add_typer(keys.app, name="keys")

__all__ = ["app", "run"]
