"""The control interface below `/_sandbox/`: no token, loopback only."""

import ipaddress
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from deploy.sandbox.backend import Backend, backend_of
from deploy.sandbox.errors import Refusal, bad_request

Action = Callable[[Backend, Request], Awaitable[Any]]


async def _add_rule(backend: Backend, request: Request) -> Any:
    wishes = await _json(request)
    try:
        rules = [backend.rules.add(wish) for wish in (wishes if isinstance(wishes, list) else [wishes])]
    except (ValueError, TypeError, AttributeError) as error:
        raise bad_request(str(error)) from error
    return [vars(rule) for rule in rules]


async def _rules(backend: Backend, request: Request) -> Any:
    return backend.rules.shown()


async def _clear_rules(backend: Backend, request: Request) -> Any:
    backend.rules.clear()
    return {}


async def _ledger(backend: Backend, request: Request) -> Any:
    return backend.ledger.report()


async def _summary(backend: Backend, request: Request) -> Any:
    return backend.ledger.summary()


async def _settings(backend: Backend, request: Request) -> Any:
    return backend.settings.shown()


async def _change(backend: Backend, request: Request) -> Any:
    values = await _json(request)
    try:
        backend.settings.change(values)
    except (ValueError, AttributeError) as error:
        raise bad_request(str(error)) from error
    return backend.settings.shown()


async def _reset(backend: Backend, request: Request) -> Any:
    await backend.exports.stop()
    backend.rules.clear()
    backend.database.clear()
    backend.ledger.forget()
    backend.sessions.running.clear()
    return {}


async def _expire(backend: Backend, request: Request) -> Any:
    wish = await _json(request)
    return {"expired": backend.accounts.expire_tokens(bool(wish.get("registered")))}


async def _forget(backend: Backend, request: Request) -> Any:
    return {"forgotten": backend.sessions.forget_all()}


async def index(request: Request) -> Response:
    """`GET /`: what this is."""
    base = str(request.base_url)
    return HTMLResponse(
        "<!doctype html><title>Sandbox render backend</title><body style='font:16px/1.5 sans-serif;margin:3em'>"
        "<h1>Sandbox render backend</h1><p>A stand-in for the remote render backend: it speaks the same calls, "
        "really renders, and misbehaves when told to. For trying, developing and testing only.</p><ul>"
        f"<li>API: <code>{base}api/…</code> and <code>{base}run_sse</code>, with any <code>nmv_sandbox_…</code> token"
        f"<li><a href='{base}_sandbox/ledger/summary'>summary</a>, <a href='{base}_sandbox/ledger'>ledger</a>, "
        f"<a href='{base}_sandbox/rules'>rules</a>, <a href='{base}_sandbox/settings'>settings</a></ul>"
    )


def control_routes() -> list[Route]:
    """The routes of the control interface."""
    table: list[tuple[str, str, Action]] = [
        ("GET", "rules", _rules),
        ("POST", "rules", _add_rule),
        ("DELETE", "rules", _clear_rules),
        ("GET", "ledger", _ledger),
        ("GET", "ledger/summary", _summary),
        ("GET", "settings", _settings),
        ("POST", "settings", _change),
        ("POST", "reset", _reset),
        ("POST", "expire-tokens", _expire),
        ("POST", "forget-sessions", _forget),
    ]
    return [Route(f"/_sandbox/{path}", _endpoint(action), methods=[method]) for method, path, action in table]


def _endpoint(action: Action) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        host = request.client.host if request.client else ""
        if not host or not ipaddress.ip_address(host).is_loopback:
            raise Refusal(403, "the control interface is for this machine only", status=403)
        return JSONResponse(await action(backend_of(request), request))

    return endpoint


async def _json(request: Request) -> Any:
    if not await request.body():
        return {}
    try:
        return await request.json()
    except ValueError as error:
        raise bad_request("the body is not JSON") from error
