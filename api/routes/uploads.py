"""Files given to us before the render that uses them."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from api import files
from api.auth import UploadsWriter
from api.bodies import UploadBody
from api.database import transact
from api.idempotency import KeyHere
from api.problems import Problem
from api.routes.common import UploadId, only_known
from api.routes.documented import IDEMPOTENT, answer, problems
from api.uploads.keep import keep
from api.uploads.receive import Received, receive
from api.views import upload_body
from worker.renders import uploads

router = APIRouter(prefix="/v1/uploads", tags=["uploads"], dependencies=[Depends(only_known)])

_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"file": {"type": "string", "format": "binary"}},
                    "required": ["file"],
                    "additionalProperties": False,
                }
            },
        },
    }
}


@router.post(
    "",
    status_code=201,
    summary="Upload a file",
    openapi_extra=_BODY,
    responses=problems(
        *IDEMPOTENT,
        "upload.empty",
        "upload.malformed",
        "upload.cut",
        "upload.format",
        "upload.too_large",
        "storage.unavailable",
    )
    | {201: answer("Stored.")},
)
async def create(
    request: Request,
    caller: UploadsWriter,
    key: KeyHere,
    name: Annotated[str, Query(max_length=1000, description="The file's name, for a raw body.")] = "",
) -> UploadBody:
    """Store a file (up to 200 MB; mp4 mov avi webm mkv, jpg png gif webp, mp3 wav m4a aac; told by its content).

    The bytes are the body, or the one file of a multipart form. A body that is cut leaves nothing.
    """
    received = await run_in_threadpool(Received)
    try:
        kind = await receive(request, received)
        received.name = received.name or name
        return await run_in_threadpool(keep, caller, key, received, kind)
    finally:
        await run_in_threadpool(received.close)


@router.get("/{id}", summary="Look at an upload", responses=problems("upload.not_found") | {200: answer("Its facts.")})
def show(id: UploadId, caller: UploadsWriter) -> UploadBody:
    """A stored file's facts."""
    found = transact(lambda session: uploads.get(session, caller.owner_id, id))
    if found is None:
        raise _unknown(id)
    return upload_body(found)


@router.delete(
    "/{id}",
    status_code=204,
    summary="Throw an upload away",
    responses=problems("upload.not_found", "upload.in_use") | {204: answer("It is gone.")},
)
def delete(id: UploadId, caller: UploadsWriter) -> Response:
    """Throw a file away that no render uses."""

    def work(session: Session) -> None:
        found = uploads.get(session, caller.owner_id, id)
        row = uploads.locked(session, id) if found else None
        if found is None:
            raise _unknown(id)
        if row is None:
            raise uploads.InUse
        uploads.discard(session, row)

    transact(work)
    files.clear_doomed()
    return Response(status_code=204)


def _unknown(id: str) -> Problem:
    return Problem("upload.not_found", f"You have no upload {id}.")
