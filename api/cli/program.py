"""Running a command so that whatever happens ends with a sentence and an exit code, never with a traceback."""

import atexit
import gc
import io
import os
import sys
from typing import NoReturn

import typer
from typer.exceptions import TyperException

from api.cli.reporting import Exit, Mistake, os_words, say, show_json

NAME = "vivideo"

OBJECTS_BETWEEN_COLLECTIONS = 20_000
"""By itself Python looks for garbage hundreds of times while a command imports, and there is none."""


def run(app: typer.Typer) -> NoReturn:
    """Run what the arguments say, and exit."""
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
    atexit.register(gc.freeze)  # else all that was imported is looked through as it ends
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that has no × shows \xd7
    sys.exit(_ended(app))


def _ended(app: typer.Typer) -> int:
    before = sys.stdout
    try:
        status = _status(app)
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
        return Exit.READER_GONE
    except OSError as problem:  # the output's disk is full
        _drop_output()
        return _failed(os_words(problem), Exit.FAILED, code="failed")
    # Typer puts a deaf stream in stdout's place when its reader is gone.
    return status if sys.stdout is before else Exit.READER_GONE


def _status(app: typer.Typer) -> int:
    try:
        outcome = app(prog_name=NAME, standalone_mode=False)
    except TyperException as mistake:
        return _failed(_usage(mistake), mistake.exit_code, code="usage")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else Exit.FAILED
    except OSError:
        raise
    except typer.Abort:
        return Exit.INTERRUPTED
    except Exception as fault:
        if os.environ.get("VIVIDEO_DEBUG"):
            raise
        words = f"a fault in this program: {type(fault).__name__}: {fault}\n  → VIVIDEO_DEBUG=1 shows where"
        return _failed(words, Exit.FAILED, code="internal")
    return outcome if isinstance(outcome, int) else Exit.DONE


def _usage(mistake: TyperException) -> str:
    """The mistake, and where to read how it is done."""
    if isinstance(mistake, Mistake):
        return mistake.message
    context = getattr(mistake, "ctx", None)
    place = context.command_path if context is not None else NAME
    return f"{mistake.format_message().rstrip('.')}\n  → {place} --help"


def _failed(words: str, status: int, *, code: str) -> int:
    say(words)
    if "--json" in sys.argv[1:]:  # asked for, also where the arguments could not be read
        show_json({"error": {"code": code, "message": words}})
    return status


def _drop_output() -> None:
    """What could not be written is not tried again when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
