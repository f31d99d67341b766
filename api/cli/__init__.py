"""The commands about renders, files, balances, accounts and keys; `vivideo` mounts them at its top level."""

from api.cli import accounts, keys
from api.cli.commands import app
from api.cli.program import run

app.add_typer(accounts.app, name="accounts")
app.add_typer(keys.app, name="keys")

__all__ = ["app", "run"]
