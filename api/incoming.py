"""Headers that two readers could read in two ways are refused before anything is done with the request.

A proxy that takes the first of two keys, and a service that takes the second, disagree about who is calling; two
lengths of one body make one request look like two (request smuggling).
"""

from collections import Counter

from starlette.types import Scope

from api.problems import FieldError, Problem

_ONCE = frozenset(
    {
        b"authorization",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"expect",
        b"host",
        b"idempotency-key",
        b"if-range",
        b"last-event-id",
        b"range",
        b"transfer-encoding",
    }
)
"""Headers that are no lists."""
_CLOSE = {"Connection": "close"}
"""With a refusal after which nobody can say where the next request begins."""


def check(scope: Scope) -> None:
    """Raises Problem `request.header`, `request.encoding`."""
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    counts = Counter(name for name, _ in headers)
    for name in counts.keys() & _ONCE:
        if counts[name] > 1:
            raise _refused(name.decode(), "given more than once")
    given = dict(headers)
    if scope["http_version"] == "1.1" and not given.get(b"host"):
        raise _refused("host", "missing")
    # Together with a length it never comes here: the server drops the length and closes the connection (RFC 9112, 6.1).
    if given.get(b"transfer-encoding", b"chunked").strip().lower() != b"chunked":
        raise _refused("transfer-encoding", "`chunked` alone is taken")
    if given.get(b"content-encoding", b"identity").strip().lower() not in (b"identity", b""):
        raise Problem(
            "request.encoding", "The body is declared as compressed.", headers={"Accept-Encoding": "identity"}
        )


def _refused(name: str, why: str) -> Problem:
    title = name.title()
    return Problem("request.header", f"{title}: {why}.", errors=[FieldError(title, why)], headers=_CLOSE)
