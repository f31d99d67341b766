"""`POST /run_sse`: sending a message and streaming its turn."""

from starlette.requests import Request
from starlette.responses import Response

from deploy.sandbox.accounts import User
from deploy.sandbox.backend import Backend, backend_of, user_of
from deploy.sandbox.errors import Refusal, Refused, bad_request
from deploy.sandbox.rules import Taken, directives
from deploy.sandbox.script import Script
from deploy.sandbox.sessions import Session
from deploy.sandbox.stream import TurnStream
from deploy.sandbox.told import obey

from .shapes import MessageBody, body_of


async def send_message(request: Request) -> Response:
    """A stream for an accepted message; a refusal, which did nothing, for any other."""
    backend = backend_of(request)
    backend.ledger.called("message")
    body = await body_of(request, MessageBody)
    text = "\n".join(part.text for part in body.new_message.parts)
    user_id = ""
    try:
        user = user_of(request)
        user_id = user.id
        return await _turn(request, backend, user, body.session_id, text)
    except Refused as refused:
        code = (refused.code or refused.status) if isinstance(refused, Refusal) else None
        if code == 409:
            backend.ledger.violation("concurrent_turn", body.session_id)
        if not refused.done:
            backend.turns.refused(code, user_id, body.session_id, text)
        raise


async def _turn(request: Request, backend: Backend, user: User, session_id: str, text: str) -> Response:
    if "text/event-stream" not in request.headers.get("accept", ""):
        raise Refusal(406, "Accept has to be text/event-stream", status=406)
    words, wishes = directives(text)
    if not words.strip():
        raise bad_request("the message is empty")
    session = backend.sessions.owned(session_id, user.id)
    _obey_directives(backend, wishes, session_id)
    told = backend.rules.take("message", words=text, session=session_id)
    try:
        await obey(backend, request, told, user=user, session=session_id)
    except Refused as told_answer:
        _do_anyway(backend, user, session, text, words, told, told_answer)
        raise
    turn = backend.turns.begin(user, session, text, told)
    script = Script(backend.settings, backend.turns, turn, words)
    return TurnStream(backend.settings, backend.ledger, backend.turns, turn, script, words)


def _obey_directives(backend: Backend, wishes: list[dict[str, object]], session_id: str) -> None:
    for wish in wishes:
        try:
            backend.rules.add(wish, session_id)
        except ValueError as error:
            raise bad_request(str(error)) from error


def _do_anyway(
    backend: Backend, user: User, session: Session, text: str, words: str, told: Taken, answer: Refused
) -> None:
    """Some errors come although the turn was done: the 500 of a proxy, a lost connection."""
    forced = told.get("http_status") or told.get("drop")
    if forced is None or not forced.flag("apply", False):
        return
    turn = backend.turns.begin(user, session, text, told)
    backend.turns.apply(turn, words)
    backend.turns.end(turn)
    answer.done = True
