"""Tokens, claim links and credits."""

import secrets
import uuid
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response

from deploy.sandbox.backend import attributed, backend_of, user_of
from deploy.sandbox.errors import bad_request
from deploy.sandbox.told import obey
from deploy.sandbox.wire import answer

from .shapes import ClaimBody, body_of


async def anonymous_token(request: Request) -> Response:
    """`POST /api/auth/anonymous-token`: a new token for the client's one trial user."""
    backend = backend_of(request)
    backend.ledger.called("token")
    attributed(request)
    if "authorization" in request.headers:
        backend.ledger.violation("authorization_on_token_call", request.url.path)
    client_id = request.headers.get("x-client-id", "")
    await obey(backend, request, backend.rules.take("token", words=client_id))
    try:
        client_id = str(uuid.UUID(client_id))
    except ValueError as error:
        raise bad_request("X-Client-Id is missing or not a UUID") from error
    token, user, expires = backend.accounts.anonymous_token(client_id)
    expires_at = datetime.fromtimestamp(expires, UTC).isoformat().replace("+00:00", "Z")
    return answer(
        backend.settings,
        {"token": token, "credits": user.available, "expires_at": expires_at, "user_id": user.id},
    )


async def claim_token(request: Request) -> Response:
    """`POST /api/auth/claim-token`: a token that hands a session over in the browser."""
    backend, user = backend_of(request), user_of(request)
    backend.ledger.called("claim")
    body = await body_of(request, ClaimBody)
    await obey(
        backend, request, backend.rules.take("claim", session=body.session_id), user=user, session=body.session_id
    )
    if backend.sessions.owned(body.session_id, user.id).task_id != body.task_id:
        raise bad_request("task_id does not belong to the session")
    return answer(backend.settings, {"claim_token": f"clm_{secrets.token_urlsafe(18)}", "expires_in": 3600})


async def credits_balance(request: Request) -> Response:
    """`GET /api/credits/balance/simple`: what is there, what running turns have set aside, and the sum."""
    backend, user = backend_of(request), user_of(request)
    backend.ledger.called("credits")
    await obey(backend, request, backend.rules.take("credits"), user=user)
    return answer(
        backend.settings,
        {"available": user.available, "frozen": user.frozen, "total": user.available + user.frozen},
    )
