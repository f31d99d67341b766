"""Templates: prompts with variables, made, changed by new versions, tried, archived."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BaseModel
from sqlalchemy.orm import Session

from api import cursors, limits, templating
from api.auth import RendersReader, RendersWriter
from api.bodies import (
    PreviewBody,
    TemplateBody,
    TemplateDryRunBody,
    TemplatePage,
    TemplateVersionBody,
    TemplateVersionPage,
)
from api.database import look
from api.idempotency import KeyHere
from api.json_body import JsonRoute
from api.routes.common import Cursor, Limit, TemplateId, json_only, only_known
from api.routes.documented import IDEMPOTENT, JSON_BODY, answer, problems
from api.schemas import PreviewRequest, TemplateContent, TemplateRequest
from api.template_views import template_body, version_body
from worker.templates import store

router = APIRouter(
    prefix="/v1/templates", tags=["templates"], dependencies=[Depends(only_known)], route_class=JsonRoute
)

Number = Annotated[int, Path(ge=1, le=limits.LARGEST_NUMBER, description="From 1, as they were made.")]


@router.post(
    "",
    status_code=201,
    dependencies=[Depends(json_only)],
    response_model=TemplateBody,
    summary="Make a template",
    responses=problems(*JSON_BODY, *IDEMPOTENT, "template.invalid", "template.exists")
    | {
        200: answer("With `dry_run`: it would be taken.", model=TemplateDryRunBody),
        201: answer("Made, with its version 1.", "Location", "Idempotent-Replayed"),
    },
)
def create(
    given: TemplateRequest,
    caller: RendersWriter,
    key: KeyHere,
    dry_run: Annotated[bool, Query(description="Only check it; nothing is kept.")] = False,
) -> Response:
    """Make a prompt with variables. What it uses and does not declare is refused, with the line."""
    if dry_run:
        return _json(templating.rehearse(caller, given), 200)
    made = templating.create(caller, given, key)
    return _json(made.body, 201, at=made.body.links["self"], replayed=made.replayed)


@router.get("", summary="List your templates", responses=problems("cursor.invalid") | {200: answer("A page.")})
def listed(caller: RendersReader, limit: Limit = limits.PAGE, cursor: Cursor = None) -> TemplatePage:
    """Your templates with their newest versions, newest template first; archived ones are left out."""
    after = cursors.unpack_moment(cursor) if cursor else None

    def work(session: Session) -> TemplatePage:
        rows = store.page(session, caller.owner_id, limit=limit + 1, after=after)
        shown, more = cursors.page(
            rows, limit, lambda last: cursors.pack_moment(last.template.created_at, last.template.id)
        )
        return TemplatePage(data=[template_body(one) for one in shown], next_cursor=more)

    return look(work)


@router.get(
    "/{id}",
    summary="Look at a template",
    responses=problems("template.not_found") | {200: answer("It, with its newest version.")},
)
def show(id: TemplateId, caller: RendersReader) -> TemplateBody:
    """A template with its newest version, archived ones too. A name means the one that has it now, or else the last
    that had it."""
    return look(lambda session: template_body(templating.found(session, caller, id)))


@router.delete(
    "/{id}",
    status_code=204,
    summary="Archive a template",
    responses=problems("template.not_found") | {204: answer("It is archived.")},
)
def delete(id: TemplateId, caller: RendersWriter) -> Response:
    """Archive a template: nothing new is made of it, its name is free, and its renders keep it. Harmless to repeat."""
    templating.archive(caller, id)
    return Response(status_code=204)


@router.post(
    "/{id}/versions",
    status_code=201,
    dependencies=[Depends(json_only)],
    response_model=TemplateVersionBody,
    summary="Make a template's next version",
    responses=problems(*JSON_BODY, *IDEMPOTENT, "template.not_found", "template.invalid", "template.archived")
    | {201: answer("Made.", "Location", "Idempotent-Replayed")},
)
def add(id: TemplateId, given: TemplateContent, caller: RendersWriter, key: KeyHere) -> Response:
    """Change a template by its next version. The ones before stay as they are, and so do the renders made of them."""
    made = templating.new_version(caller, id, given, key)
    at = f"/v1/templates/{id}/versions/{made.body.number}"
    return _json(made.body, 201, at=at, replayed=made.replayed)


@router.get(
    "/{id}/versions",
    summary="List a template's versions",
    responses=problems("template.not_found", "cursor.invalid") | {200: answer("A page.")},
)
def versions(
    id: TemplateId, caller: RendersReader, limit: Limit = limits.PAGE, cursor: Cursor = None
) -> TemplateVersionPage:
    """A template's versions, newest first."""
    before = cursors.unpack_number(cursor) if cursor else None

    def work(session: Session) -> TemplateVersionPage:
        template = templating.found(session, caller, id).template
        rows = store.versions(session, template, limit=limit + 1, before=before)
        shown, more = cursors.page(rows, limit, lambda last: cursors.pack_number(last.version.number))
        return TemplateVersionPage(data=[version_body(one) for one in shown], next_cursor=more)

    return look(work)


@router.get(
    "/{id}/versions/{number}",
    summary="Look at a version",
    responses=problems("template.not_found") | {200: answer("The version.")},
)
def version(id: TemplateId, number: Number, caller: RendersReader) -> TemplateVersionBody:
    """A version of a template, as it was made."""
    return look(lambda session: version_body(templating.found(session, caller, id, number)))


@router.post(
    "/{id}/preview",
    dependencies=[Depends(json_only)],
    summary="Fill a template, to look at",
    responses=problems(*JSON_BODY, "template.not_found", "template.variables") | {200: answer("The prompt.")},
)
def preview(id: TemplateId, given: PreviewRequest, caller: RendersReader) -> PreviewBody:
    """The prompt that a render with these variables would have; nothing is kept or charged."""
    return look(lambda session: templating.preview(session, caller, id, given))


def _json(body: BaseModel, status: int, *, at: str = "", replayed: bool = False) -> Response:
    headers = {"Location": at} if at else {}
    if replayed:
        headers["Idempotent-Replayed"] = "true"
    return Response(body.model_dump_json(), status_code=status, headers=headers, media_type="application/json")
