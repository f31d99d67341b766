"""What Prometheus reads: to this machine's own programs without a key, to others with a token."""

import asyncio
import hmac
import ipaddress
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

from fastapi import APIRouter, Request
from fastapi.security.utils import get_authorization_scheme_param
from prometheus_client import CollectorRegistry, generate_latest
from starlette.responses import Response

from api.problems import Problem
from api.routes.documented import answer, problems
from config.settings import settings
from worker.metrics import depths, serving

router = APIRouter(tags=["health"])

FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
"""A proxy on this machine has a loopback address too: what it passes on comes from elsewhere."""
TYPE = "text/plain; version=0.0.4; charset=utf-8"
EXAMPLE = """# HELP vivideo_renders_open Renders that are not final.
# TYPE vivideo_renders_open gauge
vivideo_renders_open{reason="",status="running"} 12.0
"""

# Of its own: the intake's threads may all be waiting for a database that hangs, which is when one looks here.
_reading = ThreadPoolExecutor(max_workers=1, thread_name_prefix="metrics")


@router.get(
    "/metrics",
    summary="Counts and gauges for Prometheus",
    response_class=Response,
    responses=problems("metrics.closed", keyed=False)
    | {200: answer("As text.", content={"text/plain": {"schema": {"type": "string"}, "example": EXAMPLE}})},
)
async def metrics(request: Request) -> Response:
    """This process's counts, and what the database says of all renders (read every ten seconds at most). Without a key
    to a program of this machine that no proxy stands in front of; to others with
    `Authorization: Bearer VIVIDEO_METRICS_TOKEN`."""
    if not (_is_local(request) or _has_token(request)):
        raise Problem("metrics.closed", "This is neither this machine nor the right token.")
    text = await asyncio.get_running_loop().run_in_executor(_reading, generate_latest, _collected())
    return Response(text, media_type=TYPE)


@lru_cache(maxsize=1)
def _collected() -> CollectorRegistry:
    return serving.collected("api", depths.FromDatabase())


def _is_local(request: Request) -> bool:
    """Whether a program of this machine asks, by itself."""
    if request.client is None or any(name in request.headers for name in FORWARDED):
        return False
    try:
        peer = ipaddress.ip_address(request.client.host)
    except ValueError:
        return False
    return (getattr(peer, "ipv4_mapped", None) or peer).is_loopback


def _has_token(request: Request) -> bool:
    scheme, given = get_authorization_scheme_param(request.headers.get("authorization"))
    token = settings().servers.metrics_token
    if token is None or scheme.lower() != "bearer":
        return False
    return hmac.compare_digest(given.encode(), token.get_secret_value().encode())
