"""What the routes share: documented problems, checked parameters, no parameter ignored."""

from collections.abc import Iterable
from typing import Annotated, Any

from fastapi import Depends, Path, Query, Request

from api import intake, limits
from api.bodies import ProblemBody
from api.problems import KINDS, MEDIA_TYPE, FieldError, Problem
from api.schemas import Plain

RENDER_ID_LENGTH = len("rnd_") + 26


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


def only_known(request: Request) -> None:
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


def checked_id(id: Annotated[str, Path(description="`rnd_…`")]) -> str:
    """A text that can be an id at all. Raises Problem `render.unknown`."""
    if len(id) != RENDER_ID_LENGTH or not id.startswith("rnd_") or not (id.isascii() and id[4:].isalnum()):
        raise intake.unknown(id.encode("utf-8", "replace").decode())
    return id


RenderId = Annotated[str, Depends(checked_id)]
Limit = Annotated[int, Query(ge=1, le=limits.LONGEST_PAGE)]
Cursor = Annotated[str | None, Query(max_length=200, description="`next_cursor` of the page before.")]
Words = Annotated[str | None, Query(min_length=1, max_length=limits.REFERENCE_CHARACTERS), Plain]
"""A filter's text."""
