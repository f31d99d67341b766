"""Submitting, polling, cancelling and downloading exports."""

import re
import sqlite3
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from deploy.sandbox.backend import Backend, attributed, backend_of, base_of, bearer_of, user_of
from deploy.sandbox.draft import renderable
from deploy.sandbox.errors import (
    Dropped,
    Refusal,
    bad_request,
    draft_altered,
    draft_not_ready,
    no_subscription,
    render_id_used,
)
from deploy.sandbox.files import file_answer
from deploy.sandbox.rules import Taken
from deploy.sandbox.settings import Settings
from deploy.sandbox.told import http_status, obey
from deploy.sandbox.wire import answer, dump

from .shapes import ExportBody, body_of

RENDER_ID = re.compile(r"render_[A-Za-z0-9_-]{6,100}")


async def submit_export(request: Request) -> Response:
    """`POST /api/render/proxy/lambda`: free, but only with attribution, and only with the draft as it was given."""
    backend = backend_of(request)
    backend.ledger.called("export")
    user = backend.accounts.user_of(bearer_of(request))
    if not attributed(request):
        raise no_subscription()
    body = await body_of(request, ExportBody)
    if not RENDER_ID.fullmatch(body.id):
        raise bad_request("id has to be render_<unique>")
    session = backend.sessions.owned(body.session_id, user.id)
    draft = bytes(body.draft).decode()
    told = backend.rules.take("export", words=backend.sessions.words(session.id), session=session.id)
    await obey(backend, request, told, user=user, session=session.id)
    if "export_refuse_id" in told:
        raise render_id_used()
    stale = _checked(backend, session.id, session.draft, draft)
    backend.exports.submit(
        {
            "id": body.id,
            "session": session.id,
            "user_id": user.id,
            "draft": draft,
            "stale": stale,
            "same_bytes": draft == session.draft,
        },
        _fate(told),
        told["export_slow"].number("seconds", 5.0) if "export_slow" in told else 0.0,
    )
    if "export_answer_lost" in told:
        raise Dropped
    return _shaped(backend.settings, {"id": body.id, "status": "pending", "progress": 0})


async def poll_export(request: Request) -> Response:
    """`GET /api/render/proxy/lambda/<id>`."""
    backend, user = backend_of(request), user_of(request)
    backend.ledger.called("poll")
    row = backend.exports.owned(request.path_params["id"], user.id)
    backend.exports.polled(row["id"])
    told = backend.rules.take("poll", words=backend.sessions.words(row["session"]), session=row["session"])
    await obey(backend, request, told, user=user, session=row["session"])
    if "poll_5xx" in told:
        raise http_status(told["poll_5xx"], 503)
    if "poll_html" in told:
        raise Refusal(None, "One moment", status=200, html=True)
    return _shaped(backend.settings, _status(backend, row, base_of(request)))


async def cancel_export(request: Request) -> Response:
    """`POST /api/render/proxy/lambda/<id>/cancel`."""
    backend, user = backend_of(request), user_of(request)
    backend.ledger.called("cancel")
    row = backend.exports.owned(request.path_params["id"], user.id)
    await obey(
        backend, request, backend.rules.take("cancel", session=row["session"]), user=user, session=row["session"]
    )
    backend.exports.cancel(row["id"])
    return answer(backend.settings, {"id": row["id"], "canceled": True})


async def download_export(request: Request) -> Response:
    """`GET /api/render/proxy/<id>/download`: the fallback, with the bearer token."""
    backend, user = backend_of(request), user_of(request)
    backend.ledger.called("fallback")
    row = backend.exports.owned(request.path_params["id"], user.id)
    told = backend.rules.take("fallback", words=backend.sessions.words(row["session"]), session=row["session"])
    await obey(backend, request, told, user=user, session=row["session"])
    if row["path"] is None:
        raise Refusal(404, "the render is not finished", status=404)
    return file_answer(row["path"], told, "fallback")


def _checked(backend: Backend, session_id: str, current: str | None, draft: str) -> bool:
    """Whether the draft is an older one of the session. Raises 4003 for one it never gave, 4004 for an empty one."""
    try:
        gave = backend.sessions.gave(session_id, draft)
        renders = renderable(msgspec.json.decode(draft))
    except (ValueError, AttributeError) as error:
        raise bad_request("the draft is not an object") from error
    if not gave:
        backend.ledger.violation("draft_altered", session_id)
        raise draft_altered()
    if not renders:
        raise draft_not_ready()
    return not backend.sessions.same(current, draft)


def _fate(told: Taken) -> str:
    return "fails" if "export_fails" in told else "stuck" if "export_stuck" in told else ""


def _status(backend: Backend, row: sqlite3.Row, base: str) -> dict[str, Any]:
    shown: dict[str, Any] = {"id": row["id"], "status": row["status"], "progress": row["progress"]}
    if row["error"]:
        shown["error"] = row["error"]
    if row["status"] == "completed":
        address = backend.exports.address(row, base)
        shown |= {"outputUrl": address} if backend.settings.poll_shape == "data" else {"output": {"url": address}}
    return shown


def _shaped(settings: Settings, shown: dict[str, Any]) -> Response:
    """At top level, or in an envelope."""
    if settings.poll_shape == "data":
        return answer(settings, shown)
    return Response(dump(shown), media_type="application/json")
