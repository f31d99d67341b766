"""The pages for people."""

from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from api.pages import home as front
from api.pages import reference

router = APIRouter(include_in_schema=False)

_STYLE = (Path(__file__).parents[1] / "pages" / "style.css").read_text()


@router.get("/")
def home(request: Request) -> HTMLResponse:
    return front.home(str(request.base_url).rstrip("/"))


@router.get("/docs")
def docs(request: Request) -> HTMLResponse:
    return reference.reference(request.app.openapi())


@router.get("/docs/errors")
async def errors() -> HTMLResponse:
    return reference.errors()


@router.get("/assets/style.css")
async def style() -> Response:
    return Response(_STYLE, media_type="text/css", headers={"Cache-Control": "public, max-age=3600"})
