"""What was sent and what became of it; sent again, one or a piece of those since a time; a test."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, case, func, insert, select, text, tuple_, update
from sqlalchemy.orm import Session

from worker.database import ago, new_id
from worker.renders.events import FINAL, EventType
from worker.renders.models import Event, Render
from worker.webhooks import filters, making, messages, overtaking, retention
from worker.webhooks.making import Wanted
from worker.webhooks.messages import NOTHING_MORE
from worker.webhooks.models import (
    DeliveryState,
    EndpointKind,
    WebhookAttempt,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookRedelivery,
)
from worker.webhooks.overtaking import OVERTAKEN


def page(
    session: Session,
    owner_id: str,
    *,
    endpoint_id: str | None = None,
    subject: str | None = None,
    state: str | None = None,
    limit: int,
    after: tuple[datetime, str] | None = None,
) -> Sequence[WebhookDelivery]:
    """Up to `limit` of the owner's deliveries, newest first, behind `after` (keyset: creation time and id); of one
    endpoint, of one render, batch or endpoint that they are about, or in one state where named."""
    place = WebhookDelivery.created_at, WebhookDelivery.id
    query = select(WebhookDelivery).where(*_shown(owner_id))
    for column, value in (
        (WebhookDelivery.endpoint_id, endpoint_id),
        (WebhookDelivery.subject, subject),
        (WebhookDelivery.state, state),
    ):
        query = query.where(column == value) if value is not None else query
    if after is not None:
        query = query.where(tuple_(*place) < tuple_(*after))
    return session.scalars(query.order_by(*(column.desc() for column in place)).limit(limit)).all()


def get(session: Session, owner_id: str, delivery_id: str) -> WebhookDelivery | None:
    """The owner's delivery, or None: somebody else's is as good as none."""
    mine = WebhookDelivery.id == delivery_id, *_shown(owner_id)
    return session.scalars(select(WebhookDelivery).where(*mine)).one_or_none()


def _shown(owner_id: str) -> tuple[ColumnElement[bool], ...]:
    """The owner's, without those of endpoints that are being removed."""
    gone = select(WebhookEndpoint.id).where(
        WebhookEndpoint.owner_id == owner_id, WebhookEndpoint.deleted_at.is_not(None)
    )
    return WebhookDelivery.owner_id == owner_id, WebhookDelivery.endpoint_id.not_in(gone)


def attempts(session: Session, delivery_id: str) -> Sequence[WebhookAttempt]:
    """Its tries, in order."""
    mine = select(WebhookAttempt).where(WebhookAttempt.delivery_id == delivery_id)
    return session.scalars(mine.order_by(WebhookAttempt.number)).all()


_AGAIN: dict[str, Any] = {
    "state": DeliveryState.PENDING.value,
    "tries": 0,
    "ready_at": func.now(),
    "ended_at": None,
    "overtaken": False,
    "asked_for": True,
    "last_error": None,
    "last_status": None,
    "lease_until": case((WebhookDelivery.lease_until >= func.now(), WebhookDelivery.lease_until)),
}
"""Whoever has it in hand at this moment keeps it: what that try comes to is the first of the new ones. One that nobody
came back from is none of them."""


def redeliver(session: Session, row: WebhookDelivery) -> bool:
    """Send it again now, whatever became of it, under the same `webhook-id`, with the whole schedule before it; whether
    it is still there. One whose endpoint is disabled goes out once that is enabled."""
    again = (
        update(WebhookDelivery)
        .where(WebhookDelivery.id == row.id)
        .values(_AGAIN)
        .returning(WebhookDelivery.id)
        .execution_options(synchronize_session=False)
    )
    there = session.scalar(again) is not None
    if there:
        session.refresh(row)
    return there


def send_known(
    session: Session, asked: WebhookRedelivery, endpoint: WebhookEndpoint, *, until: int, most: int
) -> tuple[int, int | None]:
    """Send up to `most` deliveries again that a redelivery is about, of events up to the one with the id `until`; how
    many, and the last one's event, or None where there are no more up to there."""
    given = {"endpoint": asked.endpoint_id, "since": asked.since, "until": asked.created_at, "after": asked.after}
    given |= {"all": asked.chosen == "all", "last": until, "most": most, **overtaking.asks(endpoint)}
    number, last = session.execute(_AGAIN_SINCE, given).one()
    return number, last if number >= most else None


_AGAIN_SINCE = text(
    f"""
    WITH found AS (SELECT d.id, d.event_id FROM webhook_deliveries AS d JOIN events ON events.id = d.event_id
            WHERE d.endpoint_id = :endpoint AND d.event_id > :after AND d.event_id <= :last AND d.created_at >= :since
                AND events.created_at BETWEEN :since AND :until
                AND (:all OR d.state = 'failed' OR (d.state = 'pending' AND d.tries > 0))
                AND (:all OR NOT {OVERTAKEN})
            ORDER BY d.event_id LIMIT :most FOR UPDATE OF d),
        again AS (UPDATE webhook_deliveries SET state = 'pending', tries = 0, ready_at = now(), ended_at = NULL,
                overtaken = false, asked_for = asked_for OR :all, last_error = NULL, last_status = NULL,
                lease_until = CASE WHEN lease_until >= now() THEN lease_until END
            FROM found WHERE webhook_deliveries.id = found.id RETURNING found.event_id)
    SELECT count(*), max(event_id) FROM again"""  # noqa: S608 - own names
)
"""By the unique key of endpoint and event, from the place on. No event is delivered before it happened. A row that is
locked at this moment is waited for: passed over, it would be left out for good. As in `_AGAIN`, whoever has one in hand
keeps it."""


def send_missing(
    session: Session, asked: WebhookRedelivery, endpoint: WebhookEndpoint, *, until: int, most: int
) -> tuple[int, int | None]:
    """Make deliveries of up to `most` events that the endpoint was never sent; as `send_known`. An end among them that
    the relay has not come to yet overtakes what is pending now, not then."""
    everything = asked.chosen == "all"
    missing = _missing(endpoint, asked.since, asked.after, everything=everything)
    missing = missing.where(Event.created_at <= asked.created_at, Event.id <= until)
    events = session.scalars(missing.limit(most)).all()
    wanted = _wanted(session, endpoint, events)
    number = making.make(session, wanted, asked_for=everything)
    overtaking.supersede(session, wanted)
    return number, events[-1].id if len(events) >= most else None


def _missing(endpoint: WebhookEndpoint, since: datetime, after: int, *, everything: bool) -> Any:
    """Of an event older than deliveries are kept nobody knows any more whether it was sent: a second one would come
    under another id."""
    known = select(WebhookDelivery.id).where(
        WebhookDelivery.endpoint_id == endpoint.id, WebhookDelivery.event_id == Event.id
    )
    query = select(Event).where(
        Event.owner_id == endpoint.owner_id,
        Event.created_at >= func.greatest(since, ago(retention.KEPT)),
        Event.id > after,
        ~known.exists(),
    )
    if not everything:
        query = query.where(text(f"NOT {OVERTAKEN}").bindparams(**overtaking.asks(endpoint)))
    if endpoint.kind == EndpointKind.RENDER.value:
        query = query.join(Render, Render.id == Event.render_id).where(Render.webhook_endpoint_id == endpoint.id)
    else:
        query = query.where(Event.type.in_(filters.types(endpoint.events)))
    return query.where(func.coalesce(Event.endpoint_id, "") != endpoint.id).order_by(Event.id)


def _wanted(session: Session, endpoint: WebhookEndpoint, events: Sequence[Event]) -> list[Wanted]:
    asking = making.renders(session, events, owners=[endpoint.owner_id])
    standing = endpoint.kind == EndpointKind.STANDING.value
    found: list[Wanted] = []
    for event in events:
        said = asking.get(event.render_id or "")
        of = said.of if said is not None else NOTHING_MORE
        if standing:
            found.append(Wanted(endpoint.id, event, of))
        elif said is not None and said.url is not None and filters.lets_through(said.patterns, event.type):
            found.append(Wanted(endpoint.id, event, of, said.url))
    return found


class NoAddress(Exception):
    """No render is left that names an address of this endpoint."""


def send_test(session: Session, endpoint_row: WebhookEndpoint, type: EventType) -> WebhookDelivery:
    """Have an example of an event sent, which says that it is one. Of renders' addresses the newest is told.

    Raises NoAddress.
    """
    url = _newest_address(session, endpoint_row) if endpoint_row.kind == EndpointKind.RENDER.value else None
    now = session.execute(select(func.now())).scalar_one()
    row = {
        "id": new_id("msg"),
        "owner_id": endpoint_row.owner_id,
        "endpoint_id": endpoint_row.id,
        "subject": endpoint_row.id,
        "sequence": 0,
        "type": type.value,
        "final": type in FINAL,
        "body": messages.example(type, now, endpoint_row.id),
        "url": url,
    }
    return session.scalars(insert(WebhookDelivery).values(row).returning(WebhookDelivery)).one()


def _newest_address(session: Session, endpoint: WebhookEndpoint) -> str:
    its = Render.webhook_endpoint_id == endpoint.id, Render.webhook_url.is_not(None), Render.purged_at.is_(None)
    newest = select(Render.webhook_url).where(*its).order_by(Render.created_at.desc()).limit(1)
    if (found := session.scalar(newest)) is None:
        raise NoAddress
    return found
