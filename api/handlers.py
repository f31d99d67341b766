"""Whatever goes wrong becomes a problem: validation, unknown addresses, a database that is away."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.responses import Response

from api import problems
from api.problems import FieldError, Problem
from worker.accounts import vault
from worker.batches.store import Gone
from worker.database import retryable
from worker.media.storage import NotStored, StorageUnavailable
from worker.owners.limits import LimitReached
from worker.renders import revisions, runs, store, uploads
from worker.sessions import store as sessions
from worker.templates import store as templates

_REFUSALS: dict[type[Exception], str] = {
    runs.NotFinal: "render.not_final",
    runs.Succeeded: "render.succeeded",
    runs.ForceNeeded: "render.force_needed",
    store.Begun: "render.begun",
    revisions.Stale: "render.stale_revision",
    uploads.InUse: "upload.in_use",
    templates.Archived: "template.archived",
    templates.Exists: "template.exists",
    Gone: "batch.lost",
    sessions.Lost: "session.lost",
    sessions.Closed: "session.closed",
    vault.SecretKeyMissing: "webhook.no_secret_key",
    vault.SecretKeyChanged: "webhook.no_secret_key",
}
"""What the store refuses, by what it raises."""

_HTTP_CODES = {400: "request.malformed", 404: "route.unknown", 405: "route.method", 413: "request.too_large"}


def install(app: FastAPI) -> None:
    """Register the handlers."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(DBAPIError, _database)
    app.add_exception_handler(PoolTimeout, _database)
    app.add_exception_handler(NotStored, _not_stored)
    app.add_exception_handler(StorageUnavailable, _storage)
    app.add_exception_handler(LimitReached, _limit)
    for refusal in _REFUSALS:
        app.add_exception_handler(refusal, _refused)


def answer(request: Request, problem: Problem) -> Response:
    """The problem as an answer to this request."""
    return problems.response(problem, getattr(request.state, "request_id", ""))


def _problem(request: Request, error: Exception) -> Response:
    return answer(request, cast(Problem, error))


def _validation(request: Request, error: Exception) -> Response:
    found = cast(RequestValidationError, error).errors()
    if any(one["type"] == "json_invalid" for one in found):
        return answer(request, Problem("request.malformed", "The body cannot be read as JSON."))
    errors = [FieldError(pointer(one["loc"]), words(one)) for one in found[:20]]
    named = ", ".join(one.pointer for one in errors[:3])
    return answer(request, Problem("request.invalid", f"Not valid: {named}", errors=errors))


def pointer(place: Sequence[str | int]) -> str:
    """`("body", "assets", 0, "url")` → `/assets/0/url`; `("query", "limit")` → `?limit`."""
    source, *path = place
    if source == "body":
        return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path) or "/"
    names = ".".join(map(str, path))
    return f"?{names}" if source == "query" else names


def words(found: Mapping[str, Any]) -> str:
    """What is wrong with one field, from what pydantic says."""
    match found["type"]:
        case "extra_forbidden":
            return "this field is unknown, or does nothing yet"
        case "string_unicode":
            return "the text holds half a surrogate pair, which is no character"
        case _:
            return str(found["msg"]).removeprefix("Value error, ")


def _http(request: Request, error: Exception) -> Response:
    http = cast(HTTPException, error)
    code = _HTTP_CODES.get(http.status_code, "internal" if http.status_code >= 500 else "request.invalid")
    detail = f"{request.method} {request.url.path}" if http.status_code in (404, 405) else str(http.detail)
    headers = {"Allow": _allowed(request)} if http.status_code == 405 else http.headers
    return answer(request, Problem(code, detail, headers=headers))


def _allowed(request: Request) -> str:
    """The methods of this address: the framework names those of its first route alone."""
    methods: set[str] = set()
    for route in iter_route_contexts(request.app.routes):
        if route.path_regex.match(request.url.path):
            methods |= route.methods or set()
    return ", ".join(sorted(methods))


def _database(request: Request, error: Exception) -> Response:
    return answer(request, unavailable(error))


def unavailable(error: Exception) -> Problem:
    """The problem of a database that is away or not migrated. Raises any other error of the database again."""
    if isinstance(error, DBAPIError) and not retryable(error) and not _not_migrated(error):
        raise error
    return Problem("database.unavailable", "The database does not answer at the moment.")


def _not_migrated(error: DBAPIError) -> bool:
    """An undefined table or column: this version started before its migrations ran."""
    return getattr(error.orig, "sqlstate", None) in ("42P01", "42703")


def _refused(request: Request, error: Exception) -> Response:
    return answer(request, Problem(_REFUSALS[type(error)], str(error)))


def _limit(request: Request, error: Exception) -> Response:
    reached = cast(LimitReached, error)
    headers = {"Retry-After": str(reached.retry_after_seconds)}
    return answer(request, Problem(f"limit.{reached.kind}", reached.detail, headers=headers))


def _not_stored(request: Request, _: Exception) -> Response:
    return answer(request, Problem("result.gone", "The storage has no file under this render's key."))


def _storage(request: Request, _: Exception) -> Response:
    return answer(request, Problem("storage.unavailable", "The file storage does not answer at the moment."))
