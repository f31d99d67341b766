"""What the routes share: documented problems, checked parameters, no parameter ignored."""

from collections.abc import Iterable
from typing import Annotated, Any

from fastapi import Depends, Path, Query, Request

from api import intake, limits
from api.bodies import ProblemBody
from api.problems import KINDS, MEDIA_TYPE, FieldError, Problem
from api.schemas import Plain

ULID_LENGTH = 26


def problems(*codes: str) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI entries for these problems, and for those that every address has."""
    by_status: dict[int | str, list[str]] = {}
    for code in ("auth.missing", "auth.invalid", "request.invalid", "database.unavailable", *codes):
        by_status.setdefault(KINDS[code].status, []).append(code)
    return {
        status: {
            "model": ProblemBody,
            "description": " · ".join(f"`{code}`: {KINDS[code].title}" for code in dict.fromkeys(found)),
            "content": {MEDIA_TYPE: {}},
        }
        for status, found in by_status.items()
    }


async def json_only(request: Request) -> None:
    """Raises Problem `request.media_type` for a body that is not declared as JSON: a form of another site could not be
    told from one of ours. None at all is no body."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json")):
        return
    if kind or await request.body():
        raise Problem("request.media_type", f"The body is declared as {kind[:80] or 'nothing'}.")


async def only_known(request: Request) -> None:
    """Raises Problem `request.invalid` for a parameter the address does not have: one that is ignored (a `dry_run`, a
    mistyped filter) would do something else than was meant."""
    route = request.scope["route"]
    known = set(_names(route.dependant))
    unknown = [
        FieldError(f"?{name}", "this parameter is unknown, or does nothing yet")
        for name in request.query_params
        if name not in known
    ]
    if unknown:
        raise Problem("request.invalid", f"Not valid: {unknown[0].pointer}", errors=unknown)


def _names(dependant: Any) -> Iterable[str]:
    for parameter in dependant.query_params:
        yield parameter.alias
    for inner in dependant.dependencies:
        yield from _names(inner)


async def _render_id(id: Annotated[str, Path(description="`rnd_…`")]) -> str:
    if not _can_be(id, "rnd_"):
        raise intake.unknown(_printable(id))
    return id


async def _upload_id(id: Annotated[str, Path(description="`upl_…`")]) -> str:
    if not _can_be(id, "upl_"):
        raise Problem("upload.not_found", f"You have no upload {_printable(id)}.")
    return id


async def _account_id(id: Annotated[str, Path(description="`acc_…`")]) -> str:
    if not _can_be(id, "acc_"):
        raise Problem("account.unknown", f"You have no account {_printable(id)}.")
    return id


def _can_be(id: str, prefix: str) -> bool:
    """Whether a text can be an id at all: what cannot is not asked for (a NUL would be an error of the database)."""
    return len(id) == len(prefix) + ULID_LENGTH and id.startswith(prefix) and id.isascii() and id[4:].isalnum()


def _printable(id: str) -> str:
    return id.encode("utf-8", "replace").decode()[:64]


RenderId = Annotated[str, Depends(_render_id)]
UploadId = Annotated[str, Depends(_upload_id)]
AccountId = Annotated[str, Depends(_account_id)]
"""Raise Problem `….unknown` (`upload.not_found`) for what is no id."""
Limit = Annotated[int, Query(ge=1, le=limits.LONGEST_PAGE)]
Cursor = Annotated[str | None, Query(max_length=200, description="`next_cursor` of the page before.")]
Words = Annotated[str | None, Query(min_length=1, max_length=limits.REFERENCE_CHARACTERS), Plain]
"""A filter's text."""
