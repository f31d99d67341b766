"""What happened, in order: one render's events by number, everybody's by the ordered feed."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, DateTime, TextClause, func, insert, literal, select, text, tuple_
from sqlalchemy.dialects.postgresql import INTERVAL
from sqlalchemy.orm import Session

from worker.renders.models import Event, TransactionId


class EventType(StrEnum):
    """Every type of event there is: of renders, of batches, of webhook endpoints."""

    QUEUED = "render.queued"
    STARTED = "render.started"
    STAGE = "render.stage"
    PROGRESS = "render.progress"
    WAITING = "render.waiting"
    MESSAGE_SENT = "render.message_sent"
    MESSAGE_SETTLED = "render.message_settled"
    STILL_WORKING = "render.still_working"
    ANSWER = "render.answer"
    HINT = "render.hint"
    FAULT = "render.fault"
    RECOVERED = "render.recovered"
    CANCELING = "render.canceling"
    SUCCEEDED = "render.succeeded"
    FAILED = "render.failed"
    CANCELED = "render.canceled"
    EXPIRED = "render.expired"
    UPDATED = "render.updated"
    DELETED = "render.deleted"
    PUBLISHED = "render.published"
    PUBLISH_FAILED = "render.publish_failed"

    BATCH_ACCEPTED = "batch.accepted"
    BATCH_APPROVED = "batch.approved"
    BATCH_PAUSED = "batch.paused"
    BATCH_RESUMED = "batch.resumed"
    BATCH_CANCELING = "batch.canceling"
    BATCH_UPDATED = "batch.updated"
    BATCH_FINISHED = "batch.finished"
    BATCH_REOPENED = "batch.reopened"

    WEBHOOK_DISABLED = "webhook.disabled"


FINAL = frozenset({EventType.SUCCEEDED, EventType.FAILED, EventType.CANCELED, EventType.EXPIRED})
"""Those that end a render's run."""


@dataclass(frozen=True)
class NewEvent:
    """An event about to be written with the change that it tells of."""

    type: EventType
    data: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, order=True)
class Cursor:
    """A place in the feed of all events."""

    transaction: int = 0
    id: int = 0

    @property
    def text(self) -> str:
        """Opaque, as `GET /v1/events?after=` takes it."""
        packed = json.dumps([self.transaction, self.id], separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


def append(
    session: Session,
    *,
    owner_id: str,
    last: int,
    events: Sequence[NewEvent],
    render_id: str | None = None,
    run: int | None = None,
    batch_id: str | None = None,
    endpoint_id: str | None = None,
) -> None:
    """Write events of one render (with its run), batch or webhook endpoint, whose numbers end at `last`: the caller
    raised its `event_number` to that in this transaction, so it holds the row and no number is given twice."""
    if events:
        first = last - len(events) + 1
        session.execute(
            insert(Event),
            [
                {
                    "render_id": render_id,
                    "batch_id": batch_id,
                    "endpoint_id": endpoint_id,
                    "owner_id": owner_id,
                    "run": run,
                    "number": first + offset,
                    "type": event.type.value,
                    "data": event.data,
                }
                for offset, event in enumerate(events)
            ],
        )


def of_render(session: Session, render_id: str, *, after: int = 0, limit: int = 500) -> Sequence[Event]:
    """One render's events with a number above `after`, in order."""
    return session.scalars(
        select(Event).where(Event.render_id == render_id, Event.number > after).order_by(Event.number).limit(limit)
    ).all()


def feed(session: Session, *, after: Cursor, owner_id: str | None = None, limit: int = 500) -> Sequence[Event]:
    """Everybody's (or one owner's) events behind `after`, complete and in an order that never changes.

    Only transactions older than the oldest one still running are read: whatever commits later sorts behind them.
    """
    query = (
        select(Event)
        .where(
            tuple_(Event.transaction, Event.id)
            > tuple_(literal(after.transaction, TransactionId()), literal(after.id, BigInteger)),
            Event.transaction < text("pg_snapshot_xmin(pg_current_snapshot())"),
        )
        .order_by(Event.transaction, Event.id)
        .limit(limit)
    )
    if owner_id is not None:
        query = query.where(Event.owner_id == owner_id)
    return session.scalars(query).all()


def feed_end(session: Session) -> Cursor:
    """The place from which a reader sees only what is new."""
    horizon = session.execute(select(func.pg_snapshot_xmin(func.pg_current_snapshot()).op("::")(text("text")))).scalar()
    return Cursor(transaction=int(str(horizon)), id=0)


def feed_at(session: Session, owner_id: str, moment: datetime) -> Cursor:
    """The place behind which all of an owner's events from a moment on are, and perhaps a few from before it: events
    lie in the order of their transactions, and a moment is that of its transaction's begin."""
    end = feed_end(session)  # first: what runs at this moment, and is not seen below, is behind it
    found = _first_since(session, _FIRST_PLACE, _begin(session, moment, of_owner=owner_id), owner=owner_id)
    return min(end, Cursor(int(found.transaction), found.id - 1)) if found else end


def id_before(session: Session, moment: datetime, *, most: timedelta) -> int:
    """An id below those of all events since then, or since `most` ago where that is later."""
    newest = last_id(session)  # first: as above
    since = func.greatest(literal(moment, DateTime(timezone=True)), func.now() - literal(most, INTERVAL))
    found = _first_since(session, _FIRST_ID, _begin(session, session.execute(select(since)).scalar_one()))
    return found.id - 1 if found else newest


def last_id(session: Session) -> int:
    """Of the events there are; 0 where there are none."""
    return session.scalar(select(func.max(Event.id))) or 0


LONGEST_TRANSACTION = timedelta(hours=1)
"""One that stands still is ended within a minute, and none of ours works for longer than a few."""


def _begin(session: Session, moment: datetime, *, of_owner: str | None = None) -> datetime:
    """The moment, or shortly before the first event that there is (of an owner) where that is later."""
    query = select(Event.created_at).order_by(Event.id)
    if of_owner is not None:
        query = select(Event.created_at).where(Event.owner_id == of_owner).order_by(Event.transaction, Event.id)
    first = session.scalar(query.limit(1))
    return moment if first is None else max(moment, first - LONGEST_TRANSACTION)


def _first_since(session: Session, query: TextClause, moment: datetime, **given: Any) -> Any:
    """The row of a query for the first event since then, or None. Windows double until one has any, and that is halved
    until it is an hour long: much is read only where nothing happened for as long."""
    now = session.execute(select(func.now())).scalar_one()

    def within(after: timedelta, span: timedelta) -> Any:
        return session.execute(query, {**given, "moment": moment, "after": after, "span": span}).one_or_none()

    after, span = timedelta(0), LONGEST_TRANSACTION
    while within(after, span) is None:
        if now - moment < span:
            return None
        after, span = span, span * 2
    while span - after > LONGEST_TRANSACTION:
        middle = after + (span - after) / 2
        after, span = (after, middle) if within(after, middle) is not None else (middle, span)
    # Transactions and ids are numbered as events are written: what is further away than this comes after that one.
    found = within(after, span + LONGEST_TRANSACTION)
    return found if found is not None else _first_since(session, query, moment, **given)  # it was purged meanwhile


_WITHIN = "created_at >= :moment + CAST(:after AS interval) AND created_at < :moment + CAST(:span AS interval)"
_FIRST_PLACE = text(
    f"""
    SELECT CAST(transaction AS text) AS transaction, id FROM (
        SELECT transaction, id FROM events WHERE owner_id = :owner AND {_WITHIN} OFFSET 0) AS since
    ORDER BY since.transaction, since.id LIMIT 1"""  # noqa: S608 - own words
)
_FIRST_ID = text(
    f"SELECT id FROM (SELECT id FROM events WHERE {_WITHIN} OFFSET 0) AS since ORDER BY id LIMIT 1"  # noqa: S608
)
"""`OFFSET 0` keeps the planner from going through all events from the first one on: `ix_events_created` knows where
they begin."""
