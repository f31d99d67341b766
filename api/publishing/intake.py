"""Publishers are checked by their kind and put on file; publications are asked for, tried again."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from sqlalchemy.orm import Session

from api import idempotency
from api.auth import Caller
from api.database import transact
from api.idempotency import Earlier, Key
from api.problems import Problem
from api.publishing.bodies import PublicationBody, PublisherBody, PublisherCheckBody
from api.publishing.schemas import PublicationRequest, PublisherChange, PublisherRequest
from api.publishing.views import error_body, publication_body, publisher_body
from worker.accounts import vault
from worker.database import new_id
from worker.publishing import driving, publications, publishers
from worker.publishing.driving import Tools
from worker.publishing.errors import PublishError
from worker.publishing.models import Publication, Publisher, PublisherKind
from worker.publishing.settings import CREDENTIALS, SETTINGS, HttpCredentials
from worker.renders import store
from worker.renders.models import Render

Model = TypeVar("Model", bound=BaseModel)
Body = TypeVar("Body", bound=BaseModel)

AT = "/v1/publishers"


@dataclass(frozen=True)
class Made(Generic[Body]):
    """What a request led to, and whether an earlier one with its key had."""

    body: Body
    replayed: bool


def create(caller: Caller, key: Key, given: PublisherRequest) -> Made[PublisherBody]:
    """Put a publisher on file; the answer has its secret where it was made here, also when it is repeated. Raises
    RequestValidationError, SecretKeyMissing, Problem `idempotency.…`; where the one of before is gone,
    `publisher.unknown`; where its secret cannot be read, SecretKeyChanged."""
    # Sealed: it holds credentials, which a hash alone would let be guessed.
    hashed = vault.seal(idempotency.body_hash(given.model_dump(mode="json")))
    settings = _checked(SETTINGS[given.kind], given.settings, "settings")
    credentials = _checked(CREDENTIALS[given.kind], given.credentials, "credentials")
    publisher_id = new_id("pub")

    def make(session: Session) -> Publisher:
        return publishers.create(
            session,
            caller.owner_id,
            given.kind,
            settings=settings,
            credentials=credentials,
            name=given.name,
            publisher_id=publisher_id,
        )

    def work(session: Session) -> Made[PublisherBody]:
        made = idempotency.once(
            session, caller.owner_id, f"POST {AT}", key, hashed, publisher_id, lambda: make(session)
        )
        row = found(session, caller, made.resource_id) if isinstance(made, Earlier) else made
        session.refresh(row)
        # Whoever repeats the call never saw the answer: the secret is in it still.
        return Made(publisher_body(row, _made_secret(row, given.credentials)), replayed=row.id != publisher_id)

    return transact(work)


def change(session: Session, caller: Caller, publisher_id: str, given: PublisherChange) -> PublisherBody:
    """Raises Problem `publisher.unknown`, `publisher.moved`, RequestValidationError, SecretKeyMissing."""
    row = publishers.locked(session, caller.owner_id, publisher_id, shut=given.settings is not None)
    if row is None:
        raise unknown(publisher_id)
    kind = PublisherKind(row.kind)
    wanted, secret = given.settings, given.credentials
    settings = None if wanted is None else _checked(SETTINGS[kind], wanted, "settings")
    credentials = None if secret is None else _checked(CREDENTIALS[kind], secret, "credentials")
    if "name" in given.model_fields_set:
        row.name = given.name
    try:
        publishers.change(session, row, settings=settings, credentials=credentials, enabled=given.enabled)
    except publishers.Moved:
        raise Problem("publisher.moved", "Something of it was begun at its shop, or is in hand.") from None
    except publishers.NotForThere:
        told = "give those of the other site: the ones on file are sent to no address but theirs"
        raise RequestValidationError([{"type": "value_error", "loc": ("body", "credentials"), "msg": told}]) from None
    return publisher_body(row, None if secret is None else _made_secret(row, secret))


def found(session: Session, caller: Caller, publisher_id: str) -> Publisher:
    """Raises Problem `publisher.unknown`."""
    row = publishers.get(session, caller.owner_id, publisher_id)
    if row is None:
        raise unknown(publisher_id)
    return row


def check(row: Publisher, tools: Tools) -> PublisherCheckBody:
    """Ask the shop, and wait for what it says as long as `tools` do (`api.publishing.checks`). Raises SecretKeyMissing,
    SecretKeyChanged."""
    publishers.credentials_of(row)  # where they cannot be read, that is no answer of the shop's
    try:
        return PublisherCheckBody(ok=True, told=driving.check(row, tools) or None, error=None)
    except PublishError as error:
        return PublisherCheckBody(ok=False, told=None, error=error_body(error.code, error.detail))


def ask(caller: Caller, key: Key, publisher_id: str, given: PublicationRequest) -> Made[PublicationBody]:
    """Have a video brought to a product; where that is what was asked for last, it is the same publication.

    Raises Problem `publisher.unknown`, `render.unknown`, `render.no_video`, `idempotency.…`.
    """
    hashed = idempotency.body_hash(given.model_dump(mode="json"))
    route = f"POST {AT}/{publisher_id}/publications"

    def work(session: Session) -> Made[PublicationBody]:
        publisher = found(session, caller, publisher_id)
        made = idempotency.once(
            session, caller.owner_id, route, key, hashed, "", lambda: _asked(session, caller, publisher, given)
        )
        if isinstance(made, Earlier):
            return Made(publication_body(publication(session, caller, made.resource_id)), replayed=key.given)
        idempotency.leads_to(session, caller.owner_id, route, key, made.id)
        return Made(publication_body(made), replayed=False)

    return transact(work)


def _asked(session: Session, caller: Caller, publisher: Publisher, given: PublicationRequest) -> Publication:
    render = store.get(session, caller.owner_id, given.render_id)
    if render is None:
        raise Problem("render.unknown", f"There is no render {given.render_id}.")
    product = given.product.model_dump(exclude_none=True) if given.product is not None else {}
    ref = given.ref or _reference(session, publisher, render, product)
    made = publications.ask(session, publisher.id, render, ref, product)
    if made is not None:
        return made
    last = publications.newest(session, publisher.id, ref)
    if last is None or (last.render_id, last.run) != (render.id, render.run):
        raise Problem("render.no_video")
    return last


def _reference(session: Session, publisher: Publisher, render: Render, product: Mapping[str, Any]) -> str:
    """Where none is given: the one that the product had last; else the render's own, with its place for a second
    product, which is no newer state of the first. Another kind of place may be the same product's, and the video of
    before is replaced there."""
    ref = render.external_ref or render.id
    publications.alone(session, publisher.id, ref)  # who asks for another product meanwhile sees what this comes to
    known = publications.reference(session, publisher.id, ref, product)
    for one in (known or ref, ref):
        if not _is_anothers(session, publisher, render, one, product):
            return one
    return publications.own_reference(ref, product)


def _is_anothers(session: Session, publisher: Publisher, render: Render, ref: str, product: Mapping[str, Any]) -> bool:
    """Whether this very render is brought to another product under that reference."""
    last = publications.newest(session, publisher.id, ref)
    if last is None or (last.render_id, last.run) != (render.id, render.run):
        return False
    return last.product.keys() == product.keys() and last.product != product


def publication(session: Session, caller: Caller, publication_id: str) -> Publication:
    """The owner's publication. Raises Problem `publication.unknown`."""
    row = publications.get(session, caller.owner_id, publication_id)
    if row is None:
        raise Problem("publication.unknown", f"There is no publication {publication_id}.")
    return row


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


def _made_secret(row: Publisher, given: Mapping[str, Any]) -> str | None:
    """The secret, where it was made here and not given."""
    if "secret" in given or row.kind != PublisherKind.HTTP:
        return None
    credentials = publishers.credentials_of(row)
    return credentials.secret.get_secret_value() if isinstance(credentials, HttpCredentials) else None


def _checked(model: type[Model], given: Any, place: str) -> Model:
    """Raises RequestValidationError, without a word of what was given."""
    try:
        return model.model_validate(given)
    except ValidationError as wrong:
        told = wrong.errors(include_input=False, include_context=False, include_url=False)
        raise RequestValidationError([{**one, "loc": ("body", place, *one["loc"])} for one in told]) from None
