"""What was sent and what became of it; sent again, one or all since a time; a test."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import func, insert, select, text, tuple_, update
from sqlalchemy.orm import Session

from worker.database import ago, new_id
from worker.renders.events import FINAL, EventType
from worker.renders.models import Event, Render
from worker.webhooks import filters, making, messages, overtaking, retention
from worker.webhooks.making import Wanted
from worker.webhooks.messages import NOTHING_MORE
from worker.webhooks.models import DeliveryState, EndpointKind, WebhookAttempt, WebhookDelivery, WebhookEndpoint
from worker.webhooks.overtaking import OVERTAKEN

MOST = 100_000
"""Deliveries of one `redeliver_since`."""
AT_ONCE = 2_000
"""Made by one statement: so many bodies are in memory."""


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
    query = select(WebhookDelivery).where(WebhookDelivery.owner_id == owner_id)
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
    mine = WebhookDelivery.id == delivery_id, WebhookDelivery.owner_id == owner_id
    return session.scalars(select(WebhookDelivery).where(*mine)).one_or_none()


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
    "last_error": None,
    "last_status": None,
}
"""Whoever has it in hand at this moment keeps it: what that try comes to is the first of the new ones."""


def redeliver(session: Session, row: WebhookDelivery) -> None:
    """Send it again now, whatever became of it, under the same `webhook-id`, with the whole schedule before it. One
    whose endpoint is disabled goes out once that is enabled."""
    session.execute(
        update(WebhookDelivery)
        .where(WebhookDelivery.id == row.id)
        .values(_AGAIN)
        .execution_options(synchronize_session=False)
    )
    session.refresh(row)


def redeliver_since(
    session: Session, endpoint_row: WebhookEndpoint, since: datetime, *, only: Literal["failed", "all"]
) -> int:
    """Send an endpoint again what happened since then: what failed (tries still to come included) and no end of its
    render has overtaken, or all of it, and in either case what it was never sent in the last 30 days
    (`retention.KEPT`), because it was disabled or not there yet. At most `MOST`, the oldest first; how many."""
    known = _again(session, endpoint_row, since, only=only)
    return known + _never_sent(session, endpoint_row, since, everything=only == "all", most=MOST - known)


def _again(session: Session, endpoint: WebhookEndpoint, since: datetime, *, only: str) -> int:
    given = {"endpoint": endpoint.id, "since": since, "all": only == "all", "most": MOST, **overtaking.asks(endpoint)}
    return len(session.execute(_AGAIN_SINCE, given).all())


_AGAIN_SINCE = text(
    f"""
    UPDATE webhook_deliveries SET state = 'pending', tries = 0, ready_at = now(), ended_at = NULL, overtaken = false,
        last_error = NULL, last_status = NULL
    WHERE id IN (SELECT d.id FROM webhook_deliveries AS d JOIN events ON events.id = d.event_id
            WHERE d.endpoint_id = :endpoint AND d.created_at >= :since AND events.created_at >= :since
                AND (:all OR d.state = 'failed' OR (d.state = 'pending' AND d.tries > 0))
                AND (:all OR NOT {OVERTAKEN})
                AND (d.lease_until IS NULL OR d.lease_until < now())
            ORDER BY events.id LIMIT :most)
    RETURNING id"""  # noqa: S608 - own names
)
"""No event is delivered before it happened: the first condition finds them by index."""


def _never_sent(session: Session, endpoint: WebhookEndpoint, since: datetime, *, everything: bool, most: int) -> int:
    made, after = 0, session.execute(_BEFORE, {"owner": endpoint.owner_id, "since": since}).scalar_one()
    while made < most:
        missing = _missing(endpoint, since, after, everything=everything)
        found = session.scalars(missing.limit(min(AT_ONCE, most - made))).all()
        if not found:
            break
        after = found[-1].id
        made += making.make(session, _asked_for(session, endpoint, found))
        for event in found:  # so many may come that memory counts
            session.expunge(event)
    return made


_BEFORE = text(
    """
    SELECT coalesce(min(id), 0) - 1 FROM (
        SELECT id FROM events WHERE created_at >= :since AND owner_id = :owner OFFSET 0) AS found"""
)
"""Where to begin: from there on by id. `OFFSET 0` keeps the planner from looking for it from the first event on."""


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


def _asked_for(session: Session, endpoint: WebhookEndpoint, events: Sequence[Event]) -> list[Wanted]:
    asking = making.renders(session, events, owners=[endpoint.owner_id])
    standing = endpoint.kind == EndpointKind.STANDING.value
    found: list[Wanted] = []
    for event in events:
        said = asking.get(event.render_id or "")
        if standing or (said is not None and filters.lets_through(said.patterns, event.type)):
            found.append(Wanted(endpoint.id, event, said.of if said is not None else NOTHING_MORE))
    return found


def send_test(session: Session, endpoint_row: WebhookEndpoint, type: EventType) -> WebhookDelivery:
    """Have an example of an event sent, which says that it is one."""
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
    }
    return session.scalars(insert(WebhookDelivery).values(row).returning(WebhookDelivery)).one()
