"""What every command shares: exit codes, errors as sentences with a remedy, JSON or words."""

import json
import sys
from collections.abc import Generator
from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING, Any, NoReturn

import typer

if TYPE_CHECKING:
    from api.client import ApiError, Client


class Exit(IntEnum):
    """Stable exit codes."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_AUTHORISED = 4
    INTERRUPTED = 130
    """As a shell reports Ctrl-C."""


@contextmanager
def connected(*, as_json: bool = False) -> Generator["Client"]:
    """A client for the service at hand; whatever goes wrong with it ends the command with a sentence and a code."""
    from api.cli import connection
    from api.client import ApiError, Client, ClientError, Unreachable

    try:
        found = connection.find()
    except connection.NoKey as problem:
        fail(str(problem), Exit.NOT_AUTHORISED, as_json=as_json, code="auth.missing")
    try:
        with Client(found.url, found.api_key) as client:
            yield client
    except ApiError as problem:
        fail(_words(problem), _code(problem), as_json=as_json, code=problem.code)
    except Unreachable:
        message = f"nothing listens at {found.url} — start it with `vivideo up`, or name another server in VIVIDEO_URL"
        fail(message, Exit.FAILED, as_json=as_json, code="unreachable")
    except UnicodeEncodeError:
        fail("the text is not valid UTF-8", Exit.USAGE, as_json=as_json, code="request.invalid")
    except (ClientError, OSError) as problem:
        fail(str(problem), Exit.FAILED, as_json=as_json, code="failed")


def fail(message: str, exit_code: Exit, *, as_json: bool = False, code: str = "failed") -> NoReturn:
    """Say why on stderr (and, for programs, as JSON on stdout) and end the command."""
    print(f"vivideo: {message}", file=sys.stderr)  # noqa: T201 - this is a command line
    if as_json:
        show_json({"error": {"code": code, "message": message}})
    raise typer.Exit(exit_code)


def show_json(value: Any) -> None:
    """One JSON document on stdout."""
    print(json.dumps(value, ensure_ascii=False, indent=2))  # noqa: T201 - this is a command line


def _words(problem: "ApiError") -> str:
    named = "".join(f"\n  {error.get('pointer', '')}: {error.get('detail', '')}" for error in problem.errors)
    remedy = f"\n  → {problem.help}" if problem.help else ""
    return f"{problem.message}{named}{remedy} [{problem.code}]"


def _code(problem: "ApiError") -> Exit:
    if problem.status in (401, 403):
        return Exit.NOT_AUTHORISED
    # The request itself was wrong: malformed, too large, of a kind that is not taken.
    return Exit.USAGE if problem.status in (400, 413, 415, 422) else Exit.FAILED
