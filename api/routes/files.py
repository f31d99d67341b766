"""A render's files: video, poster, timeline."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request
from sqlalchemy.orm import Session
from starlette.responses import Response

from api import files, intake, timelines
from api.auth import RendersReader
from api.database import transact
from api.examples import TIMELINE
from api.problems import Problem
from api.routes.common import RenderId, only_known
from api.routes.documented import Entry, answer, problems, takes
from worker.remote.draft import Timeline
from worker.renders import store
from worker.renders.models import Result

router = APIRouter(prefix="/v1/renders/{id}", tags=["files"], dependencies=[Depends(only_known)])

_CONDITIONS = takes("Range", "If-Range", "If-None-Match")
_FILE_HEADERS = ("ETag", "Accept-Ranges", "Content-Disposition")


def _answers(*media_types: str) -> dict[int | str, Entry]:
    content = {media_type: {"schema": {"type": "string", "format": "binary"}} for media_type in media_types}
    return {
        200: answer("The bytes.", *_FILE_HEADERS, content=content),
        206: answer("The bytes asked for with `Range`.", *_FILE_HEADERS, "Content-Range", content=content),
        302: answer("Where the bytes are for the next minutes.", "Location"),
        304: answer("The file is the one you have (`If-None-Match`).", *_FILE_HEADERS),
    }


@router.head("/video", include_in_schema=False)
@router.get(
    "/video",
    response_class=Response,
    summary="Fetch the video",
    openapi_extra=_CONDITIONS,
    responses=problems("render.unknown", "render.no_video", "result.gone", "range.unsatisfiable", "storage.unavailable")
    | _answers("video/mp4"),
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
    summary="Fetch the poster",
    openapi_extra=_CONDITIONS,
    responses=problems(
        "render.unknown", "render.no_poster", "result.gone", "range.unsatisfiable", "storage.unavailable"
    )
    | _answers("image/jpeg", "image/png", "image/webp"),
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
    summary="Look at the timeline",
    responses=problems("render.unknown", "render.no_timeline")
    | {
        200: answer(
            "The tracks, in one of three forms.",
            content={
                "application/json": {"schema": {"$ref": "#/components/schemas/TimelineBody"}},
                "text/plain": {"schema": {"type": "string"}, "example": TIMELINE["summary"] + "\n"},
                "image/svg+xml": {"schema": {"type": "string"}, "example": timelines.svg(Timeline((), 0))},
            },
        )
    },
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
