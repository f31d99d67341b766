"""The application: which address leads where, and how refusals become answers."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from .backend import Backend, backend_of
from .errors import Dropped, Refusal
from .exports import Compositor
from .routes import auth, control, exports, files, messages, sessions, uploads
from .settings import Settings
from .wire import connection_of, refusal_answer, remember_connection

ROUTES = [
    Route("/", control.index),
    Route("/api/auth/anonymous-token", auth.anonymous_token, methods=["POST"]),
    Route("/api/auth/claim-token", auth.claim_token, methods=["POST"]),
    Route("/api/credits/balance/simple", auth.credits_balance),
    Route("/api/tasks/me/with-session/nemo_agent", sessions.create_session, methods=["POST"]),
    Route("/api/state/nemo_agent/me/{session}/latest", sessions.read_state),
    Route("/api/upload-video/nemo_agent/me/{session}", uploads.upload, methods=["POST"]),
    Route("/run_sse", messages.send_message, methods=["POST"]),
    Route("/api/render/proxy/lambda", exports.submit_export, methods=["POST"]),
    Route("/api/render/proxy/lambda/{id}", exports.poll_export),
    Route("/api/render/proxy/lambda/{id}/cancel", exports.cancel_export, methods=["POST"]),
    Route("/api/render/proxy/{id}/download", exports.download_export),
    Route("/cdn/{key}/{name:path}", uploads.stored_file),
    Route("/files/{key}/{name}", files.result_file),
    *control.control_routes(),
]


class Unanswered(Response):
    """Closes the connection without an answer."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Close it."""
        await connection_of(scope).cut()


def build_app(settings: Settings, compositor: Callable[[Settings], Compositor]) -> ASGIApp:
    """The sandbox as an ASGI application; the data directory is opened when the server starts."""

    @asynccontextmanager
    async def life(app: Starlette) -> AsyncGenerator[None]:
        backend = Backend.build(settings, compositor(settings))
        app.state.backend = backend
        backend.turns.recover()
        backend.exports.resume()
        yield
        await backend.exports.stop()
        backend.database.close()

    handlers = {Refusal: _refused, Dropped: _dropped, HTTPException: _no_such_call}
    app = Starlette(routes=ROUTES, lifespan=life, exception_handlers=handlers)  # pyright: ignore[reportArgumentType]

    async def with_connection(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            remember_connection(scope, send)
        await app(scope, receive, send)

    return with_connection


async def _refused(request: Request, error: Refusal) -> Response:
    return refusal_answer(backend_of(request).settings, error)


async def _dropped(request: Request, error: Dropped) -> Response:
    return Unanswered()


async def _no_such_call(request: Request, error: HTTPException) -> Response:
    """A call the contract does not have is a mistake of the client's: counted, and answered 404 or 405."""
    backend = backend_of(request)
    backend.ledger.violation("no_such_call", f"{request.method} {request.url.path}")
    refusal = Refusal(error.status_code, error.detail, status=error.status_code)
    return refusal_answer(backend.settings, refusal)
