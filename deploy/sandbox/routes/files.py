"""`GET /files/<key>/<name>`: finished files by their signed address, which is all a client may show."""

from starlette.requests import Request
from starlette.responses import Response

from deploy.sandbox.backend import ATTRIBUTION, backend_of
from deploy.sandbox.errors import Refusal, bad_request
from deploy.sandbox.files import file_answer
from deploy.sandbox.told import obey

NEVER = ("Authorization", *ATTRIBUTION, "X-Client-Id")


async def result_file(request: Request) -> Response:
    """The file. A request that brings the token or attribution is refused with 400, so that a leak shows."""
    backend = backend_of(request)
    backend.ledger.called("download")
    leaked = [name for name in NEVER if name in request.headers]
    if leaked:
        backend.ledger.violation("headers_on_download", ", ".join(leaked))
        raise bad_request(f"a signed address takes no {leaked[0]}")
    session = backend.exports.session_of(request.path_params["key"])
    told = backend.rules.take("download", words=backend.sessions.words(session), session=session)
    await obey(backend, request, told, session=session)
    query = request.query_params
    path = backend.exports.signed(request.path_params["key"], query.get("Expires", ""), query.get("Signature", ""))
    if path is None:
        raise Refusal(None, "Access denied", status=403, html=True)
    return file_answer(path, told, "download")
