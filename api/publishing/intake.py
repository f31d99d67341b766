"""Publishers are checked by their kind and put on file; publications are asked for, tried again."""

from typing import Any, TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from sqlalchemy.orm import Session

from api.auth import Caller
from api.problems import Problem
from api.publishing.bodies import PublicationBody, PublisherBody, PublisherCheckBody
from api.publishing.schemas import PublicationRequest, PublisherChange, PublisherRequest
from api.publishing.views import error_body, publication_body, publisher_body
from worker.publishing import driving, publications, publishers
from worker.publishing.driving import Tools
from worker.publishing.errors import PublishError
from worker.publishing.models import Publisher, PublisherKind
from worker.publishing.settings import CREDENTIALS, SETTINGS, HttpCredentials
from worker.renders import store

Model = TypeVar("Model", bound=BaseModel)


def create(session: Session, caller: Caller, publisher_id: str, given: PublisherRequest) -> PublisherBody:
    """Put a publisher on file; the answer has its secret where it was made here. Raises RequestValidationError."""
    settings = _checked(SETTINGS[given.kind], given.settings, "settings")
    credentials = _checked(CREDENTIALS[given.kind], given.credentials, "credentials")
    row = publishers.get(session, caller.owner_id, publisher_id)  # there: this call's own COMMIT, its answer lost
    if row is None:
        row = publishers.create(
            session,
            caller.owner_id,
            given.kind,
            settings=settings,
            credentials=credentials,
            name=given.name,
            publisher_id=publisher_id,
        )
    session.refresh(row)
    return publisher_body(row, None if "secret" in given.credentials else _secret(row))


def change(session: Session, caller: Caller, publisher_id: str, given: PublisherChange) -> PublisherBody:
    """Raises Problem `publisher.unknown`, RequestValidationError."""
    row = publishers.locked(session, caller.owner_id, publisher_id)
    if row is None:
        raise unknown(publisher_id)
    kind = PublisherKind(row.kind)
    wanted, secret = given.settings, given.credentials
    settings = None if wanted is None else _checked(SETTINGS[kind], wanted, "settings")
    credentials = None if secret is None else _checked(CREDENTIALS[kind], secret, "credentials")
    if "name" in given.model_fields_set:
        row.name = given.name
    publishers.change(session, row, settings=settings, credentials=credentials, enabled=given.enabled)
    made = credentials is not None and "secret" not in (given.credentials or {})
    return publisher_body(row, _secret(row) if made else None)


def found(session: Session, caller: Caller, publisher_id: str) -> Publisher:
    """Raises Problem `publisher.unknown`."""
    row = publishers.get(session, caller.owner_id, publisher_id)
    if row is None:
        raise unknown(publisher_id)
    return row


def check(row: Publisher, tools: Tools) -> PublisherCheckBody:
    """Ask the shop, and wait for what it says as long as `tools` do (`api.publishing.checks`)."""
    try:
        return PublisherCheckBody(ok=True, told=driving.check(row, tools) or None, error=None)
    except PublishError as error:
        return PublisherCheckBody(ok=False, told=None, error=error_body(error.code, error.detail))


def ask(session: Session, caller: Caller, publisher_id: str, given: PublicationRequest) -> PublicationBody:
    """Have a video brought to a product; where that is what was asked for last, it is the same publication.

    Raises Problem `publisher.unknown`, `render.unknown`, `render.no_video`.
    """
    publisher = found(session, caller, publisher_id)
    render = store.get(session, caller.owner_id, given.render_id)
    if render is None:
        raise Problem("render.unknown", f"There is no render {given.render_id}.")
    ref = given.ref or render.external_ref or render.id
    product = given.product.model_dump(exclude_none=True) if given.product is not None else {}
    made = publications.ask(session, publisher.id, render, ref, product)
    if made is not None:
        return publication_body(made)
    last = publications.newest(session, publisher.id, ref)
    if last is None or (last.render_id, last.run) != (render.id, render.run):
        raise Problem("render.no_video")
    return publication_body(last)


def retry(session: Session, caller: Caller, publication_id: str) -> PublicationBody:
    """Raises Problem `publication.unknown`, `publication.not_failed`."""
    try:
        row = publications.retry(session, caller.owner_id, publication_id)
    except publications.NotFailed:
        raise Problem("publication.not_failed") from None
    if row is None:
        raise Problem("publication.unknown", f"There is no publication {publication_id}.")
    return publication_body(row)


def unknown(publisher_id: str) -> Problem:
    return Problem("publisher.unknown", f"There is no publisher {publisher_id}.")


def _secret(row: Publisher) -> str | None:
    given = publishers.credentials_of(row)
    return given.secret.get_secret_value() if isinstance(given, HttpCredentials) else None


def _checked(model: type[Model], given: Any, place: str) -> Model:
    """Raises RequestValidationError, without a word of what was given."""
    try:
        return model.model_validate(given)
    except ValidationError as wrong:
        told = wrong.errors(include_input=False, include_context=False, include_url=False)
        raise RequestValidationError([{**one, "loc": ("body", place, *one["loc"])} for one in told]) from None
