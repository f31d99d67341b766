"""Webhooks out: where events go, what was sent there, and sending it again."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy.orm import Session

from api import cursors, limits
from api.auth import Caller, RendersReader, WebhooksWriter
from api.database import look, transact
from api.idempotency import KeyHere
from api.json_body import JsonRoute
from api.problems import FieldError, Problem
from api.routes.common import Cursor, DeliveryId, EndpointId, Limit, Words, json_only, only_known
from api.routes.documented import IDEMPOTENT, JSON_BODY, answer, problems
from api.webhooks import intake
from api.webhooks.bodies import (
    DeliveryBody,
    DeliveryDetailBody,
    DeliveryPage,
    EndpointBody,
    EndpointPage,
    EndpointSecretBody,
    RedeliveredBody,
    SecretBody,
)
from api.webhooks.intake import Answer
from api.webhooks.schemas import EndpointChange, EndpointRequest, RedeliverRequest, RotateRequest, TestRequest
from api.webhooks.views import delivery_body, delivery_detail, endpoint_bodies, endpoint_body, secret_body
from worker.webhooks import deliveries, endpoints
from worker.webhooks.models import DeliveryState

router = APIRouter(prefix="/v1", tags=["webhooks"], dependencies=[Depends(only_known)], route_class=JsonRoute)

_ENDPOINTS, _ENDPOINT = "/webhook-endpoints", "/webhook-endpoints/{id}"
_DELIVERIES, _DELIVERY = "/webhook-deliveries", "/webhook-deliveries/{id}"
_NO_KEY = "webhook.no_secret_key"

State = Annotated[DeliveryState | None, Query(description="These alone.")]


@router.post(
    _ENDPOINTS,
    status_code=201,
    dependencies=[Depends(json_only)],
    response_model=EndpointSecretBody,
    summary="Have events sent to an address",
    responses=problems(*JSON_BODY, *IDEMPOTENT, "webhook.too_many", _NO_KEY)
    | {201: answer("From now on it is told; with its secret.", "Location", "Idempotent-Replayed")},
)
def create(given: EndpointRequest, caller: WebhooksWriter, key: KeyHere) -> Response:
    """Have events sent to an address, signed as Standard Webhooks has it: by default how renders and batches ended.
    What happened before is not sent; GET /v1/events has it."""
    made = intake.create(caller, key, given)
    return _answer(made, 201, Location=made.body.links["self"])


@router.get(_ENDPOINTS, summary="List your endpoints", responses=problems("cursor.invalid") | {200: answer("A page.")})
def listed(caller: RendersReader, limit: Limit = limits.PAGE, cursor: Cursor = None) -> EndpointPage:
    """Your endpoints and how they do, newest first; also those that renders made by their `webhook`."""
    after = cursors.unpack_moment(cursor) if cursor else None

    def work(session: Session) -> EndpointPage:
        rows = endpoints.page(session, caller.owner_id, limit=limit + 1, after=after)
        shown, more = cursors.page(rows, limit, lambda last: cursors.pack_moment(last.created_at, last.id))
        return EndpointPage(data=endpoint_bodies(session, shown), next_cursor=more)

    return look(work)


@router.get(_ENDPOINT, summary="Look at an endpoint", responses=problems("webhook.unknown") | {200: answer("It.")})
def show(id: EndpointId, caller: RendersReader) -> EndpointBody:
    """An endpoint: whether it takes what is sent, and what lately became of it."""
    return look(lambda session: endpoint_body(session, intake.found(session, caller, id)))


@router.patch(
    _ENDPOINT,
    dependencies=[Depends(json_only)],
    summary="Change an endpoint",
    responses=problems(*JSON_BODY, "webhook.unknown", "webhook.of_renders") | {200: answer("As it is now.")},
)
def change(id: EndpointId, given: EndpointChange, caller: WebhooksWriter) -> EndpointBody:
    """Change its address, events or description, or switch it off and on. What is on its way goes to the new
    address."""
    return intake.change(caller, id, given)


@router.delete(
    _ENDPOINT,
    status_code=204,
    summary="Delete an endpoint",
    responses=problems("webhook.unknown") | {204: answer("It is gone.")},
)
def delete(id: EndpointId, caller: WebhooksWriter) -> Response:
    """Delete an endpoint with all that was sent there and what still was to be."""
    done = False

    def work(session: Session) -> None:
        nonlocal done
        row = endpoints.locked(session, caller.owner_id, id)
        if row is None and done:
            return  # this call's own COMMIT, whose answer was lost
        if row is None:
            raise intake.unknown(id)
        endpoints.delete(session, row)
        done = True

    transact(work)
    return Response(status_code=204)


@router.get(
    f"{_ENDPOINT}/secret",
    summary="See an endpoint's secret",
    responses=problems("webhook.unknown", _NO_KEY) | {200: answer("It; during a rotation both.", "Cache-Control")},
)
def secret(id: EndpointId, caller: WebhooksWriter, response: Response) -> SecretBody:
    """What signs for an endpoint, to check what comes there with; also for one that renders made by their
    `webhook`."""
    response.headers["Cache-Control"] = "no-store"
    return look(lambda session: secret_body(session, intake.found(session, caller, id)))


@router.post(
    f"{_ENDPOINT}/rotate-secret",
    dependencies=[Depends(json_only)],
    response_model=EndpointSecretBody,
    summary="Replace an endpoint's secret",
    responses=problems(*JSON_BODY, *IDEMPOTENT, "webhook.unknown", _NO_KEY)
    | {200: answer("With the new one.", "Idempotent-Replayed")},
)
def rotate(id: EndpointId, given: RotateRequest, caller: WebhooksWriter, key: KeyHere) -> Response:
    """Replace an endpoint's secret. For `overlap_seconds` both sign; a second rotation meanwhile ends the first."""
    return _answer(intake.rotate(caller, key, id, given), 200)


@router.post(
    f"{_ENDPOINT}/test",
    status_code=202,
    dependencies=[Depends(json_only)],
    response_model=DeliveryBody,
    summary="Send a test event",
    responses=problems(*JSON_BODY, *IDEMPOTENT, "webhook.unknown", "webhook.disabled", "webhook.of_renders")
    | {202: answer("On its way.", "Location", "Idempotent-Replayed")},
)
def test(id: EndpointId, given: TestRequest, caller: WebhooksWriter, key: KeyHere) -> Response:
    """Send an event of this type that says it is a test, whatever the endpoint's filter is. Of an
    endpoint of renders it goes to the address that the newest of them names."""
    made = intake.test(caller, key, id, given)
    return _answer(made, 202, Location=made.body.links["self"])


@router.post(
    f"{_ENDPOINT}/redeliver",
    status_code=202,
    dependencies=[Depends(json_only)],
    response_model=RedeliveredBody,
    summary="Send again since a moment",
    responses=problems(*JSON_BODY, *IDEMPOTENT, "webhook.unknown", "webhook.disabled", "webhook.redelivering")
    | {202: answer("On their way.", "Idempotent-Replayed")},
)
def redeliver_since(id: EndpointId, given: RedeliverRequest, caller: WebhooksWriter, key: KeyHere) -> Response:
    """Send again what failed since a moment, and what was never sent in the last 30 days; or all of it. Ids stay. Much
    of it goes on after the answer: `redelivery` of the endpoint says how far it is."""
    return _answer(intake.redeliver_since(caller, key, id, given), 202)


@router.get(
    f"{_ENDPOINT}/deliveries",
    summary="List an endpoint's deliveries",
    responses=problems("webhook.unknown", "cursor.invalid") | {200: answer("A page.")},
)
def deliveries_of(
    id: EndpointId, caller: RendersReader, state: State = None, limit: Limit = limits.PAGE, cursor: Cursor = None
) -> DeliveryPage:
    """What was to be sent to an endpoint, newest first."""

    def work(session: Session) -> DeliveryPage:
        intake.found(session, caller, id)
        return _page(session, caller, limit, cursor, endpoint_id=id, state=state)

    return look(work)


@router.get(
    _DELIVERIES,
    summary="List your deliveries",
    responses=problems("cursor.invalid") | {200: answer("A page.")},
)
def all_deliveries(
    caller: RendersReader,
    endpoint_id: Words = None,
    render_id: Words = None,
    batch_id: Words = None,
    state: State = None,
    limit: Limit = limits.PAGE,
    cursor: Cursor = None,
) -> DeliveryPage:
    """What was to be sent, newest first: to an endpoint, or of a render's own events, or of a batch's own."""
    if render_id and batch_id:
        errors = [FieldError("?batch_id", "an event is about a render or a batch: give one of them")]
        raise Problem("request.invalid", "Not valid: ?batch_id", errors=errors)
    about = render_id or batch_id
    return look(
        lambda session: _page(session, caller, limit, cursor, endpoint_id=endpoint_id, subject=about, state=state)
    )


@router.get(
    _DELIVERY,
    summary="Look at a delivery",
    responses=problems("webhook.delivery_unknown") | {200: answer("It, with every try.")},
)
def delivery(id: DeliveryId, caller: RendersReader) -> DeliveryDetailBody:
    """What was sent, each try with its answer, and when the next one is."""
    return look(lambda session: delivery_detail(session, intake.delivery(session, caller, id)))


@router.post(
    f"{_DELIVERY}/redeliver",
    status_code=202,
    response_model=DeliveryBody,
    summary="Send one again",
    responses=problems(*IDEMPOTENT, "webhook.delivery_unknown", "webhook.disabled")
    | {202: answer("On its way.", "Idempotent-Replayed")},
)
def redeliver(id: DeliveryId, caller: WebhooksWriter, key: KeyHere) -> Response:
    """Send one again, whatever became of it, under its id."""
    return _answer(intake.redeliver(caller, key, id), 202)


def _page(session: Session, caller: Caller, limit: int, cursor: str | None, **wanted: str | None) -> DeliveryPage:
    after = cursors.unpack_moment(cursor) if cursor else None
    rows = deliveries.page(session, caller.owner_id, limit=limit + 1, after=after, **wanted)
    shown, more = cursors.page(rows, limit, lambda last: cursors.pack_moment(last.created_at, last.id))
    return DeliveryPage(data=[delivery_body(row) for row in shown], next_cursor=more)


def _answer(made: Answer[Any], status: int, **headers: str) -> Response:
    told = headers | ({"Idempotent-Replayed": "true"} if made.replayed else {})
    return Response(made.body.model_dump_json(), status, told, "application/json")
