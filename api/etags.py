"""Conditional requests (RFC 9110, 13) on a render as it stands.

The tags are weak: progress and estimate move with every look, and what did not change otherwise is the same to who
asks. So `If-Match` is compared weakly too, where the standard has strong tags alone: it guards against another's
change, and a tag that could never match would guard nothing.
"""

import hashlib

from fastapi import Request

from api.bodies import RenderBody
from api.problems import Problem


def of(body: RenderBody) -> str:
    """The tag of a render."""
    return f'W/"{hashlib.sha256(body.model_dump_json(exclude={"eta", "progress"}).encode()).hexdigest()[:32]}"'


def is_known(request: Request, tag: str) -> bool:
    """Whether the caller has this state already (`If-None-Match`)."""
    return _names(request, "if-none-match", tag)


def demand(request: Request, tag: str) -> None:
    """Raises Problem `render.changed` where `If-Match` names another state."""
    if "if-match" in request.headers and not _names(request, "if-match", tag):
        raise Problem("render.changed", "The render is no longer as `If-Match` says.", headers={"ETag": tag})


def _names(request: Request, header: str, tag: str) -> bool:
    given = [one.strip() for line in request.headers.getlist(header) for one in line.split(",")]
    return "*" in given or tag.removeprefix("W/") in {one.removeprefix("W/") for one in given}
