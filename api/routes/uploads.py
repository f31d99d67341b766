"""Files given to us before the render that uses them."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.concurrency import run_in_threadpool

from api.auth import CallerHere
from api.bodies import UploadBody
from api.idempotency import KeyHere
from api.routes.common import only_known, problems
from api.uploads.keep import keep
from api.uploads.receive import Received, receive

router = APIRouter(prefix="/v1/uploads", tags=["uploads"], dependencies=[Depends(only_known)])

_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}}
            },
        },
    }
}


@router.post(
    "",
    status_code=201,
    openapi_extra=_BODY,
    responses=problems(
        "upload.empty",
        "upload.malformed",
        "upload.cut",
        "upload.format",
        "upload.too_large",
        "idempotency.invalid",
        "idempotency.mismatch",
        "storage.unavailable",
    ),
)
async def create(
    request: Request,
    caller: CallerHere,
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
