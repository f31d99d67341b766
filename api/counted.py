"""Counts and times of what the intake answers."""

from starlette.types import Scope

from worker.metrics.declared import HTTP_REQUEST_SECONDS, HTTP_REQUESTS

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def answered(scope: Scope, status: int, seconds: float) -> None:
    """A request, by the address as its route has it: what people put in its place is no label."""
    route = getattr(scope.get("route"), "path_format", "")
    method = scope["method"] if scope["method"] in METHODS else "other"
    HTTP_REQUESTS.labels(route, method, str(status)).inc()
    HTTP_REQUEST_SECONDS.labels(route, method).observe(seconds)
