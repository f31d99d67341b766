"""What a shop is entered with, from a place that no list of processes shows."""

import os
import sys
from pathlib import Path

import typer

from api.cli.reporting import Exit, Mistake, fail, os_words

LONGEST = 8192
"""Characters of a credential; more is some other file."""
FROM = "FILE|-|env:NAME"
"""How an option names such a place; `-` is a line of standard input."""
_ENV = "env:"


def read(source: str, option: str) -> str:
    """The credential that `option` names the place of. Raises Mistake, typer.Exit."""
    try:
        text = _text(source, option).strip()
    except OSError as problem:
        fail(os_words(problem), Exit.FAILED)
    except UnicodeDecodeError:
        raise Mistake(f"{option}: that is no text") from None
    # What was read is not repeated in any message: it is secret, or may be.
    if not text:
        raise Mistake(f"{option}: nothing is there")
    if len(text) > LONGEST or not text.isprintable():
        raise Mistake(f"{option}: give it alone, on one line")
    return text


def _text(source: str, option: str) -> str:
    if source.startswith(_ENV):
        name = source.removeprefix(_ENV)
        if name not in os.environ:
            raise Mistake(f"{option}: there is no environment variable {name}")
        return os.environ[name]
    if source != "-":
        with Path(source).open(encoding="utf-8") as opened:
            return opened.read(LONGEST + 2)
    if sys.stdin.isatty():
        return str(typer.prompt(option.removeprefix("--").removesuffix("-from"), hide_input=True, err=True))
    return sys.stdin.readline(LONGEST + 2)
