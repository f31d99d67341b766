"""What every command shares: exit codes, errors as sentences with a remedy, JSON or words."""

import errno
import json
import sys
from collections.abc import Generator
from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING, Any, NoReturn

import typer
from typer.exceptions import TyperException

if TYPE_CHECKING:
    from api.cli.terminal import Words
    from api.client import ApiError, Client, ClientError

PATIENCE_SECONDS = 4.0
"""A person at a terminal waits no longer for a server that may be restarting."""


class Exit(IntEnum):
    """Stable exit codes."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_AUTHORISED = 4
    INTERRUPTED = 130
    """As a shell reports Ctrl-C."""
    READER_GONE = 141
    """As a shell reports SIGPIPE: `vivideo … | head` was content with less."""


class Mistake(TyperException):
    """Wrong use that only the command itself can see; its text says what is right."""

    exit_code = Exit.USAGE


@contextmanager
def connected(*, as_json: bool = False) -> Generator["Client"]:
    """A client for the service at hand; whatever goes wrong with it ends the command with a sentence and a code."""
    from api.cli import connection
    from api.client import Client, ClientError

    try:
        found = connection.find()
    except connection.NoKey as problem:
        fail(str(problem), Exit.NOT_AUTHORISED, as_json=as_json, code="auth.missing")
    try:
        with Client(found.url, found.api_key, patience=PATIENCE_SECONDS) as client:
            yield client
    except ClientError as problem:
        _refused(problem, found.url, as_json=as_json)
    except BrokenPipeError:
        raise
    except OSError as problem:
        fail(os_words(problem), Exit.FAILED, as_json=as_json)


def fail(
    message: str,
    exit_code: Exit,
    *,
    as_json: bool = False,
    code: str = "failed",
    more: dict[str, Any] | None = None,
) -> NoReturn:
    """Say why on stderr (and, for programs, as JSON on stdout) and end the command."""
    say(message)
    if as_json:
        show_json({"error": {"code": code, "message": message, **(more or {})}})
    raise typer.Exit(exit_code)


def say(message: str) -> None:
    """A sentence aside, on stderr."""
    print(f"vivideo: {message}", file=sys.stderr)  # noqa: T201 - this is a command line


def show_json(value: Any) -> None:
    """One JSON document on stdout."""
    print(json.dumps(value, ensure_ascii=False, indent=2))  # noqa: T201 - this is a command line


def show_json_line(value: Any) -> None:
    """One of a stream of JSON documents, a line each, at once."""
    print(json.dumps(value, ensure_ascii=False), flush=True)  # noqa: T201 - this is a command line


def words() -> "Words":
    """Where words for people go."""
    from api.cli import terminal

    return terminal.words()


def os_words(problem: OSError) -> str:
    """What the system refused, and what to do about it."""
    reason = problem.strerror or str(problem)
    named = f"{problem.filename}: {reason}" if problem.filename else reason
    if problem.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{named}\n  → make room, or choose another place (-o)"
    if problem.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{named}\n  → change its permissions, or choose another place (-o)"
    return named


def _refused(problem: "ClientError", url: str, *, as_json: bool) -> NoReturn:
    from api.client import ApiError, NotTheService, TooLarge, Unreachable, Unusable

    if isinstance(problem, ApiError):
        more = {"help": problem.help, "errors": problem.errors, "request_id": problem.request_id}
        fail(_words(problem), _code(problem), as_json=as_json, code=problem.code, more=more)
    if isinstance(problem, Unreachable):
        remedy = "start it with `vivideo up`, or name another server in VIVIDEO_URL"
        fail(f"nothing listens at {url} — {remedy}\n  {problem}", Exit.FAILED, as_json=as_json, code="unreachable")
    if isinstance(problem, NotTheService):
        fail(f"{problem}: VIVIDEO_URL", Exit.FAILED, as_json=as_json, code="not_the_service")
    wrong = isinstance(problem, Unusable | TooLarge)
    fail(str(problem), Exit.USAGE if wrong else Exit.FAILED, as_json=as_json, code="usage" if wrong else "failed")


def _words(problem: "ApiError") -> str:
    named = "".join(f"\n  {error.get('pointer', '')}: {error.get('detail', '')}" for error in problem.errors)
    remedy = f"\n  → {problem.help}" if problem.help else ""
    later = f" (Retry-After: {problem.retry_after:.0f})" if problem.retry_after else ""
    return f"{problem.message}{named}{remedy}{later} [{problem.code}]"


def _code(problem: "ApiError") -> Exit:
    from api.client import Invalid, NotAuthorised

    if isinstance(problem, NotAuthorised):
        return Exit.NOT_AUTHORISED
    # The request itself was wrong: malformed, too large, of a kind that is not taken.
    return Exit.USAGE if isinstance(problem, Invalid) else Exit.FAILED
