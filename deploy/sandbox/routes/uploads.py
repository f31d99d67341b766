"""Uploads, as files or by address, and the files again for whoever has their address."""

from collections.abc import AsyncIterator

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from deploy.sandbox.backend import Backend, backend_of, base_of, user_of
from deploy.sandbox.errors import Dropped, Refusal, bad_request
from deploy.sandbox.told import obey
from deploy.sandbox.uploads import Upload
from deploy.sandbox.wire import answer

from .shapes import AddressBody, body_of

CHUNK = 256 * 1024  # bytes


async def upload(request: Request) -> Response:
    """`POST /api/upload-video/nemo_agent/me/<sid>`: multipart files, or JSON with addresses."""
    backend, user = backend_of(request), user_of(request)
    backend.ledger.called("upload")
    session = backend.sessions.owned(request.path_params["session"], user.id)
    told = backend.rules.take("upload", words=backend.sessions.words(session.id), session=session.id)
    await obey(backend, request, told, user=user, session=session.id)
    kind = request.headers.get("content-type", "")
    if kind.startswith("multipart/form-data"):
        kept = await _files(request, backend, session.id)
    else:
        body = await body_of(request, AddressBody)
        kept = [await backend.uploads.fetch(session.id, address) for address in body.urls]
    if not kept:
        raise bad_request("nothing to upload")
    if "upload_answer_lost" in told:
        raise Dropped
    base = base_of(request)
    return answer(backend.settings, {"files": [one.shown(base) for one in kept]})


async def stored_file(request: Request) -> Response:
    """`GET /cdn/<key>/<name>`: an upload."""
    path = backend_of(request).uploads.path(request.path_params["key"])
    if path is None:
        raise Refusal(404, "not found", status=404)
    return FileResponse(path)


async def _files(request: Request, backend: Backend, session: str) -> list[Upload]:
    kept: list[Upload] = []
    async with request.form(max_files=100) as form:
        for name, value in form.multi_items():
            if name != "files" or not isinstance(value, UploadFile):
                raise bad_request(f"unknown form field {name!r}; files come as 'files'")
            kept.append(await backend.uploads.keep(session, value.filename or "file", _chunks(value)))
    return kept


async def _chunks(file: UploadFile) -> AsyncIterator[bytes]:
    while chunk := await file.read(CHUNK):
        yield chunk
