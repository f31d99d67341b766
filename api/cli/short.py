"""`vivideo render "…"` is short for `vivideo render create "…"`; and `render` stands first in the list."""

from difflib import get_close_matches
from typing import Any

from typer.core import TyperGroup


class RenderFirst(TyperGroup):
    """The top level: Typer would list groups after the commands."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Their names, in the order of the help."""
        return sorted(self.commands, key=lambda name: name != "render")


class Short(TyperGroup):
    """A group whose unknown first word begins the arguments of `create`.

    A single word that is nearly a command is asked about instead: a slip of the finger would cost credits.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The arguments, with `create` before them where it was left out."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            if not ctx.resilient_parsing:  # which is completion's way
                self._doubt(ctx, args[0])
            args = ["create", *args]
        return super().parse_args(ctx, args)

    def _doubt(self, ctx: Any, word: str) -> None:
        meant = "get" if word.startswith("rnd_") else next(iter(get_close_matches(word, self.commands, 1, 0.75)), None)
        if meant is not None:
            ctx.fail(f"{word!r} is no command; did you mean {meant!r}? For a video of it: create {word!r}")
