"""Publishers: put on file, checked, changed, dropped; and the publications that they are asked for."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy.orm import Session

from api import cursors, limits
from api.auth import RendersReader, RendersWriter
from api.database import look, transact
from api.files import storage
from api.idempotency import KeyHere
from api.json_body import JsonRoute
from api.publishing import checks, intake
from api.publishing.bodies import PublicationBody, PublicationPage, PublisherBody, PublisherCheckBody, PublisherPage
from api.publishing.schemas import PublicationRequest, PublisherChange, PublisherRequest
from api.publishing.views import publication_body, publisher_body
from api.routes.common import Cursor, Limit, PublicationId, PublisherId, json_only, only_known
from api.routes.documented import IDEMPOTENT, JSON_BODY, answer, problems
from worker.publishing import publications, publishers
from worker.publishing.driving import Tools
from worker.publishing.models import PublicationState
from worker.publishing.publications import Filter

router = APIRouter(prefix="/v1", tags=["publishing"], dependencies=[Depends(only_known)], route_class=JsonRoute)
_NO_KEY = "webhook.no_secret_key"
_REFERRED = ("publisher.unknown", "publication.unknown", "render.unknown", "render.no_video")


@router.post(
    "/publishers",
    status_code=201,
    dependencies=[Depends(json_only)],
    response_model=PublisherBody,
    summary="Put a publisher on file",
    responses=problems(*JSON_BODY, *IDEMPOTENT, "publisher.unknown", _NO_KEY)
    | {201: answer("It is there.", "Location", "Idempotent-Replayed")},
)
def create(given: PublisherRequest, caller: RendersWriter, key: KeyHere) -> Response:
    """A place that finished videos are brought to: a shop at Shopify, a WooCommerce, any address. Its credentials are
    encrypted and never shown; a signing secret that was made here is in this answer alone."""
    return _answer(intake.create(caller, key, given), 201)


@router.get(
    "/publishers", summary="List your publishers", responses=problems("cursor.invalid") | {200: answer("Some.")}
)
def listed(caller: RendersReader, limit: Limit = limits.PAGE, cursor: Cursor = None) -> PublisherPage:
    """Your publishers, newest first."""
    after = cursors.unpack_moment(cursor) if cursor else None

    def work(session: Session) -> PublisherPage:
        rows = publishers.page(session, caller.owner_id, limit=limit + 1, after=after)
        shown, more = cursors.page(rows, limit, lambda last: cursors.pack_moment(last.created_at, last.id))
        return PublisherPage(data=[publisher_body(row) for row in shown], next_cursor=more)

    return look(work)


@router.get(
    "/publishers/{id}", summary="Look at a publisher", responses=problems("publisher.unknown") | {200: answer("It.")}
)
def show(id: PublisherId, caller: RendersReader) -> PublisherBody:
    """A publisher, and whether it is failing."""
    return look(lambda session: publisher_body(intake.found(session, caller, id)))


@router.patch(
    "/publishers/{id}",
    dependencies=[Depends(json_only)],
    summary="Change a publisher",
    responses=problems(*JSON_BODY, "publisher.unknown", "publisher.moved", _NO_KEY) | {200: answer("As it is now.")},
)
def change(id: PublisherId, given: PublisherChange, caller: RendersWriter) -> PublisherBody:
    """Change its name, settings or credentials, disable or enable it. It belongs to one shop: another `shop`, or `url`
    of a WooCommerce, is taken as long as nothing was begun there; that `url` together with `credentials`."""
    return transact(lambda session: intake.change(session, caller, id, given))


@router.delete(
    "/publishers/{id}",
    status_code=204,
    summary="Forget a publisher",
    responses=problems("publisher.unknown") | {204: answer("It is gone.")},
)
def delete(id: PublisherId, caller: RendersWriter) -> Response:
    """Forget a publisher and its publications. What it brought to the shop stays there."""
    done = False

    def work(session: Session) -> None:
        nonlocal done
        row = publishers.locked(session, caller.owner_id, id, shut=True)  # as its deletion does
        if row is None and done:
            return  # this call's own COMMIT, whose answer was lost
        if row is None:
            raise intake.unknown(id)
        publishers.delete(session, row)
        done = True

    transact(work)
    return Response(status_code=204)


@router.post(
    "/publishers/{id}/check",
    summary="Prove a publisher's credentials",
    responses=problems("publisher.unknown", "rate.limited", _NO_KEY) | {200: answer("What the shop said.")},
)
def check(id: PublisherId, caller: RendersWriter) -> PublisherCheckBody:
    """Ask the shop something that changes nothing; the answer comes within some seconds whatever the shop does. One at
    a time; a second one meanwhile is 429."""
    row = look(lambda session: intake.found(session, caller, id))
    with checks.turns.taken(caller.owner_id):
        return intake.check(row, Tools(storage(), checks.Hurried()))


@router.post(
    "/publishers/{id}/publications",
    status_code=202,
    dependencies=[Depends(json_only)],
    response_model=PublicationBody,
    summary="Bring a video to a product",
    responses=problems(*JSON_BODY, *IDEMPOTENT, *_REFERRED)
    | {202: answer("It is on its way.", "Location", "Idempotent-Replayed")},
)
def ask(id: PublisherId, given: PublicationRequest, caller: RendersWriter, key: KeyHere) -> Response:
    """Have a finished render's video brought to a product. Asked again, it is the same publication."""
    return _answer(intake.ask(caller, key, id, given), 202)


@router.get(
    "/publications", summary="List your publications", responses=problems("cursor.invalid") | {200: answer("A page.")}
)
def publications_listed(
    caller: RendersReader,
    publisher_id: Annotated[str | None, Query(pattern="^pub_[0-9a-z]{26}$", description="Of this one alone.")] = None,
    render_id: Annotated[str | None, Query(pattern="^rnd_[0-9a-z]{26}$", description="Of this one alone.")] = None,
    state: Annotated[PublicationState | None, Query(description="In this state alone.")] = None,
    limit: Limit = limits.PAGE,
    cursor: Cursor = None,
) -> PublicationPage:
    """Videos on their way to products, and those that arrived; newest first."""
    after = cursors.unpack_moment(cursor) if cursor else None
    wanted = Filter(publisher_id, render_id, state)

    def work(session: Session) -> PublicationPage:
        rows = publications.page(session, caller.owner_id, wanted, limit=limit + 1, after=after)
        shown, more = cursors.page(rows, limit, lambda last: cursors.pack_moment(last.created_at, last.id))
        return PublicationPage(data=[publication_body(row) for row in shown], next_cursor=more)

    return look(work)


@router.get(
    "/publications/{id}",
    summary="Look at a publication",
    responses=problems("publication.unknown") | {200: answer("It.")},
)
def publication(id: PublicationId, caller: RendersReader) -> PublicationBody:
    """How far it is, and why it does not go."""
    return look(lambda session: publication_body(intake.publication(session, caller, id)))


@router.post(
    "/publications/{id}/retry",
    status_code=202,
    summary="Try a publication again",
    responses=problems("publication.unknown", "publication.not_failed") | {202: answer("It is tried again.")},
)
def retry(id: PublicationId, caller: RendersWriter) -> PublicationBody:
    """Try one that failed again, now. What it brought before is looked for first."""
    return transact(lambda session: intake.retry(session, caller, id))


def _answer(made: intake.Made[PublisherBody] | intake.Made[PublicationBody], status: int) -> Response:
    headers = {"Location": made.body.links["self"]} | ({"Idempotent-Replayed": "true"} if made.replayed else {})
    return Response(made.body.model_dump_json(), status_code=status, headers=headers, media_type="application/json")
