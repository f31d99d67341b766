"""All that an endpoint missed since a moment, sent again in pieces: the call does the first, the dispatcher the rest.

No transaction is longer than a piece, which is bounded by what it sends and by what it reads: while one is open
no event gets out, and who needs its rows waits.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.orm import Session

from worker.database import new_id
from worker.portions import WHOLE, Portion
from worker.renders import events
from worker.webhooks import deliveries, retention
from worker.webhooks.models import WebhookEndpoint, WebhookRedelivery

AT_ONCE = 2_000
"""Deliveries of a piece: so many bodies are in memory."""
READ_AT_ONCE = 50_000
"""Events that a piece looks at, whatever it finds: a tenth of a second or two."""
Only = Literal["failed", "all"]


class UnderWay(Exception):
    """The endpoint has a redelivery that is not done yet."""


def begin(session: Session, endpoint: WebhookEndpoint, since: datetime, *, only: Only) -> WebhookRedelivery:
    """Send an endpoint again what happened since then: what failed (tries still to come included) or all of it, and in
    either case what it was never sent, because it was disabled or not there yet. The oldest first; of a few events that
    is done with this call, and it is finished.

    Raises UnderWay.
    """
    after = _before(session, since)
    row = {"id": new_id("whr"), "endpoint_id": endpoint.id, "since": since, "chosen": only, "after": after}
    new = insert(WebhookRedelivery).values(row).on_conflict_do_nothing().returning(WebhookRedelivery)
    made = session.scalars(new).one_or_none()
    if made is None:
        raise UnderWay
    _piece(session, made, endpoint)
    return made


def next_turn(session: Session) -> str | None:
    """The redelivery that has waited longest, of those that nobody else has in hand; all others come before it again.
    With a transaction of its own: what a piece cannot be done of now must not keep the others waiting."""
    waiting = select(WebhookRedelivery).where(WebhookRedelivery.finished_at.is_(None))
    oldest = waiting.order_by(WebhookRedelivery.moved_at, WebhookRedelivery.id).limit(1)
    row = session.scalars(oldest.with_for_update(skip_locked=True)).one_or_none()
    if row is None:
        return None
    _move(session, row)
    return row.id


def go_on(session: Session, redelivery_id: str, portion: Portion = WHOLE) -> bool:
    """A piece of a redelivery whose turn it is; whether it was still there, and in nobody else's hand."""
    mine = select(WebhookRedelivery).where(
        WebhookRedelivery.id == redelivery_id, WebhookRedelivery.finished_at.is_(None)
    )
    row = session.scalars(mine.with_for_update(skip_locked=True)).one_or_none()
    if row is not None:
        endpoint = session.get_one(WebhookEndpoint, row.endpoint_id)
        if endpoint.deleted_at is not None:
            session.delete(row)
        else:
            _piece(session, row, endpoint, portion)
    return row is not None


def _piece(session: Session, row: WebhookRedelivery, endpoint: WebhookEndpoint, portion: Portion = WHOLE) -> None:
    """Its next events, as many as may be read, or fewer where those are sent again."""
    newest, room, unread = events.last_id(session), portion.of(AT_ONCE), portion.of(READ_AT_ONCE)
    while row.finished_at is None and room > 0 and unread > 0:
        until = min(row.after + unread, max(newest, row.after))
        step = deliveries.send_known if row.step == "known" else deliveries.send_missing
        number, last = step(session, row, endpoint, until=until, most=room)
        done = until if last is None else last
        row.redelivered, room = row.redelivered + number, room - number
        row.after, unread = done, unread - (done - row.after)
        if last is None and until >= newest:
            _next_step(session, row)
    _move(session, row)


def _move(session: Session, row: WebhookRedelivery) -> None:
    row.moved_at = session.execute(select(func.clock_timestamp())).scalar_one()
    session.flush()


def _next_step(session: Session, row: WebhookRedelivery) -> None:
    if row.step == "known":
        row.step, row.after = "missing", _before(session, row.since)
    else:
        row.finished_at = session.scalar(select(func.now()))


def _before(session: Session, since: datetime) -> int:
    """What is older has no delivery any more that would say whether it was sent."""
    return events.id_before(session, since, most=retention.KEPT)


def get(session: Session, redelivery_id: str) -> WebhookRedelivery:
    """One that there is."""
    return session.get_one(WebhookRedelivery, redelivery_id)


def latest(session: Session, endpoint_ids: Sequence[str]) -> Mapping[str, WebhookRedelivery]:
    """The last one asked for of each of these endpoints that have any."""
    place = WebhookRedelivery.endpoint_id, WebhookRedelivery.created_at.desc(), WebhookRedelivery.id.desc()
    query = select(WebhookRedelivery).where(WebhookRedelivery.endpoint_id.in_(endpoint_ids)).order_by(*place)
    return {row.endpoint_id: row for row in session.scalars(query.ext(distinct_on(WebhookRedelivery.endpoint_id)))}
