"""The command line's commands about renders, files and balances; `vivideo` mounts them at its top level."""

from api.cli.commands import app
from api.cli.program import run

__all__ = ["app", "run"]
