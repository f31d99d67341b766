"""The command line's commands about renders; `vivideo` mounts them at its top level."""

from api.cli.commands import app

__all__ = ["app"]
