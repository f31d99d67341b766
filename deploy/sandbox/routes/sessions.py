"""Creating sessions and reading their state."""

from starlette.requests import Request
from starlette.responses import Response

from deploy.sandbox.backend import backend_of, base_of, user_of
from deploy.sandbox.told import obey
from deploy.sandbox.wire import answer, answer_text, dump

from .shapes import SessionBody, body_of


async def create_session(request: Request) -> Response:
    """`POST /api/tasks/me/with-session/nemo_agent`."""
    backend, user = backend_of(request), user_of(request)
    backend.ledger.called("session")
    body = await body_of(request, SessionBody)
    told = backend.rules.take("session", words=f"{body.task_name} {body.language}")
    await obey(backend, request, told, user=user)
    session = backend.sessions.create(user.id, body.task_name, body.language)
    return answer(backend.settings, {"task_id": session.task_id, "session_id": session.id})


async def read_state(request: Request) -> Response:
    """`GET /api/state/nemo_agent/me/<sid>/latest`: the draft's bytes as they were drafted, null before a turn."""
    backend, user = backend_of(request), user_of(request)
    backend.ledger.called("state")
    session = backend.sessions.owned(request.path_params["session"], user.id)
    told = backend.rules.take("state", words=backend.sessions.words(session.id), session=session.id)
    await obey(backend, request, told, user=user, session=session.id)
    draft = session.draft or ("null" if backend.settings.empty_draft == "null" else "{}")
    extras = dump(backend.sessions.extras(session, base_of(request)))
    return answer_text(backend.settings, f'{{"state":{{"draft":{draft},{extras[1:]}}}')
