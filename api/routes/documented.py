"""What the OpenAPI document says of an address beyond what its signature tells."""

from collections.abc import Sequence
from typing import Any

from api.problems import KINDS, MEDIA_TYPE, Problem, body

Entry = dict[str, Any]

EVERYWHERE = (
    "request.header",
    "request.cut",
    "request.timeout",
    "request.too_large",
    "request.encoding",
    "internal",
)
"""What any address may answer: these are found before it is looked at, or after it failed."""
KEYED = ("auth.missing", "auth.invalid", "auth.scope", "request.invalid", "rate.limited", "database.unavailable")
"""What any address may answer that belongs to an owner."""
JSON_BODY = ("request.malformed", "request.media_type")
IDEMPOTENT = ("idempotency.invalid", "idempotency.mismatch", "idempotency.in_flight")

_REQUEST_ID = "req_01jz0000000000000000000000"


def _header(description: str, example: Any, kind: str = "string") -> Entry:
    return {"description": description, "schema": {"type": kind}, "example": example}


ANSWERED: dict[str, Entry] = {
    "X-Request-Id": _header("The request's id, also in the logs; yours where you sent one.", _REQUEST_ID),
    "RateLimit": _header("Requests left, and seconds until more: only for keys with a limit.", '"writes";r=599;t=12'),
    "RateLimit-Policy": _header("Requests in a span of seconds.", '"writes";q=600;w=60'),
    "Retry-After": _header("Seconds to wait.", 5, "integer"),
    "WWW-Authenticate": _header("How to say who you are.", "Bearer"),
    "Location": _header("The address of what was made.", "/v1/renders/rnd_01jz0000000000000000000000"),
    "ETag": _header("The state's tag, for `If-Match` and `If-None-Match`.", 'W/"5f2b9c0d8e7a4b1c5f2b9c0d8e7a4b1c"'),
    "Idempotent-Replayed": _header("`true` where an earlier request with this key had made it.", "true"),
    "Preference-Applied": _header("The wait that was granted.", "wait=30"),
    "Content-Range": _header("Which bytes of how many.", "bytes 0-1023/858070"),
    "Accept-Ranges": _header("Ranges are taken.", "bytes"),
    "Cache-Control": _header("Who may keep it.", "no-store"),
    "Content-Disposition": _header("A file name.", 'inline; filename="rnd_01jz0000000000000000000000.mp4"'),
}
"""Headers of answers."""

_WITH: dict[int, tuple[str, ...]] = {
    401: ("WWW-Authenticate",),
    412: ("ETag",),
    416: ("Content-Range",),
    429: ("Retry-After",),
    503: ("Retry-After",),
}
"""What comes with a problem of this status."""

_TAKEN: dict[str, tuple[str, str]] = {
    "If-Match": ("Only where the render still has this tag; otherwise 412.", 'W/"5f2b9c0d8e7a4b1c5f2b9c0d8e7a4b1c"'),
    "If-None-Match": ("304 where it still has this tag.", 'W/"5f2b9c0d8e7a4b1c5f2b9c0d8e7a4b1c"'),
    "Range": ("One range of bytes. Several, and other units, get the whole file.", "bytes=0-1023"),
    "If-Range": ("The range only where the file still has this tag.", '"434c8104127d"'),
}


def takes(*names: str) -> Entry:
    """`openapi_extra` for request headers that are read without being parameters."""
    return {
        "parameters": [
            {
                "name": name,
                "in": "header",
                "required": False,
                "schema": {"type": "string"},
                "description": _TAKEN[name][0],
                "example": _TAKEN[name][1],
            }
            for name in names
        ]
    }


def answer(description: str, *headers: str, **more: Any) -> Entry:
    """One entry of `responses`: what it means, the headers that come with it, `model` or `content`."""
    return {"description": description, "headers": said(*headers), **more}


def said(*names: str) -> Entry:
    """References to headers of answers."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def problems(*codes: str, keyed: bool = True) -> dict[int | str, Entry]:
    """The entries for these problems, and for those that every address has; each with an example."""
    by_status: dict[int, list[str]] = {}
    for code in dict.fromkeys((*EVERYWHERE, *(KEYED if keyed else ()), *codes)):
        by_status.setdefault(KINDS[code].status, []).append(code)
    return {status: _problems(status, by_status[status]) for status in sorted(by_status)}


PROBLEMS: dict[str, Entry] = {
    code: {"summary": kind.title, "value": body(Problem(code), request_id=_REQUEST_ID)} for code, kind in KINDS.items()
}
"""An example of each."""


def _examples(codes: Sequence[str]) -> Entry:
    return {code: {"$ref": f"#/components/examples/{code}"} for code in codes}


def _problems(status: int, codes: Sequence[str]) -> Entry:
    headers = (*_WITH.get(status, ()), *(("Retry-After",) if "idempotency.in_flight" in codes else ()))
    return {
        "description": " · ".join(f"`{code}`: {KINDS[code].title}" for code in codes),
        "headers": said(*headers),
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemBody"}, "examples": _examples(codes)}},
    }
