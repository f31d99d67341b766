"""Deliveries are made of events here, by set: by the relay as they happen, and by whoever asks for earlier ones."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import or_, select, text
from sqlalchemy.orm import Session

from worker.database import new_id
from worker.renders.events import FINAL
from worker.renders.models import Event, Render
from worker.webhooks import messages
from worker.webhooks.messages import Of


@dataclass(frozen=True)
class Wanted:
    """An event that an endpoint asks for."""

    endpoint_id: str
    event: Event
    of: Of
    url: str | None = None
    """Where its render says so."""


@dataclass(frozen=True)
class Asking:
    """What a render says about its webhooks, and what its events do not say themselves."""

    endpoint_id: str | None
    patterns: Sequence[str]
    of: Of
    url: str | None


def renders(session: Session, events: Sequence[Event], *, owners: Collection[str]) -> dict[str, Asking]:
    """The renders of these events, as far as they have an endpoint of their own or one of `owners`."""
    ids = {event.render_id for event in events if event.render_id is not None}
    rows = session.execute(
        select(
            Render.id,
            Render.webhook_endpoint_id,
            Render.webhook_events,
            Render.webhook_url,
            Render.external_ref,
            Render.batch_id,
        ).where(Render.id.in_(ids), or_(Render.owner_id.in_(owners), Render.webhook_endpoint_id.is_not(None)))
    )
    return {
        row.id: Asking(row.webhook_endpoint_id, row.webhook_events, Of(row.external_ref, row.batch_id), row.webhook_url)
        for row in rows
    }


def make(session: Session, wanted: Sequence[Wanted], *, asked_for: bool = False) -> int:
    """Put deliveries on file, due now, in the order given; how many. None is made twice, and none of an event whose
    render is being purged at this moment: what it says must not outlive that. `asked_for`: no end overtakes them."""
    bodies = {one.event.id: messages.body(one.event, one.of) for one in {one.event.id: one for one in wanted}.values()}
    given = {
        "ids": [new_id("msg") for _ in wanted],
        "endpoints": [one.endpoint_id for one in wanted],
        "events": [one.event.id for one in wanted],
        "bodies": [bodies[one.event.id] for one in wanted],
        "urls": [one.url for one in wanted],
        "finals": [type.value for type in FINAL],
        "asked_for": asked_for,
    }
    return len(session.execute(_MAKE, given).all()) if wanted else 0


_MAKE = text(
    """
    INSERT INTO webhook_deliveries (id, owner_id, endpoint_id, event_id, subject, sequence, type, final, body, url,
        asked_for)
    SELECT made.id, event.owner_id, made.endpoint_id, event.id,
        coalesce(event.render_id, event.batch_id, event.endpoint_id), event.number, event.type,
        event.type = ANY(CAST(:finals AS text[])), made.body, made.url,
        :asked_for
    FROM unnest(CAST(:ids AS text[]), CAST(:endpoints AS text[]), CAST(:events AS bigint[]), CAST(:bodies AS text[]),
            CAST(:urls AS text[])) WITH ORDINALITY AS made (id, endpoint_id, event_id, body, url, place),
        (SELECT * FROM events WHERE id = ANY(CAST(:events AS bigint[])) FOR KEY SHARE) AS event
    WHERE event.id = made.event_id ORDER BY place
    ON CONFLICT (endpoint_id, event_id) DO NOTHING RETURNING id"""
)
