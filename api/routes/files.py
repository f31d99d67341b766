"""A render's files: video, poster, timeline."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request
from sqlalchemy.orm import Session
from starlette.responses import Response

from api import files, intake, timelines
from api.auth import RendersReader
from api.database import transact
from api.problems import Problem
from api.routes.common import RenderId, only_known, problems
from worker.renders import store
from worker.renders.models import Result

router = APIRouter(prefix="/v1/renders/{id}", tags=["files"], dependencies=[Depends(only_known)])

_KINDS = {
    200: {"description": "The bytes."},
    206: {"description": "The bytes asked for with `Range`."},
    302: {"description": "Where the bytes are for the next minutes."},
    304: {"description": "The file is the one you have (`If-None-Match`)."},
}


@router.head("/video", include_in_schema=False)
@router.get(
    "/video",
    response_class=Response,
    responses=problems("render.unknown", "render.no_video", "result.gone", "range.unsatisfiable", "storage.unavailable")
    | _KINDS,
)
def video(id: RenderId, caller: RendersReader, request: Request) -> Response:
    """The finished MP4: the bytes, with ranges, or the way to them."""
    result = transact(lambda session: _result(session, caller.owner_id, id))
    if result is None:
        raise Problem("render.no_video", f"{id} has no video.")
    return files.serve(
        request, result.storage_key, size=result.bytes, etag=result.sha256, media_type="video/mp4", name=f"{id}.mp4"
    )


@router.head("/poster", include_in_schema=False)
@router.get(
    "/poster",
    response_class=Response,
    responses=problems("render.unknown", "render.no_poster", "result.gone", "storage.unavailable") | _KINDS,
)
def poster(id: RenderId, caller: RendersReader, request: Request) -> Response:
    """A frame of the video as a picture."""
    result = transact(lambda session: _result(session, caller.owner_id, id))
    if result is None or result.poster_key is None:
        raise Problem("render.no_poster", f"{id} has no poster.")
    size = files.storage().head(result.poster_key).bytes
    # The poster is made from the video, so it changes when the video does.
    return files.serve(
        request,
        result.poster_key,
        size=size,
        etag=f"{result.sha256}-poster",
        media_type=files.picture_type(result.poster_key),
        name=f"{id}.{result.poster_key.rpartition('.')[2]}",
    )


@router.get(
    "/timeline",
    response_class=Response,
    responses=problems("render.unknown", "render.no_timeline")
    | {200: {"content": {"application/json": {}, "text/plain": {}, "image/svg+xml": {}}}},
)
def timeline(
    id: RenderId,
    caller: RendersReader,
    request: Request,
    format: Annotated[Literal["text", "json", "svg"] | None, Query(description="Outranks `Accept`.")] = None,
) -> Response:
    """The draft's tracks: one line of text, JSON (times in seconds), or a picture."""

    def work(session: Session) -> bytes | None:
        found = store.draft(session, intake.found(session, caller.owner_id, id))
        return found.body if found else None

    draft = transact(work)
    if draft is None:
        raise Problem("render.no_timeline", f"{id} has no draft yet.")
    return timelines.answer(draft, format or timelines.wanted(request.headers.get("accept", "")))


def _result(session: Session, owner_id: str, render_id: str) -> Result | None:
    return store.result(session, intake.found(session, owner_id, render_id))
